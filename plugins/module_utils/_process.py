# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""A mark by which a process is known later, and whether it has ended: a number alone is used again, and means nothing elsewhere."""

from __future__ import annotations

from pathlib import Path

_PROC = Path("/proc")


def process_mark(pid: int, proc: Path = _PROC) -> str:
    """``boot/namespace/pid/start``; empty where the system has no /proc: there only time tells."""
    machine, started = _machine(proc), _started(pid, proc)
    return f"{machine}/{pid}/{started}" if machine and started else ""


def is_missing(pid: int, proc: Path = _PROC) -> bool:
    """Whether this machine can tell that there is no such process."""
    return bool(_machine(proc)) and not _started(pid, proc)


def split(mark: str) -> tuple[str, str, str]:
    """(machine, pid, start); three empty texts for an empty mark."""
    machine, pid, start = mark.rsplit("/", 2) if mark else ("", "", "")
    return machine, pid, start


def has_ended(mark: str, proc: Path = _PROC) -> bool:
    """True only if the process was of this machine and is gone. What cannot be known has not ended."""
    machine, pid, start = split(mark)
    if not machine or machine != _machine(proc):
        return False
    return _started(int(pid), proc) != start


def _started(pid: int, proc: Path) -> str:
    """The start time of a living process in the kernel's ticks; empty if there is none: a number used again is another process."""
    try:
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _machine(proc: Path) -> str:
    """This boot of this machine and its process namespace: containers of equal host names do not see each other's processes."""
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(proc / 'self/ns/pid').stat().st_ino}"
    except OSError:
        return ""
