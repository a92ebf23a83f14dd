#!/usr/bin/python
# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Write a run's reports out of its journal."""

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Write checklist.json, report.html, junit.xml and summary.md of a run
version_added: 0.1.0
author: The HSC-JIT deployment engineers (@hsc-jit)
description:
  - Reads the run's journal, checks its chain, and writes the reports beside it. Works for a run that failed or was killed anywhere; a row
    that was not reached is C(not run), which never counts as clean.
  - Shows the checklist as a table on the terminal.
extends_documentation_fragment: [hsc.jit.target.run]
options:
  environment:
    description: Name of the environment.
    type: str
    required: true
  url:
    description: Address at which users reach the product.
    type: str
    default: ""
  open:
    description: Addresses to show below the table, by what answers there.
    type: dict
    default: {}
  phases:
    description: Phases that belong to this run; rows of others are not missed. Empty means all.
    type: list
    elements: str
    default: []
  not_run:
    description: Why a row or a phase rightly did not run, by id or phase.
    type: dict
    default: {}
  failure:
    description: What stopped the play, if a task other than a check did.
    type: str
    default: ""
  way_back:
    description: Command that puts the previous release back.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Write the report
  hsc.jit.report:
    journal: evidence/20261124T040000Z-a1b2c3/journal.jsonl
    environment: staging
    url: https://staging.support.example.com
    not_run: {backup: nothing changes, migrate: nothing changes, RO-03: nothing had to be put back}
"""

RETURN = r"""
verdict:
  description: V(go), V(no-go), V(incomplete) or, in check mode, V(checked).
  returned: success
  type: str
  sample: go
reason:
  description: Why, in one sentence; may be empty for V(go).
  returned: success
  type: str
totals:
  description: Rows by verdict.
  returned: success
  type: dict
  sample: {pass: 21, skipped: 1, not run: 2}
previous_verdict:
  description: That of the last run before this one of the same environment and phases whose report lies beside it; empty if there is none.
  returned: success
  type: str
  sample: go
began_seconds:
  description: When the run began, in seconds since 1970; C(ended_seconds) is its end.
  returned: success
  type: float
last_hash:
  description: Hash of the journal's last entry, which has the reports' hashes. M(hsc.jit.evidence_check) says the same if nothing changed.
  returned: success
  type: str
folder:
  description: Where the reports lie.
  returned: success
  type: path
paths:
  description: The files by name.
  returned: success
  type: dict
  sample: {checklist.json: evidence/x/checklist.json, report.html: evidence/x/report.html}
table:
  description: The table's lines, C([verdict, text]), for the terminal.
  returned: success
  type: list
  elements: list
"""

from datetime import datetime
from pathlib import Path
from typing import Any

from ..module_utils import _journal
from ..module_utils._backup.snapshot import file_sha256
from ..module_utils._errors import OperatorError
from ..module_utils._module import Context, Outcome, run
from ..module_utils._report.audit import WRITTEN
from ..module_utils._report.files import previous, read_journal, write
from ..module_utils._report.results import About, build
from ..module_utils._report.text import table

SPEC = {
    "environment": {"type": "str", "required": True},
    "url": {"type": "str", "default": ""},
    "open": {"type": "dict", "default": {}},
    "phases": {"type": "list", "elements": "str", "default": []},
    "not_run": {"type": "dict", "default": {}},
    "failure": {"type": "str", "default": ""},
    "way_back": {"type": "str", "default": ""},
}
SAME = ("environment", "url", "phases", "not_run", "failure", "way_back", "fail_on")


def work(context: Context) -> Outcome:
    if not context.params["journal"]:
        raise OperatorError("journal is not set.", "Give the run's journal: module_defaults group/hsc.jit.controller, or journal here.")
    journal = Path(context.params["journal"])
    entries, problem = read_journal(journal)
    about = About(**{name: context.params[name] for name in SAME}, run=journal.parent.name, journal=str(journal), journal_problem=problem)
    checklist = build(entries, about)
    checklist["previous"] = before = previous(journal.parent, checklist)
    paths, last_hash = write(checklist, journal.parent), ""
    if entries:
        files = {"files": {name: file_sha256(Path(path)) for name, path in paths.items()}}
        last_hash = _journal.append(journal, context.now().isoformat(timespec="milliseconds"), "report", WRITTEN, files)["hash"]
    shown = {**{name: str(where) for name, where in context.params["open"].items()}, "report": paths["report.html"]}
    facts: dict[str, Any] = {name: checklist[name] for name in ("verdict", "reason", "headline", "totals")}
    finished = checklist["finished"] or context.now().isoformat()
    began, ended = (datetime.fromisoformat(moment).timestamp() for moment in (checklist["started"] or finished, finished))
    facts |= {"began_seconds": began, "ended_seconds": ended, "previous_verdict": before.get("verdict", "")}
    lines = [list(line) for line in table(checklist, shown)]
    return Outcome(facts={**facts, "last_hash": last_hash, "folder": str(journal.parent), "paths": paths, "table": lines})


def main() -> None:
    run(SPEC, work, cluster=False)


if __name__ == "__main__":
    main()
