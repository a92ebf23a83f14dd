# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The reports on disk: each appears whole or not at all, readable by its owner only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .. import _atomic_file, _journal
from .._errors import JournalError
from . import html as report_html
from . import junit
from . import text as report_text
from .results import metrics
from .shapes import Checklist


def read_journal(path: Path) -> tuple[list[dict[str, Any]], str]:
    """The entries as far as the chain is sound, and what is wrong behind them. A run that was stopped before its first entry has none."""
    entries: list[dict[str, Any]] = []
    if not path.exists():
        return entries, "The run was stopped before anything was looked at: there is no journal."
    try:
        for entry in _journal.read(path):
            entries.append(entry)  # one by one: what is sound before a broken line is still shown
    except JournalError as problem:
        text = path.read_bytes()
        killed = not text.endswith(b"\n") and len(entries) == text.count(b"\n")  # half a last line is what a killed writer leaves
        return entries, "" if killed else str(problem)
    return entries, ""


def previous(folder: Path, checklist: Checklist) -> dict[str, Any]:
    """The newest report beside this one that is of the same environment and asks the same rows; empty if there is none.

    ``{"run", "verdict", "p95_ms": {load: milliseconds}}``
    """
    earlier = sorted((path for path in folder.parent.glob("*/checklist.json") if path.parent.name < folder.name), reverse=True)
    for path in earlier:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if _kind(found) == _kind(checklist):
                loads = {str(one["load"]): one["p95_ms"] for one in metrics(found, "VF-03") if "p95_ms" in one}
                return {"run": str(found["run"]), "verdict": str(found["verdict"]), "p95_ms": loads}
        except (OSError, ValueError, KeyError, TypeError):
            continue  # no report of ours, or half of one
    return {}


def _kind(checklist: Checklist) -> tuple[Any, ...]:
    return checklist["environment"], checklist["check_mode"], checklist.get("asked")


def write(checklist: Checklist, folder: Path) -> dict[str, str]:
    """Write the four files beside the journal; their paths by name."""
    picture = folder / "page.png"
    texts = {
        "checklist.json": json.dumps(checklist, indent=2, ensure_ascii=False) + "\n",
        "report.html": report_html.as_html(checklist, picture.read_bytes() if picture.exists() else None),
        "junit.xml": junit.as_junit(checklist),
        "summary.md": report_text.as_markdown(checklist),
    }
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in texts.items():
        _atomic_file.write(folder / name, text)
    return {name: str(folder / name) for name in texts}
