# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What a release, or somebody since the run before, has corrected, and its controller would try again in a quarter of an hour or never.

Pods of a bad revision that a StatefulSet waits for, pods in back-off, and owners that were refused their pods. Changes the cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.hsc.jit.plugins.module_utils._discovery import OURS
from ansible_collections.hsc.jit.plugins.module_utils._objects import Object, by_owner, is_ready, key, owner_kinds
from ansible_collections.hsc.jit.plugins.module_utils._readiness_events import PULLS, WARNINGS, Events
from ansible_collections.hsc.jit.plugins.module_utils._readiness_pods import backed_off
from ansible_collections.hsc.jit.plugins.module_utils._target import Cluster

_LOOKS, _LOOK_SECONDS = 50, 0.2  # for what takes a controller a moment; one that needs longer is not running
_TRIED_AGAIN = "hsc.jit/tried-again"


@dataclass(frozen=True)
class Stuck:
    """live: each object as it was last read or applied, by key."""

    cluster: Cluster
    live: Mapping[tuple[str, str, str], Object]
    sleep: Callable[[float], None]

    def try_again(self, objects: Sequence[Object]) -> None:
        """All of it, at once. Without a request for what is as it should be, but for one list of pods."""
        self._replace_pods_of_bad_revisions(objects)
        self._retry_backed_off_pods()
        self._make_refused_pods(objects)

    def _replace_pods_of_bad_revisions(self, objects: Sequence[Object]) -> None:
        """Delete pods of StatefulSets that are not ready and not of the wanted revision: the controller would wait for them for ever."""
        sets = [self._observed(obj["metadata"]["name"]) for obj in objects if obj["kind"] == "StatefulSet" and self._rolls(obj)]
        revisions = [(one, revision) for one in sets if (revision := (one.get("status") or {}).get("updateRevision"))]
        pods = by_owner(self.cluster.list(self.cluster.namespaced("pods")) if revisions else [])
        for one, revision in revisions:
            for pod in pods.get(one["metadata"]["uid"], []):
                if (pod["metadata"].get("labels") or {}).get("controller-revision-hash") != revision and not is_ready(pod):
                    self._delete(pod)

    def _rolls(self, stateful_set: Object) -> bool:
        """Whether it may have pods of an old revision, as far as is known without a request."""
        live = self.live.get(key(stateful_set)) or {"metadata": {}}
        return not _seen(live) or live["status"].get("updatedReplicas", 0) < live["status"].get("replicas", 0)

    def _observed(self, name: str) -> dict[str, Any]:
        """The StatefulSet once its controller has seen its newest template; before, its status names the revision that is to go."""
        path = f"{self.cluster.namespaced('statefulsets', '/apis/apps/v1')}/{name}"
        for _ in range(_LOOKS):
            found = self.cluster.find(path) or {}
            if not found or _seen(found):
                break
            self.sleep(_LOOK_SECONDS)
        return found

    def _retry_backed_off_pods(self) -> None:
        """Delete our pods that failed and wait to be tried again."""
        pods = [pod for pod in self.cluster.list(self.cluster.namespaced("pods"), labelSelector=OURS) if not is_ready(pod)]
        events = Events(one for which in (WARNINGS, PULLS) if pods for one in self.cluster.list(self.cluster.namespaced("events"), **which))
        for pod in pods:
            if owner_kinds(pod) & {"ReplicaSet", "StatefulSet", "DaemonSet"} and backed_off(pod, events):
                self._delete(pod)

    def _make_refused_pods(self, objects: Sequence[Object]) -> None:
        """Have controllers look again whose pods were refused, by a quota that was raised since: else they wait for up to 17 minutes."""
        there = [one for obj in objects if (one := self.live.get(key(obj)))]
        refused = {one["metadata"]["uid"] for one in there if one["kind"] == "Deployment" and _refused(one)}
        sets = by_owner(self.cluster.list(self._of("replicasets")) if refused else [])
        short = [one for uid in refused for one in sets.get(uid, []) if _short(one)]
        paths = [f"{self._of('replicasets')}/{one['metadata']['name']}" for one in short]
        paths += [f"{self._of('statefulsets')}/{one['metadata']['name']}" for one in there if one["kind"] == "StatefulSet" and _short(one)]
        for path in paths:
            for value in ("now", None):  # an update that changes nothing in the end
                self.cluster.patch_merge(path, {"metadata": {"annotations": {_TRIED_AGAIN: value}}}, fieldManager="hsc.jit")

    def _of(self, plural: str) -> str:
        return self.cluster.namespaced(plural, "/apis/apps/v1")

    def _delete(self, pod: Object) -> None:
        self.cluster.delete(f"{self.cluster.namespaced('pods')}/{pod['metadata']['name']}")


def _seen(owner: Object) -> bool:
    """Whether its controller has seen its newest template, so that its status is about that."""
    return int((owner.get("status") or {}).get("observedGeneration", 0)) >= int(owner["metadata"].get("generation", 1))


def _short(owner: Object) -> bool:
    """Whether its controller has made fewer pods than it should."""
    return _seen(owner) and int(owner["status"].get("replicas", 0)) < int(owner["spec"].get("replicas", 1))


def _refused(deployment: Object) -> bool:
    conditions = (deployment.get("status") or {}).get("conditions") or []
    return any(one["type"] == "ReplicaFailure" and one["status"] == "True" for one in conditions)
