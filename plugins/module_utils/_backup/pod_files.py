# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Files and commands in a data store's pod, each checked: nothing that fails is taken for done."""

from __future__ import annotations

from pathlib import Path

from .._errors import BackupError
from .._kube.client import Cluster, ExecResult


def checked(result: ExecResult, what: str) -> bytes:
    """The standard output of a command that ended with 0. Raises BackupError with the command's own words otherwise."""
    if result.returncode:
        said = (result.stderr.strip() or result.stdout.decode("utf-8", "replace").strip())[-500:]
        raise BackupError(f"{what} ended with {result.returncode}: {said}")
    return result.stdout


def copy_in(cluster: Cluster, pod: str, container: str, source: Path, target: str) -> None:
    """Copy a local file into the container. Raises BackupError unless every byte arrived.

    The command is cp, because it keeps its standard output open while it reads. With dd the copy arrives cut (see _kube/exec.py).
    """
    checked(cluster.exec(pod, container, ["cp", "/dev/stdin", target], stdin=source), f"{pod}: copying to {target}")
    size = int(checked(cluster.exec(pod, container, ["stat", "--format=%s", target]), f"{pod}: stat {target}"))
    if size != source.stat().st_size:
        raise BackupError(f"{pod}: {size} of {source.stat().st_size} bytes arrived at {target}.")


def first_bytes(path: Path) -> bytes:
    """The first five bytes: the magic number of a Redis dump or a pg_dump archive."""
    with path.open("rb") as file:
        return file.read(5)
