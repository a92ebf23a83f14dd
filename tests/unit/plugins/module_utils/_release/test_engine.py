"""The engine on an API server in memory: which requests follow from the record, the live objects and the wanted ones."""

import copy
import json

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import OperatorError
from ansible_collections.hsc.jit.plugins.module_utils._module import Context
from ansible_collections.hsc.jit.plugins.module_utils._product import PART_OF
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.module_utils._release import applier, desired, manifests, plan, record, secret_readers
from ansible_collections.hsc.jit.plugins.module_utils._release.engine import Engine
from ansible_collections.hsc.jit.plugins.module_utils._release.plan import Change
from ansible_collections.hsc.jit.plugins.modules.release import SPEC
from controllers import never_ready, ready_at_once
from fake_clock import TickingClock
from memory_api import MemoryApiServer

DEFAULTS = {"journal": None, **{name: option.get("default") for name, option in SPEC.items()}, "wait_seconds": 5.0}
CONFIGS = "/api/v1/namespaces/hsc-jit/configmaps"


def config(name="settings", wave="10-config", **data):
    return manifests.stamp({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}, wave, "hsc-jit")


def web(image="web:1", wave="30-workloads", name="web"):
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": {"app": name}},
        "template": {"spec": {"containers": [{"name": name, "image": image}]}},
    }
    return manifests.stamp({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}, wave, "hsc-jit")


@pytest.fixture
def server():
    server = MemoryApiServer()
    server.controllers.append(ready_at_once)
    return server


def run(server, state, objects=(), *, check_mode=False, **params):
    """(outcome, writes). One call of the release module's work; writes: ``PATCH web`` for each request that changed something."""
    server.requests.clear()
    given = {**DEFAULTS, "objects": copy.deepcopy(list(objects)), "run": "run-1", **params}
    cluster = server.cluster()
    outcome = getattr(Engine(Context(given, check_mode, Progress(), cluster, clock=TickingClock())), state)()
    return outcome, [f"{method} {path.rpartition('/')[2]}" for method, path in server.writes()]


def verdicts(outcome):
    return [(finding.id, finding.verdict) for finding in outcome.findings]


def release(server, *objects, **params):
    outcome, _ = run(server, "present", objects, **params)
    assert all(finding.verdict == "pass" for finding in outcome.findings), outcome.findings
    return outcome


def data_of(server, name="settings"):
    return server.find("v1", "ConfigMap", name)["data"]


def records(server):
    """{number: status} of the recorded releases."""
    return {release.number: release.status for release in applier.read_releases(server.cluster())}


GENERATED = "POST secrets"


@pytest.mark.parametrize(
    ("before", "wanted", "writes", "counts"),
    [
        pytest.param([], [config(a="1"), web()], ["POST configmaps", GENERATED, "PATCH settings", "PATCH web", "PATCH hsc-jit-release-1"],
                     "3 created, 0 updated, 0 deleted, 0 unchanged", id="first release: Secret, record, waves in order, verdict"),
        pytest.param([config(a="1"), web()], [config(a="1"), web()], [],
                     "0 created, 0 updated, 0 deleted, 2 unchanged", id="unchanged: no write"),
        pytest.param([config(a="1"), web()], [config(a="2"), web()], ["POST configmaps", "PATCH settings", "PATCH hsc-jit-release-2"],
                     "0 created, 1 updated, 0 deleted, 1 unchanged", id="one field: one object"),
        pytest.param([config(a="1"), web()], [web()], ["POST configmaps", "DELETE settings", "PATCH hsc-jit-release-2"],
                     "0 created, 0 updated, 1 deleted, 1 unchanged", id="an object that is no longer wanted is pruned"),
        pytest.param([config(a="1")], [config(a="1"), config("more", "20-later"), config("most", "30-last")],
                     ["POST configmaps", "PATCH more", "PATCH most", "PATCH hsc-jit-release-2"],
                     "2 created, 0 updated, 0 deleted, 1 unchanged", id="waves in the order of their names"),
    ],
)  # fmt: skip
def test_steps_of_a_release(server, before, wanted, writes, counts):
    if before:
        release(server, *before)
    outcome, done = run(server, "present", wanted)
    assert done == writes
    assert counts in outcome.findings[0].message
    assert verdicts(outcome) == [("RO-01", "pass"), ("RO-02", "pass")]


