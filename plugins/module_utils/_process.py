# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""A mark by which a process is known later, and whether it has ended: a number alone is used again, and means nothing elsewhere."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

_PROC = Path("/proc")


def process_mark(pid: int, proc: Path = _PROC) -> str:
    """``boot/namespace/pid/start``; empty where the system has no /proc: there only time tells."""
    machine, started = _machine(proc), start_ticks(pid, proc)
    return f"{machine}/{pid}/{started}" if machine and started else ""


def is_missing(pid: int, proc: Path = _PROC) -> bool:
    """Whether this machine can tell that there is no such process."""
    return bool(_machine(proc)) and not start_ticks(pid, proc)


def split(mark: str) -> tuple[str, str, str]:
    """(machine, pid, start); three empty texts for an empty mark."""
    machine, pid, start = mark.rsplit("/", 2) if mark else ("", "", "")
    return machine, pid, start


def has_ended(mark: str, proc: Path = _PROC) -> bool:
    """True only if the process was of this machine and is gone. What cannot be known has not ended."""
    machine, pid, start = split(mark)
    if not machine or machine != _machine(proc):
        return False
    return start_ticks(int(pid), proc) != start


def parent(pid: int, proc: Path = _PROC) -> int:
    """Process id of the parent; 0 if there is no such process."""
    return int(_stat(pid, proc)[1])


def start_ticks(pid: int, proc: Path = _PROC) -> str:
    """Start time in the kernel's ticks since boot; empty if no such process lives. A pid that was reused has another start time."""
    state, _, start = _stat(pid, proc)
    return "" if state in "ZX" else start


def boot_id(proc: Path = _PROC) -> str:
    """Identifies this boot of the machine. OSError: the system has no /proc."""
    return (proc / "sys/kernel/random/boot_id").read_text().strip()


def _stat(pid: int, proc: Path) -> tuple[str, str, str]:
    """(state, parent's pid, start ticks) from /proc/PID/stat, proc(5) fields 3, 4 and 22; ("X", "0", "") if there is no such process.

    The program's name, field 2, may contain blanks and parentheses, so fields are counted from its last parenthesis.
    """
    try:
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return fields[0], fields[1], fields[19]
    except (OSError, IndexError):
        return "X", "0", ""


def _machine(proc: Path) -> str:
    """This boot of this machine and its process namespace: containers of equal host names do not see each other's processes."""
    try:
        return f"{boot_id(proc)}/{(proc / 'self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def user_name() -> str:
    """This process's user; ``uid=12345`` where the uid has no name, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # Python before 3.13, and since
        return f"uid={os.getuid()}"
