# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""report.html: one self-contained file without a script or an outside resource; go or no-go first. Pure: no I/O."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from . import plot as report_plot
from .changes import as_changes
from .markup import Markup, join, tag
from .results import NOT_RUN, duration, metrics
from .shapes import Checklist
from .style import STYLE
from .text import said

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STOPS = ("fail", "error")
NONE = "\u2013"


def as_html(checklist: Checklist, picture: bytes | None = None) -> str:
    """The whole page. picture: PNG of the product's page, if the browser took one."""
    parts = (_head_line, _stops, _times, _rows, _latency, _logs, _changes, _way_back)
    body = tag("main", *(part(checklist) for part in parts), _picture(picture), _evidence(checklist))
    title = f"{checklist['verdict'].upper()} · HSC-JIT {checklist['environment']} · {checklist['run']}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("title", title),
        tag("style", Markup(STYLE)),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', body), lang='en')}\n"


def _chip(verdict: str, more: str = "") -> Markup:
    return tag("span", verdict.upper() if more else verdict, class_=f"chip {verdict.replace(' ', '-')} {more}".strip())


def _head_line(checklist: Checklist) -> Markup:
    started = (checklist["started"] or "")[:19].replace("T", " ")
    where = [checklist["environment"], f"{started} UTC" if started else None, duration(checklist["seconds"])]
    tiles = [_tile(str(count), name, name) for name, count in checklist["totals"].items()]
    return tag(
        "header",
        _chip(checklist["verdict"], "verdict"),
        tag("h1", checklist["headline"]),
        tag("p", checklist["reason"]) if checklist["reason"] else None,
        tag("p", " · ".join(part for part in where if part), class_="soft"),
        tag("p", tag("a", checklist["url"], href=checklist["url"]), class_="soft") if checklist["url"].startswith("http") else None,
        tag("div", *tiles, class_="tiles"),
        class_=checklist["verdict"],
    )


def _tile(number: str, words: str, verdict: str) -> Markup:
    return tag("div", tag("b", number), tag("span", words), class_=f"tile {verdict.replace(' ', '-')}")


def _section(title: str, *children: object) -> Markup:
    return tag("section", tag("h2", title), *children)


def _stops(checklist: Checklist) -> Markup | None:
    """What failed, each with its evidence and the next command; and phases that failed without a row that says so."""
    shown = [(row, finding) for row in checklist["rows"] for finding in row["findings"] if finding["verdict"] in _STOPS]
    told = " ".join(finding["message"] for _row, finding in shown)
    phases = [phase for phase in checklist["phases"] if phase["failed"] and phase["message"] and not _tells(told, phase["message"])]
    if not shown and not phases:
        return None
    cards = [
        tag(
            "div",
            tag("p", tag("b", f"{row['id']} "), finding["message"]),
            _next(finding["next_step"]),
            _numbers(finding["evidence"]),
            class_=f"stop {finding['verdict']}",
        )
        for row, finding in shown
    ]
    cards += [tag("div", tag("p", tag("b", f"{phase['phase']} "), phase["message"]), class_="stop fail") for phase in phases]
    return _section("What stops it", *cards)


def _tells(told: str, message: str) -> bool:
    """Whether a module's message is only its findings' again: ``VF-03 fail: <message> <next step>``."""
    return all(any(part in told for part in (line.partition(": ")[2][:60],)) for line in message.splitlines() if line.strip())


def _next(step: str | None) -> Markup | None:
    return tag("p", step, class_="next") if step else None


def _numbers(evidence: Mapping[str, Any] | None) -> Markup | None:
    return tag("details", tag("summary", "the evidence"), _facts(evidence), class_="plain") if evidence else None


def _facts(evidence: Mapping[str, Any] | None) -> Markup | None:
    """Names and values; what is nested is JSON."""
    if not evidence:
        return None
    pairs = [(tag("dt", name.replace("_", " ")), tag("dd", _value(value))) for name, value in evidence.items()]
    return tag("dl", *(cell for pair in pairs for cell in pair))


def _value(value: Any) -> object:
    """A line for each member of what holds more than plain values."""
    if isinstance(value, dict) and any(isinstance(inner, (dict, list)) for inner in value.values()):
        return join(*(tag("div", f"{name}: {_plain(inner)}") for name, inner in value.items()))
    if isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        return join(*(tag("div", _plain(item)) for item in value))
    return _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_plain(inner)}" for name, inner in value.items()) or NONE
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or NONE
    return NONE if value in (None, "") else str(value)


def _times(checklist: Checklist) -> Markup | None:
    return _section("Where the time went", report_plot.gantt(checklist["phases"])) if checklist["phases"] else None


