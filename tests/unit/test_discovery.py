from ansible_collections.hsc.jit.plugins.module_utils._discovery import Kinds
from ansible_collections.hsc.jit.plugins.module_utils._kinds import Resource
from ansible_collections.hsc.jit.plugins.module_utils._target import Cluster

CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "hsc-jit"}}
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hsc-jit"}}
KINDS = Kinds(
    Cluster("https://k", "hsc-jit", None, dict),
    {("v1", "ConfigMap"): Resource("/api/v1", "", "configmaps", True), ("v1", "Namespace"): Resource("/api/v1", "", "namespaces", False)},
)


def test_an_object_is_tried_where_it_will_be():
    assert KINDS.trial(CONFIG, stand_in=False) == ("/api/v1/namespaces/hsc-jit/configmaps/c", CONFIG)


def test_without_its_namespace_an_object_is_tried_in_another():
    for metadata in (CONFIG["metadata"], {"name": "c"}):
        path, tried = KINDS.trial({**CONFIG, "metadata": metadata}, stand_in=True)
        assert path == "/api/v1/namespaces/default/configmaps/c" and tried["metadata"] == {"name": "c", "namespace": "default"}
    assert CONFIG["metadata"]["namespace"] == "hsc-jit"


def test_what_lives_elsewhere_or_in_no_namespace_is_tried_where_it_will_be():
    elsewhere = {**CONFIG, "metadata": {"name": "c", "namespace": "other"}}
    assert KINDS.trial(elsewhere, stand_in=True) == ("/api/v1/namespaces/other/configmaps/c", elsewhere)
    assert KINDS.trial(NAMESPACE, stand_in=True) == ("/api/v1/namespaces/hsc-jit", NAMESPACE)
