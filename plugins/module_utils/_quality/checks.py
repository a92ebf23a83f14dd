# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The quality gates: finds the reports, reads them and has them judged. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

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
    try:
        tree = quality_tree.read_tree(asked.checkout)
    except WorkTreeError as why:
        next_step = "Deploy from a clone, or set quality_checkout to one."
        missing = Finding("QG-01", "skipped", f"Commit, tests and review: {why}", {"checkout": str(asked.checkout)}, next_step)
        there = [name for name in asked.lock_files if (asked.checkout / name).is_file()]  # an installed collection has no locks
        return [missing, *_others(replace(asked, lock_files=there), asked.checkout, now)]
    reports, broken = _read("QG-01", tree.root, asked.test_reports, quality_reports.read_junit)
    first = [quality_tree.check_tree(tree, asked.dirty_tree), quality_tree.check_tests(tree, reports), quality_tree.check_review(tree)]
    return [*first, *broken, *_others(asked, tree.root, now)]


def _others(asked: Asked, root: Path, now: datetime) -> list[Finding]:
    locks = {name: (root / name).read_text() if (root / name).is_file() else None for name in asked.lock_files}
    scans, broken_scans = _read("QG-02", root, asked.scan_reports, quality_reports.read_scan)
    audits, broken_audits = _read("QG-02", root, asked.audit_reports, quality_reports.read_pip_audit)
    sboms, broken_sboms = _read("QG-02", root, asked.sboms, quality_reports.read_cyclonedx)
    loads, broken_loads = _read("QG-03", root, asked.load_reports, quality_load.read_load)
    return [
        *dependencies.check_locks(locks),
        *dependencies.check_audits(locks, audits, asked.scan_max_age, now),
        *dependencies.check_scans(asked.images, scans, asked.scan_severities, asked.scan_max_age, now),
        *dependencies.check_sboms(asked.images, sboms),
        *broken_scans,
        *broken_audits,
        *broken_sboms,
        *quality_load.check_load(asked.images, loads, asked.load, now),
        *broken_loads,
    ]


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
