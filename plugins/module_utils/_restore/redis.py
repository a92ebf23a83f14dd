# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Redis: put a dump in the place of all that a live server holds.

A server with an append-only file reads that one at its start and ignores a dump beside it. So the dump becomes the base of a new
append-only file (Redis 7 and later: a directory with a manifest), which takes the old one's place; then the pod starts anew.
"""

from __future__ import annotations

from operator import not_
from pathlib import Path

from .._backup.pod_files import checked, copy_in
from .._backup.redis import settings
from .._errors import ApiError, BackupError
from .._kube.client import Cluster
from .._kube.objects import Object, is_ready
from .._poll import CLOCK, Clock, poll

_NEW, _OLD = "hsc-restore", "hsc-replaced"
_START_SECONDS = 180.0
_NAMES = ("dir", "appendonly", "appenddirname", "appendfilename", "dbfilename")


def prepare(cluster: Cluster, pod: str, container: str, source: Path) -> dict[str, str]:
    """Lay the new data beside the old, and check it as Redis will read it. The server goes on as it is. Answers its settings."""
    found = settings(cluster, pod, container, *_NAMES)
    if missing := set(_NAMES) - found.keys():
        raise BackupError(f"{pod}: this Redis has no {', '.join(sorted(missing))}; restoring needs Redis 7 or later.")
    new = f"{found['dir']}/{_NEW}"
    base, manifest = f"{found['appendfilename']}.1.base.rdb", f"{found['appendfilename']}.manifest"
    _run(cluster, pod, container, "rm", "-rf", new)
    _run(cluster, pod, container, "mkdir", new)
    copy_in(cluster, pod, container, source, f"{new}/{base}")
    checked(cluster.exec(pod, container, ["redis-check-rdb", f"{new}/{base}"]), f"{pod}: redis-check-rdb")
    if found["appendonly"] == "yes":
        line = f"file {base} seq 1 type b\n".encode()
        checked(cluster.exec(pod, container, ["cp", "/dev/stdin", f"{new}/{manifest}"], stdin=line), f"{pod}: writing {manifest}")
        checked(cluster.exec(pod, container, ["redis-check-aof", f"{new}/{manifest}"]), f"{pod}: redis-check-aof")
    return found


def swap(cluster: Cluster, pod: str, container: str, before: dict[str, str]) -> None:
    """Put what was prepared in the place of the live data, on disk. The server keeps its old data in memory until ``restart``."""
    folder = before["dir"]
    for name, value in (("appendonly", "no"), ("save", "")):  # from now on it writes nothing, neither now nor when it ends
        checked(cluster.exec(pod, container, ["redis-cli", "CONFIG", "SET", name, value]), f"{pod}: CONFIG SET {name}")
    _run(cluster, pod, container, "rm", "-rf", f"{folder}/{_OLD}")
    if before["appendonly"] == "yes":
        live = f"{folder}/{before['appenddirname']}"
        if cluster.exec(pod, container, ["test", "-e", live]).returncode == 0:
            _run(cluster, pod, container, "mv", live, f"{folder}/{_OLD}")
        _run(cluster, pod, container, "mv", f"{folder}/{_NEW}", live)
    else:
        _run(cluster, pod, container, "mv", f"{folder}/{_NEW}/{before['appendfilename']}.1.base.rdb", f"{folder}/{before['dbfilename']}")


def restart(cluster: Cluster, pod: str, container: str, clock: Clock = CLOCK) -> None:
    """A new pod in the place of this one; until it has loaded its data and is ready."""
    path = cluster.namespaced("pods") + f"/{pod}"
    before = cluster.get(path)["metadata"]["uid"]
    cluster.delete(path)

    def obstacle() -> str:
        found = cluster.find(path)
        replaced = found is not None and found["metadata"]["uid"] != before
        return _obstacle(cluster, found, container) if found and replaced else "no new pod was created"

    if reason := poll(obstacle, _START_SECONDS, until=not_, every=0.5, clock=clock):
        raise BackupError(f"{pod}: {reason}, {_START_SECONDS:.0f} s after its restart.", f"kubectl logs {pod}")


def _obstacle(cluster: Cluster, pod: Object, container: str) -> str:
    """Why the server in the pod does not serve its data yet; empty if it does."""
    if not is_ready(pod):
        return "its new pod is not ready"
    try:
        answer = cluster.exec(pod["metadata"]["name"], container, ["redis-cli", "INFO", "persistence"])
    except (ApiError, TimeoutError) as error:
        return str(error)
    return "" if answer.returncode == 0 and b"loading:0" in answer.stdout else "it still loads its data"


def clean_up(cluster: Cluster, pod: str, container: str, before: dict[str, str]) -> None:
    """Remove what the restored data replaced."""
    _run(cluster, pod, container, "rm", "-rf", f"{before['dir']}/{_OLD}", f"{before['dir']}/{_NEW}")


def flush(cluster: Cluster, pod: str, container: str) -> None:
    """Empty a cache: what it holds was made of the data that is gone."""
    checked(cluster.exec(pod, container, ["redis-cli", "FLUSHALL"]), f"{pod}: FLUSHALL")


def _run(cluster: Cluster, pod: str, container: str, *argv: str) -> None:
    checked(cluster.exec(pod, container, list(argv)), f"{pod}: {' '.join(argv)}")
