# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The shapes in ``checklist.json``, of which every report is made. Times are ISO 8601 with a time zone."""

from __future__ import annotations

from typing import Any, TypedDict


class ReportedFinding(TypedDict):
    """A finding as the journal has it, and when it was journalled."""

    verdict: str
    message: str
    evidence: dict[str, Any]
    next_step: str
    time: str


class ReportedCheck(TypedDict):
    """One check. verdict: that of its worst finding, or ``not run``. reason: why it rightly did not run, if it did not."""

    id: str
    phase: str
    line: str
    proof: str
    runbook: str
    verdict: str
    reason: str
    findings: list[ReportedFinding]


class ReportedPhase(TypedDict):
    """When the modules of one phase ran. message: what the first failed one said."""

    phase: str
    started: str
    seconds: float
    failed: bool
    message: str


class ReportedItem(TypedDict):
    """One changed value, as text of at most 200 characters; None where there was none."""

    what: str
    before: str | None
    after: str | None


class ReportedChange(TypedDict):
    """What one module changed. more: how many items are left out."""

    module: str
    time: str
    items: list[ReportedItem]
    more: int


class ReportedJournal(TypedDict):
    """The journal that the report was made from. problem: why it cannot be trusted; empty if it can."""

    path: str
    entries: int
    last_hash: str
    problem: str


class Checklist(TypedDict):
    """One run. verdict: go, no-go, incomplete or checked. asked: phases of this run; empty for all. previous: the run before."""

    schema_version: int
    environment: str
    run: str
    url: str
    verdict: str
    headline: str
    reason: str
    check_mode: bool
    asked: list[str]
    started: str | None
    finished: str | None
    seconds: float
    totals: dict[str, int]
    previous: dict[str, Any]
    rows: list[ReportedCheck]
    changes: list[ReportedChange]
    phases: list[ReportedPhase]
    way_back: str
    journal: ReportedJournal
