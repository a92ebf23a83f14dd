# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""A proved snapshot in the place of the live data. How far it is stands in the cluster (ConfigMap ``hsc-jit-restore``), so a run that
was killed is finished by the next one, and the workloads come back as many as they were before the first of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import cached_property
from operator import not_
from typing import Any

from .._backup import postgres, redis
from .._backup.backup import FAILURES, Backup
from .._backup.scratch import TITLES, Scratch
from .._backup.snapshot import Artefact, Snapshot, damage, differences
from .._errors import ApiError, BackupError, explain
from .._finding import Finding
from .._kube.client import Cluster
from .._poll import poll
from .._product import PART_OF
from . import postgres as restore_postgres
from . import redis as restore_redis
from .writers import Writers

NAME = "hsc-jit-restore"
_SOURCE = "hsc-jit-restore-source"  # scratch servers of what is restored; the safety backup's proof has others at the same time
_READY_SECONDS = 20.0


@dataclass(frozen=True)
class State:
    """How far a restore is. step: ``stopping`` (no data is changed yet), ``replacing`` (it may be of both), ``starting`` (it is restored).

    replicas: of the writers, before the first of them was stopped. safety: id of the snapshot of what was there before.
    """

    snapshot: str
    step: str = "stopping"
    safety: str = ""
    replicas: Mapping[str, int] = field(default_factory=dict)


def read_state(cluster: Cluster) -> State | None:
    found = cluster.find(f"{cluster.namespaced('configmaps')}/{NAME}")
    return State(**json.loads(found["data"]["restore.json"])) if found else None


def write_state(cluster: Cluster, state: State | None) -> None:
    """None: the restore has ended."""
    path = cluster.namespaced("configmaps")
    if state is None:
        cluster.delete(f"{path}/{NAME}")
        return
    data = {"restore.json": json.dumps(asdict(state), sort_keys=True)}
    if cluster.find(f"{path}/{NAME}"):
        cluster.patch_merge(f"{path}/{NAME}", {"data": data})
    else:
        cluster.create(path, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "labels": PART_OF}, "data": data})


def obstacles(restore: Restore) -> list[Finding]:
    """BK-05 for all that speaks against this restore, before anything is done."""
    one, found = restore.snapshot, []
    other = "Take another snapshot: -e restore_snapshot=<id>."
    if one.empty or not one.proved:
        found.append(Finding("BK-05", "fail", f"Snapshot {one.id} was never proved: nobody knows whether it restores.", {}, other))
    found += [Finding("BK-05", "fail", problem, {}, other) for artefact in one.artefacts if (problem := damage(artefact))]
    if one.namespace != restore.cluster.namespace:
        message = f"Snapshot {one.id} is of namespace {one.namespace}, not of {restore.cluster.namespace}."
        found.append(Finding("BK-05", "fail", message, {}, other))
    if missing := [TITLES[artefact.kind] for artefact in one.artefacts if artefact.kind not in restore.pods]:
        step = "Deploy the release first, then restore."
        found.append(Finding("BK-05", "fail", f"There is no {' and no '.join(missing)} to restore into.", {}, step))
    if jobs := restore.writers.jobs():
        found.append(Finding("BK-05", "fail", f"Jobs are at work on the data: {', '.join(jobs)}.", {}, "Wait until they have ended."))
    told = restore.planned
    if told["revision"] != told["revision_now"] and not missing:
        message = f"The schema goes from revision {told['revision_now'] or 'none'} to {told['revision'] or 'none'}."
        step = "Put the release back that belongs to it (playbooks/rollback.yml), or deploy again, which migrates."
        found.append(Finding("BK-05", "warn", message, told, step))
    return found


