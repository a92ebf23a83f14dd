"""What is recorded, and what a rollback goes back to: decided from records alone."""

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._finding import Finding
from ansible_collections.hsc.jit.plugins.module_utils._release import decision, record
from ansible_collections.hsc.jit.plugins.module_utils._release.decision import Request
from ansible_collections.hsc.jit.plugins.module_utils._release.plan import Change
from ansible_collections.hsc.jit.plugins.module_utils._release.record import Release

OBJECTS = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"}}]
OTHERS = [{**OBJECTS[0], "data": {"x": "2"}}]
CHANGE = [Change("update", OBJECTS[0])]


def release(number, status="deployed", objects=OBJECTS, **more):
    return Release(number, status, record.set_digest(objects), run=more.pop("run", f"run-{number}"), objects=objects, **more)


def request(objects=OBJECTS, run="run-now", **more):
    return Request(objects=objects, run=run, who="ada@ci", time="2026-11-30T04:00:00+00:00", namespace="hsc-jit", **more)


@pytest.mark.parametrize(
    ("releases", "objects", "changes", "expected"),
    [
        pytest.param([], OBJECTS, CHANGE, (1, "started", "run-now"), id="first release"),
        pytest.param([release(3)], OTHERS, CHANGE, (4, "started", "run-now"), id="another set of objects"),
        pytest.param([release(3)], OBJECTS, [], (3, "deployed", "run-3"), id="nothing changes: the record stays"),
        pytest.param([release(3)], OBJECTS, CHANGE, (4, "started", "run-now"), id="the same set was edited by hand: a new record"),
        pytest.param([release(3, "started")], OBJECTS, CHANGE, (3, "started", "run-now"), id="a killed run is finished by this one"),
        pytest.param([release(3, "started")], OTHERS, CHANGE, (4, "started", "run-now"), id="a killed run of another set is not"),
    ],
)
def test_release_record(releases, objects, changes, expected):
    found = decision.release_record(releases, request(objects), changes)
    assert (found.number, found.status, found.run) == expected


def test_the_schema_stays_where_no_migration_ran():
    known = release(1, schema_revision="0002", database="0003")
    following = decision.release_record([known], request(OTHERS), CHANGE)
    assert (following.schema_revision, following.database) == ("0002", "0003")
    migrated = request(OTHERS, schema_revision="0004", policy={"class": "contract", "database": "0004"})
    following = decision.release_record([known], migrated, CHANGE)
    assert (following.schema_revision, following.schema_class, following.database) == ("0004", "contract", "0004")


def test_deployed_keeps_the_owned_fields():
    found = decision.deployed(release(2, "started"), request(), {"ConfigMap a": "hash"})
    assert (found.status, found.owned) == ("deployed", {"ConfigMap a": "hash"})


def own(number, status="deployed", **more):
    """A release with a set of objects of its own."""
    return release(number, status, [{**OBJECTS[0], "data": {"x": str(number)}}], **more)


@pytest.mark.parametrize(
    ("releases", "asked", "target", "number"),
    [
        pytest.param([own(1), own(2, "started", run="run-now")], {"only_this_run": True}, 1, 3, id="this run's release failed"),
        pytest.param([own(1), own(2)], {}, 1, 3, id="a person asks for the release before"),
        pytest.param([own(1), own(2), own(3)], {"release_to": 1}, 1, 4, id="a person names a release"),
        pytest.param([own(1), own(2, "started"), own(3, "started")], {}, 1, 4, id="releases that never became good are passed"),
    ],
)
def test_rollback_target(releases, asked, target, number):
    found = decision.rollback(releases, request(**asked))
    assert (found.target.number, found.record.number, found.record.restores) == (target, number, target)
    assert found.record.status == "started" and found.record.objects == found.target.objects


@pytest.mark.parametrize(
    ("releases", "asked", "verdict", "message"),
    [
        ([own(1)], {"only_this_run": True}, "pass", "This run applied nothing"),
        ([own(1, "started", run="run-now")], {"only_this_run": True}, "warn", "no earlier good release"),
        ([own(1)], {"release_to": 7}, "fail", "There is no release 7"),
        ([], {}, "warn", "no earlier good release"),
        ([own(1), own(2)], {"policy": {"action": "hold", "applied": True, "class": "contract", "commands": []}}, "fail", "Held"),
    ],
)
def test_no_rollback(releases, asked, verdict, message):
    found = decision.rollback(releases, request(**asked))
    assert isinstance(found, Finding) and found.id == "RO-03"
    assert found.verdict == verdict and message in found.message


@pytest.mark.parametrize(
    ("ready", "withdrawn", "verdict", "message"),
    [
        (True, own(2), "pass", "Release 1 is back (as release 3) and ready after 2.5 s."),
        (True, own(2, schema_revision="0002"), "pass", "The schema stays at 0002; that release was made for none."),
        (False, own(2), "fail", "did not become ready within 2.5 s"),
    ],
)
def test_result_of_a_rollback(ready, withdrawn, verdict, message):
    done = decision.rollback([own(1), withdrawn], request())
    found = decision.rolled_back(done, ready, 2.5)
    assert found.verdict == verdict and message in found.message