def test_check_mode_plans_and_writes_nothing(server):
    release(server, config(a="1"))
    for state in ("planned", "present"):
        outcome, writes = run(server, state, [config(a="2")], check_mode=True)
        assert writes == []
        assert "1 updated" in outcome.findings[0].message
    assert data_of(server) == {"a": "1"}


def test_what_somebody_else_made_is_not_pruned(server):
    theirs = {**config("theirs"), "metadata": {"name": "theirs", "labels": PART_OF}}
    server.add(theirs, manager="kubectl-create")
    release(server, config(a="1"))
    assert data_of(server, "theirs") == {}


def test_a_field_of_another_manager_stops_the_release_before_it_writes(server):
    release(server, config(a="1"))
    server.cluster().patch_merge(f"{CONFIGS}/settings", {"data": {"a": "edited"}}, fieldManager="kubectl-edit")
    outcome, writes = run(server, "present", [config(a="2")])
    assert verdicts(outcome) == [("RO-01", "fail")] and writes == []
    assert "kubectl-edit" in outcome.findings[0].message
    _, writes = run(server, "present", [config(a="2")], force_conflicts=True)
    assert "PATCH settings" in writes and data_of(server) == {"a": "2"}


def test_a_release_that_does_not_become_ready_is_no_good_one(server):
    release(server, web("web:1"))
    server.controllers[:] = [never_ready]
    outcome, _ = run(server, "present", [web("web:2")])
    assert verdicts(outcome) == [("RO-01", "pass"), ("RO-02", "fail")]
    assert records(server) == {1: "deployed", 2: "started"}


def test_a_rollback_applies_the_newest_verified_release_whole(server):
    release(server, config(a="1"), web("web:1"))
    run(server, "verified")
    server.controllers[:] = [never_ready]
    run(server, "present", [config(a="2"), config("new", "20-later"), web("web:2")], run="run-2")
    server.controllers[:] = [ready_at_once]
    outcome, writes = run(server, "previous", run="run-2", only_this_run=True)
    assert verdicts(outcome) == [("RO-02", "pass"), ("RO-03", "pass")]
    assert writes[:3] == ["POST configmaps", "PATCH settings", "PATCH web"] and "DELETE new" in writes
    assert data_of(server) == {"a": "1"}
    image = server.find("apps/v1", "Deployment", "web")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "web:1"


def test_a_run_that_applied_nothing_rolls_nothing_back(server):
    release(server, config(a="1"))
    outcome, writes = run(server, "previous", run="another", only_this_run=True)
    assert verdicts(outcome) == [("RO-03", "pass")] and writes == []
    assert "applied nothing" in outcome.findings[0].message


def test_a_first_release_that_fails_stays_and_says_how_to_remove_it(server):
    server.controllers[:] = [never_ready]
    run(server, "present", [web()])
    outcome, writes = run(server, "previous", only_this_run=True)
    assert verdicts(outcome) == [("RO-03", "warn")] and writes == []
    assert "kubectl delete namespace hsc-jit" in outcome.findings[0].next_step


def test_a_run_that_was_killed_goes_on_with_its_record(server):
    """The record says started, some objects are applied: the next run writes what is missing, and no second record."""
    server.fail(500, "PATCH", "/deployments/web$", times=99)
    with pytest.raises(AssertionError):
        release(server, config(a="1"), web())
    server.faults.clear()
    server.controllers[:] = [ready_at_once]
    outcome, writes = run(server, "present", [config(a="1"), web()])
    assert verdicts(outcome) == [("RO-01", "pass"), ("RO-02", "pass")]
    assert [write for write in writes if "release" in write or "configmaps" in write][-1] == "PATCH hsc-jit-release-1"


def test_a_wave_that_is_refused_ends_the_release(server):
    release(server, config(a="1"))
    server.fail(422, "PATCH", "/configmaps/b$", reason="Invalid", message="b is invalid", times=9)
    outcome, writes = run(server, "present", [config(a="2"), config("b", "20-b"), config("c", "30-c")])
    assert verdicts(outcome)[0] == ("RO-01", "fail") and "b is invalid" in outcome.findings[0].message
    assert "PATCH c" not in writes


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ([{"kind": "ConfigMap", "metadata": {"name": "x"}}], "has no apiVersion"),
        ([{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}}], "is a Secret"),
    ],
)
def test_bad_input_is_refused_before_any_write(server, objects, message):
    with pytest.raises(OperatorError, match=message):
        run(server, "present", objects)
    assert server.writes() == []


