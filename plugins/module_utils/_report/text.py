# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The checklist for a terminal and as Markdown. Pure: no I/O."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from .results import NOT_RUN, OTHER_RUN, duration, totals_line
from .shapes import Checklist

# Control characters could recolour or overwrite the terminal: what a log or a page said is not trusted.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_MARKS = {"pass": "✅", "warn": "⚠️", "fail": "❌", "error": "❌", "skipped": "⏭️", NOT_RUN: "▫️"}
_ID, _VERDICT = 7, 9


def one_line(text: str) -> str:
    return _CONTROL.sub(" ", text).strip()


def said(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(message, next step) of what decides a row: all findings of its verdict; a row that passed says all it has."""
    deciding = [finding for finding in row["findings"] if finding["verdict"] == row["verdict"]]
    told = dict.fromkeys((one_line(finding["message"]), one_line(finding["next_step"] or "")) for finding in deciding)  # the same once
    return [*told] or [(row["reason"] or "", "")]


def table(checklist: Checklist, paths: Mapping[str, str], width: int = 100) -> Iterator[tuple[str, str]]:
    """(verdict, line) for each line, in the order to print, without rows of other runs; verdict chooses the colour, "" is plain."""
    title = f"{checklist['verdict'].upper()}  {checklist['headline']}"
    yield checklist["verdict"], title
    yield "", f"{checklist['environment']} · {totals_line(checklist)} · {duration(checklist['seconds'])}"
    if checklist["reason"]:
        yield from (("", line) for line in textwrap.wrap(one_line(checklist["reason"]), width))
    yield "", ""
    for row in checklist["rows"]:
        if row["reason"] == OTHER_RUN:
            continue
        head = f"{row['id']:<{_ID}}{row['verdict']:<{_VERDICT}}"
        for message, step in said(row):
            room = max(20, width - _ID - _VERDICT)
            lines = textwrap.wrap(message or row["line"], room) or [""]
            yield row["verdict"], head + lines[0]
            head = " " * (_ID + _VERDICT)
            yield from ((row["verdict"], head + line) for line in lines[1:])
            yield from (("", head + line) for line in textwrap.wrap(step, room, initial_indent="→ ", subsequent_indent="  "))
    yield "", ""
    for name, where in paths.items():
        yield "", f"{name:<{_ID + _VERDICT}}{where}"


def as_markdown(checklist: Checklist) -> str:
    """``summary.md``: verdict, what stops it, the rows, the times."""
    lines = [
        f"# {checklist['verdict'].upper()}: {checklist['headline']}",
        "",
        f"HSC-JIT {_cell(checklist['environment'])}, run `{checklist['run']}`, {duration(checklist['seconds'])}: {totals_line(checklist)}.",
        "",
        *([_cell(checklist["reason"]), ""] if checklist["reason"] else []),
        "| row | verdict | what | next |",
        "| --- | --- | --- | --- |",
    ]
    for row in checklist["rows"]:
        for message, step in said(row):
            lines.append(f"| {row['id']} | {_MARKS[row['verdict']]} {row['verdict']} | {_cell(message or row['line'])} | {_cell(step)} |")
    lines += ["", "| phase | time |", "| --- | --- |"]
    lines += [
        f"| {_cell(phase['phase'])}{' (failed)' if phase['failed'] else ''} | {duration(phase['seconds'])} |"
        for phase in checklist["phases"]
    ]
    if checklist["way_back"]:
        lines += ["", f"The way back: `{checklist['way_back']}`"]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text that neither ends the table's cell nor becomes markup or a link."""
    return re.sub(r"([\\`*_\[\]<>|#!~])", r"\\\1", one_line(text))
