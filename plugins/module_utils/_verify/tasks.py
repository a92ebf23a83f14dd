# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""VF-05: every worker consumes its queues, and a test task passes each queue."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._errors import ApiError
from .._finding import Finding
from .._kube.client import Cluster
from .._kube.objects import is_ready
from .logs import redact

# The guide's own command, with a machine's answer.
INSPECT = ("celery", "-A", "app.core.tasks", "inspect", "active", "--timeout", "5", "--json")
# Runs in a worker's container, with its own client and settings. An image of an older release has no task "probe".
PROBE = """
import json, time, uuid
from app.core import tasks
queues, seconds = json.loads(%r)
workers = tasks.app.control.inspect(timeout=5).active_queues() or {}
answer = {"consumers": {name: sorted(queue["name"] for queue in found) for name, found in workers.items()}, "probed": None}
with tasks.state_client() as client:
    answer["lengths"] = {queue: client.llen(queue) for queue in queues}
    if hasattr(tasks, "probe"):
        token, deadline, done = uuid.uuid4().hex, time.monotonic() + seconds, set()
        for queue in queues:
            tasks.probe.apply_async((token,), queue=queue, expires=seconds, retry=False)
        while set(queues) - done and time.monotonic() < deadline:
            time.sleep(0.1)
            done = {queue.decode() for queue in client.smembers("probe:" + token)}
        answer["probed"] = sorted(done)
print(json.dumps(answer))
"""
PROBE_SECONDS = 15


@dataclass(frozen=True)
class Consumption:
    """consumers: queues by worker. lengths: waiting tasks by queue. probed: queues whose probe was done; None if it was not sent."""

    consumers: Mapping[str, list[str]]
    lengths: Mapping[str, int]
    probed: list[str] | None = None


def ready_pods(pods: list[dict[str, Any]], app: str) -> list[tuple[str, str]]:
    """(name, first container) of an app's pods that are Ready and not on their way out."""
    return sorted(
        (pod["metadata"]["name"], pod["spec"]["containers"][0]["name"])
        for pod in pods
        if pod["metadata"].get("labels", {}).get("app") == app and "deletionTimestamp" not in pod["metadata"] and is_ready(pod)
    )


def check_tasks(cluster: Cluster, pods: list[dict[str, Any]], app: str, queues: list[str], queue_length: int) -> list[Finding]:
    """Ask Celery and the broker from inside a worker's pod."""
    workers = ready_pods(pods, app)
    if not workers:
        return [
            Finding("VF-05", "fail", f"No pod of {app} is ready: no background task runs.", {"ready": 0}, f"kubectl get pods -l app={app}")
        ]
    pod, container = workers[0]
    try:
        inspected = cluster.exec(pod, container, INSPECT, timeout_seconds=30)
        program = PROBE % json.dumps([queues, PROBE_SECONDS])
        probed = cluster.exec(pod, container, ["python", "-c", program], timeout_seconds=PROBE_SECONDS + 30)
    except (ApiError, TimeoutError) as problem:
        why = str(problem).partition(": python -c")[0] or type(problem).__name__
        message = f"Pod {pod}: Celery could not be asked: {why}"
        forbidden = isinstance(problem, ApiError) and problem.status == 403
        step = "Give the deployer the right to create pods/exec." if forbidden else f"kubectl describe pod {pod}; then verify again."
        return [Finding("VF-05", "error", message, {"pod": pod}, step)]
    active = parse_inspect(inspected.stdout)
    if inspected.returncode or not active:
        words = redact((inspected.stderr or inspected.stdout.decode("utf-8", "replace")).strip())[-300:]
        message = f"Workers do not answer: celery inspect active in {pod} ended with {inspected.returncode}: {words}"
        step = f"kubectl exec {pod} -- celery -A app.core.tasks inspect active; kubectl logs {pod}"
        return [Finding("VF-05", "fail", message, {"pod": pod, "exit_code": inspected.returncode}, step)]
    seen = parse_probe(probed.stdout)
    if probed.returncode or seen is None:
        words = redact(probed.stderr.strip()).rpartition("\n")[2][:300] or f"the answer was {probed.stdout[:100]!r}"
        return [Finding("VF-05", "fail", f"Queues cannot be read from {pod}: {words}", {"pod": pod}, "kubectl logs sts/hsc-jit-redis")]
    return [judge(active, len(workers), seen, queues, queue_length)]


