# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Verification: what users and operators see of the release, row by row. Reads only; the judgements are in pure files of their own.

Order: the endpoint; then page, tasks, monitoring and network at the same time; then the load alone, so that nothing of ours disturbs it;
then the logs, which hold what the load caused; restarts last.
To add a row: a function ``(Look) -> list[Finding]`` in STAGES and its id in _checklist.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

from .._checks import run_checks, verdict_of
from .._errors import ApiError
from .._finding import Finding, good
from .._kube.client import Cluster
from .._module import Context
from .._poll import Clock, poll
from . import browser as verify_browser
from . import logs, network, page, restarts, tasks
from . import monitoring as verify_monitoring
from .latency import Load, check_latency
from .load_generator import Door
from .monitoring import Monitoring

PRODUCT = "app.kubernetes.io/part-of=hsc-jit"
_TOLD = 1000  # characters of all that fails again
_LOG_BYTES = 4_000_000  # of one container; more would say nothing new


@dataclass(frozen=True)
class Asked:
    """What to verify, and what is good enough. Seconds unless the name says otherwise.

    settle: watch replaced pods for some time. deployment: this verification decides on a rollback.
    """

    url: str
    ca_file: str | None
    search_text: str
    expected_product: str
    browser: bool
    evidence_dir: str | None
    load: Load
    rollout_began: datetime | None
    rollout_ended: datetime | None
    settle: bool
    deployment: bool
    log_errors_per_minute: float
    worker: str
    queues: list[str]
    queue_length: int
    grafana: bool
    ready_timeout: float
    monitoring: Monitoring


@dataclass
class Look:
    """One verification at work."""

    context: Context
    asked: Asked
    started: datetime
    failed: bool = False  # a stage before this one has a failure
    _pods: list[dict[str, Any]] = field(default_factory=list)

    def pods(self) -> list[dict[str, Any]]:
        """The product's pods, asked for once."""
        if not self._pods:
            cluster = self.context.cluster
            self._pods = cluster.list(cluster.namespaced("pods"), labelSelector=PRODUCT)
        return self._pods


def look(context: Context, asked: Asked) -> list[Finding]:
    """Findings of every row, in the order of the rows. A door that does not open leaves the rows behind it untried."""
    one = Look(context, asked, context.now())
    found: list[Finding] = []
    for stage in STAGES:
        shut = bool(found) and found[0].verdict != "pass"
        checks = [
            (check_id, partial(_untried(check_id) if shut and check_id in BEHIND_THE_DOOR else check, one)) for check_id, check in stage
        ]
        found += _only_warned(run_checks(checks, len(checks))) if asked.deployment else run_checks(checks, len(checks))
        one.failed = not good(found)
        context.progress.say("Verify", detail=", ".join(f"{check_id} {verdict_of(_of(check_id, found))}" for check_id, _ in stage))
    return sorted(found, key=lambda finding: finding.id)


def _only_warned(findings: list[Finding]) -> list[Finding]:
    """With a warning in place of each failure that must not roll a deployment back."""
    return [
        finding
        if finding.id in ROLLS_BACK or good([finding])
        else replace(
            finding,
            verdict="warn",
            message=f"{finding.message} This alone does not roll the release back.",
            evidence={**finding.evidence, "verdict_outside_a_deployment": finding.verdict},
        )
        for finding in findings
    ]


def after_way_back(found: list[Finding]) -> Finding:
    """RO-03 of a release that was put back: whether it does what users need, in one finding, so that it is not taken for the failed one."""
    verdicts = {row: verdict_of(_of(row, found)) for row in dict.fromkeys(one.id for one in found)}
    bad = [one for one in found if one.verdict in ("fail", "error")]
    if not bad:
        return Finding("RO-03", "pass", "What was put back was verified again: nothing fails.", verdicts)
    told = "; ".join(one.as_line() for one in bad)[:_TOLD]
    step = f"The cause is not in the release that was withdrawn alone. {bad[0].next_step}"
    return Finding("RO-03", "fail", f"What was put back was verified again, and does not pass: {told}", verdicts, step)


