# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The report's pictures: times of the phases, latency by second. Pure: no I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from .markup import Markup, join, tag
from .results import duration

_WIDTH, _HEIGHT, _LEFT = 720, 190, 100


def gantt(phases: Sequence[Mapping[str, Any]]) -> Markup:
    """A bar for each phase from its begin to its end, on the run's own time."""
    begin = min(datetime.fromisoformat(phase["started"]) for phase in phases)
    starts = [(datetime.fromisoformat(phase["started"]) - begin).total_seconds() for phase in phases]
    whole = max(start + phase["seconds"] for start, phase in zip(starts, phases, strict=True)) or 1.0
    bars = []
    for start, phase in zip(starts, phases, strict=True):
        left = min(99.0, 100 * start / whole)
        place = f"left:{left:.2f}%;width:{min(100 - left, 100 * phase['seconds'] / whole):.2f}%"
        bar = tag("i", class_="fail" if phase["failed"] else None, style=place)
        bars += [tag("span", phase["phase"]), tag("span", bar, class_="track"), tag("span", duration(phase["seconds"]), class_="number")]
    return tag("div", *bars, class_="gantt")


def latency(series: Mapping[str, Sequence[float | None]], failed: Sequence[int], threshold: float) -> Markup:
    """The slowest answer of each second in ms, on a logarithmic scale; failures of a second are a dot at the top."""
    values = [value for line in series.values() for value in line if value]
    low, high = 10 ** math.floor(math.log10(min([*values, threshold]))), 10 ** math.ceil(math.log10(max([*values, threshold]) * 1.01))
    span = max([2, len(failed), *map(len, series.values())])

    def across(second: int) -> float:
        return round(_LEFT + 12 + (_WIDTH - _LEFT - 24) * second / (span - 1), 1)

    def up(milliseconds: float) -> float:
        share = math.log10(max(milliseconds, low) / low) / math.log10(high / low)
        return round((_HEIGHT - 24) * (1 - share) + 12, 1)

    marks = []
    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        height = up(10.0**power)
        marks.append(tag("line", x1=_LEFT, x2=_WIDTH, y1=height, y2=height, stroke="var(--line)"))
        marks.append(tag("text", f"{10.0**power:g} ms", x=_LEFT - 6, y=height + 4, text_anchor="end"))
    limit = up(threshold)
    marks.append(tag("line", x1=_LEFT, x2=_WIDTH, y1=limit, y2=limit, stroke="var(--fail)", stroke_dasharray="6 4", stroke_width=1.5))
    marks.append(tag("text", f"allowed {threshold:g} ms", x=_WIDTH - 4, y=limit - 6, text_anchor="end", style="fill:var(--fail)"))
    for colour, line in zip(("var(--bar)", "var(--pass)"), series.values(), strict=False):
        points = " ".join(f"{across(second)},{up(value)}" for second, value in enumerate(line) if value is not None)
        marks.append(tag("polyline", points=points, fill="none", stroke=colour, stroke_width=2, stroke_linejoin="round"))
    for second, count in enumerate(failed):
        if count:
            dot = tag("circle", tag("title", f"{count} failed"), cx=across(second), cy=12, r=min(8.0, 3 + count**0.5), fill="var(--fail)")
            marks.append(dot)
    picture = tag("svg", join(*marks), class_="plot", viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label="Latency by second")
    legend = " and ".join(f"{name} ({colour})" for name, colour in zip(series, ("blue", "green"), strict=False))
    words = f"The slowest answer of each second: {legend}{'; red: failed requests' if any(failed) else ''}."
    return join(picture, tag("p", words, class_="soft"))