def test_only_some_components_are_applied_and_nothing_is_pruned(server):
    release(server, config(a="1"), web("web:1"))
    _, writes = run(server, "present", [config(a="2"), web("web:2")], components=["config"])
    assert "PATCH settings" in writes and "PATCH web" not in writes and not [write for write in writes if write.startswith("DELETE")]


def test_the_oldest_records_are_forgotten(server):
    for number in range(5):
        release(server, config(a=str(number)), history_limit=3)
    assert [*records(server)] == [3, 4, 5]


def hpa(name="web"):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    spec = {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 10}
    obj = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": spec}
    return manifests.stamp(obj, "30-workloads", "hsc-jit")


def scaled(replicas):
    obj = web()
    obj["spec"]["replicas"] = replicas
    return obj


def replicas_of(server):
    return server.find("apps/v1", "Deployment", "web")["spec"].get("replicas")


def autoscale(server, replicas):
    """As the HPA does: through the subresource ``scale``."""
    path = "/apis/apps/v1/namespaces/hsc-jit/deployments/web"
    server.cluster().patch_merge(path, {"spec": {"replicas": replicas}}, fieldManager="kube-controller-manager")


def test_an_autoscaler_that_is_switched_on_takes_the_live_number_over(server):
    release(server, scaled(5))
    outcome, _ = run(server, "planned", [scaled(5), hpa()], check_mode=True)
    assert "spec.replicas" not in str(outcome.facts["plan"])
    release(server, scaled(5), hpa())
    assert replicas_of(server) == 5
    assert run(server, "present", [scaled(5), hpa()])[1] == []
    autoscale(server, 7)
    release(server, scaled(5), hpa(), config(a="1"))
    assert replicas_of(server) == 7


def test_a_number_that_an_autoscaler_sets_after_the_plan_stays(server):
    release(server, scaled(5))

    def scale_once(method, path):
        if method == "POST" and path.endswith("configmaps"):  # the record: after the plan, before the objects
            server.before_write = lambda *_: None
            autoscale(server, 8)

    server.before_write = scale_once
    changed = web("web:2")
    del changed["spec"]["replicas"]
    release(server, changed, hpa())
    assert replicas_of(server) == 8


def test_a_rollback_deletes_the_autoscaler_first_and_sets_the_number(server):
    release(server, scaled(5))
    release(server, scaled(5), hpa())
    autoscale(server, 7)
    outcome, writes = run(server, "previous", run="by-hand", release_to=1)
    assert ("RO-03", "pass") in verdicts(outcome)
    assert writes.index("DELETE web") < writes.index("PATCH web") and replicas_of(server) == 5


def test_a_field_that_leaves_the_manifest_and_has_a_default_is_told(server):
    with_strategy = web()
    with_strategy["spec"]["strategy"] = {"type": "Recreate"}
    release(server, with_strategy)
    # The API server in memory sets no defaults; the real one does (tests/faults).
    change = Change("update", web(), (("spec.strategy.type", "Recreate", "RollingUpdate"),))
    (finding,) = plan.defaults([change])
    assert finding.verdict == "warn" and "from Recreate to its default, RollingUpdate" in finding.message


def reading(key="gemini-key", name="web"):
    obj = web(name=name)
    env = [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "hsc-secrets", "key": key}}}]
    obj["spec"]["template"]["spec"]["containers"][0]["env"] = env
    return obj


def fingerprint(server, name="web"):
    return secret_readers.fingerprint_of(server.find("apps/v1", "Deployment", name))


