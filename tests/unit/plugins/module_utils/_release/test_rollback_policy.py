"""What a failure leads to, said before and held to."""

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._release import rollback_policy as p

SNAPSHOT = {"id": "20261125T050000Z"}
EXPAND, CONTRACT, IRREVERSIBLE = p.CLASSES


def plan(*classes, applied=0, current="0001"):
    """A plan whose first ``applied`` revisions stand in the database already."""
    steps = [
        {"revision": f"r{n}", "title": "", "applied": n < applied, "class": one, "reasons": ["why"], "declared": False, "sql": f"SQL {n};"}
        for n, one in enumerate(classes)
    ]
    pending = [one["revision"] for one in steps if not one["applied"]]
    return {"current": current, "head": f"r{len(steps) - 1}", "pending": pending, "since": "0001", "steps": steps}


def way(*classes, restore=False, applied=0, release=4, snapshot=SNAPSHOT):
    return p.way_back(plan(*classes, applied=applied), release, snapshot, restore, ["inventories/staging"])


@pytest.mark.parametrize(
    ("classes", "restore", "action", "said"),
    [
        ([], False, "code", "release 4 runs on the new schema"),
        ([EXPAND, EXPAND], False, "code", "roll back code; release 4 runs on the new schema"),
        ([EXPAND, EXPAND], True, "code", "roll back code; release 4"),
        ([EXPAND, CONTRACT], False, "hold", "stop and hold"),
        ([CONTRACT, EXPAND], True, "restore", "roll back code to release 4 and restore snapshot 20261125T050000Z"),
        ([IRREVERSIBLE, EXPAND], False, "hold", "stop and hold"),
        ([EXPAND, IRREVERSIBLE], True, "restore", "what was written since then is lost"),
    ],
)
def test_the_worst_revision_decides_what_a_failure_leads_to(classes, restore, action, said):
    found = way(*classes, restore=restore)
    assert found["action"] == action
    assert found["text"].startswith("If this fails: ")
    assert said in found["text"]


def test_the_commands_are_whole():
    assert way(CONTRACT)["commands"] == [
        "ansible-playbook playbooks/rollback.yml -i inventories/staging -e release_to=4",
        "ansible-playbook playbooks/restore.yml -i inventories/staging -e restore_snapshot=20261125T050000Z",
    ]
    assert "the snapshot that this run takes" in way(CONTRACT, restore=True, snapshot={})["text"]


def test_where_no_release_was_before_there_is_nothing_to_hold_for():
    assert way(IRREVERSIBLE, release=0)["action"] == "code"


@pytest.mark.parametrize(
    ("given", "accepted", "restore", "verdict", "said"),
    [
        (plan(), [], False, "pass", "already"),
        (plan(EXPAND, current=None), [], False, "pass", "first time"),
        (plan(EXPAND, EXPAND), [], False, "pass", "r0 (expand); r1 (expand)"),
        (plan(EXPAND, CONTRACT), [], False, "fail", "r1 (contract: why)"),
        (plan(EXPAND, CONTRACT), ["r1"], False, "warn", "stop and hold"),
        (plan(EXPAND, CONTRACT), ["r0"], False, "fail", "stop and hold"),
        (plan(EXPAND, CONTRACT), [], True, "warn", "restore snapshot"),
        (plan(IRREVERSIBLE), [], True, "fail", "not allowed"),
        (plan(IRREVERSIBLE), ["r0"], True, "warn", "restore snapshot"),
        (plan(CONTRACT, EXPAND, applied=1), [], False, "warn", "r0 (contract, applied already: why)"),
    ],
)
def test_what_is_not_safe_needs_a_persons_word(given, accepted, restore, verdict, said):
    back = p.way_back(given, 4, SNAPSHOT, restore, [])
    found = p.finding(given, back, accepted, restore)
    assert (found.verdict, said in found.message, back["text"] in found.message) == (verdict, True, True), found
    assert found.evidence["steps"] == given["steps"]
    assert ("migrate_accept" in found.next_step) == (verdict == "fail")
    assert ("release_restore_on_failure" in found.next_step) == (verdict == "fail" and given["steps"][-1]["class"] == "contract")


def test_a_declared_class_is_shown_with_its_reason():
    given = plan(EXPAND)
    given["steps"][0] |= {"declared": True, "reasons": ["Nobody reads that view."]}
    assert (
        "r0 (expand, declared: Nobody reads that view.)" in p.finding(given, p.way_back(given, 4, SNAPSHOT, False, []), [], False).message
    )


@pytest.mark.parametrize(
    ("back", "held", "missing"),
    [
        ({}, False, False),
        (way(EXPAND, applied=1), False, False),
        (way(CONTRACT), False, False),  # the migration itself failed: the old schema is there as it was
        (way(CONTRACT, applied=1), True, False),
        (way(CONTRACT, EXPAND, applied=1), True, False),
        (way(EXPAND, CONTRACT, applied=1), False, False),
        (way(IRREVERSIBLE, applied=1, restore=True), False, True),
    ],
)
def test_what_was_said_is_what_is_done(back, held, missing):
    stop, then = p.at_failure(back), p.after_code(back)
    assert (stop is not None, then is not None) == (held, missing)
    for finding in (one for one in (stop, then) if one):
        assert (finding.id, finding.verdict) == ("RO-03", "fail")
        assert back["commands"][-1] in finding.next_step
    if stop:
        assert back["commands"][0] in stop.next_step


def test_the_preview_is_the_sql_of_what_is_pending():
    (diff,) = p.preview(plan(EXPAND, CONTRACT, applied=1))
    assert diff["after"] == "-- r1: contract\nSQL 1;\n"
    assert p.preview(plan(EXPAND, applied=1)) == []


def test_a_step_that_is_not_transactional_is_told():
    given = plan("expand")
    given["steps"][0]["transactional"] = False
    told = p.finding(given, p.way_back(given, 1, {}, False, []), [], False)
    assert "r0 (expand, not transactional: a failure may leave a part of it)" in told.message


def store(image, name="hsc-jit-redis"):
    template = {"spec": {"containers": [{"name": "redis", "image": image}]}}
    return {"kind": "StatefulSet", "metadata": {"name": name}, "spec": {"template": template}}


def test_a_new_image_of_a_data_store_needs_a_persons_word():
    (step,) = p.store_steps([store("a"), store("x", "other")], [store("b"), store("x", "other")], {"hsc-jit-redis": {"redis": "a"}})
    assert (step["revision"], step["applied"], step["class"]) == ("image:hsc-jit-redis", False, "contract")
    given = {**plan(), "steps": [step]}
    refused = p.finding(given, p.way_back(given, 4, {}, False, []), [], False)
    assert refused.verdict == "fail" and 'migrate_accept: ["image:hsc-jit-redis"]' in refused.next_step
    assert p.way_back(given, 4, {}, False, [])["action"] == "hold"
    accepted = p.finding(given, p.way_back(given, 4, {}, False, []), ["image:hsc-jit-redis"], False)
    assert accepted.verdict == "warn" and "may not read the files" in accepted.message
    assert p.finding({**given, "ahead": 3}, p.way_back(given, 4, {}, False, []), [], False).verdict == "fail"


def test_a_data_store_image_that_runs_already_is_applied():
    (step,) = p.store_steps([store("a")], [store("b")], {"hsc-jit-redis": {"redis": "b"}})
    assert step["applied"]
    assert p.store_steps([store("a")], [store("a")], {}) == []
    assert p.store_steps([], [store("a")], {}) == [], "a store that comes with this release has no files yet"
