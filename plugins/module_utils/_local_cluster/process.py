# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Processes that outlive the playbook, each known by its pid and the moment it started: a reused pid is never taken for ours."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from .. import _atomic_file


def boot() -> str:
    """The id of this boot of the machine: pids and namespaces of another one mean nothing now."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def started(pid: int) -> str | None:
    """The process' start time in clock ticks since boot, with the boot's id; None if there is no such process (or only its remains)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else f"{boot()}:{fields[19]}"


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
    deadline = time.monotonic() + seconds
    while any(started(pid) for pid in pids) and time.monotonic() < deadline:
        for pid in pids:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue
        time.sleep(0.05)
