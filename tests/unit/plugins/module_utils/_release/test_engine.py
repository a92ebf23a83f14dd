"""The engine on an API server in memory: which requests follow from the record, the live objects and the wanted ones."""

import copy

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import OperatorError
from ansible_collections.hsc.jit.plugins.module_utils._module import Context
from ansible_collections.hsc.jit.plugins.module_utils._product import PART_OF
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.module_utils._release import applier, manifests
from ansible_collections.hsc.jit.plugins.module_utils._release.engine import Engine
from ansible_collections.hsc.jit.plugins.modules.release import SPEC
from fake_clock import TickingClock
from memory_api import MemoryApiServer, never_ready, ready_at_once

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
        pytest.param([], [config(a="1"), web()], [GENERATED, "POST configmaps", "PATCH settings", "PATCH web", "PATCH hsc-jit-release-1"],
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


def test_a_rollback_applies_the_newest_good_release_whole(server):
    release(server, config(a="1"), web("web:1"))
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
    server.fail(500, "PATCH", "/deployments/web$", times=2)  # the dry run and the apply
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
