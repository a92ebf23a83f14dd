# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""VF-03: how fast the API answers and how often it fails, under a load of our own through the door that users use."""

from __future__ import annotations

import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import quote

from .._finding import Finding, Verdict
from . import load_generator
from .load_generator import Door, Sample, Samples
from .logs import redact
from .page import open_socket

# What people type: brands, models, kinds, a typing error. Each letter of the sockets' words is one message.
QUERIES = ("td17", "roland td-17", "moog", "stage piano", "nord stage", "yamha p45", "studio monitor", "korg minilogue", "pedal", "sm58")


@dataclass(frozen=True)
class Load:
    """rate in requests/s, seconds of load, sockets that type one letter a second; what is still good enough."""

    rate: float
    seconds: float
    sockets: int
    p95_milliseconds: float
    error_share: float


def check_latency(url: str, load: Load, say: Callable[[str], None], ca_file: str | None = None) -> list[Finding]:
    """Load, judge, and load once more if the numbers could not tell. Two findings: HTTP and, with sockets, typing."""
    try:
        attempts = plan_attempts(Door(url, ca_file), math.ceil(load.rate * load.seconds))
    except (OSError, HTTPException, ValueError, KeyError) as problem:
        message = f"Load on {url}: the search does not answer: {type(problem).__name__}: {redact(str(problem))[:200]}"
        return [Finding("VF-03", "fail", message, {"url": url}, "See VF-01.")]
    http, typing = Samples(), Samples()
    for turn in range(2):
        say(f"{load.rate:g} requests/s for {load.seconds:g} s" + (" once more, the first could not tell" if turn else ""))
        typists = [
            threading.Thread(target=type_letters, args=(url, ca_file, number, load, typing), daemon=True) for number in range(load.sockets)
        ]
        for typist in typists:
            typist.start()
        http.all += load_generator.run_load(attempts, lambda: Door(url, ca_file), load.rate).all
        for typist in typists:
            typist.join()
        found = [judge("HTTP", http, load), *([judge("typing", typing, load)] if load.sockets else [])]
        if not any(finding.verdict == "skipped" for finding in found):
            break
    return found


def plan_attempts(door: Door, count: int) -> list[tuple[str, Callable[[Door], str]]]:
    """A mix of searches, products and prices over what the catalogue really has; a price is asked for only where there is one."""
    paths = []
    for query in QUERIES:
        status, body = door.get(f"/api/search?q={quote(query)}")
        if status >= 400:
            raise ValueError(f"/api/search answers HTTP {status}")
        paths.append(f"/api/search?q={quote(query)}")
        ids = [entry["product"]["id"] for entry in json.loads(body)["results"][:1]]
        paths += [f"/api/products/{quote(str(product), safe='')}" for product in ids]
        if door.get(f"/api/price/{quote(query, safe='')}")[0] < 400:
            paths.append(f"/api/price/{quote(query, safe='')}")
    door.close()
    return [load_generator.get_ok(paths[number % len(paths)]) for number in range(count)]


def type_letters(url: str, ca_file: str | None, number: int, load: Load, samples: Samples) -> None:
    """One person: one letter a second, each answered by a prediction; a latency counts from when the letter was due."""
    from .._kube.websockets import WebSocketException

    word = QUERIES[number % len(QUERIES)]
    started = time.monotonic() + number / max(1, load.sockets)
    letters = max(1, int(load.seconds))
    done = 0
    try:
        with open_socket(url, ca_file) as socket:
            for done in range(letters):
                begin = load_generator.wait_until(started + done, time.sleep, time.monotonic)
                socket.send(json.dumps({"type": "typing", "content": word[: done % len(word) + 1], "rid": done}))
                while json.loads(socket.recv(timeout=5)).get("rid") != done:
                    pass
                samples.all.append(Sample(float(done), time.monotonic() - begin, "/ws", "", begin - started - done))
    except (WebSocketException, OSError, ValueError) as problem:
        words = f"{type(problem).__name__}: {problem}"
        samples.all += [Sample(float(letter), math.inf, "/ws", words) for letter in range(done, letters)]


