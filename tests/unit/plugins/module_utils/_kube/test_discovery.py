import pytest
from ansible_collections.hsc.jit.plugins.module_utils._kube.client import Cluster
from ansible_collections.hsc.jit.plugins.module_utils._kube.discovery import Kinds, live
from ansible_collections.hsc.jit.plugins.module_utils._kube.kinds import Resource
from ansible_collections.hsc.jit.plugins.module_utils._product import PART_OF, SELECTOR
from memory_api import MemoryApiServer

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


def config(name, **labels):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}}


@pytest.mark.parametrize(("missing", "requests"), [(0, 1), (3, 4), (16, 17), (17, 3), (400, 3)])
def test_objects_that_are_missing_cost_one_list_of_names_where_they_are_many(missing, requests):
    server = MemoryApiServer(config("ours", **PART_OF), config("others"), config("unlabelled"))
    objects = [config(name) for name in ("ours", "unlabelled")][: 2 if missing else 1] + [config(f"new-{n}") for n in range(missing - 1)]
    found = live(Kinds(server.cluster(), dict(KINDS.known)), objects, (), SELECTOR)
    assert {name for _, _, name in found} == ({"ours", "unlabelled"} if missing else {"ours"})
    assert len(server.requests) == requests
