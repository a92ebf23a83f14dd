# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What the canary answers beside the stable pods: our own requests in pairs at a fixed rate, and what users' came to. Reads only.

Both requests of a pair go out together through the API server's proxy, so that what slows one slows the other. Users' requests are
counted by the pods themselves, ``http_requests_total``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from .._errors import ApiError
from .._kube.client import Cluster
from .._poll import Clock
from .sequential import Evidence, slower

_REQUESTS = re.compile(r"^http_requests_total\{(?P<labels>[^}]*)\} (?P<count>\S+)$", re.MULTILINE)
_ENOUGH = 0.5  # of the pairs that were due
_SAY_SECONDS, _LOOK_SECONDS = 10.0, 2.0
_WARM = 20  # first pairs of each step that count for nothing: each worker of the new pods makes its connections and caches


@dataclass
class Side:
    """The canary's or the stable pods: their own answers and users' requests. seconds: of each answer that was good."""

    asked: int = 0
    bad: int = 0
    seconds: list[float] = field(default_factory=list)
    users: int = 0
    users_bad: int = 0

    def as_dict(self) -> dict[str, Any]:
        ordered = sorted(self.seconds)
        p95 = round(ordered[int(len(ordered) * 0.95)] * 1000, 1) if ordered else None
        return {"asked": self.asked, "bad": self.bad, "p95_milliseconds": p95, "requests": self.users, "request_errors": self.users_bad}


@dataclass
class Comparison:
    """One step. due: pairs that the rate and the time ask for."""

    due: int
    canary: Side = field(default_factory=Side)
    stable: Side = field(default_factory=Side)
    errors: Evidence = field(default_factory=Evidence)
    latency: Evidence = field(default_factory=Evidence)
    users: Evidence = field(default_factory=Evidence)

    @property
    def enough(self) -> bool:
        """Whether no finding is a finding: most pairs were answered, and not by errors of both."""
        return self.canary.asked >= self.due * _ENOUGH and self.stable.bad <= self.stable.asked / 2

    @property
    def worse(self) -> bool:
        """Cheap: it is asked after every pair."""
        return self.errors.worse or self.users.worse or self.latency.worse

    @property
    def why(self) -> str:
        """What it does worse, in words; empty as long as nothing says so."""
        canary, stable = self.canary.as_dict(), self.stable.as_dict()
        if self.errors.worse:
            return f"{canary['bad']} of {canary['asked']} answers were errors, {stable['bad']} of {stable['asked']} of the stable pods'"
        if self.users.worse:
            return (
                f"{canary['request_errors']} of {canary['requests']} requests were answered with an error, "
                f"{stable['request_errors']} of {stable['requests']} by the stable pods"
            )
        if self.latency.worse:
            return (
                f"its answers took longer, p95 {canary['p95_milliseconds']} ms against {stable['p95_milliseconds']} ms "
                f"({self.latency.canary} of {self.latency.canary + self.latency.stable} pairs)"
            )
        return ""

    def add(self, canary: float | None, stable: float | None) -> None:
        """A pair: seconds of each answer, None for an error."""
        for side, seconds in ((self.canary, canary), (self.stable, stable)):
            side.asked += 1
            side.bad += seconds is None
            side.seconds += [] if seconds is None else [seconds]
        self.errors.add(int(canary is None and stable is not None), int(stable is None and canary is not None))
        if canary is not None and stable is not None:
            self.latency.add(int(slower(canary, stable)), int(slower(stable, canary)))

    def add_users(self, canary: tuple[int, int], stable: tuple[int, int]) -> None:
        """(requests, errors) of each side since the last look. Whose errors they would be is the share of requests."""
        for side, (requests, errors) in ((self.canary, canary), (self.stable, stable)):
            side.users, side.users_bad = side.users + requests, side.users_bad + errors
        if canary[0] and stable[0]:
            self.users.add(canary[1], stable[1], canary[0] / (canary[0] + stable[0]))

    def as_dict(self) -> dict[str, Any]:
        ratios = {
            name: round(one.log_ratio, 2) for name, one in (("errors", self.errors), ("latency", self.latency), ("users", self.users))
        }
        return {"due": self.due, "canary": self.canary.as_dict(), "stable": self.stable.as_dict(), "log_ratios": ratios}


