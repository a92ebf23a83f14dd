# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What any check says. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Verdict = Literal["pass", "warn", "fail", "skipped", "error"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)  # from best to worst, as far as an operator must look at it
_SEVERITY = {"pass": 0, "warn": 1, "skipped": 2, "fail": 3, "error": 4}


@dataclass(frozen=True)
class Finding:
    """One answer to one question of the checklist.

    id: row of the checklist, e.g. ``PF-02``. verdict: ``skipped`` means "not looked at, because ..." and never counts as pass;
    ``error`` means that the check itself could not be carried out. message: object, what, evidence, in one sentence.
    evidence: raw numbers with their units in the keys (JSON values only). next_step: what the operator does now.
    """

    id: str
    verdict: Verdict
    message: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    next_step: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict is {self.verdict!r}; it must be one of {', '.join(VERDICTS)}")
        if not self.message:
            raise ValueError(f"finding {self.id} has no message: a verdict always says why")

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "verdict": self.verdict,
            "message": self.message,
            "evidence": dict(self.evidence),
            "next_step": self.next_step,
        }

    def as_line(self) -> str:
        """``PF-02 fail: node has 9.0 GB free, 10 GB are needed. Delete ... and run again.``"""
        line = f"{self.id} {self.verdict}: {self.message}"
        return f"{line} {self.next_step}" if self.next_step else line


def good(findings: Iterable[Finding]) -> bool:
    """Whether nothing of it is a failure: a warn is looked at, and stops nothing."""
    return not any(finding.verdict in ("fail", "error") for finding in findings)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict that decides for several; ``skipped`` for none at all, because nothing was looked at."""
    return max(verdicts, key=lambda verdict: _SEVERITY[verdict], default="skipped")
