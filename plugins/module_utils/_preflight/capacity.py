# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""PF-01: is there room for what the release adds at its peak? Pure: no I/O.

A pod counts if it must run before an old one may go: replicas that do not run yet, and maxSurge where maxUnavailable is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._finding import Finding, Verdict
from .._kube.objects import at
from .._kube.quantities import int_or_percent, parse_quantity
from .._kube.workloads import Workload, labels_match, of_kind, requests, size, workloads

_RESOURCES = ("cpu", "memory", "pods")


@dataclass
class Room:
    """What is left on a node: cores, bytes, pods."""

    node: Mapping[str, Any]
    free: dict[str, float]

    def takes(self, workload: Workload, need: Mapping[str, float]) -> bool:
        allowed = labels_match(workload.spec.get("nodeSelector"), self.node["metadata"].get("labels")) or not workload.spec.get(
            "nodeSelector"
        )
        return allowed and tolerated(self.node, workload.spec) and all(self.free[name] >= need[name] for name in _RESOURCES)


def tolerated(node: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    """Whether the pod may be there: each taint that forbids scheduling has a toleration."""

    def covers(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
        same_key = toleration.get("key") in (None, taint["key"])
        same_value = toleration.get("operator") == "Exists" or toleration.get("value") == taint.get("value")
        return same_key and same_value and toleration.get("effect") in (None, taint["effect"])

    taints = [taint for taint in at(node, "spec.taints") or [] if taint["effect"] in ("NoSchedule", "NoExecute")]
    return all(any(covers(toleration, taint) for toleration in spec.get("tolerations") or []) for taint in taints)


def rooms(nodes: Sequence[Mapping[str, Any]], pods: Sequence[Mapping[str, Any]]) -> list[Room]:
    """Allocatable minus the requests of the pods that are there. Cordoned nodes take nothing."""
    left = {}
    for node in nodes:
        if not at(node, "spec.unschedulable"):
            allocatable = node["status"]["allocatable"]
            left[node["metadata"]["name"]] = Room(node, {name: parse_quantity(allocatable.get(name)) for name in _RESOURCES})
    for pod in pods:
        room = left.get(pod["spec"].get("nodeName", ""))
        if room and at(pod, "status.phase") not in ("Succeeded", "Failed"):
            for name, amount in requests(pod["spec"]).items():
                room.free[name] -= amount
    return list(left.values())


def added_pods(workload: Workload, running: int, least: Mapping[str, int]) -> int:
    """How many pods more than now must run at the same time. least: an HPA's minReplicas by Deployment."""
    obj = workload.obj
    replicas = at(obj, "spec.replicas")
    if replicas is None:
        replicas = max(running, least.get(obj["metadata"]["name"], 1))
    surge = 0
    if obj["kind"] == "Deployment" and at(obj, "spec.strategy.type") != "Recreate" and running:
        rolling = at(obj, "spec.strategy.rollingUpdate") or {}
        if int_or_percent(rolling.get("maxUnavailable", "25%"), replicas, round_up=False) == 0:
            surge = max(1, int_or_percent(rolling.get("maxSurge", "25%"), replicas, round_up=True))
    return max(0, int(replicas) + surge - running)


def check(
    objects: Sequence[Mapping[str, Any]],
    nodes: Sequence[Mapping[str, Any]],
    pods: Sequence[Mapping[str, Any]],
    namespace: str,
    node_scale_up_seconds: float = 0.0,
) -> list[Finding]:
    """PF-01. Largest pods first, each on the first node that takes it, as a scheduler could do it."""
    least = {at(hpa, "spec.scaleTargetRef.name"): at(hpa, "spec.minReplicas") or 1 for hpa in of_kind(objects, "HorizontalPodAutoscaler")}
    mine = [pod for pod in pods if pod["metadata"]["namespace"] == namespace and pod["spec"].get("nodeName")]
    wanted: list[tuple[Workload, dict[str, float]]] = []
    for workload in workloads(of_kind(objects, "Deployment", "StatefulSet")):
        labels = at(workload.obj, "spec.selector.matchLabels")
        running = sum(labels_match(labels, pod["metadata"].get("labels")) for pod in mine)
        wanted += [(workload, requests(workload.spec))] * added_pods(workload, running, least)
    wanted.sort(key=lambda pair: (pair[1]["memory"], pair[1]["cpu"]), reverse=True)
    left = rooms(nodes, pods)
    free_before = {name: sum(room.free[name] for room in left) for name in _RESOURCES}
    homeless = [(workload, need) for workload, need in wanted if not _place(workload, need, left)]
    needed = {name: sum(need[name] for _, need in wanted) for name in _RESOURCES}
    evidence = {"added_pods": len(wanted), "needed": needed, "free": free_before}
    text = f"{_amount(needed)}; free: {_amount(free_before)}"
    if not homeless:
        return [Finding("PF-01", "pass", f"Room for the {len(wanted)} pods that the release adds ({text}).", evidence)]
    names = sorted({workload.title for workload, _ in homeless})
    too_much = any(needed[name] > free_before[name] for name in _RESOURCES)  # else another order, or an eviction, may still make room
    message = f"No node has room for {len(homeless)} of {len(wanted)} pods that the release adds, of {', '.join(names)} (needed: {text})."
    step = "Add a node, lower resources.requests or replicas, or remove what else runs (`kubectl describe nodes`)"
    if node_scale_up_seconds:
        message += f" The cluster's autoscaler has {node_scale_up_seconds:g} s to add one."
    else:
        step += "; where an autoscaler adds nodes, set release_node_scale_up_seconds to the time it needs"
    verdict: Verdict = "fail" if too_much and not node_scale_up_seconds else "warn"
    return [Finding("PF-01", verdict, message, {**evidence, "without_room": names}, f"{step}.")]


def _amount(numbers: Mapping[str, float]) -> str:
    return f"{numbers['cpu']:.1f} cores and {size(numbers['memory'])} of memory"


def _place(workload: Workload, need: Mapping[str, float], left: Sequence[Room]) -> bool:
    for room in left:
        if room.takes(workload, need):
            for name in _RESOURCES:
                room.free[name] -= need[name]
            return True
    return False
