# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""One run at a time changes a local cluster. The lock is a name in the kernel: it leaves no file, and goes with its process."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .._errors import LockHeldError
from .._poll import poll
from .._process import parent


@contextmanager
def alone(name: str, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock ``name``; LockHeldError if it is not free within ``wait_seconds``. Children do not inherit it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as lock:
        if not poll(lambda: _bind(lock, name), wait_seconds, every=0.5):
            raise LockHeldError(_holder(name))
        lock.listen()
        yield


def _bind(lock: socket.socket, name: str) -> bool:
    try:
        lock.bind(_address(name))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True


def _address(name: str) -> str:
    return f"\0hsc-jit/{name}"  # the zero: a name in the kernel, not in a file system


def _holder(name: str) -> str:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
            visitor.connect(_address(name))
            pid, _, _ = struct.unpack("3i", visitor.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    except OSError:
        return "a run that has just ended"
    return describe(pid)


def describe(pid: int) -> str:
    """``process 4711 (ansible-playbook deploy.yml) in /srv/hsc``: a module's process means nothing to people, so its playbook is named."""
    line = [pid]
    while line[-1] > 1 and len(line) < 8:
        line.append(parent(line[-1]))
    playbook = next((one for one in line if "ansible-playbook" in _command(one)), pid)
    try:
        folder = f" in {Path(f'/proc/{playbook}/cwd').readlink()}"
    except OSError:
        folder = ""
    return f"process {playbook} ({_command(playbook)[:120] or 'ended'}){folder}"


def _command(pid: int) -> str:
    """The program's name without its folder, and its arguments, on one line."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    named = " ".join(Path(word).name if word.startswith("/") else word for word in words)
    return " ".join(named.split())
