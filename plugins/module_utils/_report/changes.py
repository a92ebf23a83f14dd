# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What a run changed, for the report's reader. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .markup import Markup, join, tag


def as_changes(changes: Sequence[Mapping[str, Any]]) -> Markup:
    """Values from and to, the same step once for all that took it; of what came or went as a whole, the names say enough."""
    items = [item for change in changes for item in change["items"]]
    if not items:
        return tag("p", "Nothing.")
    steps: dict[tuple[str | None, str | None], list[str]] = {}
    for item in items:
        if not _whole(item):
            steps.setdefault((item["before"], item["after"]), []).append(item["what"])
    values = tag("div", *(_step(before, after, names) for (before, after), names in steps.items()), class_="changes")
    created = _names("Created", [item["what"] for item in items if _whole(item) and item["after"] == "present"])
    deleted = _names("Deleted", [item["what"] for item in items if _whole(item) and item["after"] == "absent"])
    more = sum(change["more"] for change in changes)
    return join(values, created, deleted, tag("p", f"and {more} more, in the journal", class_="soft") if more else None)


def _step(before: str | None, after: str | None, names: Sequence[str]) -> Markup:
    what = tag("div", *(tag("div", name) for name in names), class_="what")
    return tag("div", what, _side(before), tag("span", "\u2192", class_="soft"), _side(after))


def _side(value: str | None) -> Markup:
    """A digest by its first twelve digits: enough to recognise it."""
    return tag("code", re.sub(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}", "\\1\u2026", value)) if value else tag("span", "nothing", class_="soft")


def _whole(item: Mapping[str, Any]) -> bool:
    return {item["before"], item["after"]} == {"absent", "present"}


def _names(verb: str, names: Sequence[str]) -> Markup | None:
    return tag("p", tag("b", f"{verb} ({len(names)}): "), ", ".join(names)) if names else None
