# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""PF-07: may pods be taken away one by one, by a drain or by a rollout? Pure: no I/O; an answer may be the API's refusal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .._checks import not_checked
from .._errors import ApiError
from .._finding import Finding
from .._kube.objects import at, may_go_first, title
from .._kube.workloads import labels_match, of_kind

Objects = Sequence[Mapping[str, Any]]
_HOSTNAME = "kubernetes.io/hostname"


def check_budgets(live: Objects | ApiError) -> list[Finding]:
    """A warn for each budget of the namespace that allows no pod to go now, whoever made it and for whatever reason."""
    if isinstance(live, ApiError):
        return [not_checked("PF-07", live)]
    return [_blocked(budget) for budget in live if at(budget, "status.expectedPods") and at(budget, "status.disruptionsAllowed") == 0]


def _blocked(budget: Mapping[str, Any]) -> Finding:
    name, status = budget["metadata"]["name"], budget["status"]
    healthy, wanted, pods = (int(status.get(key, 0)) for key in ("currentHealthy", "desiredHealthy", "expectedPods"))
    message = f"PodDisruptionBudget {name}: 0 disruptions allowed now, so no drain can finish: "
    message += f"{healthy} of {pods} pods are well, {wanted} must be."
    step = "Mend its pods." if healthy < pods else "Raise the replicas, or let the budget allow one (maxUnavailable: 1)."
    return Finding("PF-07", "warn", message, {"object": f"PodDisruptionBudget {name}", **status}, step)


def check_side_by_side(objects: Objects, nodes: Objects | ApiError) -> list[Finding]:
    """A fail for each Deployment whose rollout wants one pod more than there are nodes that may hold one each."""
    if isinstance(nodes, ApiError):
        return [not_checked("PF-07", nodes)] if any(map(_alone_on_its_node, of_kind(objects, "Deployment"))) else []
    return list(_cannot_coexist(objects, len([node for node in nodes if not at(node, "spec.unschedulable")])))


def _cannot_coexist(objects: Objects, nodes: int) -> Iterator[Finding]:
    for obj in of_kind(objects, "Deployment"):
        replicas = at(obj, "spec.replicas")
        replicas = 1 if replicas is None else int(replicas)
        if not replicas or not _alone_on_its_node(obj) or may_go_first(obj, replicas) or replicas + 1 <= nodes:
            continue
        message = (
            f"{title(obj)}: it can never be rolled out. No two of its pods may share a node, there are {nodes} for {replicas} and "
            "one more; maxUnavailable rounds to 0, so none may go first."
        )
        step = "Set strategy.rollingUpdate.maxUnavailable: 1 (or Recreate), prefer anti-affinity instead of requiring it, or add a node."
        yield Finding("PF-07", "fail", message, {"object": title(obj), "nodes": nodes, "replicas": replicas}, step)


def _alone_on_its_node(deployment: Mapping[str, Any]) -> bool:
    labels = at(deployment, "spec.template.metadata.labels")
    rules = at(deployment, "spec.template.spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution") or []
    return any(rule.get("topologyKey") == _HOSTNAME and labels_match(at(rule, "labelSelector.matchLabels"), labels) for rule in rules)
