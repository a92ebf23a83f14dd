# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""QG-03: a load test of what is deployed, with enough users and enough requests to tell. Pure but for ``read_load``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from .._finding import Finding

LEAST_REQUESTS = 1000  # below, one slow answer in a hundred may not have come yet
_STEP = "make load URL=https://... IMAGE=<registry>/hsc-jit-service@sha256:...; set quality_load_reports."


@dataclass(frozen=True)
class Kind:
    """One kind of request: ``GET /api/search`` or ``WebSocket typing``. p95 in seconds."""

    name: str
    requests: int
    failures: int
    p95_seconds: float


@dataclass(frozen=True)
class Load:
    """One load test's report. digest: of the product's image that was under load."""

    path: Path
    created: datetime
    digest: str
    users: int
    kinds: Sequence[Kind]

    def as_dict(self) -> dict[str, Any]:
        numbers = {
            one.name: {"requests": one.requests, "failures": one.failures, "p95_ms": round(one.p95_seconds * 1000, 1)} for one in self.kinds
        }
        return {"report": str(self.path), "created": self.created.isoformat(), "digest": self.digest, "users": self.users, "kinds": numbers}


@dataclass(frozen=True)
class Wanted:
    """What is good enough."""

    users: int
    error_share: float
    p95_seconds: float
    max_age: timedelta


def read_load(path: Path) -> Load:
    """What ``service/bench/locustfile.py`` writes. ValueError: nothing can be concluded from it."""
    try:
        report = json.loads(path.read_text())
        kinds = [Kind(str(one["name"]), int(one["requests"]), int(one["failures"]), float(one["p95_ms"]) / 1000) for one in report["kinds"]]
        digest = str(report["image"]).rpartition("@")[2]
        return Load(path, datetime.fromisoformat(report["created"]), digest, int(report["users"]), kinds)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no load test's report: {type(error).__name__}: {error}. Make it by `make load`.") from error


def check_load(images: Mapping[str, str], reports: Sequence[Load], wanted: Wanted, now: datetime) -> list[Finding]:
    """The newest report of the product's digest decides."""
    digest = images.get("service", "").rpartition("@")[2]
    if not digest:
        return [Finding("QG-03", "skipped", "Load test: release_images names no image of the service.", {}, "Set release_images.")]
    of_image = sorted((one for one in reports if one.digest == digest), key=lambda one: one.created)
    if not of_image:
        why = "there is no report" if not reports else f"none of {len(reports)} reports is of the digest {digest[:19]}"
        return [Finding("QG-03", "skipped", f"Load test: {why}.", {"digest": digest}, _STEP)]
    return [_judge(of_image[-1], wanted, now)]


def _judge(load: Load, wanted: Wanted, now: datetime) -> Finding:
    evidence = load.as_dict()
    hours, allowed = (now - load.created) / timedelta(hours=1), wanted.max_age / timedelta(hours=1)
    requests, failures = sum(one.requests for one in load.kinds), sum(one.failures for one in load.kinds)
    if hours > allowed:
        return Finding("QG-03", "skipped", f"Load test: the report is {hours:.0f} hours old; {allowed:.0f} are allowed.", evidence, _STEP)
    if load.users < wanted.users:
        message = f"Load test: {load.users} users at once; {wanted.users} are wanted."
        return Finding("QG-03", "skipped", message, evidence, "make load USERS=...")
    if requests < LEAST_REQUESTS:
        message = f"Load test: {requests} requests are not enough to tell; {LEAST_REQUESTS} are."
        return Finding("QG-03", "skipped", message, evidence, "make load SECONDS=...")
    slow = [one for one in load.kinds if one.requests and one.p95_seconds > wanted.p95_seconds]
    if failures / requests > wanted.error_share:
        message = f"Load test: {failures} of {requests} requests failed; {wanted.error_share:.1%} may."
        return Finding("QG-03", "fail", message, evidence, "Look at the logs of that time, correct the cause, test again.")
    if slow:
        said = ", ".join(f"{one.name} {one.p95_seconds * 1000:.0f} ms" for one in slow)
        message = f"Load test: p95 above {wanted.p95_seconds * 1000:.0f} ms: {said}."
        return Finding("QG-03", "fail", message, evidence, "Profile, or give the release more pods; test again.")
    worst = max(one.p95_seconds for one in load.kinds) * 1000
    message = f"Load test: {load.users} users, {requests} requests, {failures} failed, slowest p95 {worst:.0f} ms."
    return Finding("QG-03", "pass", message, evidence)
