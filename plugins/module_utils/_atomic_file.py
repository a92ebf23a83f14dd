# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""A file that has its whole text, old or new, whatever is killed meanwhile."""

from __future__ import annotations

from pathlib import Path


def write(path: Path, text: str) -> None:
    """Make or replace the file; only its owner can read it. Its folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.touch(mode=0o600)
    new.write_text(text, encoding="utf-8")
    new.replace(path)
