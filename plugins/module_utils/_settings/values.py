# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What one value of a setting must be. A Check tells what is wrong with a value and what to write instead. Pure: no I/O."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from .._kube.quantities import parse_quantity

Check = Callable[[Any], str]  # "" if nothing is wrong


def nearest(name: str, known: Collection[str]) -> str:
    found = difflib.get_close_matches(name, known, 1, 0.82)
    return f"; did you mean {found[0]}?" if found else ""


def boolean(value: Any) -> str:
    known = isinstance(value, bool) or str(value).lower() in ("true", "false", "yes", "no")
    return "" if known else "write true or false"


def text(value: Any) -> str:
    return "" if isinstance(value, str) else 'write a name, or ""'


def number(least: float, most: float = float("inf")) -> Check:
    def check(value: Any) -> str:
        try:
            fits = not isinstance(value, bool) and least <= float(value) <= most
        except (TypeError, ValueError):
            fits = False
        return "" if fits else f"write a number {f'from {least:g} to {most:g}' if most < float('inf') else f'of {least:g} or more'}"

    return check


def recorded(value: Any) -> str:
    """Forms and surveys send text, and nothing as empty text."""
    return "" if re.fullmatch(r"\d{0,9}", str(value)) and not isinstance(value, bool) else "write the number of a recorded release, or 0"


def one_of(*choices: str) -> Check:
    return lambda value: "" if value in choices else f"write one of {', '.join(choices)}{nearest(str(value), choices)}"


def matching(pattern: re.Pattern[str], example: str) -> Check:
    return lambda value: "" if isinstance(value, str) and pattern.fullmatch(value) else f"write it as {example}"


def quantity(value: Any) -> str:
    if isinstance(value, str) and _bytes(value) >= 2**20:
        return ""
    near = re.sub(r"(?i)^(\d+(?:\.\d+)?)\s*([kmgt])i?b?$", lambda found: f"{found[1]}{found[2].upper()}i", str(value).strip())
    return f"write a size with its unit, as {near if _bytes(near) and near != str(value) else '10Gi'}"


def _bytes(text: str) -> float:
    """0 if it is not a quantity."""
    try:
        return parse_quantity(text)
    except ValueError:
        return 0.0


def address(value: Any) -> str:
    parts = urlsplit(value) if isinstance(value, str) else None
    good = parts and parts.scheme in ("http", "https") and parts.hostname and not parts.username
    return "" if good else "write the whole address, as https://support.example.com"


def cron(value: Any) -> str:
    good = isinstance(value, str) and len(value.split()) == 5 and all(re.fullmatch(r"[\d*/,-]+", field) for field in value.split())
    return "" if good else "write five fields, as 0 2 * * *: minute, hour, day, month, weekday"


def each(check: Check) -> Check:
    def inner(value: Any) -> str:
        if not isinstance(value, list):
            return "write a list"
        return next((f"entry {number} is {one!r}: {why}" for number, one in enumerate(value) if (why := check(one))), "")

    return inner


def texts(example: str, *names: str) -> Check:
    """A mapping of text to text; names: the only keys that it may have."""

    def check(value: Any) -> str:
        strings = isinstance(value, Mapping) and value and all(isinstance(one, str) for pair in value.items() for one in pair)
        return "" if strings and {*value} <= {*(names or value)} else f"write it as {example}"

    return check
