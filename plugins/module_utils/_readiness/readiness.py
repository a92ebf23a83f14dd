# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The one failure detector: is this object ready, does it still wait, or has it failed, and why? Pure: dicts in, State out.

A failed State has grace: for how long it must hold before it is believed, as some faults heal; without end while it is tried again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from .._kube import managed_fields
from .._kube.objects import Object, by_owner, condition, may_go_first, status_of
from .controllers import held_back, observed, passed_deadline, unbound
from .events import Events
from .pods import AWAY_SECONDS, CONTROL_PLANE_SECONDS, PodState, Restarts, kept_open, pod_state


@dataclass(frozen=True)
class State:
    """done/total: replicas, for progress. pod, container: where the log of a failure is. grace: seconds before a failure is believed.

    crashed: a program ended badly; where its pod may soon be gone, its log is worth keeping. late: as PodState has it.
    """

    status: Literal["ready", "waiting", "failed"]
    reason: str = ""
    next_step: str = ""
    done: int = 0
    total: int = 1
    grace: float = 0.0
    pod: str = ""
    container: str = ""
    restarted: bool = False
    crashed: bool = False
    late: bool = False


@dataclass(frozen=True)
class World:
    """What is in the namespace beside the object itself, as the API server lists it. events: of the two lists of ``_readiness/events``.

    restarts: of each container (by pod and name), when the wait began. old: ``old_words``. node_scale_up_seconds: for which a pod
    may have no place, or its node not be ready for it.
    """

    pods: Sequence[Object] = ()
    replica_sets: Sequence[Object] = ()
    events: Sequence[Object] = ()
    claims_used: frozenset[str] = field(default_factory=frozenset)
    restarts: Restarts = field(default_factory=dict)
    old: frozenset[str] = field(default_factory=frozenset)
    node_scale_up_seconds: float = 0.0

    def owned(self, owner: Object) -> list[Object]:
        """The ReplicaSets of a Deployment, the pods of anything else."""
        return self._by_owner.get(owner["metadata"].get("uid", ""), [])

    @cached_property
    def _by_owner(self) -> dict[str, list[Object]]:
        return by_owner([*self.pods, *self.replica_sets])

    def pod_state(self, pod: Object) -> PodState:
        state = pod_state(pod, self.told, self.restarts)
        new_node = state.unschedulable or state.late
        return replace(state, grace=max(state.grace, self.node_scale_up_seconds)) if new_node else state

    @cached_property
    def told(self) -> Events:
        return Events(self.events)

    def refused(self, obj: Object) -> str:
        """Why its controller could make no pod, unless it has made one since; empty if nothing says so."""
        made = [str(pod["metadata"].get("creationTimestamp") or "") for pod in self.owned(obj)]
        return self.told.last(obj, "FailedCreate", since=max(made, default=""))


def assess(obj: Object | None, world: World) -> State:
    """The state of one object; None: it is not there (yet)."""
    if obj is None:
        return State("waiting", "it is not there yet")
    judge = _JUDGES.get(obj["kind"])
    return judge(obj, world) if judge else State("ready", done=1)


def _of_replaced(pods: Sequence[Object], world: World, done: int, total: int, otherwise: str) -> State:
    """Pods whose controller replaces what has failed: it heals an eviction or two; again and again is a failure."""
    lost = [pod for pod in pods if status_of(pod).get("phase") == "Failed"]
    if len(lost) < _LOST_AGAIN:
        pods = [pod for pod in pods if pod not in lost]
    return _of_pods(pods, world, done, total, otherwise)


