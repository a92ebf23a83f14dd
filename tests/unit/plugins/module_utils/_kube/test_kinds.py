from ansible_collections.hsc.jit.plugins.module_utils._kube.kinds import Resource, defined, served


def test_kinds_are_what_the_server_serves():
    answer = {
        "resources": [
            {"name": "deployments", "kind": "Deployment", "namespaced": True},
            {"name": "deployments/status", "kind": "Deployment", "namespaced": True},
        ]
    }
    assert served("apps/v1", answer) == {("apps/v1", "Deployment"): Resource("/apis/apps/v1", "apps", "deployments", True)}
    assert served("v1", {"resources": [{"name": "pods", "kind": "Pod", "namespaced": True}]})[("v1", "Pod")].prefix == "/api/v1"


def test_a_definition_brings_a_kind_for_each_version_that_is_served():
    versions = [{"name": "v1", "served": True}, {"name": "v0", "served": False}]
    spec = {"group": "test.example", "names": {"kind": "Gadget", "plural": "gadgets"}, "scope": "Cluster", "versions": versions}
    definition = {"kind": "CustomResourceDefinition", "spec": spec}
    assert defined([definition, {"kind": "ConfigMap"}]) == {
        ("test.example/v1", "Gadget"): Resource("/apis/test.example/v1", "test.example", "gadgets", False)
    }
    assert defined([{"kind": "CustomResourceDefinition", "spec": "nonsense"}]) == {}
