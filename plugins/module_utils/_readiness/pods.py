# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The state of one pod: the kubelet's and the scheduler's words turned into a verdict. Pure: dicts in, PodState out."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Literal

from .._kube.objects import Object, condition, is_ready, status_of
from .events import Events
from .probes import killed_by_probe

Restarts = Mapping[tuple[str, str], int]  # of (pod, container)


@dataclass(frozen=True)
class PodState:
    """grace: seconds for which a failure must hold. restarted: the log that tells why is the previous container's.

    unschedulable: no node has room for it, which may change when others leave. crashed: its program ended badly by itself. late: its node
    is not ready for it: the kubelet is busy, or of a new node the network or a storage driver begins after the first pods.
    """

    status: Literal["ready", "waiting", "failed"]
    reason: str = ""
    next_step: str = ""
    grace: float = 0.0
    pod: str = ""
    container: str = ""
    restarted: bool = False
    unschedulable: bool = False
    crashed: bool = False
    late: bool = False


_FINAL_PULL = ("not found", "manifest unknown", "unauthorized", "denied", "no match for platform", "invalid reference")
# For which what a pod needs may be away: a registry (the kubelet tries again after 10 s and after 30), its volume (a kubelet that asks for
# a claim before the node authorizer knows the pod waits 16 s; a provisioner's calls end with DeadlineExceeded and are repeated), its node.
AWAY_SECONDS = 45.0
CONTROL_PLANE_SECONDS = 30.0  # a controller, scheduler or kubelet that has not reacted for so long does not run
_MISSING = re.compile(r'(secret|configmap)s? "(?!kube-root-ca\.crt")[^"]*" not found|references non-existent')
# What the runtime says while its node is too busy: a call took too long, and the same container is wanted again before it has ended.
_RUNTIME_LATE = ("context deadline exceeded", "DeadlineExceeded", "is reserved")
# What the kubelet says of a volume while its node is not ready for it, or the namespace is so new that it has no kube-root-ca.crt.
_NODE_LATE = ("failed to sync", "not registered", "list of registered CSI drivers", 'configmap "kube-root-ca.crt" not found')
# Reasons of a container that waits without having failed.
_STARTING = {"ContainerCreating": "pulling image or mounting volumes", "PodInitializing": "waits for its init containers"}
_RUN = "Correct command, securityContext or mounts of this container."
_IMAGE = "Check release_images: does the registry have this digest, and may the node pull it?"
_CONFIG = "Make the missing Secret, ConfigMap or key, then run again."
_NODE = "Look at the pod's node: its load, its kubelet's log, and its network and storage pods in kube-system."
_CRASH = "Read the log; put the previous release back, or correct the cause and run again."
_MEMORY = "Raise limits.memory of this workload in rollout_resources, or find the leak."
_PROBE = "Read the log; correct what the probe asks for, or give it more time (failureThreshold, periodSeconds)."
_SCHEDULER = "Check kube-scheduler (kubectl -n kube-system get pods,leases), or the pod's spec.schedulerName."
_KUBELET = "Look at the node (kubectl describe node) and at its kubelet (systemctl status kubelet)."
_SIDECAR = "Make the helper a sidecar (an init container with restartPolicy Always), or let it end when the work is done."
_SCHEDULE = (
    "Lower what it requests (rollout_resources), free a node, or add one; "
    "where an autoscaler adds nodes, set release_node_scale_up_seconds to the time it needs."
)


@dataclass(frozen=True)
class _Failure:
    """What the reason of a waiting container means.

    grace: seconds for which it must last. names_image: the image is told where the kubelet gives no message. by_runtime: a busy
    container runtime gives the same reason; then it is late, and the node is looked at.
    """

    next_step: str
    grace: float = 0.0
    names_image: bool = False
    by_runtime: bool = False


_PULL_REASONS = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "SignatureValidationFailed"})
_FAILURES: Mapping[str, _Failure] = {
    "InvalidImageName": _Failure(_IMAGE, names_image=True),
    "ErrImageNeverPull": _Failure(_IMAGE, names_image=True),
    "ImageInspectError": _Failure(_IMAGE, names_image=True),
    "CreateContainerConfigError": _Failure(_CONFIG, grace=1.0),
    "CreateContainerError": _Failure(_RUN, grace=1.0, by_runtime=True),
    "RunContainerError": _Failure(_RUN, grace=1.0, by_runtime=True),
    "PreStartHookError": _Failure(_RUN, grace=1.0),
    "PostStartHookError": _Failure(_RUN, grace=1.0),
}


