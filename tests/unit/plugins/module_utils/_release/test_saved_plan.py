"""A plan is carried out as it was looked at, or not at all."""

import json

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._release import saved_plan
from ansible_collections.hsc.jit.plugins.module_utils._release.plan import Change


def change(name="a", action="update", *fields):
    return Change(action, {"kind": "ConfigMap", "metadata": {"name": name}}, fields)


def plan(*changes, release=4, wanted="set", namespace="hsc-jit"):
    return saved_plan.document(namespace, release, wanted, changes)


SAVED = plan(change("a", "update", ("data.x", 1, 2)), change("b", "create"))


def test_the_same_in_another_order_holds():
    found = saved_plan.compare(
        "plan.json", saved_plan.read(json.dumps(SAVED)), plan(change("b", "create"), change("a", "update", ("data.x", 1, 2)))
    )
    assert (found.verdict, found.message) == ("pass", "Plan plan.json still holds: 2 changes.")


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (plan(change("a", "update", ("data.x", 1, 2)), change("b", "create"), release=5), "release 5 is the newest, it was 4"),
        (plan(change("a", "update", ("data.x", 1, 2)), change("b", "create"), wanted="other"), "the wanted objects are others"),
        (
            plan(change("a", "update", ("data.x", 7, 2)), change("b", "create")),
            "ConfigMap a would be changed otherwise (update, now update)",
        ),
        (plan(change("b", "create")), "ConfigMap a would not be changed any more (update)"),
        (
            plan(change("a", "update", ("data.x", 1, 2)), change("b", "create"), change("c", "delete")),
            "ConfigMap c would be changed too (delete)",
        ),
        (plan(change("a", "update", ("data.x", 1, 2)), change("b", "create"), namespace="other"), "it is for namespace hsc-jit, not other"),
    ],
)
def test_whatever_moved_is_named(now, said):
    found = saved_plan.compare("plan.json", SAVED, now)
    assert found.verdict == "fail"
    assert said in found.message
    assert "Nothing was changed" in found.message


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 2}', '{"schema_version": 1, "namespace": "x"}'])
def test_what_is_no_plan_is_refused(text):
    with pytest.raises(ValueError, match="no plan of this version"):
        saved_plan.read(text)
