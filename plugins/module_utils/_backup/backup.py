# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Back the data stores up, restore each backup into a scratch pod, compare: only then is it a Snapshot."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from .._errors import ApiError, BackupError, explain
from .._finding import Finding
from .._kube.client import Cluster
from .._kube.objects import is_ready, status_of
from .._module import Context
from .._poll import CLOCK, Clock
from .._progress import Progress
from . import postgres, redis
from .encryption import Seal, nameless
from .scratch import STORES, TITLES, Scratch
from .snapshot import Artefact, Facts, Snapshot, damage, differences, file_sha256

_IDS = {"redis": "BK-01", "postgres": "BK-02"}
_FILES = {"redis": "redis.rdb", "postgres": "postgres.dump"}
CACHE = "hsc-jit-redis-cache"
# What a step of a backup fails with. OSError: a command that did not end in time, a full disk on this machine.
FAILURES = (BackupError, ApiError, OSError)


def new_snapshot(folder: Path, now: datetime, namespace: str, purpose: str = "") -> Snapshot:
    """An empty one, named by its moment so that names sort by time."""
    name = now.strftime("%Y%m%dT%H%M%S%fZ") + (f"-{purpose}" if purpose else "")
    return Snapshot(name, now.isoformat(timespec="seconds"), namespace, str(folder / name), purpose=purpose)


def of_run(context: Context) -> Backup:
    """By a module's options images, age_recipients and age_identity_file."""
    params = context.params
    seal = Seal(params["age_recipients"], params["age_identity_file"])
    return Backup(context.cluster, context.progress, params["images"], context.clock, seal)


