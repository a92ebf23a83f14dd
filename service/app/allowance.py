"""How much one client may ask for: pure, the clock is an argument."""

from __future__ import annotations


class Allowance:
    """A token bucket: `per_second` in the long run, `burst` at once. Times are seconds of any steady clock."""

    def __init__(self, per_second: float, burst: float, now: float) -> None:
        self.per_second, self.burst = per_second, burst
        self._left, self._at = burst, now

    def spend(self, tokens: float, now: float) -> float:
        """Take `tokens`, even those that are not there yet; the seconds until they would have been."""
        self._left = min(self.burst, self._left + (now - self._at) * self.per_second) - tokens
        self._at = now
        return max(0.0, -self._left / self.per_second)

    def missing(self, now: float) -> float:
        """The seconds until one token is there; 0 if it is."""
        self.spend(0, now)
        return max(0.0, (1 - self._left) / self.per_second)

    def take(self, now: float) -> bool:
        """Take one token if it is there."""
        if self.missing(now):
            return False
        self._left -= 1
        return True
