"""How objects are compared."""

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._kube import objects as o


def obj(kind="ConfigMap", name="a", wave=None, **more):
    metadata = {"name": name, **({"annotations": {"hsc.jit/wave": wave}} if wave else {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **more}


def test_replicas_are_left_to_the_autoscaler_and_only_there():
    hpa = obj("HorizontalPodAutoscaler", spec={"scaleTargetRef": {"kind": "Deployment", "name": "web"}})
    web, other = obj("Deployment", "web", spec={"replicas": 3}), obj("Deployment", "other", spec={"replicas": 3})
    found = o.without_scaled_replicas([hpa, web, other])
    assert ["replicas" in one["spec"] for one in found] == [False, False, True]
    assert web["spec"] == {"replicas": 3}, "the argument stays as it was"


@pytest.mark.parametrize(
    ("live", "wanted", "same"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": [{"name": "x", "default": 1}]}, {"a": [{"name": "x"}]}, True),
        ({"a": [{"name": "x"}, {"name": "sidecar"}]}, {"a": [{"name": "x"}]}, False),
        ({}, {"a": None}, False),
        ({"cpu": "1"}, {"cpu": "1000m"}, False),
    ],
)
def test_contains(live, wanted, same):
    assert o.contains(live, wanted) is same


def test_differences_name_the_field_by_the_elements_name():
    before = {"spec": {"containers": [{"name": "web", "image": "a"}], "x": 1}}
    after = {"spec": {"containers": [{"name": "web", "image": "b"}]}}
    assert list(o.differences(before, after)) == [("spec.containers[web].image", "a", "b"), ("spec.x", 1, None)]
