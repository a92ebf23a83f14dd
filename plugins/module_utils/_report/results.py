# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Builds the checklist of one run from its journal. Pure: no I/O."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from .. import _waiver
from .._checklist import APART, ROWS, Row
from .._finding import VERDICTS, worst
from .shapes import Checklist, ReportedChange, ReportedCheck, ReportedFinding, ReportedItem, ReportedPhase

SCHEMA_VERSION = 1
NOT_RUN = "not run"
TOTALS = (*VERDICTS, NOT_RUN)
OTHER_RUN = "not part of this run"
# Which phase a module works for, where it reports no row that says so.
_PHASES = {
    "quality_check": "quality",
    "access_check": "quality",
    "preflight_check": "preflight",
    "backup_snapshot": "backup",
    "restore_snapshot": "restore",
    "schema_migrate": "migrate",
    "release": "rollout",
    "verify_check": "verify",
    "image_build": "images",
    "local_cluster": "local cluster",
}
_NO_CHANGE_OF_THE_PRODUCT = {"lease", "report"}
_MOST_CHANGES = 200
_HEADLINES = {
    "go": "The release is verified",
    "no-go": "This release is not good",
    "incomplete": "The run did not look at everything",
    "checked": "Checked only: nothing was changed",
}


@dataclass(frozen=True)
class About:
    """What the journal does not say. not_run: id or phase -> why it is right that it did not run. failure: what stopped the play."""

    environment: str
    run: str
    url: str = ""
    phases: Sequence[str] = ()
    not_run: Mapping[str, str] = field(default_factory=dict)
    fail_on: Sequence[str] = ("fail", "error")
    failure: str = ""
    way_back: str = ""
    journal: str = ""
    journal_problem: str = ""


def build(entries: Sequence[Mapping[str, Any]], about: About) -> Checklist:
    """The checklist of one run. ``entries`` are the journal's, in order, as far as its chain is unbroken."""
    rows = [_row(row, entries, about) for row in ROWS]
    phases = _phases(entries)
    check_mode = bool(entries) and all(entry["data"].get("check_mode") for entry in entries)
    verdict, reason = _verdict(rows, phases, about, check_mode)
    started = min((phase["started"] for phase in phases), default=None)
    finished = max((entry["time"] for entry in entries), default=None)
    return {
        "schema_version": SCHEMA_VERSION,
        "environment": about.environment,
        "run": about.run,
        "url": about.url,
        "verdict": verdict,
        "headline": _headline(verdict, next(row["findings"] for row in rows if row["id"] == "RO-03"), about.phases),
        "reason": reason,
        "check_mode": check_mode,
        "asked": list(about.phases),
        "started": started,
        "finished": finished,
        "seconds": round((_time(finished) - _time(started)).total_seconds(), 1) if started and finished else 0.0,
        "totals": {name: count for name in TOTALS if (count := sum(row["verdict"] == name for row in rows))},
        "previous": {},
        "rows": rows,
        "changes": list(_changes(entries)),
        "phases": phases,
        "way_back": about.way_back,
        "journal": {
            "path": about.journal,
            "entries": len(entries),
            "last_hash": entries[-1]["hash"] if entries else "",
            "problem": about.journal_problem,
        },
    }


def _row(row: Row, entries: Sequence[Mapping[str, Any]], about: About) -> ReportedCheck:
    findings = [
        ReportedFinding(time=entry["time"], **{key: entry["data"].get(key) for key in ("verdict", "message", "evidence", "next_step")})  # type: ignore[typeddict-item]
        for entry in entries
        if entry["kind"] == "finding" and entry["data"]["id"] == row.id
    ]
    reason = ""
    if not findings:
        part = row.phase in about.phases or (not about.phases and row.phase not in APART)
        reason = about.not_run.get(row.id) or about.not_run.get(row.phase) or ("" if part else OTHER_RUN)
    return {
        "id": row.id,
        "phase": row.phase,
        "line": row.line,
        "proof": row.proof,
        "runbook": row.runbook,
        "verdict": worst(finding["verdict"] for finding in findings) if findings else NOT_RUN,
        "reason": reason,
        "findings": findings,
    }


