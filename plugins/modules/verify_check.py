#!/usr/bin/python
# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Verify a release as its users and operators see it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_check
short_description: Verify a release through the door that users use
version_added: 0.1.0
author: The HSC-JIT deployment engineers (@hsc-jit)
description:
  - Looks at health, the page in a real headless Chromium, latency and failures under a load of its own, error lines in the logs, the
    background workers, monitoring (targets, and data behind every alert and panel) and the network policies, and reports every finding
    together (VF-01 to VF-09). Nothing is changed.
  - What may not or cannot be looked at is V(skipped) with the reason, never V(pass); so is a load that gave too few numbers to tell.
extends_documentation_fragment: [hsc.jit.target, hsc.jit.target.run]
options:
  url:
    description: Address at which users reach the product.
    type: str
    required: true
  ca_file:
    description: Certificate authority of O(url), if the system does not know it.
    type: path
  search_text:
    description: What is typed into the search.
    type: str
    default: td17
  expected_product:
    description: Words that the first result must show.
    type: str
    default: Roland TD-17
  browser:
    description: Whether to look at the page in Chromium.
    type: bool
    default: true
  evidence_dir:
    description: Folder for the page's picture, C(page.png).
    type: path
  way_back:
    description: Whether it is a release that was put back. All findings are then told as one of RO-03, and no picture is taken.
    type: bool
    default: false
  load_rate:
    description: HTTP requests per second.
    type: float
    default: 50
  load_seconds:
    description: Seconds of load; once more if its numbers cannot tell.
    type: float
    default: 10
  load_sockets:
    description: WebSockets that type one letter a second meanwhile.
    type: int
    default: 20
  latency_p95_milliseconds:
    description: What 95 of 100 answers must be faster than.
    type: float
    default: 200
  error_percent:
    description: Share of requests that may fail.
    type: float
    default: 1
  rollout_began:
    description:
      - When the change began, in ISO 8601, in the controller's zone if it names none; default is now.
      - Error lines since the verification began are compared with those before this time.
    type: str
    default: ""
  rollout_ended:
    description:
      - When the rollout ended, in ISO 8601, in the controller's zone if it names none; default is now.
      - A container that ended since is a failure (VF-09).
    type: str
    default: ""
  deployment:
    description:
      - Whether this verification decides on a rollback. Checks that depend on the environment (VF-06, VF-07, VF-08) then only warn.
    type: bool
    default: false
  log_errors_per_minute:
    description: Error lines of one component that are not a spike.
    type: float
    default: 5
  worker:
    description: Workload (label C(app)) of the Celery workers.
    type: str
    default: hsc-jit-worker
  queues:
    description: Celery's queues.
    type: list
    elements: str
    default: [fetch, maintenance]
  queue_length:
    description: Tasks that may wait in each queue.
    type: int
    default: 100
  prometheus_url:
    description: Address of Prometheus. Without it, the API server's service proxy is asked.
    type: str
    default: ""
  scrape_jobs:
    description: Jobs that Prometheus must have a target of.
    type: list
    elements: str
    default: [hsc-jit-backend, hsc-jit-answer, hsc-jit-worker, hsc-jit-redis-exporter, hsc-jit-redis-cache, hsc-jit-postgres-exporter]
  grafana:
    description: Whether the release has a Grafana.
    type: bool
    default: false
  ready_timeout_seconds:
    description: How long the door may take to open.
    type: float
    default: 30
  monitoring_timeout_seconds:
    description: How long the scrape targets may take to be up, and alerts and panels to have data.
    type: float
    default: 60
"""

EXAMPLES = r"""
- name: VF-01 to VF-09 | Verify what users see
  hsc.jit.verify_check:
    url: https://support.example.com
    evidence_dir: evidence/today
    rollout_began: "2026-11-24T04:00:00+00:00"
"""

RETURN = r"""
findings:
  description: All findings of all rows.
  returned: always
  type: list
  elements: dict
  contains:
    id: {description: Row of the checklist., type: str, sample: VF-03}
    verdict: {description: "One of pass, warn, fail, skipped, error.", type: str, sample: pass}
    message:
      description: Object, what, evidence.
      type: str
      sample: "HTTP: 0 of 500 requests failed, p95 7.1 ms (99 % sure: 6 ms to 9.8 ms); allowed 1.0% and 200 ms."
    evidence: {description: Raw numbers with their units in the names., type: dict}
    next_step: {description: What to do now., type: str}
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ..module_utils._errors import OperatorError
from ..module_utils._module import Context, Outcome, run
from ..module_utils._verify.checks import Asked, after_way_back, look
from ..module_utils._verify.latency import Load
from ..module_utils._verify.monitoring import Monitoring, Prometheus

