# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""VF-09: no container of the product ends between the end of the rollout and the verdict. `judge` is pure.

A program may be ready, and end after some seconds, each time that it is started. The rollout alone does not see that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .._finding import Finding
from .._kube.objects import Object, condition, is_ready, owner_kinds, status_of

SETTLE = timedelta(seconds=30)  # how long pods that were replaced must stay up
_LOG_LINES = 5


@dataclass(frozen=True)
class Ended:
    """One container that ended. previous: its log is that of the previous container."""

    pod: str
    container: str
    exit: str
    previous: bool


def settled_at(pods: Sequence[Object], rollout_began: datetime) -> datetime | None:
    """When all pods that the rollout created have been ready for SETTLE; None if it created none. Times are the server's."""
    ready = [
        datetime.fromisoformat(condition(pod, "Ready")["lastTransitionTime"])
        for pod in _lasting(pods)
        if is_ready(pod) and datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) >= rollout_began
    ]
    return max(ready) + SETTLE if ready else None


def ended(pods: Sequence[Object], since: datetime) -> list[Ended]:
    """The containers that have ended at ``since`` or later, or do not run now."""
    return [one for pod in _lasting(pods) for one in _ended_of(pod, since)]


def _lasting(pods: Sequence[Object]) -> list[Object]:
    """The pods that should go on: not those of Jobs, and not those that are being replaced."""
    return [pod for pod in pods if "Job" not in owner_kinds(pod) and not pod["metadata"].get("deletionTimestamp")]


def _ended_of(pod: Object, since: datetime) -> Iterator[Ended]:
    name, spec = pod["metadata"]["name"], pod.get("spec") or {}
    sidecars = {one["name"] for one in spec.get("initContainers") or [] if one.get("restartPolicy") == "Always"}
    status = status_of(pod)
    helpers = [one for one in status.get("initContainerStatuses") or [] if one["name"] in sidecars]
    for container in [*helpers, *(status.get("containerStatuses") or [])]:
        now, last = container.get("state") or {}, (container.get("lastState") or {}).get("terminated") or {}
        if terminated := now.get("terminated"):
            yield Ended(name, container["name"], _exit(terminated), False)
        elif last and datetime.fromisoformat(last["finishedAt"]) >= since:
            yield Ended(name, container["name"], _exit(last), True)


def _exit(terminated: Mapping[str, Any]) -> str:
    reason = terminated.get("reason")
    told = f"exit code {terminated.get('exitCode')}" + (f", {reason}" if reason not in (None, "Error", "Completed") else "")
    return f"{told}, at {terminated.get('finishedAt')}"


def judge(pods: Sequence[Object], since: datetime, log: Callable[[Ended], str]) -> list[Finding]:
    """One finding for each container that ended and each pod that is not ready; one pass if there is none.

    log: the end of a container's log, without secrets.
    """
    findings = []
    for one in ended(pods, since):
        lines = [line for line in log(one).splitlines() if line.strip()][-_LOG_LINES:]
        message = f"Pod {one.pod}: container {one.container} ended after the rollout ({one.exit})."
        message += f" Log: {' | '.join(lines)}" if lines else ""
        step = f"kubectl logs {one.pod} -c {one.container}{' --previous' if one.previous else ''}; correct the cause and deploy again."
        evidence = {"pod": one.pod, "container": one.container, "exit": one.exit, "log": lines}
        findings.append(Finding("VF-09", "fail", message, evidence, step))
    told = {finding.evidence["pod"] for finding in findings}
    for pod in _lasting(pods):
        name = pod["metadata"]["name"]
        if name not in told and not is_ready(pod):
            why = condition(pod, "Ready").get("message") or status_of(pod).get("phase", "unknown")
            step = f"kubectl describe pod {name}; kubectl logs {name}"
            findings.append(Finding("VF-09", "fail", f"Pod {name} is not ready after the rollout: {why}.", {"pod": name}, step))
    count = len(_lasting(pods))
    message = f"No container of {count} pods has ended since {since:%H:%M:%S} UTC; all pods are ready."
    return findings or [Finding("VF-09", "pass", message, {"pods": count})]