def _of(check_id: str, findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.id == check_id]


def _untried(row: str) -> Callable[[Look], list[Finding]]:
    finding = Finding(row, "skipped", "Not tried: the door that users use does not open (VF-01).", {}, "First repair VF-01.")
    return lambda one: [finding]


def check_door(one: Look) -> list[Finding]:
    """VF-01: /health and /ready answer 200; waits while the door warms up."""
    context, url = one.context, one.asked.url
    door, started = Door(url, one.asked.ca_file), context.clock.monotonic()

    def ask() -> dict[str, dict[str, Any]]:
        answers = {path: _get(door, path, context.clock) for path in ("/health", "/ready")}
        if bad := _not_200(answers):
            context.progress.say(f"Door {url}", detail=", ".join(f"{path} {answer['said']}" for path, answer in bad.items()))
        return answers

    answers = poll(ask, one.asked.ready_timeout, until=lambda found: not _not_200(found), every=0.5, clock=context.clock)
    bad = _not_200(answers)
    waited = context.clock.monotonic() - started
    door.close()
    evidence = {"url": url, "waited_seconds": round(waited, 2), **{path.strip("/"): answer for path, answer in answers.items()}}
    if bad:
        said = "; ".join(f"{path} says {answer['said']}" for path, answer in bad.items())
        step = "kubectl get pods,endpointslices -l app=hsc-jit-backend; kubectl logs deploy/hsc-jit-backend"
        return [Finding("VF-01", "fail", f"Door {url}: {said} after {waited:.0f} s.", evidence, step)]
    times = " and ".join(f"{path} 200 in {answer['milliseconds']} ms" for path, answer in answers.items())
    return [Finding("VF-01", "pass", f"Door {url}: {times}.", evidence)]


