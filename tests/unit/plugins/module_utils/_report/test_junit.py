from xml.etree import ElementTree as ET

from ansible_collections.hsc.jit.plugins.module_utils._checklist import ROWS
from ansible_collections.hsc.jit.plugins.module_utils._report.junit import as_junit

EVIL = 'a <b> & "c" \x1b[31m ]]> \x00'


def checklist():
    rows = []
    verdicts = ["fail", "error", "skipped", "warn"]
    for row in ROWS:
        verdict = verdicts.pop() if verdicts else "pass"
        findings = [{"verdict": verdict, "message": EVIL, "next_step": "x", "evidence": {}, "time": ""}]
        rows.append({"id": row.id, "phase": row.phase, "line": row.line, "verdict": verdict, "reason": "", "findings": findings})
    rows[-1] |= {"verdict": "not run", "findings": [], "reason": "nobody came"}
    phases = [{"phase": "verify", "seconds": 1.5}, {"phase": "verify", "seconds": 0.5}]
    return {"environment": EVIL, "seconds": 2.0, "rows": rows, "phases": phases}


def test_each_row_is_a_case_and_each_verdict_its_kind():
    root = ET.fromstring(as_junit(checklist()))
    assert len(root.findall(".//testcase")) == len(ROWS)
    assert [len(root.findall(f".//{kind}")) for kind in ("failure", "error", "skipped")] == [1, 1, 2]
    assert root.find(".//testsuite[@name='verify']").get("time") == "2.000"
    assert "nobody came" in [one.get("message") for one in root.findall(".//skipped")]


def test_counts_are_those_of_the_cases():
    for suite in ET.fromstring(as_junit(checklist())).findall("testsuite"):
        for kind, counter in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(suite.get(counter)) == len(suite.findall(f"testcase/{kind}"))
