# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Is the canary worse? A test that may be looked at after every answer, as often as one likes, with a bounded share of false alarms.

Wald's likelihood ratio. Each observation is bad on one side only: on the canary's or on the stable one's. If both are alike, the canary's
share of these is known beforehand (``expected``: a half where requests go out in pairs, its share of requests otherwise). The ratio of
"its odds are ``ODDS`` times as high" to "as expected" exceeds 1/alpha with probability alpha at most, whenever one looks (Ville 1939), so
nothing has to be decided beforehand about how long to look. Pure: no I/O.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

ODDS = 4.0  # of the canary being the bad one, that is looked for: at 1 % errors, 4 %
ALPHA = 0.0015  # for each of three questions (errors, slowness, users' errors) in each of two steps: below 1 % together
# A pair counts as slower only beyond both: less is noise that nobody feels.
SLOWER_SHARE, SLOWER_SECONDS = 1.25, 0.020


@dataclass
class Evidence:
    """The likelihood ratio so far, as a logarithm, and what it is made of."""

    canary: int = 0
    stable: int = 0
    log_ratio: float = 0.0

    def add(self, canary: int, stable: int, expected: float = 0.5) -> None:
        """canary, stable: how many were bad on that side only. expected: the canary's share of them if it is as good, within (0, 1)."""
        if not canary and not stable:
            return
        worse = ODDS * expected / (ODDS * expected + 1 - expected)
        self.canary, self.stable = self.canary + canary, self.stable + stable
        self.log_ratio += canary * math.log(worse / expected) + stable * math.log((1 - worse) / (1 - expected))

    @property
    def worse(self) -> bool:
        return self.log_ratio >= math.log(1 / ALPHA)


def slower(seconds: float, other: float) -> bool:
    """Whether an answer took so much longer than the other that it counts."""
    return seconds > other * SLOWER_SHARE and seconds > other + SLOWER_SECONDS