def parse_inspect(output: bytes) -> dict[str, list[Any]]:
    """``{"celery@pod": [tasks]}`` out of what celery writes; {} if nobody answered."""
    text = output.decode("utf-8", "replace")
    start, end = text.find("{"), text.rfind("}")
    try:
        answer = json.loads(text[start : end + 1]) if start >= 0 else {}
    except ValueError:
        return {}
    return {node: tasks for node, tasks in answer.items() if isinstance(tasks, list)} if isinstance(answer, dict) else {}


def parse_probe(output: bytes) -> Consumption | None:
    """What PROBE printed last; None where that is no JSON."""
    try:
        answer = json.loads(output.strip().rpartition(b"\n")[2])
        return Consumption(answer["consumers"], answer["lengths"], answer["probed"])
    except (ValueError, KeyError, TypeError):
        return None


def judge(active: Mapping[str, list[Any]], ready: int, seen: Consumption, queues: Sequence[str], queue_length: int) -> Finding:
    """Pure: each ready worker answers and consumes each queue, a task passes each queue, and no queue is longer than allowed."""
    running = sum(map(len, active.values()))
    waiting = ", ".join(f"{queue} {length}" for queue, length in seen.lengths.items())
    evidence = {
        "workers": sorted(active),
        "workers_ready": ready,
        "active_tasks": running,
        "queues": dict(seen.lengths),
        "consumers": dict(seen.consumers),
        "probed": seen.probed,
        "allowed_length": queue_length,
    }
    if len(active) < ready:
        message = f"Only {len(active)} of {ready} ready workers answer celery inspect."
        return Finding("VF-05", "fail", message, evidence, "kubectl logs -l app=hsc-jit-worker; a silent worker: kubectl delete pod ...")
    idle = {worker: missing for worker, known in seen.consumers.items() if (missing := sorted(set(queues) - set(known)))}
    if idle:
        told = "; ".join(f"{worker} does not consume {', '.join(missing)}" for worker, missing in sorted(idle.items()))
        step = "Restart the workers: kubectl rollout restart deploy/hsc-jit-worker; then see who cancelled the consumers (celery control)."
        return Finding("VF-05", "fail", f"{told}. Waiting: {waiting}.", evidence, step)
    long = {queue: length for queue, length in seen.lengths.items() if length > queue_length}
    if long:
        message = f"Queue {', '.join(long)}: {', '.join(map(str, long.values()))} tasks wait, {queue_length} are allowed."
        return Finding("VF-05", "fail", message, evidence, "Scale the workers: kubectl scale deploy/hsc-jit-worker --replicas=...")
    late = sorted(set(queues) - set(seen.probed)) if seen.probed is not None else []
    if late and not running:
        message = f"Queue {', '.join(late)}: a test task was not done within {PROBE_SECONDS} s, and no task runs. Waiting: {waiting}."
        return Finding(
            "VF-05", "fail", message, evidence, "kubectl logs -l app=hsc-jit-worker; kubectl rollout restart deploy/hsc-jit-worker"
        )
    if late:
        message = f"Queue {', '.join(late)}: a test task was not done within {PROBE_SECONDS} s; the workers are busy with {running} tasks."
        return Finding("VF-05", "warn", message, evidence, "Look at the queues again: playbooks/operate.yml -e operation=celery.")
    passed = f"a test task passed {', '.join(seen.probed)}" if seen.probed else "no test task was sent: the image is older"
    return Finding(
        "VF-05", "pass", f"{len(active)} of {ready} workers answer, {running} tasks run; waiting: {waiting}; {passed}.", evidence
    )