def pod_state(pod: Object, events: Events, before: Restarts = MappingProxyType({})) -> PodState:
    """The first fault that explains the rest: scheduling, then each container, then mounts and sandbox.

    before: restarts that had happened when somebody began to look; a node that was started again last week is no fault of today.
    """
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    if status.get("phase") == "Succeeded":
        return PodState("ready", pod=name)
    if scheduling := _scheduling(pod):
        return scheduling
    states = [state for container in _containers(pod) for state in _container(container, pod, events, before)]
    if failed := [state for state in states if state.status == "failed"]:
        return min(failed, key=lambda state: state.grace)
    if waits := next(iter(states), None):
        return blocked(pod, events) or waits
    if idle := _not_started(pod):
        return idle
    if status.get("phase") == "Failed":
        return PodState("failed", f"{status.get('reason', 'Failed')}: {status.get('message', '')}", _CRASH, pod=name)
    if is_ready(pod):
        return PodState("ready", pod=name)
    ready = condition(pod, "Ready")
    why = ready.get("message") if ready.get("reason") == "ReadinessGatesNotReady" else events.last(pod, "Unhealthy")
    return blocked(pod, events) or PodState("waiting", f"not ready: {why}" if why else "starting", pod=name)


def _scheduling(pod: Object) -> PodState | None:
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") != "False":
        return None
    name, message = pod["metadata"]["name"], str(scheduled.get("message", "")).rstrip(".")
    if scheduled.get("reason") != "Unschedulable" or "unbound immediate PersistentVolumeClaims" in message:
        return PodState("waiting", f"waits for a node: {message}", pod=name)
    if node := status_of(pod).get("nominatedNodeName"):
        return PodState("waiting", f"waits until pods of lower priority have left {node}: {message}", pod=name)
    return PodState("failed", f"Unschedulable: {message}", _SCHEDULE, grace=3.0, pod=name, unschedulable=True)


def _not_started(pod: Object) -> PodState | None:
    """A pod that the scheduler or the kubelet has not touched. Neither says why: it does not run."""
    name, node, status = pod["metadata"]["name"], (pod.get("spec") or {}).get("nodeName"), status_of(pod)
    if status.get("phase") != "Pending" or status.get("startTime") or condition(pod, "PodScheduled").get("status") == "False":
        return None
    if node:
        reason, step = f"node {node} has not begun to start it: is its kubelet running?", _KUBELET
    else:
        scheduler = (pod.get("spec") or {}).get("schedulerName", "default-scheduler")
        reason, step = f"no scheduler has looked at it: is {scheduler} running?", _SCHEDULER
    return PodState("failed", reason, step, CONTROL_PLANE_SECONDS, name, late=True)


def _container(status: Object, of: Object, events: Events, before: Restarts) -> Iterator[PodState]:
    """What one container's status says; nothing if it runs and is ready, or ended well. of: its pod."""
    name, pod, restarts = status["name"], of["metadata"]["name"], int(status.get("restartCount", 0))
    ended = (status.get("state") or {}).get("terminated")
    last = (status.get("lastState") or {}).get("terminated") or {}
    if (status.get("state") or {}).get("waiting"):
        base = PodState("waiting", pod=pod, container=name, restarted=restarts > 0)
        pulling = events.when(of, "Pulling", name) > max(events.when(of, "Failed", name), _started(status))
        # older kubelets tell only in an event why an image was not pulled
        yield _waiting(status, base, events.last(of, "Failed", container=name), pulling=pulling)
    elif ended and ended.get("exitCode") != 0:
        told = _exit(ended)
        if restarts > before.get((pod, name), 0):
            yield PodState("failed", f"container {name} ends again and again: {told}", _after(ended), 2.0, pod, name, crashed=True)
        else:
            yield PodState("waiting", f"container {name}: {told}", _after(ended), 0.0, pod, name, crashed=True)
    elif not ended and not status.get("ready"):
        why = f", restarted {restarts} times, last {_exit(last)}" if restarts else ""
        if restarts > before.get((pod, name), 0) and (probe := killed_by_probe(of, name, events)):
            yield PodState("failed", f"container {name}: {probe}; {_exit(last)}", _PROBE, 3.0, pod, name, True, crashed=True)
        elif restarts - before.get((pod, name), 0) >= 3 and last.get("exitCode"):
            yield PodState(
                "failed", f"container {name} ends again and again: {_exit(last)}", _after(last), 5.0, pod, name, True, crashed=True
            )
        elif why:
            yield PodState("waiting", f"container {name} starting{why}", pod=pod, container=name, restarted=True, crashed=True)


def _waiting(status: Object, base: PodState, refused: str, *, pulling: bool) -> PodState:
    """The state of a container that waits, by the table ``_FAILURES``; a reason that is not in it is no failure.

    pulling: its image is being pulled now, even if the status is older. refused: why the last pull failed, from an event.
    """
    waiting = status["state"]["waiting"]
    reason, message = str(waiting.get("reason", "")), str(waiting.get("message", "")).strip()
    if reason == "CrashLoopBackOff":
        return _crash_loop(status, base)
    if reason in _PULL_REASONS:
        return _pull_failure(base, reason, message, refused, status.get("image"), pulling=pulling)
    if failure := _FAILURES.get(reason):
        told = f"container {base.container}: {reason}: {message or (status.get('image') if failure.names_image else '')}"
        state = replace(base, status="failed", reason=told, next_step=failure.next_step, grace=failure.grace)
        busy = failure.by_runtime and any(words in message for words in _RUNTIME_LATE)
        return replace(state, next_step=_NODE, grace=AWAY_SECONDS, late=True) if busy else state
    told = "pulling image" if pulling and reason in _STARTING else _STARTING.get(reason, reason)
    return PodState("waiting", told, pod=base.pod, container=base.container)


