# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The checklist as JUnit XML: a suite for each phase, a case for each row. Pure: no I/O."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from .shapes import Checklist, ReportedCheck

# What XML 1.0 cannot hold at all, escaped or not.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_OUTCOMES = {"fail": "failure", "error": "error", "skipped": "skipped", "not run": "skipped"}


def as_junit(checklist: Checklist) -> str:
    """skipped and not run are skipped, warn passes with its words in system-out."""
    suites = ET.Element("testsuites", name=_text(f"HSC-JIT {checklist['environment']}"), time=f"{checklist['seconds']:.3f}")
    for phase in dict.fromkeys(row["phase"] for row in checklist["rows"]):
        rows = [row for row in checklist["rows"] if row["phase"] == phase]
        seconds = sum(entry["seconds"] for entry in checklist["phases"] if entry["phase"] == phase)
        counts = {name: sum(_OUTCOMES.get(row["verdict"]) == name for row in rows) for name in ("failure", "error", "skipped")}
        suite = ET.SubElement(
            suites,
            "testsuite",
            name=phase,
            tests=str(len(rows)),
            failures=str(counts["failure"]),
            errors=str(counts["error"]),
            skipped=str(counts["skipped"]),
            time=f"{seconds:.3f}",
        )
        for row in rows:
            _case(suite, row)
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _case(suite: ET.Element, row: ReportedCheck) -> None:
    case = ET.SubElement(suite, "testcase", classname=f"checklist.{row['phase']}", name=_text(f"{row['id']} {row['line']}"))
    said = [f"{finding['verdict']}: {finding['message']} {finding['next_step'] or ''}".strip() for finding in row["findings"]]
    outcome = _OUTCOMES.get(row["verdict"])
    if outcome:
        worst = next(
            (finding["message"] for finding in row["findings"] if finding["verdict"] == row["verdict"]), row["reason"] or "not run"
        )
        ET.SubElement(case, outcome, message=_text(worst)).text = _text("\n".join(said))
    elif said:
        ET.SubElement(case, "system-out").text = _text("\n".join(said))


def _text(text: str) -> str:
    return _FORBIDDEN.sub("�", text)
