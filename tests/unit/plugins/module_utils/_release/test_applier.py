"""What the applier plans and sends, on an API server in memory."""

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.module_utils._release import manifests
from ansible_collections.hsc.jit.plugins.module_utils._release.applier import Applier
from ansible_collections.hsc.jit.plugins.module_utils._release.cluster_secrets import GENERATED, GENERATED_NAME, RESTART_KEY
from memory_api import MemoryApiServer

CONFIGS = "/api/v1/namespaces/hsc-jit/configmaps"
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "lamps.example.com"},
    "spec": {"group": "example.com", "scope": "Namespaced", "names": {"kind": "Lamp", "plural": "lamps"},
             "versions": [{"name": "v1", "served": True, "storage": True}]},
}  # fmt: skip


def config(name="settings", **data):
    return manifests.stamp({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}, "10-config", "hsc-jit")


def lamp():
    return manifests.stamp({"apiVersion": "example.com/v1", "kind": "Lamp", "metadata": {"name": "desk"}}, "20-lamps", "hsc-jit")


@pytest.fixture
def server():
    return MemoryApiServer()


def applier(server, *, force=False, owned=None):
    cluster = server.cluster()
    return Applier(cluster, "hsc.jit", force, Progress(), owned or {}, clock=cluster.clock)


def plan(one, *objects, prune=True):
    changes, findings = one.plan(objects, prune=prune)
    return [(change.action, change.title) for change in changes], [finding.message for finding in findings]


def applied(server, *objects):
    one = applier(server)
    changes, findings = one.plan(objects, prune=True)
    assert findings == [] and one.apply(changes) == []
    return one


def test_a_plan_writes_nothing(server):
    assert plan(applier(server), config(a="1")) == ([("create", "ConfigMap settings")], [])
    assert server.writes() == []


def test_an_unchanged_object_needs_one_list_and_no_dry_run(server):
    owned = applied(server, config(a="1")).ownership([config(a="1")])
    server.requests.clear()
    assert plan(applier(server, owned=owned), config(a="1")) == ([], [])
    assert [method for method, _, _ in server.requests] == ["GET", "GET"], "served kinds, and one list"


def test_a_plan_in_a_namespace_that_does_not_exist_is_tried_elsewhere():
    server = MemoryApiServer(namespaces=("default",))
    assert plan(applier(server), config(a="1")) == ([("create", "ConfigMap settings")], [])


def test_a_namespace_that_is_being_deleted_stops_the_plan(server):
    server.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hsc-jit", "finalizers": ["x"]}})
    server.cluster().delete("/api/v1/namespaces/hsc-jit")
    changes, (message,) = plan(applier(server), config(a="1"))
    assert changes == [] and "hsc-jit" in message


def test_pruning_takes_only_objects_that_we_applied(server):
    applied(server, config("old"), config("kept"))
    assert plan(applier(server), config("kept")) == ([("delete", "ConfigMap old")], [])
    assert plan(applier(server), config("kept"), prune=False) == ([], [])


def test_a_refusal_is_a_finding_and_ends_the_waves(server):
    one = applier(server)
    changes, _ = one.plan([config("a"), lamp(), CRD], prune=True)
    server.fail(403, "PATCH", "/configmaps/a$", reason="Forbidden", message="configmaps is forbidden")
    (finding,) = one.apply(changes)
    assert (finding.id, finding.verdict) == ("RO-01", "fail") and "configmaps is forbidden" in finding.message
    assert "/lamps/desk" not in str(server.writes()), "a later wave"


def test_a_kind_and_its_objects_come_in_one_release(server):
    applied(server, config("a"), lamp(), CRD)
    assert [path.rpartition("/")[2] for _, path in server.writes()] == ["lamps.example.com", "a", "desk"]


def test_a_kind_that_is_never_served_is_a_finding_in_bounded_time(server):
    one = applier(server)
    changes, _ = one.plan([lamp(), CRD], prune=True)
    server.fail(404, "GET", "^/apis/example.com/v1$", reason="NotFound", message="no such resource", times=999)
    (finding,) = one.apply(changes)
    assert finding.verdict == "fail" and "lamps.example.com" in finding.message
    assert one.clock.now == pytest.approx(10.0)


def test_one_answer_of_many_that_is_lost_is_sent_again(server):
    one = applier(server)
    changes, _ = one.plan([config("a"), config("b")], prune=True)
    server.fail(0, "PATCH", "/configmaps/a$", message="connection reset")
    assert one.apply(changes) == []
    assert server.find("v1", "ConfigMap", "a")


def secrets_planned(server, values):
    """(applier, changes of the Secrets)."""
    one = applier(server)
    changes, _ = one.plan([], prune=False, secrets={"hsc-secrets": values})
    return one, changes


def test_secrets_are_written_once_and_never_shown(server):
    one, changes = secrets_planned(server, {"gemini-key": "hunter2"})
    assert [(change.action, change.title) for change in changes] == [
        ("create", "Secret hsc-secrets"),
        ("create", f"Secret {GENERATED_NAME}"),
    ]
    assert "hunter2" not in str(changes)
    one.write_secrets(changes)
    assert set(server.find("v1", "Secret", GENERATED_NAME)["data"]) == {*GENERATED, RESTART_KEY}
    assert secrets_planned(server, {"gemini-key": "hunter2"})[1] == []
    _, (change,) = secrets_planned(server, {"gemini-key": "other"})
    assert (change.action, change.title, change.fields[0][0]) == ("update", "Secret hsc-secrets", "data.gemini-key")
