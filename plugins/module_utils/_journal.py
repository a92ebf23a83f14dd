# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The run's evidence: an append-only file of JSON lines, each chained to the one before by its SHA-256.

One line: ``{"seq", "time", "run", "module", "kind", "data", "prev", "hash"}``; ``hash`` is over the line without itself, in canonical JSON.
An auditor needs nothing but this file to see whether a byte of it changed: ``verify(path)``.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ._errors import JournalError

_START = "0" * 64


def _digest(entry: Mapping[str, Any]) -> str:
    body = {key: value for key, value in entry.items() if key != "hash"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()


def append(path: Path, time: str, module: str, kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Add one entry, on disk (fsync) when this returns. Several processes may append at the same time.

    A last line without its newline is what a killed writer left: it is cut, so that the chain goes on.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        file.truncate(len(whole))
        file.seek(len(whole))
        last: dict[str, Any] = json.loads(whole.splitlines()[-1]) if whole else {"seq": 0, "hash": _START}
        entry: dict[str, Any] = {
            "seq": last["seq"] + 1,
            "time": time,
            "run": path.parent.name,
            "module": module,
            "kind": kind,
            "data": json.loads(json.dumps(data, default=str)),
            "prev": last["hash"],
        }
        entry["hash"] = _digest(entry)
        file.write(json.dumps(entry, sort_keys=True, separators=(",", ":")).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return entry


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Every entry in order. JournalError names the first line that is not what was written."""
    previous = _START
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            entry = json.loads(line)
            sound = entry["seq"] == number and entry["prev"] == previous and entry["hash"] == _digest(entry)
        except (ValueError, KeyError, TypeError):
            sound = False
        if not sound:
            raise JournalError(f"{path}, line {number}: not what was written; this evidence cannot be trusted from here on.")
        previous = entry["hash"]
        yield entry


def verify(path: Path) -> int:
    """How many entries the unbroken chain has."""
    return sum(1 for _ in read(path))
