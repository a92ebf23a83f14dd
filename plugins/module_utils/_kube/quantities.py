# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Kubernetes' number formats: quantities (``500m``, ``1Gi``) and int-or-percent values (``25%``). Pure: no I/O."""

from __future__ import annotations

import math
import re
from typing import Any

# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d+)|([KMGTPE]i|[numkMGTPE]))?")
_DECIMAL = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_FACTORS = _DECIMAL | {f"{letter}i": 2.0 ** (10 * power) for power, letter in enumerate("KMGTPE", 1)}


def parse_quantity(value: str | int | float | None) -> float:
    """In the base unit: ``500m`` -> 0.5 cores, ``1Gi`` -> 1073741824.0 bytes, None or "" -> 0. ValueError: it is not a quantity."""
    text = str(value if value is not None else "").strip()
    if not text:
        return 0.0
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a Kubernetes quantity, such as 500m or 1Gi")
    number, exponent, suffix = match.groups()
    return float(number) * (10.0 ** int(exponent) if exponent else _FACTORS[suffix] if suffix else 1.0)


def int_or_percent(value: Any, total: int, *, round_up: bool) -> int:
    """``2`` -> 2, ``25%`` of total. maxSurge is rounded up, maxUnavailable down. ValueError: neither a number nor a percentage."""
    text = str(value)
    if not text.endswith("%"):
        return int(text)
    exact = total * int(text[:-1]) / 100
    return math.ceil(exact) if round_up else math.floor(exact)