def _verdict(rows: Sequence[ReportedCheck], phases: Sequence[ReportedPhase], about: About, check_mode: bool) -> tuple[str, str]:
    """go, no-go, incomplete or checked; and why. What was not looked at never counts as clean."""
    if about.journal_problem:
        return "no-go", about.journal_problem
    stopped = [
        finding["message"]
        for row in rows
        for finding in row["findings"]
        if _waiver.counts(finding["verdict"], finding["evidence"], about.fail_on)
    ]
    stopped += [phase["message"] for phase in phases if phase["failed"]]
    stopped += [about.failure] if about.failure else []
    if stopped:
        return "no-go", stopped[0]
    if check_mode:
        return "checked", ""
    unseen = [row["id"] for row in rows if row["verdict"] == NOT_RUN and not row["reason"]]
    if unseen:
        return "incomplete", f"Not looked at: {', '.join(unseen)}."
    unclear = [row["id"] for row in rows if row["verdict"] in ("skipped", "warn")]
    return "go", f"With reservations: {', '.join(unclear)}." if unclear else ""


def _headline(verdict: str, rollbacks: Sequence[ReportedFinding], part: Sequence[str]) -> str:
    """A bad release is the smaller news where the good one is back, or was never touched. part: the phases of this run, if not all."""
    if verdict == "go" and part and "verify" not in part:
        return f"Good as far as this run looked: {', '.join(part)}"
    done = [finding for finding in rollbacks if finding["verdict"] == "pass"]
    if verdict != "no-go" or not done:
        return _HEADLINES[verdict]
    put_back = any("release" in (finding["evidence"] or {}) for finding in done)
    return "The previous release is back" if put_back else "Stopped before anything was changed"


def _phases(entries: Sequence[Mapping[str, Any]]) -> list[ReportedPhase]:
    """When each module ran, neighbours of the same phase as one."""
    phases: list[ReportedPhase] = []
    for entry in entries:
        if entry["kind"] != "module" or entry["module"] == "report":
            continue
        name, data = _PHASES.get(entry["module"], entry["module"]), entry["data"]
        if entry["module"] == "lease" and not data["failed"]:
            continue  # taken, looked at again and given back between the phases; only a refusal is worth a line
        started = _time(entry["time"]) - timedelta(seconds=float(data["seconds"]))
        if phases and phases[-1]["phase"] == name:
            last = phases[-1]
            last["seconds"] = round((_time(entry["time"]) - _time(last["started"])).total_seconds(), 2)
            last["failed"], last["message"] = last["failed"] or data["failed"], last["message"] or data.get("message", "")
            continue
        phases.append(
            {
                "phase": name,
                "started": started.isoformat(timespec="milliseconds"),
                "seconds": round(float(data["seconds"]), 2),
                "failed": bool(data["failed"]),
                "message": data.get("message", ""),
            }
        )
    return phases


def _changes(entries: Sequence[Mapping[str, Any]]) -> Iterator[ReportedChange]:
    for entry in entries:
        if entry["kind"] != "change" or entry["module"] in _NO_CHANGE_OF_THE_PRODUCT:
            continue
        before, after = (dict(_flat(entry["data"].get(side), entry["module"])) for side in ("before", "after"))
        names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        items = [ReportedItem(what=name, before=before.get(name), after=after.get(name)) for name in names]
        module = entry["module"]
        yield {"module": module, "time": entry["time"], "items": items[:_MOST_CHANGES], "more": max(0, len(items) - _MOST_CHANGES)}


def _flat(value: Any, module: str, name: str = "") -> Iterator[tuple[str, str]]:
    """``images.service`` -> text, for nested dicts; anything else is one value, named by its module."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, module, f"{name}.{key}" if name else str(key))
    elif value not in ({}, [], None, ""):
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        yield name or module, text[:200]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def metrics(checklist: Checklist, row: str) -> list[dict[str, Any]]:
    """Evidence of a row's findings, newest run of it last."""
    return [
        finding["evidence"] for found in checklist["rows"] if found["id"] == row for finding in found["findings"] if finding["evidence"]
    ]


def totals_line(checklist: Checklist) -> str:
    """``18 pass, 1 skipped, 5 not run``"""
    return ", ".join(f"{count} {name}" for name, count in Counter(checklist["totals"]).items())


def duration(seconds: float) -> str:
    """``8.1 s``, ``2 min 14 s``"""
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60} min {int(seconds) % 60} s"
