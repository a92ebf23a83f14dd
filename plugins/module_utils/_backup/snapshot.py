# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""A Snapshot: a described backup, and the proof that it restores. Pure but for its one file, ``snapshot.json``."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypedDict

from .. import _atomic_file

DESCRIPTION = "snapshot.json"

# What a data store holds: counts and texts by name, for example {"rows.public.products": 120, "revision": "0002"}. See ``differences``.
Facts = dict[str, Any]


class Proof(TypedDict, total=False):
    """What a scratch server held after the restore, and how long restoring took. Empty: not proved."""

    restored: Facts
    seconds: float


@dataclass
class Artefact:
    """One file of a snapshot. kind: redis or postgres. source: pod it came from. facts: what was in the source."""

    kind: str
    path: str
    size_bytes: int
    sha256: str
    source: str
    facts: Facts
    proof: Proof = field(default_factory=Proof)
    encryption: str = ""  # "age", or empty: the file is as the data store wrote it


@dataclass
class Snapshot:
    """id: also the folder's name. created: UTC, ISO 8601. empty: there was nothing to back up yet.

    purpose: ``safety`` for what was taken before a restore; it is never the newest to restore by itself.
    """

    id: str
    created: str
    namespace: str
    folder: str
    artefacts: list[Artefact] = field(default_factory=list)
    empty: bool = False
    purpose: str = ""

    @property
    def proved(self) -> bool:
        return self.empty or (bool(self.artefacts) and all(artefact.proof for artefact in self.artefacts))

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "proved": self.proved}

    def write(self) -> None:
        _atomic_file.write(Path(self.folder) / DESCRIPTION, json.dumps(self.as_dict(), indent=1))


def read(folder: Path) -> Snapshot:
    """The snapshot in a folder, wherever the folder lies now. ValueError: its description is damaged or missing."""
    try:
        told = json.loads((folder / DESCRIPTION).read_text())
        told.pop("proved")
        artefacts = [Artefact(**{**one, "path": str(folder / Path(one["path"]).name)}) for one in told.pop("artefacts")]
        return Snapshot(**{**told, "folder": str(folder), "artefacts": artefacts})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / DESCRIPTION} does not describe a snapshot ({type(error).__name__}: {error}).") from error


def choose(folder: Path, wanted: str) -> Snapshot:
    """The snapshot with that id, or the ``newest`` that was proved. ValueError names those that are there."""
    there = sorted((path.parent for path in folder.glob(f"*/{DESCRIPTION}")), reverse=True)
    if wanted == "newest":
        for path in there:
            snapshot = read(path)
            if snapshot.proved and not snapshot.empty and not snapshot.purpose:
                return snapshot
    for path in there:
        if path.name == wanted:
            return read(path)
    names = ", ".join(path.name for path in there[:10]) or "none"
    raise ValueError(f"There is no snapshot {wanted!r} to restore in {folder}; there: {names}.")


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damage(artefact: Artefact) -> str:
    """What is wrong with the file itself; empty if it is the one that was written."""
    path = Path(artefact.path)
    if not path.exists():
        return f"{path} is gone."
    if path.stat().st_size != artefact.size_bytes or artefact.size_bytes == 0:
        return f"{path} has {path.stat().st_size} bytes; {artefact.size_bytes} were written."
    if file_sha256(path) != artefact.sha256:
        return f"{path} is not the file that was written: its SHA-256 differs."
    return ""


_MOVING = ("sample", "streams")  # digests that any write may change and change back


def differences(before: Mapping[str, Any], after: Mapping[str, Any], restored: Mapping[str, Any]) -> list[str]:
    """What was restored that cannot have been in the source at any moment between ``before`` and ``after``.

    Facts are {name: number or text}. What did not change while the backup ran must be equal. A number that did change (the product
    is in use) may lie between both, and beyond them by what changed. A text that changed says nothing. A source that counts its
    ``writes`` may have held, in between, what was there neither before nor after: then a count may be off by as many keys, or
    by so many keys of the mean size (one at least: a queue may have been empty before and after), and the digests in _MOVING say nothing.
    The ``mark`` must be there whatever happens.
    """
    writes = after.get("writes", 0) - before.get("writes", 0)
    found = []
    for name in sorted({*before, *after, *restored} - {"writes"}):
        first, last, got = before.get(name, 0), after.get(name, 0), restored.get(name, 0)
        if isinstance(first, str) or isinstance(last, str) or isinstance(got, str):
            if first == last != got and not (writes and name.endswith(_MOVING)):
                found.append(f"{name}: {got or 'nothing'} was restored, {first or 'nothing'} is in the source")
            continue
        keys = max(before.get(name.replace("elements.", "keys."), 0), after.get(name.replace("elements.", "keys."), 0), 1)
        slack = abs(last - first) + writes * max(1, math.ceil(max(first, last) / keys))
        if not min(first, last) - slack <= got <= max(first, last) + slack:
            found.append(f"{name}: {got} restored, {first}{f' to {last}' if last != first else ''} in the source")
    return found


def refusal(snapshot: Mapping[str, Any] | None, now: datetime, max_age: timedelta) -> str:
    """Why a migration must not run on this Snapshot; empty if it may."""
    if not snapshot:
        return "There is no Snapshot."
    if not snapshot.get("proved"):
        return f"Snapshot {snapshot.get('id')} was never restored: nobody knows whether it can be."
    age = now - datetime.fromisoformat(snapshot["created"])
    if age > max_age:
        return f"Snapshot {snapshot['id']} is {age.total_seconds() / 60:.0f} minutes old; {max_age.total_seconds() / 60:.0f} are allowed."
    return ""


def superfluous(folder: Path, keep: int) -> list[Path]:
    """Older snapshots beyond ``keep``, and folders of killed runs; the newest is never among them. Names sort by time."""
    snapshots = sorted((path for path in folder.glob("*") if path.is_dir()), reverse=True)
    whole = [path for path in snapshots if (path / DESCRIPTION).exists()]
    broken = [path for path in snapshots[1:] if path not in whole]
    return whole[max(keep, 1) :] + broken


def prune(folder: Path, keep: int) -> list[str]:
    paths = superfluous(folder, keep)
    for path in paths:
        shutil.rmtree(path)
    return [path.name for path in paths]
