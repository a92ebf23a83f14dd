"""Clocks for tests: sleeping takes no time, and moves the time on."""

from ansible_collections.hsc.jit.plugins.module_utils._poll import Clock


class FakeClock(Clock):
    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class TickingClock(FakeClock):
    """Each look at it takes a second: for code that waits for events, and looks at the clock between them."""

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now
