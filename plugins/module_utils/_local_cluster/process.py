# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Processes that outlive the playbook, each known by its pid and the moment it started: a reused pid is never taken for ours."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .. import _atomic_file
from .._poll import poll
from .._process import boot_id, start_ticks


def started(pid: int) -> str | None:
    """``<boot id>:<start ticks>`` of a running process; None if it does not run. Unique, although pids are reused."""
    ticks = start_ticks(pid)
    return f"{boot_id()}:{ticks}" if ticks else None


def pid_of(pid_file: Path) -> int | None:
    """The pid of the running process that the file names, or None."""
    try:
        pid, moment = pid_file.read_text().split()
    except (OSError, ValueError):
        return None
    return int(pid) if started(int(pid)) == moment else None


def ensure(pid_file: Path, argv: Sequence[str], log: Path) -> bool:
    """Start the process if it does not run; True if it was started."""
    if pid_of(pid_file) is not None:
        return False
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > 20 * 2**20:
        log.replace(log.with_suffix(".old"))

    def record() -> None:
        """In the new process: it is known before it becomes the program, so a kill at any moment leaves no stranger."""
        _atomic_file.write(pid_file, f"{os.getpid()} {started(os.getpid())}\n")

    with log.open("ab") as output:
        subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/", env=_environment(),
            preexec_fn=record,  # noqa: PLW1509 (the module has no threads)
        )  # fmt: skip
    return True


def _environment() -> dict[str, str]:
    """Little, so that a node does not depend on who started it; proxies would catch the cluster's own traffic."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}


def end(pids: Sequence[int], seconds: float = 10.0) -> None:
    """SIGKILL and wait until they are gone: nothing of a node's is worth a graceful end when its folder goes next."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue

    def all_gone() -> bool:
        for pid in pids:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        return not any(started(pid) for pid in pids)

    poll(all_gone, seconds, every=0.05)
