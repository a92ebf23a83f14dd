# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""One shared wait for all objects of a release: what the cluster says, the moment it says it, judged by _readiness/. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._errors import ApiError
from .._finding import Finding
from .._kube.client import Cluster
from .._kube.discovery import Kinds
from .._kube.objects import Object, key, pod_template, title
from .._progress import Progress
from . import readiness
from .controllers import old_words
from .events import PULLS, WARNINGS
from .informer import Mirror, Source
from .readiness import State, World

_TICK_SECONDS = 0.5  # graces and the end of the wait are looked at so often, whether something changed or not
_LOG_LINES = 10
_MOMENT_SECONDS = 5.0  # a node that was late for so long is not worth a warning
_LOOK = "Look at its events, if that comes again."
_ALSO: Mapping[Hashable, tuple[str, str, Mapping[str, str]]] = {
    "pods": ("/api/v1", "pods", {}),
    "replica_sets": ("/apis/apps/v1", "replicasets", {}),
    "warnings": ("/api/v1", "events", WARNINGS),
    "pulls": ("/api/v1", "events", PULLS),
}


@dataclass
class _Seen:
    """What was seen of one object during the wait.

    said: the progress last told. reason: why it is or was bad; late: because of its node alone. bad_since: when, by next step, for each has
    a grace of its own. healed: what was bad for less than its grace. crash, log: why it crashed, and what it logged: a Job's pod is removed
    the moment the Job fails.
    """

    said: tuple[int, int, str] | None = None
    reason: str = ""
    late: bool = False
    bad_since: dict[str, float] = field(default_factory=dict)
    healed: str = ""
    crash: str = ""
    log: list[str] = field(default_factory=list)


