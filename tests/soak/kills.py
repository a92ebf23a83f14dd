"""Who dies, when and how: a seeded schedule, and the hands that carry it out on the cluster."""

from __future__ import annotations

import contextlib
import copy
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.hsc.jit.plugins.module_utils._kube.client import Cluster

WEB, ANSWER, REDIS = "hsc-jit-backend", "hsc-jit-answer", "hsc-jit-redis"
VICTIMS = {"web": (WEB,), "answer": (ANSWER,), "both": (WEB, ANSWER), "redis": (REDIS,)}
TURNS = ("web", "answer", "both", "redis", "answer", "web", "both", "answer", "web", "redis", "both", "answer")
ROLLOUT = "rollout"
# The kubelet waits 10, 20, 40, … s before it starts a container again that keeps dying; that would measure the kubelet.
PATIENCE = 2
SECOND = "hsc-jit-answer-soak"


@dataclass(frozen=True)
class Kill:
    """What was killed: at (time.monotonic()), the kind of the schedule, pod or process, the pods, and how many answer workers were left."""

    at: float
    kind: str
    how: str
    pods: tuple[str, ...]
    answerers_left: int


def schedule(waves: int, chance: random.Random) -> list[tuple[str, str]]:
    """(kind, how) for each wave: TURNS again and again, shuffled, with the rollout in the middle."""
    kinds = [TURNS[number % len(TURNS)] for number in range(waves - 1)]
    chance.shuffle(kinds)
    # A deleted pod still gets its SIGTERM and finishes what it has at hand; a process does not.
    plan = [(kind, chance.choice(("pod", "process", "process"))) for kind in kinds]
    plan.insert(len(plan) // 2, (ROLLOUT, "restart"))
    return plan


class Killer:
    """Kills pods (deleted without grace) and processes (SIGKILL from outside of the container: its first process is immune inside)."""

    def __init__(self, cluster: Cluster, chance: random.Random) -> None:
        self.cluster, self.chance = cluster, chance
        self.kills: list[Kill] = []
        self.redis_away: list[tuple[float, float]] = []

    def ready(self, app: str) -> list[dict[str, Any]]:
        pods = self.cluster.list(self.cluster.namespaced("pods"), labelSelector=f"app={app}")
        return sorted(filter(_is_ready, pods), key=lambda pod: str(pod["metadata"]["name"]))

    def aim(self, kind: str, how: str) -> Callable[[], None]:
        """Choose one ready pod of each victim of `kind`; what is returned kills them at once. Where none is ready, nobody dies."""
        alive = {app: self.ready(app) for app in VICTIMS[kind]}
        chosen = {app: self.chance.choice(pods) for app, pods in alive.items() if pods}
        left = len(alive.get(ANSWER, ())) - (ANSWER in chosen)
        processes: list[int] = []
        if how == "process" and all(_restarts(pod) < PATIENCE for pod in chosen.values()):
            processes = [process for pod in chosen.values() for process in processes_of(pod)]
        names = tuple(pod["metadata"]["name"] for pod in chosen.values())

        def kill() -> None:
            self.kills.append(Kill(time.monotonic(), kind, "process" if processes else "pod", names, left))
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            for name in () if processes else names:
                self.cluster.delete(f"{self.cluster.namespaced('pods')}/{name}", grace_seconds=0)

        return kill if chosen else lambda: None

    def watch_redis(self, stop: threading.Event) -> None:
        """Note from when to when Redis was away, until `stop`. Readiness takes seconds to notice: three at least."""
        seen = 0
        while not stop.wait(0.5):
            killed = [kill.at for kill in self.kills if kill.kind == "redis"]
            if len(killed) > seen and time.monotonic() > killed[seen] + 3 and self.ready(REDIS):
                self.redis_away.append((killed[seen], time.monotonic()))
                seen += 1

    def restart(self) -> None:
        """A rolling restart of backend and answer workers, as `kubectl rollout restart` begins it."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        changes = {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": stamp}}}}}
        for name in (WEB, ANSWER):
            self.cluster.patch_merge(self._deployment(name), changes)

    def is_rolled_out(self) -> bool:
        for name in (WEB, ANSWER):
            found = self.cluster.get(self._deployment(name))
            status, wanted = found["status"], found["spec"]["replicas"]
            current = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
            counts = [status.get(key, 0) for key in ("updatedReplicas", "readyReplicas", "replicas")]
            if not current or counts != [wanted] * 3:
                return False
        return True

    @contextlib.contextmanager
    def second_answerer(self) -> Iterator[None]:
        """One more answer worker than is deployed, in a Deployment of its own: somebody must be left who takes over."""
        own = copy.deepcopy(self.cluster.get(self._deployment(ANSWER))["spec"])
        own["template"]["metadata"]["labels"]["soak"] = "answer"
        own.update(replicas=1, selector={"matchLabels": {"app": ANSWER, "soak": "answer"}})
        path = self.cluster.namespaced("deployments", "/apis/apps/v1")
        self.cluster.create(path, {"metadata": {"name": SECOND}, "spec": own})
        try:
            wait_for(lambda: self.cluster.get(self._deployment(SECOND))["status"].get("readyReplicas"), f"Deployment {SECOND} ready", 90)
            yield
        finally:
            self.cluster.delete(self._deployment(SECOND))

    def _deployment(self, name: str) -> str:
        return f"{self.cluster.namespaced('deployments', '/apis/apps/v1')}/{name}"


def wait_for(condition: Any, what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.5)


def processes_of(pod: dict[str, Any]) -> list[int]:
    """The processes of the pod's containers; none where they are not to be seen, as on a cluster of other machines."""
    containers = [status["containerID"].rpartition("/")[2] for status in pod["status"]["containerStatuses"]]
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(container in (folder / "cgroup").read_text() for container in containers):
                found.append(int(folder.name))
    return found


def _restarts(pod: dict[str, Any]) -> int:
    return sum(status["restartCount"] for status in pod["status"]["containerStatuses"])


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions") or []
    return "deletionTimestamp" not in pod["metadata"] and any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