def _rows(checklist: Checklist) -> Markup:
    parts: list[Markup] = []
    phase = ""
    for row in checklist["rows"]:
        if row["phase"] != phase:
            phase = row["phase"]
            parts.append(tag("h3", phase))
        parts.append(_row(row))
    return _section("The checklist", *parts)


def _row(row: Mapping[str, Any]) -> Markup:
    lines = [tag("div", message, class_="soft") for message, _step in said(row) if message]
    what = tag("div", tag("div", row["line"]), *lines, class_="what")
    cells = (tag("span", row["id"], class_="id", id=row["id"]), _chip(row["verdict"]), what)
    if row["verdict"] == NOT_RUN:
        return tag("div", *cells, class_="row")
    findings = [
        tag(
            "div",
            tag("p", _chip(finding["verdict"]), f" {finding['message']}"),
            _next(finding["next_step"]),
            _facts(finding["evidence"]),
            tag("p", finding["time"][:19].replace("T", " "), " UTC", class_="soft"),
            class_=f"more {finding['verdict']}",
        )
        for finding in row["findings"]
    ]
    proof = tag("p", f"Proof: {row['proof']}. When it fails: ", tag("code", row["runbook"]), class_="soft")
    return tag("details", tag("summary", *cells), *findings, proof)


def _latency(checklist: Checklist) -> Markup | None:
    found = [evidence for evidence in metrics(checklist, "VF-03") if "p95_ms" in evidence]
    if not found:
        return None
    before = checklist.get("previous") or {}
    head = tag("tr", tag("th"), *(tag("th", name.removesuffix("_ms").replace("_", " "), class_=kind) for name, kind in _COLUMNS.items()))
    rows = []
    for evidence in found:
        rows.append(_latency_row(evidence["load"], {**evidence, "p95_before_ms": (before.get("p95_ms") or {}).get(evidence["load"])}))
        if len(evidence["by_path"]) > 1:
            rows += [_latency_row(f"\u00a0\u00a0{path}", numbers) for path, numbers in evidence["by_path"].items()]
    series = {evidence["load"]: evidence["slowest_by_second_ms"] for evidence in found}
    failed = [sum(counts) for counts in zip_longest(*(evidence["failed_by_second"] for evidence in found[-len(series) :]), fillvalue=0)]
    plot = report_plot.latency(series, failed, found[-1]["threshold_ms"])
    than = tag("p", f"Before: run {before['run']}.", class_="soft") if before.get("p95_ms") else None
    return _section("Latency under our own load, in ms", tag("table", head, *rows), than, plot)


def _latency_row(name: str, numbers: Mapping[str, Any]) -> Markup:
    cells = [tag("td", _plain(numbers[key]) if key in numbers else "", class_=kind) for key, kind in _COLUMNS.items()]
    return tag("tr", tag("td", name), *cells)


_COLUMNS = {
    "requests": "number",
    "failed": "number",
    "p50_ms": "number wide",
    "p95_before_ms": "number",
    "p95_ms": "number",
    "p99_ms": "number wide",
    "max_ms": "number wide",
}


def _logs(checklist: Checklist) -> Markup | None:
    found = [evidence for evidence in metrics(checklist, "VF-04") if "samples" in evidence]
    if not found:
        return None
    head = tag("tr", tag("th", "component"), tag("th", "before", class_="number"), tag("th", "after", class_="number"))
    rows = []
    for evidence in found:
        rates = [_plain(evidence["errors_per_minute_before"]), evidence["errors_per_minute"]]
        rows.append(tag("tr", tag("td", evidence["component"]), *(tag("td", rate, class_="number") for rate in rates)))
        lines = (tag("div", f"{one['count']}x {one['line']}", class_="soft") for one in evidence["samples"])
        rows.append(tag("tr", tag("td", *lines, colspan=3, class_="joined")))
    return _section("Error lines in the logs, a minute", tag("table", head, *rows))


def _changes(checklist: Checklist) -> Markup:
    return _section("What changed", as_changes(checklist["changes"]))


def _way_back(checklist: Checklist) -> Markup | None:
    return _section("The way back", tag("pre", checklist["way_back"])) if checklist["way_back"] else None


def _picture(picture: bytes | None) -> Markup | None:
    if not picture:
        return None
    source = "data:image/png;base64," + base64.b64encode(picture).decode()
    return _section("What the browser saw", tag("img", src=source, alt="The product's page with the search's first results", class_="shot"))


def _evidence(checklist: Checklist) -> Markup:
    journal = checklist["journal"]
    facts = {"run": checklist["run"], "journal": journal["path"], "entries": journal["entries"], "last hash": journal["last_hash"]}
    problem = tag("p", journal["problem"], class_="stop fail") if journal["problem"] else None
    return _section("Evidence", problem, tag("p", "Each entry of the journal is chained to the one before by its SHA-256."), _facts(facts))
