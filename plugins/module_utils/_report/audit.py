# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""OP-07: is a run's evidence what the run wrote? The journal's chain, the reports' and the backups' hashes in it. Reads files only.

A chain shows a change, not who made it: whoever may write the folder could write a whole new one. So the webhook gets the last hash (role
notify), and an auditor compares that with the one here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import _journal
from .._backup.snapshot import file_sha256
from .._errors import JournalError
from .._finding import Finding

WRITTEN = "evidence"  # the kind of entry that says what the report wrote
_STEP = "Do not rely on it. Compare with the copy that was sent away (webhook, archive); find out who may write that folder."


def check(journal: Path) -> list[Finding]:
    """All that is not what was written; one pass if everything is."""
    if not journal.is_file():
        step = "Name a run whose folder lies in release_evidence_dir: ls evidence."
        return [Finding("OP-07", "error", f"There is no journal {journal}.", {"journal": str(journal)}, step)]
    try:
        entries = list(_journal.read(journal))
    except JournalError as problem:
        return [Finding("OP-07", "fail", str(problem), {"journal": str(journal)}, _STEP)]
    files = dict(_files(entries, journal.parent))
    found = [finding for path, wanted in files.items() if (finding := _changed(path, wanted))]
    if not any(entry["kind"] == WRITTEN for entry in entries):
        found.append(Finding("OP-07", "warn", f"{journal.parent.name} has no report: the run was killed before it.", {}, "Run it again."))
    last = entries[-1]["hash"]
    message = f"{len(entries)} entries of {journal.parent.name} and {len(files)} files are what the run wrote; the last hash is {last}."
    evidence = {"entries": len(entries), "files": sorted(map(str, files)), "last_hash": last}
    return found or [Finding("OP-07", "pass", message, evidence)]


def _files(entries: Sequence[Mapping[str, Any]], folder: Path) -> Iterator[tuple[Path, str]]:
    """(path, SHA-256) of each file that an entry has the hash of; the newest entry counts."""
    for entry in entries:
        data = entry["data"]
        if entry["kind"] == WRITTEN:
            for name, digest in data["files"].items():
                yield folder / name, digest
        evidence = data.get("evidence") or {} if entry["kind"] == "finding" else {}
        # A backup may have been pruned by then (BK-04), which is no change.
        if {"path", "sha256"} <= set(evidence) and Path(evidence["path"]).exists():
            yield Path(evidence["path"]), evidence["sha256"]


def _changed(path: Path, wanted: str) -> Finding | None:
    evidence = {"path": str(path), "sha256": wanted}
    if not path.is_file():
        return Finding("OP-07", "fail", f"{path} is gone.", evidence, _STEP)
    now = file_sha256(path)
    if now == wanted:
        return None
    return Finding(
        "OP-07", "fail", f"{path} is not what was written: SHA-256 {now[:16]}, not {wanted[:16]}.", {**evidence, "now": now}, _STEP
    )
