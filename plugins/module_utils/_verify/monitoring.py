# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""VF-06 and VF-08: asks Prometheus and Grafana whether they would show the next failure. Reads only; ``_verify/prometheus`` judges."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode

from .._errors import ApiError
from .._finding import Finding
from .._kube.client import Cluster
from .._module import Context
from .._poll import poll
from . import prometheus as verify_prometheus
from .load_generator import Door
from .prometheus import Question

_POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Prometheus:
    """Where it answers. url: empty for the API server's service proxy."""

    url: str = ""
    ca_file: str | None = None


@dataclass(frozen=True)
class Monitoring:
    """What to ask. jobs: that must have a target."""

    prometheus: Prometheus
    jobs: Sequence[str]
    timeout_seconds: float


@dataclass(frozen=True)
class _Seen:
    """One look. silent: None where targets are still missing, so that nothing was asked yet."""

    targets: Sequence[Mapping[str, Any]]
    rules: Sequence[Mapping[str, Any]]
    questions: Sequence[Question]
    missing: Sequence[str]
    silent: Sequence[tuple[Question, str]] | None

    @property
    def waiting_for(self) -> list[str]:
        return [*self.missing, *(one.what for one, _ in self.silent or ())]


def check_monitoring(context: Context, asked: Monitoring) -> list[Finding]:
    """VF-06. Waits until everything has data: Prometheus scrapes a new pod within its interval, and a rate needs two samples."""
    found = dashboards(context.cluster)
    if not found:
        step = "Deploy the release's monitoring: kubectl get configmap hsc-jit-dashboards"
        return [Finding("VF-06", "fail", f"Namespace {context.cluster.namespace} has no dashboard.", {}, step)]
    started = context.clock.monotonic()

    def look() -> _Seen:
        seen = _look(context, asked, found)
        if seen.waiting_for:
            more = ", ..." if seen.waiting_for[3:] else ""
            context.progress.say("Prometheus", detail=f"waiting for {', '.join(seen.waiting_for[:3])}{more}")
        return seen

    try:
        seen = poll(look, asked.timeout_seconds, until=lambda one: not one.waiting_for, every=_POLL_SECONDS, clock=context.clock)
    except ValueError as problem:
        return [Finding("VF-06", "fail", str(problem), {}, "Correct roles/rollout/templates/50-monitoring/dashboards.yml.j2.")]
    waited = context.clock.monotonic() - started
    judged = [*verify_prometheus.judge(seen.targets, asked.jobs, waited), *verify_prometheus.judge_rules(seen.rules)]
    return judged if seen.silent is None else [*judged, *verify_prometheus.judge_answers(seen.questions, seen.silent, waited)]


def _look(context: Context, asked: Monitoring, found: Mapping[str, str]) -> _Seen:
    """ValueError: a dashboard is none."""
    targets = ask(context, asked.prometheus, "targets", state="active").get("data", {}).get("activeTargets", [])
    missing = verify_prometheus.unsettled(targets, asked.jobs) if targets else ["targets"]
    rules = verify_prometheus.alerts(ask(context, asked.prometheus, "rules", type="alert").get("data", {}))
    missing += [f"rule {rule['name']}" for rule in rules if rule.get("health") == "unknown"]
    questions = verify_prometheus.questions(rules, found)
    if missing:
        return _Seen(targets, rules, questions, missing, None)
    # One at a time: there are some forty, of a millisecond each, and the page that is tried meanwhile must not wait for them.
    answers = {one: ask(context, asked.prometheus, "query", query=one.query) for one in questions}
    return _Seen(targets, rules, questions, missing, verify_prometheus.unanswered(questions, answers))


def dashboards(cluster: Cluster) -> Mapping[str, str]:
    found = cluster.find(cluster.namespaced("configmaps") + "/hsc-jit-dashboards") or {}
    return found.get("data") or {}


def ask(context: Context, prometheus: Prometheus, what: str, **query: str) -> dict[str, Any]:
    """One answer of Prometheus' API, errors of a query included. ApiError: it cannot be reached."""
    if not prometheus.url:
        service = f"{context.cluster.namespaced('services')}/hsc-jit-prometheus:9090/proxy/api/v1/{what}"
        try:
            return dict(context.cluster.get(service, **query))
        except ApiError as problem:
            if problem.status in (400, 422) and what == "query":  # how Prometheus refuses a query
                return {"status": "error", "error": problem.message}
            raise
    door = Door(prometheus.url, prometheus.ca_file)
    try:
        _, body = door.get(f"/api/v1/{what}?{urlencode(query)}")
        return dict(json.loads(body))
    except (OSError, HTTPException, ValueError) as error:
        raise ApiError(0, "Unreachable", f"Prometheus {prometheus.url}: {error}") from error
    finally:
        door.close()


def check_grafana(cluster: Cluster, deployed: bool) -> Finding:
    """VF-08: it serves, or is not deployed here. What it would show is VF-06's: an empty panel loads as well as a full one."""
    if not deployed:
        message = "Grafana is not deployed here: release_grafana is false. What its panels show was asked of Prometheus (VF-06)."
        step = "Set release_grafana and release_images.grafana where its image can be pulled; until then: make dashboards."
        return Finding("VF-08", "skipped", message, {}, step)
    health = cluster.get(f"{cluster.namespaced('services')}/hsc-jit-grafana:3000/proxy/api/health")
    if health.get("database") == "ok":
        return Finding("VF-08", "pass", f"Grafana {health.get('version', '')} answers, and its database is well.", dict(health))
    return Finding("VF-08", "fail", f"Grafana says {json.dumps(health)[:200]}", dict(health), "kubectl logs deploy/hsc-jit-grafana")
