"""A canary out of the release's own Deployment."""

import copy

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._canary import objects as c

SPEC = {
    "containers": [
        {
            "name": "web",
            "image": "x@sha256:2",
            "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "settings"}}],
            "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "a"}}}],
        }
    ],
    "volumes": [{"name": "v", "configMap": {"name": "files"}}, {"name": "w", "configMap": {"name": "of-others"}}],
}
WEB = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}, "annotations": {"hsc.jit/config": "1"}}, "spec": SPEC},
    },
}
OBJECTS = [
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "1"}},
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "files"}, "data": {"b": "2"}},
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "unused"}, "data": {}},
    WEB,
]


def test_it_stands_behind_the_same_service_and_reads_its_own_settings():
    before = copy.deepcopy(OBJECTS)
    *copies, canary = c.made_from(OBJECTS, "web", 3)
    assert before == OBJECTS
    assert [one["metadata"]["name"] for one in copies] == ["settings-canary", "files-canary"]
    assert canary["metadata"]["name"] == "web-canary"
    assert canary["spec"]["replicas"] == 3
    labels = canary["spec"]["template"]["metadata"]["labels"]
    assert labels["app"] == "web", "the Service finds it"
    assert canary["spec"]["selector"]["matchLabels"] == labels == {"app": "web", c.TRACK: "canary"}
    (container,) = canary["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"configMapRef": {"name": "settings-canary"}}, {"secretRef": {"name": "settings"}}]
    assert container["env"][0]["valueFrom"]["configMapKeyRef"] == {"name": "settings-canary", "key": "a"}
    names = [volume["configMap"]["name"] for volume in canary["spec"]["template"]["spec"]["volumes"]]
    assert names == ["files-canary", "of-others"]


def test_a_workload_that_is_not_there_is_named():
    with pytest.raises(LookupError, match="no Deployment none"):
        c.made_from(OBJECTS, "none", 1)


@pytest.mark.parametrize(("percent", "stable", "replicas"), [(20, 2, 1), (20, 8, 2), (50, 2, 2), (50, 7, 7), (1, 2, 1), (10, 27, 3)])
def test_the_share_of_the_pods(percent, stable, replicas):
    assert c.replicas_for(percent, stable) == replicas
