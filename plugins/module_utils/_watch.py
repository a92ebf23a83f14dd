# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""One shared wait for all objects of a release: what the cluster says once a second, judged by ``_readiness``. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hsc.jit.plugins.module_utils import _readiness
from ansible_collections.hsc.jit.plugins.module_utils._discovery import Kinds, in_parallel
from ansible_collections.hsc.jit.plugins.module_utils._finding import Finding
from ansible_collections.hsc.jit.plugins.module_utils._manifests import pod_template
from ansible_collections.hsc.jit.plugins.module_utils._objects import Object, key, title
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.module_utils._readiness import State, World
from ansible_collections.hsc.jit.plugins.module_utils._target import ApiProblem, Cluster

_POLL_SECONDS = 1.0
_UNREACHABLE_SECONDS = 30.0  # for so long the API server may be away before the wait gives up
_LOG_LINES = 10
_ALSO = {
    "pods": ("/api/v1", "pods", {}),
    "replica_sets": ("/apis/apps/v1", "replicasets", {}),
    "events": ("/api/v1", "events", {"fieldSelector": "type=Warning"}),
}


@dataclass
class Watch:
    """Waits for ``objects`` of the namespace of ``cluster``. monotonic and sleep are arguments so that tests need no time."""

    cluster: Cluster
    kinds: Kinds
    progress: Progress
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    bad_since: dict[tuple[str, str], float] = field(default_factory=dict)
    said: dict[str, tuple[int, int, str]] = field(default_factory=dict)

    def wait(self, objects: Sequence[Object], seconds: float) -> list[Finding]:
        """RO-02: one pass for all of them, or what has failed, or what was still not ready when the time was over."""
        awaited = [obj for obj in objects if obj["kind"] in _readiness.WAITED_FOR]
        self.kinds.learn(obj["apiVersion"] for obj in awaited)
        claims = _claims_used(objects)
        started = seen = self.monotonic()
        while True:
            now = self.monotonic()
            try:
                live, world = self._look(awaited, claims)
                seen = now
            except ApiProblem as problem:
                if not problem.transient or now - seen > _UNREACHABLE_SECONDS:
                    raise
                self.progress.say("Waiting", detail=f"the API server is away: {problem.message}")
                self.sleep(_POLL_SECONDS)
                continue
            states = {title(obj): _readiness.assess(live.get(key(obj)), world) for obj in awaited}
            self._tell(states)
            took = round(now - started, 1)
            if failed := {name: state for name, state in states.items() if self._believed(name, state, now)}:
                return [self._failure(name, state, world, took) for name, state in failed.items()]
            waiting = {name: state for name, state in states.items() if state.status != "ready"}
            if not waiting:
                total = sum(state.total for state in states.values())
                message = f"All {len(states)} objects that are waited for are ready after {took} s."
                return [Finding("RO-02", "pass", message, {"objects": len(states), "replicas": total, "seconds": took})]
            if took >= seconds:
                return [self._failure(name, state, world, took) for name, state in waiting.items()]
            self.sleep(_POLL_SECONDS)

    def _look(self, awaited: Sequence[Object], claims: frozenset[str]) -> tuple[dict[tuple[str, str, str], Object], World]:
        resources = {(obj["apiVersion"], obj["kind"]): self.kinds.of(obj) for obj in awaited}
        lists: dict[Any, tuple[str, str, Mapping[str, str]]] = {
            kind: (resource.prefix, resource.plural, {}) for kind, resource in resources.items() if resource.namespaced
        }
        lists |= _ALSO
        results = in_parallel(lambda one: self.cluster.list(self.cluster.namespaced(one[1], one[0]), **one[2]), list(lists.values()))
        found = dict(zip(lists, results, strict=True))
        live = {key(item): item for kind in resources for item in found.get(kind, [])}
        return live, World(found["pods"], found["replica_sets"], found["events"], claims)

    def _believed(self, name: str, state: State, now: float) -> bool:
        """A failure counts once it has held for its grace."""
        if state.status != "failed":
            self.bad_since = {known: since for known, since in self.bad_since.items() if known[0] != name}
            return False
        since = self.bad_since.setdefault((name, state.next_step), now)
        return now - since >= state.grace

    def _tell(self, states: Mapping[str, State]) -> None:
        """A line for each object whose figures or reason are new."""
        for name, state in states.items():
            line = (state.done, state.total, state.reason)
            if self.said.get(name) != line and (state.status != "ready" or name in self.said):
                self.progress.say(name, state.done, state.total, state.reason or "ready")
            if self.said.get(name) != line:
                self.said[name] = line

    def _failure(self, name: str, state: State, world: World, took: float) -> Finding:
        still = state.status == "waiting"
        lead = f"{name}: {state.done} of {state.total} ready after {took} s"
        log = self._log(state)
        events = [f"{one.get('reason')}: {one.get('message')}" for one in world.events if _about(one, state.pod)][-3:]
        evidence = {
            "object": name,
            "pod": state.pod,
            "ready": state.done,
            "wanted": state.total,
            "seconds": took,
            "log": log,
            "events": events,
        }
        reason = f"still waiting: {state.reason}" if still else state.reason
        tail = f" Log: {' | '.join(log[-3:])}" if log else ""
        step = state.next_step or "Look at `kubectl describe` of this object; raise rollout_wait_seconds if it only needs longer."
        return Finding("RO-02", "fail", f"{lead} ({reason}).{tail}", evidence, step)

    def _log(self, state: State) -> list[str]:
        if not state.pod or not state.container:
            return []
        try:
            text = self.cluster.logs(state.pod, state.container, tailLines=_LOG_LINES, previous=state.restarted)
        except ApiProblem:
            return []  # there is none: the container never ran
        return text.splitlines()


def _about(event: Object, pod: str) -> bool:
    return bool(pod) and (event.get("involvedObject") or {}).get("name") == pod


def _claims_used(objects: Sequence[Object]) -> frozenset[str]:
    """Claims that a running workload of the set mounts now; a CronJob's are bound when it first runs."""
    templates = [pod_template(obj) or {} for obj in objects if obj["kind"] != "CronJob"]
    volumes = [volume for template in templates for volume in (template.get("spec") or {}).get("volumes") or []]
    return frozenset(volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume)
