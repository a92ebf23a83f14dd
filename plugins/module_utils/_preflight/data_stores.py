# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""PF-09: do the data stores run? One that does not cannot be backed up, so nothing may change. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .._finding import Finding
from .._kube.objects import Object, by_owner, is_ready, title
from .._readiness.events import Events
from .._readiness.pods import PodState, pod_state

_LOG_LINES = 3


def check(stores: Sequence[Object], pods: Sequence[Object], log: Callable[[PodState], str]) -> list[Finding]:
    """One finding for each data store that does not run; one pass otherwise.

    stores: the product's StatefulSets in the cluster. log: the last lines of the container that a PodState names.
    """
    owned = by_owner(pods)
    findings = [finding for store in stores if (finding := _judge(store, owned.get(store["metadata"]["uid"], []), log))]
    names = ", ".join(store["metadata"]["name"] for store in stores) or "none exists yet"
    return findings or [Finding("PF-09", "pass", f"The data stores run ({names}).", {"stores": [title(store) for store in stores]})]


def _judge(store: Object, pods: Sequence[Object], log: Callable[[PodState], str]) -> Finding | None:
    wanted, name = int(store["spec"].get("replicas", 1)), store["metadata"]["name"]
    ready = [pod for pod in pods if is_ready(pod) and not pod["metadata"].get("deletionTimestamp")]
    if len(ready) >= wanted:
        return None
    states = [state for pod in pods if (state := pod_state(pod, Events())).status != "ready"]
    state = max(states, key=lambda one: one.status == "failed", default=PodState("waiting", "it has no pod"))
    lines = [line for line in log(state).splitlines() if line.strip()][-_LOG_LINES:] if state.container else []
    evidence: Mapping[str, object] = {"store": name, "ready": len(ready), "wanted": wanted, "pod": state.pod, "log": lines}
    message = f"Data store {name}: {len(ready)} of {wanted} pods are ready ({state.reason or 'starting'})."
    message += f" Log: {' | '.join(lines)}" if lines else ""
    pod, previous = state.pod or f"{name}-0", " --previous" if state.restarted else ""
    look = f"kubectl describe pod {pod}; kubectl logs {pod}{previous}."
    step = f"{look} Files of another version: go back to the image that wrote them. Damaged files: playbooks/restore.yml."
    return Finding("PF-09", "fail", message, evidence, step)