@dataclass
class Restore:
    """One restore of ``snapshot``, which was read and checked. safety: takes and proves a backup of what is there now; its id."""

    backup: Backup
    snapshot: Snapshot
    pods: Mapping[str, str]
    safety: Callable[[], str]
    wait_seconds: float

    def __post_init__(self) -> None:
        one = self.backup
        self.cluster, self.progress = one.cluster, one.progress
        self.writers = Writers(one.cluster, one.progress, one.clock)
        self.state = read_state(one.cluster) or State(self.snapshot.id, replicas=self.writers.replicas())
        self.facts: dict[str, Any] = {}

    @cached_property
    def planned(self) -> dict[str, Any]:
        """What it would do, for people: {id, created, size_bytes, replicas, revision, revision_now}."""
        one = self.snapshot
        facts = {artefact.kind: artefact.facts for artefact in one.artefacts}
        now = ""
        if "postgres" in facts and "postgres" in self.pods:
            now = postgres.revision(self.cluster, self.pods["postgres"], "postgres")
        sizes = {artefact.kind: artefact.size_bytes for artefact in one.artefacts}
        told = {"id": one.id, "created": one.created, "size_bytes": sizes, "replicas": dict(self.state.replicas)}
        return {**told, "revision": facts.get("postgres", {}).get("revision", ""), "revision_now": now}

    def carry_out(self) -> Finding:
        """BK-05. Before anything was replaced a failure brings the workloads back; afterwards they stay stopped."""
        started = self.backup.clock.monotonic()
        begun = self.state
        finished = begun.step == "starting" and begun.snapshot == self.snapshot.id
        touched = begun.step != "stopping"
        self.state = begun if finished else State(self.snapshot.id, "replacing" if touched else "stopping", begun.safety, begun.replicas)
        try:
            if not finished:
                self._replace()
            self._keep("starting")
            self._bring_back()
        except FAILURES as error:
            return self._failed(error)
        write_state(self.cluster, None)
        seconds = round(self.backup.clock.monotonic() - started, 1)
        names = " and ".join(TITLES[artefact.kind] for artefact in self.snapshot.artefacts)
        message = f"{names} hold what snapshot {self.snapshot.id} holds, compared; all workloads are back and /ready answers ({seconds} s)."
        evidence = {**asdict(self.state), "created": self.snapshot.created, "facts": self.facts, "seconds": seconds}
        return Finding("BK-05", "pass", message, evidence)

    def _keep(self, step: str, safety: str = "") -> None:
        self.state = State(self.snapshot.id, step, safety or self.state.safety, self.state.replicas)
        write_state(self.cluster, self.state)

    def _replace(self) -> None:
        """Everything that can fail is tried in scratch servers and beside the live data before that is touched."""
        one = self.backup
        if self.state.step == "replacing" and "redis" in self.pods:
            # A run that was killed may have told the live server to keep nothing; what counts is what it does when it starts.
            restore_redis.restart(self.cluster, self.pods["redis"], "redis", one.clock)
        scratch = Scratch(self.cluster, self.progress, one.images, one.clock, _SOURCE)
        with ExitStack() as stack:
            plain, servers = {}, {}
            for artefact in self.snapshot.artefacts:
                plain[artefact.kind] = stack.enter_context(one.seal.opened(artefact))
                servers[artefact.kind] = stack.enter_context(scratch.server(artefact, plain[artefact.kind]))
            self._keep(self.state.step)
            self.writers.stop()
            if not self.state.safety:
                self._keep(self.state.step, self.safety())
            swaps = [self._prepared(artefact, plain[artefact.kind], servers[artefact.kind]) for artefact in self.snapshot.artefacts]
            self._keep("replacing")
            for swap in swaps:
                swap()

    def _prepared(self, artefact: Artefact, plain: Any, server: str) -> Callable[[], None]:
        """Lay an artefact's data beside the live data; what is returned puts it in its place and compares."""
        pod, kind, one = self.pods[artefact.kind], artefact.kind, self.backup
        self.progress.say(f"Restoring {TITLES[kind]}", detail=pod)
        if kind == "postgres":
            expected = postgres.facts(self.cluster, server, "scratch", scratch=True)
            restore_postgres.load(self.cluster, pod, kind, plain)
            loaded = postgres.facts(self.cluster, pod, kind, database=restore_postgres.NEW)
            self._compare(kind, expected, expected, loaded)

            def swap_postgres() -> None:
                restore_postgres.swap(self.cluster, pod, kind, one.clock)
                self._compare(kind, expected, expected, postgres.facts(self.cluster, pod, kind))
                restore_postgres.clean_up(self.cluster, pod, kind)

            return swap_postgres
        settings = restore_redis.prepare(self.cluster, pod, kind, plain)

        def swap_redis() -> None:
            restore_redis.swap(self.cluster, pod, kind, settings)
            restore_redis.restart(self.cluster, pod, kind, one.clock)
            before = redis.facts(self.cluster, server, "scratch", scratch=True)
            live = redis.facts(self.cluster, pod, kind)
            # keys that expire meanwhile expire in the scratch server too
            self._compare(kind, before, redis.facts(self.cluster, server, "scratch", scratch=True), live)
            restore_redis.clean_up(self.cluster, pod, kind, settings)

        return swap_redis

    def _compare(self, kind: str, before: Mapping[str, Any], after: Mapping[str, Any], live: dict[str, Any]) -> None:
        if found := differences(before, after, live):
            raise BackupError(f"{TITLES[kind]} is not what the snapshot holds: {'; '.join(found[:5])}")
        self.facts[kind] = live

    def _bring_back(self) -> None:
        for pod in self.backup.cache_pods():
            restore_redis.flush(self.cluster, pod, "redis")
        if failed := self.writers.start(self.state.replicas, self.wait_seconds):
            raise BackupError("; ".join(failed))
        if not self.state.replicas.get("hsc-jit-backend"):
            return
        path = f"{self.cluster.namespaced('services')}/hsc-jit-backend:http/proxy/ready"

        def error_of_ready() -> str:
            try:
                self.cluster.request("GET", path)
            except ApiError as error:
                return error.message
            return ""

        if error := poll(error_of_ready, _READY_SECONDS, until=not_, every=0.5, clock=self.backup.clock):
            raise BackupError(f"/ready does not answer 200 for {_READY_SECONDS:.0f} s: {error}")

    def _failed(self, error: Exception) -> Finding:
        evidence = {**asdict(self.state), "facts": self.facts}
        again = f"-e restore_snapshot={self.snapshot.id}"
        if self.state.step == "stopping":
            return Finding("BK-05", "fail", f"Nothing was replaced: {explain(error)}", evidence, self._undone())
        if self.state.step == "starting":
            message = f"The data of snapshot {self.snapshot.id} is restored, but the product is not back: {explain(error)}"
            return Finding("BK-05", "fail", message, evidence, f"Correct the cause and run again with {again}: it goes on from here.")
        message = f"The data stores may hold data of both: {explain(error)}. What writes is stopped, on purpose."
        step = f"Run again with {again}; or, for what was there before, with -e restore_snapshot={self.state.safety}."
        return Finding("BK-05", "fail", message, evidence, step)

    def _undone(self) -> str:
        """Bring back what was stopped, where nothing was replaced; the next step."""
        try:
            failed = self.writers.start(self.state.replicas, self.wait_seconds)
            if not failed:
                write_state(self.cluster, None)
                return "All workloads are back. Correct the cause and run again."
            return f"The workloads are not back yet ({'; '.join(failed)}): correct that, then run again."
        except FAILURES as problem:
            return f"The workloads may still be stopped ({explain(problem)}): run again when that is corrected; it brings them back."
