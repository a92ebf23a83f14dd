"""Liveness and readiness as plain state: the loop's heartbeat, the index, draining, connections, Redis last seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.metrics import LOOP_LAG

TICK_SECONDS = 0.25
STALLED_SECONDS = 10.0
REDIS_GRACE_SECONDS = 10.0


@dataclass
class Health:
    """What this process knows about itself. Times are `clock()` seconds."""

    max_connections: int
    clock: Callable[[], float] = time.monotonic
    last_tick: float = -1.0
    redis_seen: float = -1.0
    index_ready: bool = False
    draining: bool = False
    connections: int = 0

    def tick(self, sleep: Callable[[float], object]) -> None:
        """One heartbeat of the loop: sleep, and note how much later than asked it woke."""
        before = self.clock()
        sleep(TICK_SECONDS)
        self.last_tick = self.clock()
        LOOP_LAG.set(max(0.0, self.last_tick - before - TICK_SECONDS))

    def alive(self) -> tuple[bool, dict[str, object]]:
        """Liveness. Never asks Redis: a dead Redis is no reason to restart a web process."""
        age = self.clock() - self.last_tick
        ok = self.last_tick < 0 or age < STALLED_SECONDS
        return ok, {"status": "ok" if ok else "stalled", "heartbeat_age_seconds": round(age, 3) if self.last_tick >= 0 else None}

    def ready(self) -> tuple[bool, dict[str, object]]:
        """Readiness with every reason. Redis away for less than 10 s does not unready the fleet."""
        checks = {
            "index": self.index_ready,
            "not_draining": not self.draining,
            "below_connection_cap": self.connections < self.max_connections,
            "redis_seen": self.redis_seen >= 0 and self.clock() - self.redis_seen <= REDIS_GRACE_SECONDS,
        }
        ok = all(checks.values())
        return ok, {"status": "ready" if ok else "not ready", "checks": checks, "connections": self.connections}
