"""What differs from the newest release is named, with who did it."""

from ansible_collections.hsc.jit.plugins.module_utils._release import drift
from ansible_collections.hsc.jit.plugins.module_utils._release.plan import Change
from ansible_collections.hsc.jit.plugins.module_utils._release.record import Release


def config(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def by(obj, manager, *keys):
    fields = {"f:data": {f"f:{key}": {} for key in keys}}
    entry = {"manager": manager, "operation": "Update", "time": "2026-11-25T09:30:00Z", "fieldsV1": fields}
    return {**obj, "metadata": {**obj["metadata"], "managedFields": [entry]}}


RELEASE = Release(7, "deployed", "d", who="ada@box", time="2026-11-24T04:00:00+00:00", objects=[config("a", x="1"), config("b")])


def judge(changes=(), live=RELEASE.objects, release=RELEASE):
    return [(finding.verdict, finding.message) for finding in drift.judge(release, changes, live, "hsc.jit")]


def test_nothing_differs():
    assert judge() == [("pass", "All 2 objects are as release 7 left them.")]


def test_a_changed_value_and_who_changed_it():
    change = Change("update", config("a", x="1"), (("data.x", "2", "1"),))
    found = judge([change], [by(config("a", x="2"), "kubectl-edit", "x"), config("b")])
    assert found == [("fail", "ConfigMap a: data.x is 2, not 1 (kubectl-edit, 2026-11-25T09:30:00Z).")]


def test_what_was_removed_has_no_owner_any_more():
    change = Change("update", config("a", x="1"), (("data.x", None, "1"),))
    assert judge([change], [config("a"), config("b")]) == [("fail", "ConfigMap a: data.x is null, not 1.")]


def test_what_was_added_beside_it():
    found = judge(live=[by(config("a", x="1", y="2"), "kubectl-patch", "y"), config("b")])
    assert found == [("fail", "ConfigMap a: data.y was added (kubectl-patch, 2026-11-25T09:30:00Z).")]


def test_an_object_that_is_gone():
    assert judge([Change("create", config("a"))], [config("b")]) == [("fail", "ConfigMap a of release 7 is gone.")]


def test_a_release_that_was_not_finished():
    (verdict, message) = judge(release=Release(8, "started", "d", who="ada@box", time="t", objects=RELEASE.objects))[0]
    assert verdict == "fail"
    assert "Release 8 is started: it was begun by ada@box at t and not finished" in message


def test_long_values_are_cut():
    change = Change("update", config("a"), (("data.x", "y" * 1000, ["z"] * 1000),))
    (_, message) = judge([change], [config("a"), config("b")])[0]
    assert len(message) < 300