@dataclass
class Backup:
    """One backup of one namespace."""

    cluster: Cluster
    progress: Progress
    images: Mapping[str, str]
    clock: Clock = CLOCK
    seal: Seal = field(default_factory=Seal)
    findings: list[Finding] = field(default_factory=list)
    after: dict[str, Facts] = field(default_factory=dict)  # facts of each source when its dump was done

    def stores(self) -> dict[str, str]:
        """{kind: pod} of the data stores that exist.

        BackupError: one exists but does not run, so it cannot be backed up; or the product uses another one, which is not backed up here.
        """
        self._refuse_foreign_redis()
        found = {}
        for kind in STORES:
            name = f"hsc-jit-{kind}"
            if self.cluster.find(self.cluster.namespaced("statefulsets", "/apis/apps/v1") + f"/{name}") is None:
                continue
            pod = self.cluster.find(self.cluster.namespaced("pods") + f"/{name}-0") or {}
            if not is_ready(pod):
                phase = status_of(pod).get("phase", "missing")
                raise BackupError(f"Pod {name}-0 is not ready ({phase}): {TITLES[kind]} cannot be backed up, so nothing may change.")
            found[kind] = f"{name}-0"
        return found

    def _refuse_foreign_redis(self) -> None:
        """The store that is backed up must be the one that the product uses."""
        secret = self.cluster.find(f"{self.cluster.namespaced('secrets')}/hsc-secrets") or {}
        url = base64.b64decode((secret.get("data") or {}).get("redis-url", "")).decode("utf-8", "replace").strip()
        host, namespace = urlsplit(url).hostname or "", self.cluster.namespace
        own = f"hsc-jit-redis.{namespace}"
        if host and host not in ("hsc-jit-redis", own, f"{own}.svc", f"{own}.svc.cluster.local"):
            message = f"Secret hsc-secrets, key redis-url leads to {host}, which is not backed up here; hsc-jit-redis is not in use."
            raise BackupError(message, "Set redis-url to redis://hsc-jit-redis:6379/0, or back that server up yourself and waive BK-01.")

    def whole(self, snapshot: Snapshot, stores: Mapping[str, str]) -> None:
        """Dump, look at the cache, prove, and write the description. ``snapshot.proved`` says whether it may be relied on."""
        Path(snapshot.folder).mkdir(parents=True, mode=0o700)
        self.take(snapshot, stores)
        self.look_at_cache()
        if len(snapshot.artefacts) == len(stores):
            self.prove(snapshot)
        snapshot.write()

    def take(self, snapshot: Snapshot, stores: Mapping[str, str]) -> None:
        """Dump every store (at the same time); BK-01 and BK-02."""
        if "postgres" in stores:
            self._end_leftovers(stores["postgres"])
        with ThreadPoolExecutor(len(stores)) as pool:
            futures = {kind: pool.submit(self._dump, kind, pod, Path(snapshot.folder) / _FILES[kind]) for kind, pod in stores.items()}
        for kind, future in futures.items():
            try:
                artefact = future.result()
            except FAILURES as error:
                step = "Read the message; correct it and run again. Nothing was changed."
                self.findings.append(Finding(_IDS[kind], "fail", f"{TITLES[kind]} could not be backed up: {explain(error)}", {}, step))
                continue
            snapshot.artefacts.append(artefact)
            counted = {name: value for name, value in artefact.facts.items() if not isinstance(value, str) or name == "revision"}
            sealed = f", encrypted to {len(self.seal.recipients)} recipients" if artefact.encryption else ""
            message = f"{TITLES[kind]}: {artefact.size_bytes} bytes out of {artefact.source}{sealed}, SHA-256 {artefact.sha256[:12]}."
            evidence = {"path": artefact.path, "size_bytes": artefact.size_bytes, "sha256": artefact.sha256, "source": counted}
            self.findings.append(Finding(_IDS[kind], "pass", message, {**evidence, "encryption": artefact.encryption}))

    def _end_leftovers(self, pod: str) -> None:
        try:
            left = postgres.leftovers(self.cluster, pod, "postgres")
        except FAILURES:
            return  # the dump will say what is wrong with that server
        if not left:
            return
        sessions = list(left.values())
        message = f"Ended the dump that a killed run had left in {pod} ({'; '.join(sessions)}): it would have held up every migration."
        step = "Nothing; the next one is taken now."
        try:
            postgres.end_sessions(self.cluster, pod, "postgres", left)
        except FAILURES as error:
            message = f"A killed run left a dump in {pod} ({'; '.join(sessions)}) that could not be ended: {error}"
            step = f"It holds up every migration. End it in the server: SELECT pg_terminate_backend({next(iter(left))})."
        self.findings.append(Finding("BK-02", "warn", message, {"sessions": sessions}, step))

    def _dump(self, kind: str, pod: str, path: Path) -> Artefact:
        self.progress.say(f"Backing up {TITLES[kind]}", detail=pod)
        if self.seal.recipients:
            path = path.with_name(path.name + ".age")
            with nameless(path.parent) as plain:
                before, self.after[kind] = STORES[kind].dump(self.cluster, pod, kind, plain)
                self.seal.close(plain, path)
        else:
            before, self.after[kind] = STORES[kind].dump(self.cluster, pod, kind, path)
        path.chmod(0o600)
        encryption = "age" if self.seal.recipients else ""
        return Artefact(kind, str(path), path.stat().st_size, file_sha256(path), pod, before, encryption=encryption)

    def cache_pods(self) -> list[str]:
        """Names of the second Redis' running pods."""
        pods = self.cluster.list(self.cluster.namespaced("pods"), labelSelector=f"app={CACHE}", fieldSelector="status.phase=Running")
        return [pod["metadata"]["name"] for pod in pods]

    def look_at_cache(self) -> None:
        """BK-01 for the second Redis: it is a cache, and a cache that kept something would be data that nobody backs up."""
        pods = self.cache_pods()
        if not pods:
            return
        try:
            kept = {"appendonly": "", "save": "", **redis.settings(self.cluster, pods[0], "redis", "appendonly", "save")}
        except FAILURES as error:
            step = f"kubectl logs deploy/{CACHE}; what it holds can be loaded again, so the backup is whole without it."
            self.findings.append(Finding("BK-01", "warn", f"{CACHE} does not say whether it keeps data: {error}", {}, step))
            return
        if kept["appendonly"] == "no" and not kept["save"]:
            message = f"{CACHE} keeps nothing (appendonly no, save empty): a cache, nothing to back up."
            self.findings.append(Finding("BK-01", "pass", message, kept))
            return
        step = "Take persistence out of cache.conf (roles/rollout/templates/10-config), or move what must be kept to hsc-jit-redis."
        self.findings.append(Finding("BK-01", "warn", f"{CACHE} keeps data on disk ({kept}), and nobody backs it up.", kept, step))

    def prove(self, snapshot: Snapshot) -> None:
        """Restore every artefact into a scratch pod (at the same time) and compare; BK-03."""
        with ThreadPoolExecutor(len(snapshot.artefacts) or 1) as pool:
            results = list(pool.map(self._prove, snapshot.artefacts))
        problems = [problem for problem in results if problem]
        if problems:
            step = "Do not migrate. Look at the file and its source; take another backup with playbooks/backup.yml."
            self.findings.append(Finding("BK-03", "fail", f"The backup does not restore: {'; '.join(problems)}", {}, step))
            return
        seconds = max((artefact.proof["seconds"] for artefact in snapshot.artefacts), default=0.0)
        evidence = {artefact.kind: artefact.proof["restored"] for artefact in snapshot.artefacts}
        names = " and ".join(TITLES[artefact.kind] for artefact in snapshot.artefacts)
        message = f"{names} restored into scratch servers and equal ({seconds} s)."
        self.findings.append(Finding("BK-03", "pass", message, {**evidence, "seconds": seconds}))

    def _prove(self, artefact: Artefact) -> str:
        """Empty if it restores; otherwise why not."""
        started = self.clock.monotonic()
        if problem := damage(artefact):
            return problem
        scratch = Scratch(self.cluster, self.progress, self.images, self.clock)
        try:
            with self.seal.opened(artefact) as plain, scratch.server(artefact, plain) as pod:
                restored = STORES[artefact.kind].facts(self.cluster, pod, "scratch", scratch=True)
        except FAILURES as error:
            return f"{TITLES[artefact.kind]}: {explain(error)}"
        found = differences(artefact.facts, self.after.get(artefact.kind, artefact.facts), restored)
        if found:
            return f"{TITLES[artefact.kind]}: {'; '.join(found[:5])}"
        artefact.proof = {"restored": restored, "seconds": round(self.clock.monotonic() - started, 1)}
        return ""