def test_a_rotated_secret_restarts_only_the_pods_that_read_the_key(server):
    objects = [reading(), reading("other-key", "idle"), web(name="none")]
    first = {"hsc-secrets": {"gemini-key": "one", "other-key": "x"}}
    release(server, *objects, secrets=first)
    before = fingerprint(server), fingerprint(server, "idle")
    assert None not in before and fingerprint(server, "none") is None
    assert run(server, "present", objects, secrets=first)[1] == []
    second = {"hsc-secrets": {"gemini-key": "two", "other-key": "x"}}
    outcome, writes = run(server, "present", objects, secrets=second)
    assert writes == ["POST configmaps", "PATCH hsc-secrets", "PATCH web", "PATCH hsc-jit-release-2"]
    assert fingerprint(server) != before[0] and fingerprint(server, "idle") == before[1]
    newest = record.newest(applier.read_releases(server.cluster()))
    assert newest.secrets_changed == ["hsc-secrets/gemini-key"]
    assert "annotations" not in str(newest.objects[0]["spec"]["template"].get("metadata", {})), "a record has no hash of a value"
    assert "two" not in str(outcome) and run(server, "present", objects, secrets=second)[1] == []


def test_a_secret_that_was_changed_by_hand_restarts_its_readers_in_the_next_release(server):
    release(server, reading(), secrets={"hsc-secrets": {"gemini-key": "one"}})
    server.cluster().patch_merge("/api/v1/namespaces/hsc-jit/secrets/hsc-secrets", {"data": {"gemini-key": "dHdv"}})
    _, writes = run(server, "present", [reading()])
    assert "PATCH web" in writes


def test_a_rollback_says_which_secret_values_stay(server):
    release(server, reading(), secrets={"hsc-secrets": {"gemini-key": "one"}})
    release(server, reading(), config(a="1"), secrets={"hsc-secrets": {"gemini-key": "two"}})
    at_two = fingerprint(server)
    outcome, _ = run(server, "previous", run="by-hand", release_to=1)
    assert fingerprint(server) == at_two
    assert "stay as release 2 set them: hsc-secrets/gemini-key" in outcome.findings[-1].message