def _crash_loop(status: Object, base: PodState) -> PodState:
    last = (status.get("lastState") or {}).get("terminated") or {}
    told = f"container {base.container}: CrashLoopBackOff: {_exit(last)}, restarted {status.get('restartCount', 0)} times"
    return replace(base, status="failed", reason=told, next_step=_after(last), restarted=True, crashed=True)


def _pull_failure(base: PodState, reason: str, message: str, refused: str, image: str | None, *, pulling: bool) -> PodState:
    """A pull that the registry refused for good fails at once; another one may succeed within AWAY_SECONDS."""
    why = message if "rpc error" in message or not refused else f"{message} {refused}"
    told = f"{reason}: {why or image}"
    if pulling:
        told, grace = f"pulling image again, after {told}", math.inf
    else:
        grace = 0.0 if any(word in why.lower() for word in _FINAL_PULL) else AWAY_SECONDS
    return replace(base, status="failed", reason=f"container {base.container}: {told}", next_step=_IMAGE, grace=grace)


def _exit(ended: Object) -> str:
    code, reason, message = ended.get("exitCode"), ended.get("reason"), str(ended.get("message") or "").strip()
    told = f"exit code {code}" + (f", {reason}" if reason not in (None, "Error") else "")
    return f"{told}: {message[-300:]}" if message else told


def kept_open(pod: Object) -> PodState | None:
    """A pod of a Job whose work is done while another container goes on, so that neither pod nor Job ever ends.

    The work is the first container's, or the one's that the annotation names by which kubectl chooses too.
    """
    containers = {one["name"]: one for one in status_of(pod).get("containerStatuses") or []}
    first = next((one["name"] for one in (pod.get("spec") or {}).get("containers") or []), "")
    name = (pod["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container", first)
    ended = ((containers.get(name) or {}).get("state") or {}).get("terminated")
    others = sorted(other for other, one in containers.items() if other != name and (one.get("state") or {}).get("running"))
    if not ended or not others:
        return None
    told = f"container {name} ended at {ended.get('finishedAt')} ({_exit(ended)}), and {', '.join(others)} keeps the Job open"
    return PodState("failed", told, _SIDECAR, 5.0, pod["metadata"]["name"], name)


def _after(ended: Object) -> str:
    return _MEMORY if ended.get("reason") == "OOMKilled" else _CRASH


def blocked(pod: Object, events: Events) -> PodState | None:
    """Why containers are not even created: volumes or the sandbox. Only events say so; what came before a pull or a start is over."""
    name, since = pod["metadata"]["name"], max(_last_start(pod), events.when(pod, "Pulling"))
    if message := events.last(pod, "FailedMount", "FailedAttachVolume", since=since):
        state = PodState("failed", f"FailedMount: {message}", "Check the volume.", AWAY_SECONDS, name)
        if _MISSING.search(message):
            return replace(state, next_step=_CONFIG, grace=1.0)
        return replace(state, next_step=_NODE, late=True) if any(words in message for words in _NODE_LATE) else state
    if message := events.last(pod, "FailedCreatePodSandBox", since=since):
        return PodState("failed", f"FailedCreatePodSandBox: {message}", _NODE, AWAY_SECONDS, name, late=True)
    return None


def backed_off(pod: Object, events: Events) -> bool:
    """Whether something of it, a container or a volume's mount, failed and waits for up to five minutes until it is tried again."""
    reasons = {((one.get("state") or {}).get("waiting") or {}).get("reason") for one in _containers(pod)}
    return bool(reasons - {None, *_STARTING} or blocked(pod, events))


def starting(pod: Object, now: datetime) -> bool:
    """Whether a program of it works at becoming ready, and not for longer than its startup probes allow, AWAY_SECONDS at least.

    Counted from when it became unready, or from a first start after that: its image had to be pulled. A start after a crash begins nothing.
    """
    running = [one for one in _containers(pod) if "running" in (one.get("state") or {})]
    unready = condition(pod, "Ready")
    if not running or unready.get("status", "True") == "True":
        return False
    since = max([unready["lastTransitionTime"], *(_started(one) for one in running if not one.get("restartCount"))])
    spec = pod.get("spec") or {}
    probes = [probe for kind in ("initContainers", "containers") for one in spec.get(kind) or [] if (probe := one.get("startupProbe"))]
    seconds = sum(one.get("initialDelaySeconds", 0) + one.get("periodSeconds", 10) * one.get("failureThreshold", 3) for one in probes)
    return now - datetime.fromisoformat(since) <= timedelta(seconds=max(AWAY_SECONDS, seconds))


def _last_start(pod: Object) -> str:
    """When a container of the pod last started; empty if none has."""
    return max(map(_started, _containers(pod)), default="")


def _started(container: Object) -> str:
    states = [state for which in ("state", "lastState") for state in (container.get(which) or {}).values()]
    return max((str(state["startedAt"]) for state in states if state.get("startedAt")), default="")


def _containers(pod: Object) -> list[Object]:
    """The statuses of its containers, those that run first before the others."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