@dataclass
class Watch:
    """Waits for ``objects`` of the namespace of ``cluster``. monotonic and open are arguments so that tests need no time.

    before: objects as they were before anything changed; None: as they are when the wait begins. restarts, old: as World has them. seen: of
    each object, by title.
    """

    cluster: Cluster
    kinds: Kinds
    progress: Progress
    monotonic: Callable[[], float]
    open: Callable[[Cluster, Mapping[Hashable, Source]], Any] = field(default_factory=lambda: Mirror)
    before: Sequence[Object] | None = None
    restarts: dict[tuple[str, str], int] = field(default_factory=dict)
    old: frozenset[str] = field(default_factory=frozenset)
    seen: defaultdict[str, _Seen] = field(default_factory=lambda: defaultdict(_Seen))

    def wait(self, objects: Sequence[Object], seconds: float) -> list[Finding]:
        """RO-02: one pass for all of them (and a warn for what healed by itself), or what has failed, or what was not ready in time."""
        awaited = [obj for obj in objects if obj["kind"] in readiness.WAITED_FOR]
        if not awaited:
            return [Finding("RO-02", "pass", "Nothing of this is waited for.", {"objects": 0})]
        self.kinds.learn(obj["apiVersion"] for obj in awaited)
        claims = _claims_used(objects)
        started = seen = self.monotonic()
        with self.open(self.cluster, self._sources(awaited)) as mirror:
            self.restarts = _restarts(mirror.objects("pods"))
            self.old = old_words(_live(mirror) if self.before is None else self.before)
            while True:
                now = self.monotonic()
                took = round(now - started, 1)
                if problem := mirror.problem:
                    if not problem.transient or now - seen > self.cluster.patience:
                        raise problem
                    self.progress.say("Waiting", detail=f"the API server is away: {problem.message}")
                elif found := self._judge(awaited, mirror, claims, now, took, over=took >= seconds):
                    return found
                else:
                    seen = now
                mirror.wait(_TICK_SECONDS)

    def _sources(self, awaited: Sequence[Object]) -> dict[Hashable, Source]:
        kinds = {(obj["apiVersion"], obj["kind"]): self.kinds.of(obj) for obj in awaited}
        wanted: dict[Hashable, tuple[str, str, Mapping[str, str]]] = {
            kind: (resource.prefix, resource.plural, {}) for kind, resource in kinds.items() if resource.namespaced
        }
        return {name: (self.cluster.namespaced(plural, api), query) for name, (api, plural, query) in {**wanted, **_ALSO}.items()}

    def _judge(
        self, awaited: Sequence[Object], mirror: Any, claims: frozenset[str], now: float, took: float, *, over: bool
    ) -> list[Finding]:
        """Nothing as long as it is worth waiting."""
        world = World(
            mirror.objects("pods"),
            mirror.objects("replica_sets"),
            [*mirror.objects("warnings"), *mirror.objects("pulls")],
            claims,
            self.restarts,
            self.old,
            self.cluster.node_scale_up_seconds,
        )
        live = {key(item): item for item in _live(mirror)}
        states = {title(obj): readiness.assess(live.get(key(obj)), world) for obj in awaited}
        self._tell(states)
        if failed := {name: state for name, state in states.items() if self._believed(name, state, now)}:
            return [self._failure(name, state, world, took) for name, state in failed.items()]
        waiting = {name: state for name, state in states.items() if state.status != "ready"}
        if not waiting:
            return [self._ready(states, world, took), *self._healed(world)]
        return [self._failure(name, state, world, took) for name, state in waiting.items()] if over else []

    def _ready(self, states: Mapping[str, State], world: World, took: float) -> Finding:
        total = sum(state.total for state in states.values())
        message = f"All {len(states)} objects that are waited for are ready after {took} s."
        ending = [pod for pod in world.pods if pod["metadata"].get("deletionTimestamp")]
        if ending:
            longest = max(int(pod["metadata"].get("deletionGracePeriodSeconds") or 0) for pod in ending)
            message += f" Old pods that still end, out of the endpoints: {len(ending)}, for at most {longest} s."
        evidence = {"objects": len(states), "replicas": total, "seconds": took, "ending": len(ending)}
        return Finding("RO-02", "pass", message, evidence)

    def _healed(self, world: World) -> list[Finding]:
        """A warn for each fault that went by itself: nothing to put back, and worth a look."""
        found = [
            Finding("RO-02", "warn", f"{name} recovered by itself: {one.healed}.", {"object": name}, _LOOK)
            for name, one in self.seen.items()
            if one.healed
        ]
        for (pod, container), count in _restarts(world.pods).items():
            times = count - self.restarts.get((pod, container), 0)
            if times > 0:
                message = f"Pod {pod}: container {container} was restarted {times} times meanwhile, and is ready now."
                found.append(Finding("RO-02", "warn", message, {"pod": pod, "restarts": times}, f"kubectl logs {pod} --previous"))
        return found

    def _believed(self, name: str, state: State, now: float) -> bool:
        """A failure counts once it has held for its grace."""
        seen = self.seen[name]
        if state.status != "failed":
            lasted = now - min(seen.bad_since.values(), default=now)
            if seen.bad_since and (lasted > _MOMENT_SECONDS or not seen.late):
                seen.healed = f"{seen.reason}, for {lasted:.0f} s"
            seen.bad_since.clear()
            return False
        if not (state.late and seen.bad_since):
            seen.reason, seen.late = state.reason, state.late
        return now - seen.bad_since.setdefault(state.next_step, now) >= state.grace

    def _tell(self, states: Mapping[str, State]) -> None:
        """A line for each object whose figures or reason are new."""
        for name, state in states.items():
            seen, line = self.seen[name], (state.done, state.total, state.reason)
            if seen.said == line:
                continue
            if state.status != "ready" or seen.said:
                self.progress.say(name, state.done, state.total, state.reason or "ready")
            seen.said = line
            if state.crashed:
                seen.crash, seen.log = state.reason, self._log(state)

    def _failure(self, name: str, state: State, world: World, took: float) -> Finding:
        still = state.status == "waiting"
        lead = f"{name}: {state.done} of {state.total} ready after {took} s"
        seen = self.seen[name]
        log = self._log(state) or seen.log
        about = [one for one in world.events if _warns(one, state.pod)]
        events = [f"{one.get('reason')}: {one.get('message')}" for one in about][-3:]
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
        if seen.crash and not state.pod:
            reason += f"; before that: {seen.crash}"
        tail = f" Log: {' | '.join(log[-3:])}" if log else ""
        step = state.next_step or "Look at `kubectl describe` of this object; raise rollout_wait_seconds if it only needs longer."
        return Finding("RO-02", "fail", f"{lead} ({reason}).{tail}", evidence, step)

    def _log(self, state: State) -> list[str]:
        if not state.pod or not state.container:
            return []
        try:
            text = self.cluster.logs(state.pod, state.container, tailLines=_LOG_LINES, previous=state.restarted)
        except ApiError:
            return []  # there is none: the container never ran
        return text.splitlines()


def _live(mirror: Any) -> list[Object]:
    """Of the kinds that are waited for, every object of the namespace."""
    return [item for kind in mirror.sources if isinstance(kind, tuple) for item in mirror.objects(kind)]


def _warns(event: Object, pod: str) -> bool:
    return bool(pod) and event.get("type") == "Warning" and (event.get("involvedObject") or {}).get("name") == pod


def _restarts(pods: Sequence[Object]) -> dict[tuple[str, str], int]:
    """Of each container of each pod that is to stay."""
    return {
        (pod["metadata"]["name"], container["name"]): int(container.get("restartCount", 0))
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp")
        for container in (pod.get("status") or {}).get("containerStatuses") or []
    }


def _claims_used(objects: Sequence[Object]) -> frozenset[str]:
    """Claims that a running workload of the set mounts now; a CronJob's are bound when it first runs."""
    running = [obj for obj in objects if obj["kind"] != "CronJob" and (obj.get("spec") or {}).get("replicas") != 0]
    templates = [pod_template(obj) or {} for obj in running]
    volumes = [volume for template in templates for volume in (template.get("spec") or {}).get("volumes") or []]
    return frozenset(volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume)