def test_a_workload_of_an_older_version_gets_the_hash_only_with_a_change(server):
    """A new version of the collection restarts nothing by itself."""
    server.add({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hsc-secrets"}, "data": {"gemini-key": "b25l"}})
    server.add({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hsc-jit-generated"}, "data": {"token-key": "eA=="}})
    older = desired.marked(reading())
    server.cluster().patch_apply("/apis/apps/v1/namespaces/hsc-jit/deployments/web", older, "hsc.jit")
    same = {"hsc-secrets": {"gemini-key": "one"}}
    _, writes = run(server, "present", [reading()], secrets=same)
    assert "PATCH web" not in writes and fingerprint(server) is None
    _, writes = run(server, "present", [reading()], secrets={"hsc-secrets": {"gemini-key": "two"}})
    assert writes[1:3] == ["PATCH hsc-secrets", "PATCH hsc-jit-generated"] and len(fingerprint(server)) == 32


def test_a_release_in_two_calls_restarts_the_readers_of_a_rotated_secret(server):
    """The playbook applies configuration and data stores first. That call writes the Secrets; the workloads follow in the second."""
    server.add({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hsc-jit-generated"}, "data": {"token-key": "eA=="}})
    server.cluster().patch_apply("/apis/apps/v1/namespaces/hsc-jit/deployments/web", desired.marked(reading()), "hsc.jit")
    objects, secrets = [config(a="1"), reading()], {"hsc-secrets": {"gemini-key": "two"}}
    server.add({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hsc-secrets"}, "data": {"gemini-key": "b25l"}})
    run(server, "present", objects, secrets=secrets, components=["config"])
    assert fingerprint(server) is None
    run(server, "present", objects, secrets=secrets)
    assert len(fingerprint(server)) == 32


def test_copies_of_our_objects_stay(server):
    release(server, config(a="1"))
    copied = copy.deepcopy(server.find("v1", "ConfigMap", "settings"))
    copied["metadata"] = {"name": "last-week", "labels": copied["metadata"]["labels"], "annotations": copied["metadata"]["annotations"]}
    server.add(copied, manager="kubectl-create")
    outcome, _ = run(server, "present", [config(a="2")])
    assert ("RO-01", "warn") in verdicts(outcome) and "kubectl-create" in outcome.findings[1].message
    assert data_of(server, "last-week") == {"a": "1"}


@pytest.mark.parametrize("manager", ["kubectl-client-side-apply", "helm", "kubectl-create"])
def test_the_first_release_takes_the_fields_of_other_tools_over(server, manager):
    theirs = config(a="old", b="gone")
    server.add(theirs, manager=manager)
    outcome, _ = run(server, "planned", [config(a="1")], check_mode=True)
    assert "data.b" in str(outcome.facts["plan"]["changes"])
    outcome, _ = run(server, "present", [config(a="1")])
    assert data_of(server) == {"a": "1"}
    owners = {entry["manager"] for entry in server.find("v1", "ConfigMap", "settings")["metadata"]["managedFields"]}
    assert owners == {"hsc.jit"}
    assert manager in outcome.findings[1].message
    assert run(server, "present", [config(a="1")])[1] == []


def test_a_later_kubectl_apply_is_a_conflict_and_force_removes_what_it_added(server):
    release(server, config(a="1"))
    changes = {"data": {"a": "edited", "b": "added"}}
    server.cluster().patch_merge(f"{CONFIGS}/settings", changes, fieldManager="kubectl-client-side-apply")
    outcome, writes = run(server, "present", [config(a="2")])
    assert verdicts(outcome) == [("RO-01", "fail")] and writes == []
    run(server, "present", [config(a="2")], force_conflicts=True)
    assert data_of(server) == {"a": "2"}


def test_another_field_manager_of_ours_takes_over_from_the_recorded_one(server):
    release(server, config(a="1", b="2"))
    outcome, _ = run(server, "present", [config(a="3")], field_manager="new-name")
    assert ("RO-01", "fail") not in verdicts(outcome) and data_of(server) == {"a": "3"}


def test_a_controller_that_applies_the_object_is_no_tool(server):
    """Argo CD would apply its fields again, so its conflict stays."""
    server.add(config(a="old"), manager="argocd-controller")
    outcome, writes = run(server, "present", [config(a="1")])
    assert verdicts(outcome) == [("RO-01", "fail")] and writes == []


def test_only_a_verified_release_is_a_rollback_target(server):
    release(server, web("web:1"))
    run(server, "verified", run="run-1")
    assert run(server, "verified", run="run-1")[1] == []
    release(server, web("web:2"), run="run-2")  # ready, but its verification fails
    release(server, web("web:3"), run="run-3")
    outcome, _ = run(server, "previous", run="run-3", only_this_run=True)
    assert "Release 1 is back" in outcome.findings[-1].message


def test_an_unverified_release_must_be_named(server):
    release(server, web("web:1"))
    release(server, web("web:2"), run="run-2")
    outcome, _ = run(server, "previous", run="by-hand")
    assert verdicts(outcome) == [("RO-03", "warn")] and "Never verified: 1, 2" in outcome.findings[0].message
    outcome, _ = run(server, "previous", run="by-hand", release_to=1)
    assert outcome.findings[-1].verdict == "pass"


def test_a_record_of_before_counts_as_verified(server):
    release(server, web("web:1"))
    path = f"{CONFIGS}/hsc-jit-release-1"
    told = json.loads(server.cluster().get(path)["data"]["release.json"])
    del told["verified"]
    server.cluster().patch_merge(path, {"data": {"release.json": json.dumps(told)}})
    release(server, web("web:2"), run="run-2")
    outcome, _ = run(server, "previous", run="run-2", only_this_run=True)
    assert "Release 1 is back" in outcome.findings[-1].message


def database(image):
    spec = {"replicas": 1, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
            "template": {"spec": {"containers": [{"name": "db", "image": image}]}}}  # fmt: skip
    obj = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}, "spec": spec}
    return manifests.stamp(obj, "20-data-stores", "hsc-jit")


def test_an_older_image_of_a_data_store_comes_back_only_by_name(server):
    release(server, database("db:1"), web("web:1"))
    run(server, "verified")
    release(server, database("db:2"), web("web:2"), run="run-2")
    outcome, writes = run(server, "previous", run="run-2", only_this_run=True)
    assert verdicts(outcome) == [("RO-03", "fail")] and writes == []
    assert "another image of db" in outcome.findings[0].message and "release_to=1" in outcome.findings[0].next_step
    outcome, _ = run(server, "previous", run="by-hand", release_to=1)
    assert outcome.findings[-1].verdict == "pass"