def _not_200(answers: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {path: answer for path, answer in answers.items() if answer["status"] != 200}


def _get(door: Door, path: str, clock: Clock) -> dict[str, Any]:
    started = clock.monotonic()
    try:
        status, body = door.get(path)
        said = f"HTTP {status} {logs.redact(body[:200].decode('utf-8', 'replace'))}".strip()
    except (OSError, HTTPException) as error:
        status, said = 0, f"{type(error).__name__}: {error}"
    return {"status": status, "milliseconds": round((clock.monotonic() - started) * 1000, 1), "said": said}


def check_page(one: Look) -> list[Finding]:
    """VF-02: in Chromium and over a bare WebSocket."""
    asked = one.asked
    picture = Path(asked.evidence_dir) / "page.png" if asked.evidence_dir else None
    if picture:
        picture.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    socket = page.check_socket(asked.url, asked.search_text, asked.expected_product, asked.ca_file)
    if not asked.browser:
        return [Finding("VF-02", "skipped", "Page not looked at: the inventory says verify_browser: false.", {}, ""), socket]
    return [page.check_page(verify_browser.find(), asked.url, asked.search_text, asked.expected_product, picture), socket]


def check_load(one: Look) -> list[Finding]:
    """VF-03."""
    return check_latency(one.asked.url, one.asked.load, lambda said: one.context.progress.say("Load", detail=said), one.asked.ca_file)


def check_logs(one: Look) -> list[Finding]:
    """VF-04: since this verification began, our load included, against ten minutes before the rollout began."""
    cluster = one.context.cluster
    window = logs.Window(min(one.asked.rollout_began or one.started, one.started), one.started, one.context.now())
    begin = window.before_until - timedelta(minutes=10)
    errors: list[logs.ErrorLine] = []
    before: dict[str, float] = {}
    for pod in one.pods():
        app = pod["metadata"]["labels"].get("app", pod["metadata"]["name"])
        for container in [status for status in pod.get("status", {}).get("containerStatuses") or [] if status.get("containerID")]:
            for previous in [True, False] if container["restartCount"] else [False]:
                errors += logs.error_lines(app, _log(cluster, pod["metadata"]["name"], container["name"], begin, previous))
        lived = window.before_until - max(begin, datetime.fromisoformat(pod["metadata"]["creationTimestamp"]))
        before[app] = max(before.get(app, 0.0), lived.total_seconds(), 0.0)
    if not before:
        return [Finding("VF-04", "fail", f"Namespace {cluster.namespace} has no pod of the product ({PRODUCT}).", {}, "See RO-02.")]
    return logs.judge(errors, window, before, one.asked.log_errors_per_minute)


def _log(cluster: Cluster, pod: str, container: str, begin: datetime, previous: bool) -> str:
    """Empty where the pod has gone meanwhile, or the node has thrown the previous container's log away."""
    stamp = begin.isoformat(timespec="seconds").replace("+00:00", "Z")
    try:
        return cluster.logs(pod, container, sinceTime=stamp, timestamps=True, limitBytes=_LOG_BYTES, previous=previous)
    except ApiError as problem:
        if problem.status in (400, 404):
            return ""
        raise


def check_tasks(one: Look) -> list[Finding]:
    """VF-05."""
    return tasks.check_tasks(one.context.cluster, one.pods(), one.asked.worker, one.asked.queues, one.asked.queue_length)


def check_network(one: Look) -> list[Finding]:
    """VF-07."""
    return network.check_network(one.context.cluster, one.pods(), one.asked.worker)


def check_monitoring(one: Look) -> list[Finding]:
    """VF-06."""
    return verify_monitoring.check_monitoring(one.context, one.asked.monitoring)


def check_restarts(one: Look) -> list[Finding]:
    """VF-09: waits until replaced pods have been up for 30 s, unless something has failed already."""
    context, cluster = one.context, one.context.cluster
    skew = timedelta(seconds=cluster.clock_skew)
    since = (one.asked.rollout_ended or one.started) - skew

    def read() -> list[dict[str, Any]]:
        return cluster.list(cluster.namespaced("pods"), labelSelector=PRODUCT)

    def settled(pods: list[dict[str, Any]]) -> bool:
        until = restarts.settled_at(pods, one.asked.rollout_began - skew) if one.asked.rollout_began else None
        left = (until - (context.now() - skew)).total_seconds() if until else 0.0
        if one.failed or not one.asked.settle or left <= 0 or restarts.ended(pods, since):
            return True
        context.progress.say("Pods", detail=f"watching for restarts, {left:.0f} s more")
        return False

    pods = poll(read, 2 * restarts.SETTLE.total_seconds(), until=settled, every=5.0, clock=context.clock)

    def log(ended: restarts.Ended) -> str:
        try:
            return logs.redact(cluster.logs(ended.pod, ended.container, tailLines=20, previous=ended.previous))
        except ApiError:
            return ""  # the node has removed it

    return restarts.judge(pods, since, log)


def check_grafana(one: Look) -> list[Finding]:
    """VF-08."""
    return [verify_monitoring.check_grafana(one.context.cluster, one.asked.grafana)]


Row = tuple[str, Callable[[Look], list[Finding]]]
STAGES: tuple[list[Row], ...] = (
    [("VF-01", check_door)],
    [("VF-02", check_page), ("VF-05", check_tasks), ("VF-06", check_monitoring), ("VF-07", check_network), ("VF-08", check_grafana)],
    [("VF-03", check_load)],
    [("VF-04", check_logs)],
    [("VF-09", check_restarts)],
)
# A failure of these rolls a deployment back: users are affected, or are about to be. The other checks depend on the environment (what
# Prometheus has, whether the network enforces policies), so a deployment only warns of them; `playbooks/verify.yml` lets them fail.
ROLLS_BACK = frozenset({"VF-01", "VF-02", "VF-03", "VF-04", "VF-05", "VF-09"})
BEHIND_THE_DOOR = frozenset({"VF-02", "VF-03"})