JOBS = ["hsc-jit-backend", "hsc-jit-answer", "hsc-jit-worker", "hsc-jit-redis-exporter", "hsc-jit-redis-cache", "hsc-jit-postgres-exporter"]
SPEC = {
    "url": {"type": "str", "required": True},
    "ca_file": {"type": "path"},
    "search_text": {"type": "str", "default": "td17"},
    "expected_product": {"type": "str", "default": "Roland TD-17"},
    "browser": {"type": "bool", "default": True},
    "evidence_dir": {"type": "path"},
    "way_back": {"type": "bool", "default": False},
    "load_rate": {"type": "float", "default": 50},
    "load_seconds": {"type": "float", "default": 10},
    "load_sockets": {"type": "int", "default": 20},
    "latency_p95_milliseconds": {"type": "float", "default": 200},
    "error_percent": {"type": "float", "default": 1},
    "rollout_began": {"type": "str", "default": ""},
    "rollout_ended": {"type": "str", "default": ""},
    "deployment": {"type": "bool", "default": False},
    "log_errors_per_minute": {"type": "float", "default": 5},
    "worker": {"type": "str", "default": "hsc-jit-worker"},
    "queues": {"type": "list", "elements": "str", "default": ["fetch", "maintenance"]},
    "queue_length": {"type": "int", "default": 100},
    "prometheus_url": {"type": "str", "default": ""},
    "scrape_jobs": {"type": "list", "elements": "str", "default": JOBS},
    "grafana": {"type": "bool", "default": False},
    "ready_timeout_seconds": {"type": "float", "default": 30},
    "monitoring_timeout_seconds": {"type": "float", "default": 60},
}
LIMITS = ("load_rate", "load_seconds", "latency_p95_milliseconds")
SAME = {
    "url",
    "ca_file",
    "search_text",
    "expected_product",
    "browser",
    "worker",
    "queues",
    "queue_length",
    "grafana",
}


def asked_of(params: Mapping[str, Any]) -> Asked:
    """The options, checked: an OperatorError names the field and the fix."""
    for name in ("url", "prometheus_url"):
        if params[name] and not params[name].startswith(("http://", "https://")):
            raise OperatorError(f"{name} is {params[name]!r}.", "Give the whole address, https://support.example.com.")
    for name in LIMITS:
        if params[name] <= 0:
            raise OperatorError(f"{name} is {params[name]:g}.", "Give a number above 0.")
    rate, seconds, p95 = params["load_rate"], params["load_seconds"], params["latency_p95_milliseconds"]
    return Asked(
        **{name: params[name] for name in SAME},
        evidence_dir=None if params["way_back"] else params["evidence_dir"],  # the picture of the page that failed stays
        load=Load(rate, seconds, params["load_sockets"], p95, params["error_percent"] / 100),
        rollout_began=_time(params, "rollout_began"),
        rollout_ended=_time(params, "rollout_ended"),
        settle=not params["way_back"],
        deployment=params["deployment"] and not params["way_back"],
        log_errors_per_minute=params["log_errors_per_minute"],
        ready_timeout=params["ready_timeout_seconds"],
        monitoring=Monitoring(
            Prometheus(params["prometheus_url"], params["ca_file"]), params["scrape_jobs"], params["monitoring_timeout_seconds"]
        ),
    )


def _time(params: Mapping[str, Any], name: str) -> datetime | None:
    try:
        return datetime.fromisoformat(params[name]).astimezone(UTC) if params[name] else None
    except ValueError:
        raise OperatorError(f"{name} is {params[name]!r}.", "Give ISO 8601: 2026-11-24T04:00:00+00:00.") from None


def work(context: Context) -> Outcome:
    found = look(context, asked_of(context.params))
    return Outcome(findings=[after_way_back(found)] if context.params["way_back"] else found)


def main() -> None:
    run(SPEC, work)


if __name__ == "__main__":
    main()
