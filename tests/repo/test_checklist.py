"""The checklist's ids stand in the registry, in the roles' task names and in the documents: the same ones everywhere."""

import re

from ansible_collections.hsc.jit.plugins.module_utils import _checklist

ID = re.compile(r"\b(?:QG|PF|BK|MG|RO|VF|OP)-\d\d\b")


def test_ids_are_unique_and_well_formed():
    assert len(_checklist.BY_ID) == len(_checklist.ROWS)
    assert all(ID.fullmatch(row.id) for row in _checklist.ROWS)


def test_each_row_is_named_by_a_task_of_its_phase_and_no_other_id_is(root):
    for phase in {row.phase for row in _checklist.ROWS}:
        tasks = "\n".join(path.read_text() for path in (root / "roles" / phase / "tasks").glob("*.yml"))
        named = set(ID.findall("\n".join(re.findall(r"name: (.*)", tasks))))
        assert named == {row.id for row in _checklist.ROWS if row.phase == phase}, phase


def test_each_row_is_reported_by_code(root):
    code = "\n".join(path.read_text() for path in (root / "plugins").rglob("*.py") if path.name != "_checklist.py")
    reported = set(ID.findall(code))
    assert {row.id for row in _checklist.ROWS} <= reported
    assert reported <= set(_checklist.BY_ID)


def test_the_document_is_generated_from_the_registry(root):
    assert (root / "docs/CHECKLIST.md").read_text() == _checklist.as_markdown(), "run `make docs`"


def test_each_row_has_its_place_in_the_runbook(root):
    headings = re.findall(r"^## (\S+)", (root / "docs/operations/RUNBOOK.md").read_text(), re.MULTILINE)
    assert {row.id for row in _checklist.ROWS} <= set(headings)


def test_each_line_of_the_guides_checklist_is_carried_out():
    """The guide's twelve lines, by the words that name them."""
    lines = "\n".join(row.line for row in _checklist.ROWS)
    for word in [
        "Code:",
        "Security:",
        "Pre-Flight:",
        "Disk Space:",
        "Backups:",
        "Migration:",
        "Rollout:",
        "Health:",
        "Frontend:",
        "Latency:",
        "Logs:",
    ]:
        assert word in lines
