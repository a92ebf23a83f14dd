# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""A waiver lets a skipped row pass where skipped rows stop a deployment: with an owner, a reason and an end. Pure: no I/O."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from ._checklist import BY_ID
from ._finding import Finding

_FIELDS = ("id", "owner", "reason", "until")


@dataclass(frozen=True)
class Waiver:
    """id: row of the checklist. until: the last day on which it counts."""

    id: str
    owner: str
    reason: str
    until: date

    def __str__(self) -> str:
        return f"waived until {self.until} by {self.owner}: {self.reason}"


def parse(given: Sequence[Mapping[str, Any]]) -> list[Waiver]:
    """ValueError names the entry, the field and what to write."""
    return [_one(number, entry) for number, entry in enumerate(given)]


def _one(number: int, entry: Mapping[str, Any]) -> Waiver:
    where = f"release_waivers[{number}]"
    unknown = sorted(set(entry) - set(_FIELDS))
    if unknown:
        near = difflib.get_close_matches(unknown[0], _FIELDS, 1)
        raise ValueError(
            f"{where}.{unknown[0]}: there is no such field; {f'did you mean {near[0]}?' if near else 'fields: ' + ', '.join(_FIELDS)}"
        )
    for field in _FIELDS:
        if not str(entry.get(field) or "").strip():
            raise ValueError(f"{where}.{field} is missing: a waiver has {', '.join(_FIELDS)}.")
    if entry["id"] not in BY_ID:
        raise ValueError(f"{where}.id is {entry['id']!r}; rows are {', '.join(BY_ID)}.")
    try:
        until = date.fromisoformat(str(entry["until"]))
    except ValueError:
        raise ValueError(f"{where}.until is {entry['until']!r}; write a day as 2026-12-31.") from None
    return Waiver(entry["id"], str(entry["owner"]), str(entry["reason"]), until)


def applied(findings: Sequence[Finding], waivers: Sequence[Waiver], today: date) -> list[Finding]:
    """The findings; skipped ones say by whom they are waived, or that their waiver has ended. Nothing else can be waived."""
    return [_applied(finding, waivers, today) for finding in findings]


def _applied(finding: Finding, waivers: Sequence[Waiver], today: date) -> Finding:
    of_row = [waiver for waiver in waivers if waiver.id == finding.id]
    if finding.verdict != "skipped" or not of_row:
        return finding
    last = max(of_row, key=lambda waiver: waiver.until)
    if last.until < today:
        return replace(finding, message=f"{finding.message} (Its waiver by {last.owner} ended on {last.until}.)")
    evidence = {**finding.evidence, "waiver": {"owner": last.owner, "reason": last.reason, "until": last.until.isoformat()}}
    return replace(finding, message=f"{finding.message} ({str(last)[0].upper()}{str(last)[1:]}.)", evidence=evidence)


def counts(verdict: str, evidence: Mapping[str, Any] | None, fail_on: Sequence[str]) -> bool:
    """Whether a finding stops the deployment."""
    return verdict in fail_on and not (verdict == "skipped" and "waiver" in (evidence or {}))
