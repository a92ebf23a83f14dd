# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""A Grafana dashboard drawn from Prometheus as one page, for where there is no Grafana. Pure: no I/O."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from .markup import Markup, join, tag
from .style import STYLE

_WIDTH, _HEIGHT, _LEFT, _LINES = 440, 170, 64, 8
_COLOURS = ("#4472c4", "#2e9e63", "#c98a1b", "#b3428f", "#c0504d", "#2f9bb3", "#7d63c4", "#7f8c3b")
_LOOK = """
main { max-width: 100rem; }
.panels { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); }
.names { display: flex; flex-wrap: wrap; gap: .1rem .9rem; font-size: .8rem; color: var(--soft); }
.names i { display: inline-block; width: .7em; height: .7em; border-radius: 2px; margin-right: .35em; }
.names b { font-weight: 600; color: var(--ink); font-variant-numeric: tabular-nums; }
"""


@dataclass(frozen=True)
class Panel:
    """title, query and Grafana's name of its unit."""

    title: str
    query: str
    unit: str


@dataclass(frozen=True)
class Line:
    """One series: the values of its labels and {seconds since 1970: value}. NaN and infinity are left out."""

    name: str
    points: Mapping[float, float]


def panels(dashboard: str) -> tuple[str, list[Panel]]:
    """(title, panels) of Grafana's JSON."""
    document = json.loads(dashboard)
    found = [
        Panel(panel["title"], panel["targets"][0]["expr"], panel.get("fieldConfig", {}).get("defaults", {}).get("unit", "short"))
        for panel in document["panels"]
    ]
    return document["title"], found


def lines(answer: Mapping[str, object]) -> list[Line]:
    """The series in the answer of ``/api/v1/query_range``, those with the highest last value first."""
    data = answer.get("data")
    found = []
    for series in data.get("result", []) if isinstance(data, Mapping) else []:
        labels = {key: value for key, value in series["metric"].items() if key != "__name__"}
        points = {float(time): number for time, text in series["values"] if math.isfinite(number := float(text))}
        found.append(Line(", ".join(labels.values()), points))
    return sorted(found, key=lambda line: -(list(line.points.values()) or [-math.inf])[-1])


def as_page(title: str, drawn: Sequence[tuple[Panel, Sequence[Line]]], begin: float, end: float) -> str:
    """begin and end: seconds since 1970."""
    when = " to ".join(datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M") for moment in (begin, end))
    cards = [
        tag("section", tag("h2", panel.title), _plot(panel, found[:_LINES], begin, end), _names(panel, found)) for panel, found in drawn
    ]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content="default-src 'none'; style-src 'unsafe-inline'"),
        tag("title", title),
        tag("style", Markup(STYLE + _LOOK)),
    )
    header = tag(
        "header", tag("h1", title), tag("p", f"{when} UTC, {len(drawn)} panels, as Prometheus has them", class_="soft"), class_="go"
    )
    body = tag("body", tag("main", header, tag("div", *cards, class_="panels")))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _plot(panel: Panel, found: Sequence[Line], begin: float, end: float) -> Markup:
    values = [value for line in found for value in line.points.values()]
    if not values:
        return tag("p", "No value in this time.", class_="soft")
    top = _round_up(max([*values, 0.0]), 1024.0 if panel.unit == "bytes" else 1000.0) or 1.0
    low = min([*values, 0.0])

    def across(moment: float) -> float:
        return round(_LEFT + (_WIDTH - _LEFT) * (moment - begin) / (end - begin), 1)

    def up(value: float) -> float:
        return round(12 + (_HEIGHT - 36) * (top - value) / (top - low), 1)

    marks = []
    for value in (low, (low + top) / 2, top):
        marks.append(tag("line", x1=_LEFT, x2=_WIDTH, y1=up(value), y2=up(value), stroke="var(--line)"))
        marks.append(tag("text", shown(value, panel.unit), x=_LEFT - 6, y=up(value) + 4, text_anchor="end"))
    for moment, anchor in ((begin, "start"), (end, "end")):
        clock = datetime.fromtimestamp(moment, UTC).strftime("%H:%M")
        marks.append(tag("text", clock, x=across(moment), y=_HEIGHT - 4, text_anchor=anchor))
    for colour, line in zip(_COLOURS, found, strict=False):
        points = " ".join(f"{across(moment)},{up(value)}" for moment, value in line.points.items())
        marks.append(tag("polyline", points=points, fill="none", stroke=colour, stroke_width=1.8, stroke_linejoin="round"))
    return tag("svg", join(*marks), class_="plot", viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=panel.title)


def _names(panel: Panel, found: Sequence[Line]) -> Markup:
    """Each line's colour, name and last value; how many more there are."""
    words = []
    for colour, line in zip(_COLOURS, found, strict=False):
        last = list(line.points.values())
        value = tag("b", shown(last[-1], panel.unit)) if last else "no value"
        words.append(tag("span", tag("i", "", style=f"background:{colour}"), f"{line.name} " if line.name else "", value))
    more = len(found) - _LINES
    return tag("p", *words, f"and {more} more" if more > 0 else None, class_="names")


def _round_up(value: float, thousand: float) -> float:
    """The next of 1, 2, 5 times a power of ten, of the greatest unit that goes into it (thousand: from one unit to the next)."""
    if value <= 0:
        return 0.0
    unit = thousand ** math.floor(math.log(value, thousand))
    power = 10.0 ** math.floor(math.log10(value / unit))
    return unit * next(step * power for step in (1, 2, 5, 10) if step * power >= value / unit * 0.999999)


def shown(value: float, unit: str) -> str:
    """``12.5 ms``, ``1.5 MiB``, ``3 %``: value in Grafana's unit as people read it."""
    return _UNITS.get(unit, _short)(value)


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _seconds(value: float) -> str:
    return f"{value * 1000:.3g} ms" if abs(value) < 1 else f"{value:.3g} s"


def _bytes(value: float) -> str:
    size, units = value, ["B", "KiB", "MiB", "GiB", "TiB"]
    while abs(size) >= 1024 and len(units) > 1:
        size, units = size / 1024, units[1:]
    return f"{size:.3g} {units[0]}" if abs(size) < 1000 else f"{size:.0f} {units[0]}"


_UNITS: dict[str, Callable[[float], str]] = {
    "s": _seconds,
    "bytes": _bytes,
    "percentunit": lambda value: f"{100 * value:.3g} %",
    "reqps": lambda value: f"{_short(value)}/s",
}
