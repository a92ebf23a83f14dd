# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Live lines of a long-running module: the module writes them, the action plugin (plugin_utils/_follow.py) shows them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path


class Progress:
    """Says what is being waited for, how far it is and how long it took. Without a path it is silent.

    The same line is not said twice in a row, so a caller may say it in every turn of a loop.
    """

    def __init__(self, path: str | None = None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = Path(path) if path else None
        self._monotonic = monotonic
        self._started = monotonic()
        self._last: tuple[object, ...] = ()

    def say(self, what: str, done: int | None = None, total: int | None = None, detail: str = "") -> None:
        said = (what, done, total, detail)
        if self._path is None or said == self._last:
            return
        self._last = said
        seconds = round(self._monotonic() - self._started, 1)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"what": what, "done": done, "total": total, "detail": detail, "seconds": seconds}) + "\n")


def as_line(entry: dict[str, object]) -> str:
    """``[ 12 s] Deployment hsc-jit-worker 2/3: pulling image``"""
    count = f" {entry['done']}/{entry['total']}" if entry.get("total") is not None else ""
    detail = f": {entry['detail']}" if entry.get("detail") else ""
    return f"[{float(str(entry['seconds'])):4.0f} s] {entry['what']}{count}{detail}"
