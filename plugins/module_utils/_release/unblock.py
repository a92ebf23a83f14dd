# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What a release, or somebody since the run before, has corrected, and its controller would try again in a quarter of an hour or never.

Pods of a bad revision that a StatefulSet waits for, pods in back-off, and owners that were refused their pods. Changes the cluster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .._kube.client import Cluster
from .._kube.objects import Object, by_owner, holds, is_ready, key, owner_kinds, status_of
from .._poll import CONTROLLER_SECONDS, Clock, poll
from .._product import SELECTOR
from .._readiness.controllers import held_back, observed
from .._readiness.events import PULLS, WARNINGS, Events
from .._readiness.pods import backed_off, starting

_REPLACED_BY = {"ReplicaSet", "StatefulSet", "DaemonSet"}
_TRIED_AGAIN = "hsc.jit/tried-again"


@dataclass(frozen=True)
class Stuck:
    """live: each object as it was last read or applied, by key. now: by the server's clock.

    never_good: the newest release before this one never became ready, or is taken back: then no pod of it is waited for.
    """

    cluster: Cluster
    live: Mapping[tuple[str, str, str], Object]
    now: datetime
    clock: Clock
    never_good: bool

    def try_again(self, objects: Sequence[Object]) -> None:
        """All of it, at once. Without a request for what is as it should be, but for one list of pods."""
        listed = self.cluster.list(self.cluster.namespaced("pods"), labelSelector=SELECTOR)
        pods = [
            pod for pod in listed if owner_kinds(pod) & _REPLACED_BY and not is_ready(pod) and "deletionTimestamp" not in pod["metadata"]
        ]
        names = {pod["metadata"]["name"] for pod in [*self._of_bad_revisions(objects, pods), *self._backed_off(pods)]}
        for name in sorted(names):
            self.cluster.delete(f"{self.cluster.namespaced('pods')}/{name}")
        self._make_refused_pods(objects)

    def _of_bad_revisions(self, objects: Sequence[Object], pods: Sequence[Object]) -> Iterator[Object]:
        """Not of the wanted revision, and not starting: their StatefulSet would wait for them for ever."""
        given_up = by_owner(pod for pod in pods if self.never_good or not starting(pod, self.now))
        for one in self._there(objects, "StatefulSet"):
            if own := given_up.get(one["metadata"]["uid"]):
                newest = self._observed(one)
                revision = None if held_back(newest) else status_of(newest).get("updateRevision")
                yield from (pod for pod in own if revision and pod["metadata"]["labels"].get("controller-revision-hash") != revision)

    def _observed(self, stateful_set: Object) -> Object:
        """It once its controller has seen its newest template: before, its status names the revision that is to go. Empty if never."""
        if observed(stateful_set):
            return stateful_set
        path = f"{self._path('statefulsets')}/{stateful_set['metadata']['name']}"
        gone: Object = {"spec": {}}

        def attempt() -> Object | None:
            found = self.cluster.find(path)
            return gone if found is None else found if observed(found) else None

        return poll(attempt, CONTROLLER_SECONDS, clock=self.clock) or gone

    def _backed_off(self, pods: Sequence[Object]) -> Iterator[Object]:
        """That failed and wait for up to five minutes until they are tried again."""
        events = Events(one for which in (WARNINGS, PULLS) if pods for one in self.cluster.list(self.cluster.namespaced("events"), **which))
        return (pod for pod in pods if backed_off(pod, events))

    def _make_refused_pods(self, objects: Sequence[Object]) -> None:
        """Have controllers look again whose pods were refused, by a quota that was raised since: else they wait for up to 17 minutes."""
        refused = [one for one in self._there(objects, "Deployment") if holds(one, "ReplicaFailure")]
        sets = by_owner(self.cluster.list(self._path("replicasets")) if refused else [])
        short = [("replicasets", one) for owner in refused for one in sets.get(owner["metadata"]["uid"], []) if _short(one)]
        short += [("statefulsets", one) for one in self._there(objects, "StatefulSet") if _short(one)]
        for plural, one in short:
            for value in ("now", None):  # an update that changes nothing in the end
                body: dict[str, Any] = {"metadata": {"annotations": {_TRIED_AGAIN: value}}}
                self.cluster.patch_merge(f"{self._path(plural)}/{one['metadata']['name']}", body, fieldManager="hsc.jit")

    def _there(self, objects: Sequence[Object], kind: str) -> list[Object]:
        return [one for obj in objects if obj["kind"] == kind and (one := self.live.get(key(obj)))]

    def _path(self, plural: str) -> str:
        return self.cluster.namespaced(plural, "/apis/apps/v1")


def _short(owner: Object) -> bool:
    """Whether its controller has made fewer pods than it should."""
    return observed(owner) and int(status_of(owner).get("replicas", 0)) < int(owner["spec"].get("replicas", 1))
