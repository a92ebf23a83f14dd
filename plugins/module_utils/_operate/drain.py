# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""OP-08: empty a node by the eviction API alone, so that every disruption budget is heard, in bounded time. No pod is ever forced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .._errors import ApiError, OperatorError
from .._finding import Finding
from .._kube.client import Cluster
from .._kube.objects import Object, owner_kinds
from .._poll import Clock, poll
from .._progress import Progress

_AGAIN_SECONDS = 2.0
_REPLACED = {"ReplicaSet", "StatefulSet", "ReplicationController", "Job"}
_NAMED = 5  # pods in a message; all are in the evidence


@dataclass
class Drain:
    """One node."""

    cluster: Cluster
    node: str
    progress: Progress
    clock: Clock

    def pods(self) -> list[Object]:
        """Those that have to go. OperatorError: there is no such node, or a pod on it that nobody would make again."""
        nodes = [node["metadata"]["name"] for node in self.cluster.list("/api/v1/nodes")]
        if self.node not in nodes:
            raise OperatorError(f"node is {self.node!r}; there is no such node.", f"Nodes: {', '.join(sorted(nodes))}.")
        going = self._left()
        if lost := [_name(pod) for pod in going if not _REPLACED & owner_kinds(pod)]:
            raise OperatorError(
                f"Nobody would make {', '.join(lost[:_NAMED])} again: no controller owns it.", "Delete it, if that is meant."
            )
        return going

    def run(self, seconds: float) -> Finding:
        """Cordon, evict, wait until all are gone; what still is there when the time is over is named with its budget."""
        self._cordon()
        began, total = self.clock.monotonic(), len(self._left())

        def evict_all() -> tuple[list[Object], dict[str, str]]:
            left = self._left()
            refused = {_name(pod): why for pod in left if not pod["metadata"].get("deletionTimestamp") and (why := self._evict(pod))}
            if left:
                self.progress.say(f"Drain {self.node}", total - len(left), total, next(iter(refused.values()), "pods are ending"))
            return left, refused

        left, refused = poll(evict_all, seconds, until=lambda found: not found[0], every=_AGAIN_SECONDS, clock=self.clock)
        if left:
            return self._not_empty(left, refused, seconds)
        took = round(self.clock.monotonic() - began, 1)
        message = f"Node {self.node} is empty after {took} s: {total} pods were evicted and are made elsewhere. It stays cordoned."
        return Finding("OP-08", "pass", message, {"node": self.node, "pods": total, "seconds": took}, f"kubectl uncordon {self.node}")

    def _left(self) -> list[Object]:
        pods = self.cluster.list("/api/v1/pods", fieldSelector=f"spec.nodeName={self.node}")
        return [pod for pod in pods if not _stays(pod)]

    def _cordon(self) -> None:
        self.cluster.patch_merge(f"/api/v1/nodes/{self.node}", {"spec": {"unschedulable": True}}, fieldManager="hsc.jit-operate")

    def _evict(self, pod: Object) -> str:
        """Why it may not go now; empty if it goes."""
        metadata = {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]}
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/eviction"
        try:
            self.cluster.impatient().create(path, {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata})
        except ApiError as problem:
            if problem.status in (404, 409):
                return ""  # gone, or going
            if problem.status in (429, 500):  # 500: two budgets for one pod, which no eviction gets past
                causes = (str(cause.get("message", "")) for cause in problem.causes)
                return f"{_name(pod)}: {' '.join((problem.message, *causes)).rstrip('. ')}"
            raise
        return ""

    def _not_empty(self, left: Sequence[Object], refused: Mapping[str, str], seconds: float) -> Finding:
        names = [_name(pod) for pod in left]
        why = "; ".join(list(refused.values())[:_NAMED]) or "they were told to end, and have not ended"
        message = (
            f"Node {self.node} is not empty after {seconds:g} s, {len(left)} pods are still there ({', '.join(names[:_NAMED])}): {why}. "
            "No pod was forced; the node stays cordoned."
        )
        step = f"Mend those pods or raise their number, and run it again; or give up: kubectl uncordon {self.node}."
        return Finding("OP-08", "fail", message, {"node": self.node, "pods": names, "refused": dict(refused)}, step)


def _name(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _stays(pod: Object) -> bool:
    """Those of the node itself, of a DaemonSet, and those that have ended."""
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return ended or bool({"Node", "DaemonSet"} & owner_kinds(pod))
