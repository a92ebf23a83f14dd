"""How objects are compared."""

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._kube import objects as o


def obj(kind="ConfigMap", name="a", wave=None, **more):
    metadata = {"name": name, **({"annotations": {"hsc.jit/wave": wave}} if wave else {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **more}


def test_the_mark_is_the_hash_of_the_manifest_and_of_nothing_else():
    one, other = o.marked(obj(data={"a": "1"})), o.marked(obj(data={"a": "2"}))
    assert one["metadata"]["annotations"][o.HASH] != other["metadata"]["annotations"][o.HASH]
    assert o.marked(one) == one
    given = obj(data={"a": "1"})
    assert o.marked(given)["metadata"]["annotations"] == {o.HASH: "f19ad12ac76a3ff9dd4b21fd6ee74e61"}, "else an update changes every object"
    assert given == obj(data={"a": "1"}), "the argument stays as it was"


def test_waves_in_order_and_unnamed_last():
    waves = o.waves([obj(name="c"), obj(name="b", wave="20-x"), obj(name="a", wave="10-y")])
    assert [[one["metadata"]["name"] for one in wave] for wave in waves] == [["a"], ["b"], ["c"]]
    assert o.component(obj(wave="20-data-stores")) == "data-stores"


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


def test_surely_unchanged_needs_the_hash_and_every_field():
    wanted = o.marked(obj(data={"a": "1"}))
    live = {**o.marked(obj(data={"a": "1"})), "apiVersion": "v1", "status": {}}
    assert unchanged(live, wanted)
    assert not unchanged(None, wanted)
    assert not unchanged({**live, "data": {"a": "changed by hand"}}, wanted)
    assert not unchanged(live, o.marked(obj(data={})))


def unchanged(live, wanted, owned=""):
    return o.surely_unchanged(live, wanted, owned, "hsc.jit")


def test_surely_unchanged_by_the_fields_that_we_still_own():
    """The server writes 1000m as 1: no value proves it, our entry does; whoever takes a field out of it is seen."""
    wanted = o.marked(obj(spec={"cpu": "1000m"}))
    live = {**o.marked(obj(spec={"cpu": "1000m"})), "spec": {"cpu": "1"}}
    live["metadata"]["managedFields"] = [{"manager": "hsc.jit", "operation": "Apply", "fieldsV1": {"f:spec": {"f:cpu": {}}}}]
    owned = o.ownership(live, "hsc.jit")
    assert not unchanged(live, wanted)
    assert unchanged(live, wanted, owned)
    assert not unchanged(live, o.marked(obj(spec={"cpu": "2"})), owned)
    live["metadata"]["managedFields"][0]["fieldsV1"] = {"f:spec": {}}
    assert not unchanged(live, wanted, owned)


def test_a_secrets_values_are_never_shown_but_a_change_is():
    one, other = (o.cleaned(obj("Secret", data={"key": value})) for value in ("cGFzcw==", "b3RoZXI="))
    assert "cGFzcw" not in str(one)
    assert one != other


def test_differences_name_the_field_by_the_elements_name():
    before = {"spec": {"containers": [{"name": "web", "image": "a"}], "x": 1}}
    after = {"spec": {"containers": [{"name": "web", "image": "b"}]}}
    assert list(o.differences(before, after)) == [("spec.containers[web].image", "a", "b"), ("spec.x", 1, None)]
