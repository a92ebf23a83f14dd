# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The one polling loop, and the clock that it takes as an argument."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Clock:
    """The machine's time. Tests pass a subclass whose ``sleep`` takes no time."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


CLOCK = Clock()
CONTROLLER_SECONDS = 10.0  # a controller that needs longer to react does not run


def poll(
    attempt: Callable[[], T],
    seconds: float,
    *,
    until: Callable[[T], object] = bool,
    every: float | Callable[[T], float] = 0.2,
    clock: Clock = CLOCK,
) -> T:
    """Call ``attempt`` until ``until`` accepts its value, at most for ``seconds``. Returns the last value, accepted or not.

    The first attempt is made at once, the last one at the deadline. every: seconds between two attempts, or
    what computes them from the last value.
    """
    deadline = clock.monotonic() + seconds
    while not until(value := attempt()):
        left = deadline - clock.monotonic()
        if left <= 0:
            break
        clock.sleep(min(every(value) if callable(every) else every, left))
    return value