def judge(what: str, samples: Samples, load: Load) -> Finding:
    """Pure: the p95's and the failures' verdicts, with the numbers."""
    values, failed = samples.latencies(), samples.failed
    latency = load_generator.judge_latency(values, load.p95_milliseconds / 1000)
    errors = load_generator.judge_errors(len(failed), len(values), load.error_share)
    lower, upper = load_generator.quantile_bounds(values, 0.95)
    evidence: dict[str, Any] = {
        "load": what,
        "requests": len(values),
        "failed": len(failed),
        "rate_per_second": load.rate if what == "HTTP" else load.sockets,
        "p50_ms": _ms(load_generator.quantile(values, 0.5)),
        "p95_ms": _ms(load_generator.quantile(values, 0.95)),
        "p95_bounds_ms": [_ms(lower), _ms(upper)],
        "p99_ms": _ms(load_generator.quantile(values, 0.99)),
        "max_ms": _ms(max((value for value in values if value < math.inf), default=math.nan)),
        "own_lateness_p95_ms": _ms(load_generator.quantile(sorted(sample.lateness for sample in samples.all), 0.95)),
        "threshold_ms": load.p95_milliseconds,
        "confidence": load_generator.CONFIDENCE,
        "problems": dict(Counter(redact(sample.problem)[:120] for sample in failed).most_common(5)),
        "by_path": by_path(samples.all),
        "slowest_by_second_ms": slowest_by_second(samples.all),
        "failed_by_second": failed_by_second(samples.all),
    }
    verdict, why = _verdict(latency, errors, evidence, load)
    message = (
        f"{what}: {len(failed)} of {len(values)} requests failed, p95 {_words(evidence['p95_ms'])} (99 % sure: {_words(_ms(lower))} to "
        f"{_words(_ms(upper))}); allowed {load.error_share:.1%} and {load.p95_milliseconds:g} ms{why}."
    )
    step = (
        "" if verdict == "pass" else "Compare with the dashboard HSC-JIT Overview; kubectl top pods; raise the HPA's maximum or roll back."
    )
    return Finding("VF-03", verdict, message, evidence, step)


def _verdict(
    latency: load_generator.Judgement, errors: load_generator.Judgement, evidence: dict[str, Any], load: Load
) -> tuple[Verdict, str]:
    if errors == "fail":
        return "fail", f": more failures than {load.error_share:.1%} explains: {next(iter(evidence['problems']))}"
    if latency == "fail":
        return "fail", ": too slow"
    if "not enough data" in (latency, errors):
        return "skipped", ": not enough data to tell"
    return "pass", ""


def _ms(seconds: float) -> float | None:
    """Milliseconds; None for what no number bounds."""
    return round(seconds * 1000, 1) if math.isfinite(seconds) else None


def _words(milliseconds: float | None) -> str:
    return "unanswered" if milliseconds is None else f"{milliseconds:g} ms"


def by_path(samples: Sequence[Sample]) -> dict[str, dict[str, Any]]:
    """Count and p95 of each kind of request; ids and queries are one kind."""
    kinds: dict[str, list[float]] = {}
    for sample in samples:
        kind = "/".join(sample.what.split("/")[:3])
        kinds.setdefault(kind, []).append(math.inf if sample.problem else sample.latency)
    return {
        kind: {"requests": len(values), "p95_ms": _ms(load_generator.quantile(sorted(values), 0.95))}
        for kind, values in sorted(kinds.items())
    }


def slowest_by_second(samples: Sequence[Sample]) -> list[float | None]:
    """The slowest answer of each second of the load, for the report's plot; None where nothing was answered."""
    seconds: dict[int, float] = {}
    for sample in samples:
        if not sample.problem:
            seconds[int(sample.due)] = max(seconds.get(int(sample.due), 0.0), sample.latency)
    return [_ms(seconds.get(second, math.nan)) for second in range(_length(samples))]


def failed_by_second(samples: Sequence[Sample]) -> list[int]:
    failed = Counter(int(sample.due) for sample in samples if sample.problem)
    return [failed[second] for second in range(_length(samples))]


def _length(samples: Sequence[Sample]) -> int:
    return 1 + max((int(sample.due) for sample in samples), default=-1)
