# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The quality gates: finds the reports, reads them and has them judged. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from .._checks import Check, run_checks
from .._errors import WorkTreeError
from .._finding import Finding, Verdict
from . import dependencies
from . import load as quality_load
from . import reports as quality_reports
from . import tree as quality_tree
from .load import Wanted

Report = TypeVar("Report")


@dataclass(frozen=True)
class Asked:
    """What is deployed and where its evidence lies. Paths may be patterns; relative ones are relative to the work tree."""

    checkout: Path
    images: Mapping[str, str]
    test_reports: Sequence[str]
    dirty_tree: Verdict
    lock_files: Sequence[str]
    scan_reports: Sequence[str]
    scan_severities: Sequence[str]
    scan_max_age: timedelta
    sboms: Sequence[str]
    audit_reports: Sequence[str]
    load_reports: Sequence[str]
    load: Wanted


def look(asked: Asked, now: datetime) -> list[Finding]:
    """Findings of QG-01, QG-02 and QG-03, in this order."""
    try:
        tree = quality_tree.read_tree(asked.checkout)
    except WorkTreeError as error:
        next_step = "Deploy from a clone, or set quality_checkout to one."
        missing = Finding("QG-01", "skipped", f"Commit, tests and review: {error}", {"checkout": str(asked.checkout)}, next_step)
        there = [name for name in asked.lock_files if (asked.checkout / name).is_file()]  # an installed collection has no locks
        return [missing, *run_checks(_reports(replace(asked, lock_files=there), asked.checkout, now), 1)]
    return run_checks([*_tree(tree, asked), *_reports(asked, tree.root, now)], 1)


def _tree(tree: quality_tree.Tree, asked: Asked) -> list[Check]:
    def tests() -> list[Finding]:
        reports, broken = _read("QG-01", tree.root, asked.test_reports, quality_reports.read_junit)
        return [quality_tree.check_tests(tree, reports), *broken]

    return [
        ("QG-01", lambda: [quality_tree.check_tree(tree, asked.dirty_tree)]),
        ("QG-01", tests),
        ("QG-01", lambda: [quality_tree.check_review(tree)]),
    ]


def _reports(asked: Asked, root: Path, now: datetime) -> list[Check]:
    def locks() -> list[Finding]:
        locks = {name: (root / name).read_text() if (root / name).is_file() else None for name in asked.lock_files}
        audits, broken = _read("QG-02", root, asked.audit_reports, quality_reports.read_pip_audit)
        return [*dependencies.check_locks(locks), *dependencies.check_audits(locks, audits, asked.scan_max_age, now), *broken]

    def scans() -> list[Finding]:
        scans, broken = _read("QG-02", root, asked.scan_reports, quality_reports.read_scan)
        return [*dependencies.check_scans(asked.images, scans, asked.scan_severities, asked.scan_max_age, now), *broken]

    def sboms() -> list[Finding]:
        sboms, broken = _read("QG-02", root, asked.sboms, quality_reports.read_cyclonedx)
        return [*dependencies.check_sboms(asked.images, sboms), *broken]

    def loads() -> list[Finding]:
        loads, broken = _read("QG-03", root, asked.load_reports, quality_load.read_load)
        return [*quality_load.check_load(asked.images, loads, asked.load, now), *broken]

    return [("QG-02", locks), ("QG-02", scans), ("QG-02", sboms), ("QG-03", loads)]


def _read(row: str, root: Path, patterns: Sequence[str], read: Callable[[Path], Report]) -> tuple[list[Report], list[Finding]]:
    """What could be read, and a finding for each file that could not: a broken report is not a missing one."""
    reports, broken = [], []
    for path in (path for pattern in patterns for path in _matching(root, pattern)):
        try:
            reports.append(read(path))
        except (ValueError, KeyError, OSError) as error:
            broken.append(Finding(row, "error", str(error), {"file": str(path)}, "Write the report again, or take it away."))
    return reports, broken


def _matching(root: Path, pattern: str) -> list[Path]:
    """``Path.glob`` wants relative patterns."""
    path = root / Path(pattern).expanduser()
    return sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
