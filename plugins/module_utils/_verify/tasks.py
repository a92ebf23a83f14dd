# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""VF-05: the workers answer, and their queues do not grow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .._errors import ApiError
from .._finding import Finding
from .._kube.client import Cluster
from .._kube.objects import is_ready
from .logs import redact

# The guide's own command, with a machine's answer.
INSPECT = ("celery", "-A", "app.core.tasks", "inspect", "active", "--timeout", "5", "--json")
# Lengths by the client that the image has anyway; URL and password are the container's environment.
LENGTHS = """
import json, redis
from app import config
queues = %s
client = redis.Redis.from_url(config.from_env().redis_url, socket_timeout=3)
print(json.dumps({queue: client.llen(queue) for queue in queues}))
"""


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
        lengths = cluster.exec(pod, container, ["python", "-c", LENGTHS % json.dumps(queues)], timeout_seconds=15)
    except (ApiError, TimeoutError) as problem:
        message = f"Pod {pod}: celery inspect could not be run: {problem or type(problem).__name__}"
        forbidden = isinstance(problem, ApiError) and problem.status == 403
        step = "Give the deployer the right to create pods/exec." if forbidden else f"kubectl describe pod {pod}; then verify again."
        return [Finding("VF-05", "error", message, {"pod": pod}, step)]
    active = parse_inspect(inspected.stdout)
    if inspected.returncode or not active:
        words = redact((inspected.stderr or inspected.stdout.decode("utf-8", "replace")).strip())[-300:]
        message = f"Workers do not answer: celery inspect active in {pod} ended with {inspected.returncode}: {words}"
        step = f"kubectl exec {pod} -- celery -A app.core.tasks inspect active; kubectl logs {pod}"
        return [Finding("VF-05", "fail", message, {"pod": pod, "exit_code": inspected.returncode}, step)]
    queued = parse_lengths(lengths.stdout)
    if lengths.returncode or queued is None:
        words = redact(lengths.stderr.strip()).rpartition("\n")[2][:300] or f"the answer was {lengths.stdout[:100]!r}"
        return [
            Finding("VF-05", "fail", f"Queue lengths cannot be read from {pod}: {words}", {"pod": pod}, "kubectl logs sts/hsc-jit-redis")
        ]
    return [judge(active, len(workers), queued, queue_length)]


def parse_inspect(output: bytes) -> dict[str, list[Any]]:
    """``{"celery@pod": [tasks]}`` out of what celery writes; {} if nobody answered."""
    text = output.decode("utf-8", "replace")
    start, end = text.find("{"), text.rfind("}")
    try:
        answer = json.loads(text[start : end + 1]) if start >= 0 else {}
    except ValueError:
        return {}
    return {node: tasks for node, tasks in answer.items() if isinstance(tasks, list)} if isinstance(answer, dict) else {}


def parse_lengths(output: bytes) -> dict[str, int] | None:
    """``{queue: tasks}``; None where the answer is no JSON."""
    try:
        answer: dict[str, int] = json.loads(output)
    except ValueError:
        return None
    return answer


def judge(active: Mapping[str, list[Any]], ready: int, lengths: Mapping[str, int], queue_length: int) -> Finding:
    """Pure: each ready worker answered, no queue longer than allowed."""
    running = sum(map(len, active.values()))
    waiting = ", ".join(f"{queue} {length}" for queue, length in lengths.items())
    evidence = {
        "workers": sorted(active),
        "workers_ready": ready,
        "active_tasks": running,
        "queues": dict(lengths),
        "allowed_length": queue_length,
    }
    if len(active) < ready:
        message = f"Only {len(active)} of {ready} ready workers answer celery inspect."
        return Finding("VF-05", "fail", message, evidence, "kubectl logs -l app=hsc-jit-worker; a silent worker: kubectl delete pod ...")
    long = {queue: length for queue, length in lengths.items() if length > queue_length}
    if long:
        message = f"Queue {', '.join(long)}: {', '.join(map(str, long.values()))} tasks wait, {queue_length} are allowed."
        return Finding("VF-05", "fail", message, evidence, "Scale the workers: kubectl scale deploy/hsc-jit-worker --replicas=...")
    return Finding("VF-05", "pass", f"{len(active)} of {ready} workers answer, {running} tasks run; waiting: {waiting}.", evidence)
