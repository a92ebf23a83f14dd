"""The loop: corpus first, then mutations until the time is over; what failed, and whether memory grew."""

from __future__ import annotations

import hashlib
import random
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from peer import resident_bytes

CORPUS = Path(__file__).parent / "corpus"
SHARED = {"server": "ws"}  # both take what a client sends
# By so much a straight line through the second half's measurements may rise: allocators are not tidy, leaks go on.
LEAK_BYTES = 16 * 1024 * 1024
SAMPLE_SECONDS = 0.1
FAILURES_KEPT = 10


class Target(Protocol):
    """Something to throw bytes at."""

    name: str

    def opened(self) -> AbstractContextManager[Callable[[bytes], str]]:
        """What takes one input and says in a word what came of it; raises when something is broken."""

    def make(self, rng: random.Random, pool: list[bytes]) -> bytes:
        """One more input."""

    def pid(self) -> int | str:
        """The process whose memory counts."""


@dataclass
class Report:
    """What became of one target."""

    name: str
    cases: int = 0
    outcomes: dict[str, bytes] = field(default_factory=dict)
    failures: list[tuple[bytes, str]] = field(default_factory=list)
    samples: list[tuple[int, int]] = field(default_factory=list)

    @property
    def slope(self) -> float:
        """Bytes of memory a case in the second half of the run, by least squares."""
        half = self.samples[len(self.samples) // 2 :]
        if len(half) < 3:
            return 0.0
        cases, sizes = [case for case, _ in half], [size for _, size in half]
        middle, mean = sum(cases) / len(half), sum(sizes) / len(half)
        spread = sum((case - middle) ** 2 for case in cases)
        return sum((case - middle) * (size - mean) for case, size in half) / spread if spread else 0.0

    @property
    def leaked_bytes(self) -> float:
        half = self.samples[len(self.samples) // 2 :]
        return self.slope * (half[-1][0] - half[0][0]) if half else 0.0

    @property
    def good(self) -> bool:
        return not self.failures and self.leaked_bytes < LEAK_BYTES

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.cases} cases, {len(self.outcomes)} outcomes, {len(self.failures)} crashes, "
            f"memory {self.slope:+.1f} bytes a case ({self.leaked_bytes / 1024 / 1024:+.1f} MB in the second half)"
        )


def folder(name: str) -> Path:
    """Where a target's inputs are kept."""
    return CORPUS / SHARED.get(name, name)


def corpus(name: str) -> list[bytes]:
    """The kept inputs of a target."""
    return [path.read_bytes() for path in sorted(folder(name).iterdir())]


def keep(name: str, label: str, data: bytes) -> None:
    (folder(name) / f"{label}-{hashlib.sha256(data).hexdigest()[:8]}").write_bytes(data)


def run(target: Target, seconds: float, seed: int) -> Report:
    """Throw inputs at `target` until `seconds` are over; after ten failures it gives up."""
    report, rng, pool = Report(target.name), random.Random(f"{seed} {target.name}"), corpus(target.name)
    waiting = list(reversed(pool))
    with target.opened() as take:
        until, sample_at = time.monotonic() + seconds, 0.0
        while (time.monotonic() < until or waiting) and len(report.failures) < FAILURES_KEPT:
            data = waiting.pop() if waiting else target.make(rng, pool)
            report.cases += 1
            try:
                outcome = take(data)
            except Exception:
                report.failures.append((data, traceback.format_exc()))
                continue
            if outcome not in report.outcomes:
                report.outcomes[outcome] = data
                if data not in pool:
                    pool.append(data)
            if time.monotonic() > sample_at:
                sample_at = time.monotonic() + SAMPLE_SECONDS
                report.samples.append((report.cases, resident_bytes(target.pid())))
    return report
