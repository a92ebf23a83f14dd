# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""An open-loop load of our own, and what its numbers prove.

Requests are due at fixed times, whatever the server does; a latency counts from the time a request was due, so a stall is seen by every
request that had to wait for it. A request that failed has no latency: it counts as infinitely slow.
"""

from __future__ import annotations

import math
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Literal
from urllib.parse import urlsplit

Judgement = Literal["pass", "fail", "not enough data"]
CONFIDENCE = 0.99
WORKERS = 32  # requests in flight at most: 50 requests/s that take 0.6 s each


@dataclass(frozen=True)
class Sample:
    """One request: due in seconds from the start of the load, latency in seconds; problem is empty when it was answered well.

    lateness: by how many seconds our own machine woke up too late to send it. That is not the server's, and not in the latency.
    """

    due: float
    latency: float
    what: str
    problem: str = ""
    lateness: float = 0.0


@dataclass
class Samples:
    """Everything a load measured."""

    all: list[Sample] = field(default_factory=list)

    @property
    def failed(self) -> list[Sample]:
        return [sample for sample in self.all if sample.problem]

    def latencies(self) -> list[float]:
        """Seconds, sorted; failed ones are infinite."""
        return sorted(math.inf if sample.problem else sample.latency for sample in self.all)


def binomial_cdf(successes: int, trials: int, probability: float) -> float:
    """P(X <= successes), exact, for up to some 100 000 trials."""
    if successes < 0:
        return 0.0
    if successes >= trials:
        return 1.0
    if probability in (0.0, 1.0):
        return 1.0 - probability
    log_p, log_q = math.log(probability), math.log1p(-probability)
    whole = math.lgamma(trials + 1)
    terms = (
        whole - math.lgamma(count + 1) - math.lgamma(trials - count + 1) + count * log_p + (trials - count) * log_q
        for count in range(successes + 1)
    )
    return min(1.0, math.fsum(map(math.exp, terms)))


def quantile_bounds(values: Sequence[float], quantile: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Distribution-free lower and upper bound of a quantile, each true with ``confidence``. ``values`` is sorted.

    -inf or inf where there are too few values: 90 are needed to bound a p95 from above with 99 %.
    """
    count = len(values)
    middle = math.ceil(quantile * count)
    below = next((rank for rank in range(middle, 0, -1) if 1 - binomial_cdf(rank - 1, count, quantile) >= confidence), None)
    above = next((rank for rank in range(max(1, middle), count + 1) if binomial_cdf(rank - 1, count, quantile) >= confidence), None)
    return (values[below - 1] if below else -math.inf), (values[above - 1] if above else math.inf)


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of all sorted values do not exceed; nan of none."""
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else math.nan


def judge_latency(values: Sequence[float], threshold: float, share: float = 0.95) -> Judgement:
    """Whether the quantile is below the threshold, as far as these (sorted) values can tell."""
    lower, upper = quantile_bounds(values, share)
    if upper < threshold:
        return "pass"
    return "fail" if lower >= threshold else "not enough data"


def judge_errors(failed: int, total: int, allowed: float) -> Judgement:
    """``fail`` only if so many failures would come by chance in less than 1 % of loads at the allowed rate."""
    if not total:
        return "not enough data"
    if failed / total <= allowed:
        return "pass"
    return "fail" if 1 - binomial_cdf(failed - 1, total, allowed) <= 1 - CONFIDENCE else "not enough data"


class Door:
    """One kept-alive connection to the address that users use."""

    def __init__(self, url: str, ca_file: str | None = None, timeout: float = 5.0) -> None:
        parts = urlsplit(url)
        self.prefix = parts.path.rstrip("/")
        self._connection: HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=ca_file)
            self._connection = HTTPSConnection(parts.hostname or "", parts.port, timeout=timeout, context=context)
        else:
            self._connection = HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body. OSError or HTTPException when there is no answer; the next call connects again."""
        try:
            self._connection.request("GET", self.prefix + path, headers={"User-Agent": "hsc.jit"})
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, HTTPException):
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()


def run_load(
    attempts: Sequence[tuple[str, Callable[[Door], str]]],
    door: Callable[[], Door],
    rate: float,
    *,
    workers: int = WORKERS,
    sleep: Callable[[float], object] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Samples:
    """Carry out attempt number i at i / rate seconds. An attempt returns its problem, or "" when it was answered well."""
    samples, turn, lock = Samples(), iter(range(len(attempts))), threading.Lock()
    started = monotonic()

    def work() -> None:
        connection = door()
        while True:
            with lock:
                number = next(turn, None)
            if number is None:
                return connection.close()
            due, (what, attempt) = number / rate, attempts[number]
            begin = wait_until(started + due, sleep, monotonic)
            try:
                problem = attempt(connection)
            except (OSError, HTTPException) as error:
                problem = f"{type(error).__name__}: {error}".strip(": ")
            sample = Sample(due, monotonic() - begin, what, problem, begin - started - due)
            with lock:
                samples.all.append(sample)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(workers, len(attempts)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return samples


def wait_until(due: float, sleep: Callable[[float], object], monotonic: Callable[[], float]) -> float:
    """When a request counts as begun: as soon as we wake if we were free, but when it was due if the server kept us busy until later."""
    ahead = due - monotonic()
    if ahead <= 0:
        return due
    sleep(ahead)
    return max(due, monotonic())


def get_ok(path: str) -> tuple[str, Callable[[Door], str]]:
    """An attempt that is well answered by a status below 400."""

    def attempt(door: Door) -> str:
        status, _body = door.get(path)
        return "" if status < 400 else f"HTTP {status}"

    return path.partition("?")[0], attempt
