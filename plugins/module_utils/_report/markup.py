# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""HTML that cannot be forgotten to be escaped: everything is text unless it was made by ``tag``. Pure: no I/O."""

from __future__ import annotations

import re
from html import escape

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Markup(str):
    """HTML made here, not to be escaped again."""

    __slots__ = ()


def text(value: object) -> Markup:
    return value if isinstance(value, Markup) else Markup(escape(_CONTROL.sub("�", str(value))))


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """``tag("p", "a < b", class_="soft")``; None and False leave a child or an attribute out, ``_`` in a name is ``-``."""
    given = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{text(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    inside = join(*children)
    return Markup(f"<{name}{given}/>" if name in _VOID else f"<{name}{given}>{inside}</{name}>")


def join(*children: object) -> Markup:
    return Markup("".join(text(child) for child in children if child is not None and child is not False))


_VOID = frozenset({"meta", "img", "br", "line"})