def _of_pods(pods: Sequence[Object], world: World, done: int, total: int, otherwise: str, *, tried_again: bool = False) -> State:
    """The worst pod decides: one that has failed, else one that says what it waits for.

    tried_again: whether a program that ended badly is none yet, because somebody counts how often it may.
    """
    states = [world.pod_state(pod) for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    states = [replace(state, status="waiting") if tried_again and state.crashed else state for state in states]
    worst = max(states, key=lambda state: (state.status == "failed", state.status == "waiting", -state.grace), default=PodState("ready"))
    if worst.status == "ready":
        return State("waiting", otherwise, done=done, total=total)
    leaving = _leaving(worst, world) if worst.unschedulable else 0
    if leaving:
        return State("waiting", f"waits for the room of {leaving} pods that are ending: {worst.reason}", done=done, total=total)
    reason = f"pod {worst.pod}: {worst.reason}" if worst.status == "failed" else worst.reason
    return _of_pod(worst, reason, done, total)


def _of_pod(pod: PodState, reason: str, done: int, total: int) -> State:
    told = State(pod.status, reason, pod.next_step, done, total, pod.grace, pod.pod, pod.container)
    return replace(told, restarted=pod.restarted, crashed=pod.crashed, late=pod.late)


def _leaving(waiting: PodState, world: World) -> int:
    """How many pods are ending whose place the unschedulable one could have: any if it lacks room, its own kind if it avoids that."""
    ending = [pod for pod in world.pods if pod["metadata"].get("deletionTimestamp")]
    if "Insufficient" in waiting.reason or "Too many pods" in waiting.reason:
        return len(ending)
    own = next((_kind_of(pod) for pod in world.pods if pod["metadata"]["name"] == waiting.pod), {})
    return sum(1 for pod in ending if _kind_of(pod) == own)


def _kind_of(pod: Object) -> dict[str, str]:
    """Its labels without those that tell one revision from the other."""
    labels = pod["metadata"].get("labels") or {}
    return {name: value for name, value in labels.items() if not name.endswith(("-hash", "-generation"))}


def _deployment(obj: Object, world: World) -> State:
    total = int(obj["spec"].get("replicas", 1))
    status = status_of(obj)
    updated = int(status.get("updatedReplicas", 0))
    old = int(status.get("replicas", 0)) - updated
    available = max(0, int(status.get("availableReplicas", 0)) - old)  # of the new ones: old pods stay until they are replaced
    if not observed(obj):
        return _not_observed(obj, total)
    if int(status.get("replicas", 0)) == updated == total and int(status.get("availableReplicas", 0)) >= total:
        return State("ready", done=total, total=total)
    failure = condition(obj, "ReplicaFailure")
    if failure.get("status") == "True":
        message, grace = str(failure.get("message")), 2.0
        if "exceeded quota" in message and may_go_first(obj, total):
            if old > 0:
                return State("waiting", f"waits for the room of old pods, which end first: {message}", done=available, total=total)
            grace = _QUOTA_PASSED_ON
        return State("failed", f"pods cannot be made: {message}", _QUOTA, available, total, grace=grace)
    sets = world.owned(obj)
    revision = (obj["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision")
    current = [one for one in sets if (one["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision") == revision]
    pods = [pod for one in current for pod in world.owned(one)]
    if obj["spec"].get("paused"):
        return State("failed", f"spec.paused{_by(obj, 'spec.paused')} holds its new pods back", _RESUME, available, total, grace=1.0)
    state = _of_replaced(pods, world, available, total, "old pods are still ending" if updated >= total else "pods are being made")
    if (passed := passed_deadline(obj)) and passed not in world.old:
        reason = f"no progress within {obj['spec'].get('progressDeadlineSeconds', 600)} s; {state.reason}"
        step, grace = state.next_step or "Look at the pod's events and log.", min(state.grace, world.node_scale_up_seconds)
        return replace(state, status="failed", reason=reason, next_step=step, grace=grace)
    return state


def _not_observed(obj: Object, total: int) -> State:
    """A controller sees a change within milliseconds. Where it does not run, nothing ever happens, and no pod changes."""
    status, generation = status_of(obj), obj["metadata"].get("generation")
    ready = int(status.get("readyReplicas", status.get("numberReady", 0)) or 0)
    reason = f"generation {generation} is not observed ({status.get('observedGeneration', 0)} is): is kube-controller-manager running?"
    if ready:
        reason += f" Its pods have not changed; {ready} are ready."
    return State("failed", reason, _CONTROLLER, 0, total, grace=CONTROL_PLANE_SECONDS, late=True)


def _stateful_set(obj: Object, world: World) -> State:
    total = int(obj["spec"].get("replicas", 1))
    status = status_of(obj)
    available = "availableReplicas" if obj["spec"].get("minReadySeconds") else "readyReplicas"
    ready, updated = int(status.get(available, 0)), int(status.get("updatedReplicas", 0))
    if not observed(obj):
        return _not_observed(obj, total)
    if ready >= total and updated >= total and int(status.get("replicas", 0)) == total:
        return State("ready", done=total, total=total)
    if held := held_back(obj):
        return State(
            "failed", f"{held}{_by(obj, 'spec.updateStrategy')} holds pods back: {updated} of {total} are new", _RESUME, ready, total, 1.0
        )
    pods = world.owned(obj)
    revision = status.get("updateRevision")
    current = [pod for pod in pods if (pod["metadata"].get("labels") or {}).get("controller-revision-hash") == revision]
    if not current and (message := world.refused(obj)):
        grace = _QUOTA_PASSED_ON if "exceeded quota" in message else 2.0
        return State("failed", f"pods cannot be made: {message}", _QUOTA, ready, total, grace=grace)
    return _of_replaced(current or pods, world, min(ready, updated), total, "pods are being made")


def _by(obj: Object, field: str) -> str:
    owner = managed_fields.owner_of(obj, field, ours="hsc.jit")
    return f" (set by {owner})" if owner else ""


def _daemon_set(obj: Object, world: World) -> State:
    status = status_of(obj)
    total, done = int(status.get("desiredNumberScheduled", 0)), int(status.get("numberAvailable", 0))
    updated = int(status.get("updatedNumberScheduled", 0))
    if not observed(obj):
        return _not_observed(obj, total)
    if done >= total and updated >= total:
        return State("ready", done=total, total=total)
    if message := world.refused(obj):
        return State("failed", f"pods cannot be made: {message}", _QUOTA, done, total, grace=2.0)
    generation = str(obj["metadata"].get("generation"))
    pods = world.owned(obj)
    current = [pod for pod in pods if (pod["metadata"].get("labels") or {}).get("pod-template-generation", generation) == generation]
    return _of_replaced(current, world, min(done, updated), total, "pods are being made")


def _job(obj: Object, world: World) -> State:
    status = status_of(obj)
    total = int(obj["spec"].get("completions") or 1)
    done = int(status.get("succeeded", 0))
    if condition(obj, "Complete").get("status") == "True":
        return State("ready", done=total, total=total)
    pods = world.owned(obj)
    failed = next((one for kind in ("Failed", "FailureTarget") if (one := condition(obj, kind)).get("status") == "True"), None)
    if failed:
        worst = _of_pods(pods, world, done, total, "")
        # a pod that fails by itself stays with its log, until somebody clears it away
        gone = failed.get("reason") == "BackoffLimitExceeded" and all(pod["metadata"].get("deletionTimestamp") for pod in pods)
        why = "its pod was deleted while it worked or since, or lost with its node" if gone else worst.reason
        reason = f"{failed.get('reason')}: {failed.get('message')}" + (f" ({why})" if why else "")
        return State("failed", reason, _ENDED, done, total, 0.0, worst.pod, worst.container)
    if message := world.refused(obj):
        return State("failed", f"pods cannot be made: {message}", _QUOTA, done, total, grace=2.0)
    if not status and not pods and not obj["spec"].get("suspend"):
        return State(
            "failed",
            "no controller has started it: is kube-controller-manager running?",
            _CONTROLLER,
            0,
            total,
            grace=CONTROL_PLANE_SECONDS,
            late=True,
        )
    running = [pod for pod in pods if status_of(pod).get("phase") not in ("Failed", "Succeeded")]
    if held := next((state for pod in running if (state := kept_open(pod))), None):
        return State("failed", f"pod {held.pod}: {held.reason}", held.next_step, done, total, held.grace, held.pod, held.container)
    return _of_pods(running, world, done, total, "running" if running else "pods are being made", tried_again=True)


def _pod(obj: Object, world: World) -> State:
    state = world.pod_state(obj)
    return _of_pod(state, state.reason, int(state.status == "ready"), 1)


def _claim(obj: Object, world: World) -> State:
    phase = status_of(obj).get("phase")
    if phase == "Bound":
        return State("ready", done=1)
    if phase == "Lost":
        return State("failed", "its volume is lost", "Restore from a backup onto a new claim.")
    if message := world.told.last(obj, "ProvisioningFailed"):
        grace = 3.0 if "not found" in message and unbound(obj) not in world.old else AWAY_SECONDS
        return State("failed", f"no volume can be made: {message}", "Check release_storage.class and the provisioner.", grace=grace)
    if obj["metadata"]["name"] not in world.claims_used:
        return State("ready", "bound when a pod first uses it", done=1)
    return State("waiting", "its volume is being made")


def _autoscaler(obj: Object, _world: World) -> State:
    """Without metrics for a while it only does not scale; without its target it never will."""
    able = condition(obj, "AbleToScale")
    if able.get("status") == "False" and able.get("reason") == "FailedGetScale":
        return State("failed", str(able.get("message")), "Correct spec.scaleTargetRef.", grace=3.0)
    return State("ready", done=1)


_LOST_AGAIN = 3  # so many pods that failed whole (evicted, refused by the node) are no accident
_CONTROLLER = "Check the control plane: kubectl -n kube-system get pods,leases; kubectl get --raw '/readyz?verbose'."
_RESUME = "Take that field back (kubectl rollout resume, kubectl edit), then run again."
_QUOTA_PASSED_ON = 15.0  # seconds: what an old pod gave back another workload may have taken, whose own old pod is about to end
_ENDED = "Read the pod's log and correct the cause; delete the Job if it is one of the manifests, which is not tried anew; then run again."
_QUOTA = "Raise the quota or correct what the admission message names, then run again."
_JUDGES = {
    "Deployment": _deployment,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "Pod": _pod,
    "PersistentVolumeClaim": _claim,
    "HorizontalPodAutoscaler": _autoscaler,
}
WAITED_FOR = frozenset(_JUDGES)
