"""The corpus again, and a few seconds of new inputs for each target. For longer: `python -m tests.fuzz --seconds 600`."""

from __future__ import annotations

import pytest

from .run import Report, folder, run
from .targets import TARGETS

SEED, SECONDS = 1, 2.0


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks(name: str) -> None:
    report = run(TARGETS[name](), SECONDS, SEED)
    assert report.failures == [], report.failures[0][1]
    assert report.good, str(report)
    assert report.cases > len(list(folder(name).iterdir())) and len(report.outcomes) > 3, str(report)


def test_a_leak_is_told_from_noise() -> None:
    noise = Report("noise", samples=[(case, 10**8 + (case * 7919) % 4_000_000) for case in range(0, 10_000, 50)])
    leak = Report("leak", samples=[(case, size + 5_000 * case) for case, size in noise.samples])
    assert noise.good and not leak.good
    assert 4_800 < leak.slope < 5_200
    assert not Report("broken", failures=[(b"", "why")]).good