@dataclass
class Asker:
    """Asks pods one by one. pods: () -> (canary's, stable) names of ready pods."""

    cluster: Cluster
    path: str
    port: int
    pods: Callable[[], tuple[Sequence[str], Sequence[str]]]
    clock: Clock
    say: Callable[[str], None]
    _counted: dict[str, tuple[int, int]] = field(default_factory=dict)

    def compare(self, seconds: float, rate: float) -> Comparison:
        """Until the time is over, or the canary is worse. Open loop: a slow answer delays no other."""
        comparison, began, number = Comparison(int(seconds * rate)), self.clock.monotonic(), 0
        canary, stable = self._as_many(0)
        self._users(canary, stable)  # what was counted before is not ours to judge
        looked = said = began
        with ThreadPoolExecutor(12) as pool:
            waiting: list[Any] = []
            while (now := self.clock.monotonic()) - began < seconds and not comparison.worse and canary and stable:
                while number < (now - began) * rate:
                    pair = (canary[number % len(canary)], stable[number % len(stable)])
                    waiting.append((number, pool.submit(self._ask, pair[0]), pool.submit(self._ask, pair[1])))
                    number += 1
                waiting = _settled(waiting, comparison)
                if now - looked >= _LOOK_SECONDS:
                    looked = now
                    comparison.add_users(*self._users(canary, stable))
                    canary, stable = self._as_many(number)
                if now - said >= _SAY_SECONDS:
                    said = now
                    self.say(f"{comparison.canary.asked} of {comparison.due} pairs, {comparison.canary.bad} bad")
                self.clock.sleep(0.01)
            for one in waiting:
                one[1].cancel(), one[2].cancel()
        return comparison

    def _as_many(self, turn: int) -> tuple[Sequence[str], Sequence[str]]:
        """As many pods of one side as of the other, in turns: who is asked more often answers more slowly, and that would be no fault."""
        sides = self.pods()
        count = min(map(len, sides))
        canary, stable = ([side[(turn + step) % len(side)] for step in range(count)] for side in sides)
        return canary, stable

    def _ask(self, pod: str) -> float | ApiError | None:
        """Seconds; None for an error of the pod; an ApiError where the pod has gone or the API server is away: nobody's fault."""
        started = self.clock.monotonic()
        try:
            self.cluster.request("GET", self._proxied(pod, self.path), timeout=10)
        except ApiError as problem:
            return problem if problem.status in (0, 403, 404, 429) else None
        return self.clock.monotonic() - started

    def _proxied(self, pod: str, path: str) -> str:
        return f"{self.cluster.namespaced('pods')}/{pod}:{self.port}/proxy{path}"

    def _users(self, canary: Sequence[str], stable: Sequence[str]) -> tuple[tuple[int, int], tuple[int, int]]:
        """(requests, errors) of both sides since the last look."""
        return self._since(canary), self._since(stable)

    def _since(self, pods: Sequence[str]) -> tuple[int, int]:
        requests = errors = 0
        for pod in pods:
            try:
                now = counted(self.cluster.request("GET", self._proxied(pod, "/metrics"), timeout=5).decode("utf-8", "replace"))
            except ApiError:
                continue
            before = self._counted.get(pod, now)
            self._counted[pod] = now
            requests, errors = requests + max(0, now[0] - before[0]), errors + max(0, now[1] - before[1])
        return requests, errors


def counted(metrics: str) -> tuple[int, int]:
    """(requests, those answered with 5xx) out of a pod's metrics."""
    requests = errors = 0
    for found in _REQUESTS.finditer(metrics):
        count = int(float(found["count"]))
        requests += count
        errors += count if 'status="5' in found["labels"] else 0
    return requests, errors


def _settled(waiting: list[Any], comparison: Comparison) -> list[Any]:
    """Count the pairs that are there; the others are waited for."""
    rest = []
    for number, *pair in waiting:
        if not all(one.done() for one in pair):
            rest.append((number, *pair))
            continue
        canary, stable = (one.result() for one in pair)
        if number >= _WARM and not isinstance(canary, ApiError) and not isinstance(stable, ApiError):
            comparison.add(canary, stable)
    return rest
