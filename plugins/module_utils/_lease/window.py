# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""PF-90: is it now the time at which this environment may be changed? Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from .._finding import Finding

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_KEYS = {"timezone", "days", "from", "to", "freezes"}
_SEARCH_DAYS = 120


@dataclass(frozen=True)
class Window:
    """Days and times at which changes are allowed, and the periods in which they are not: (first day, last day, reason).

    begin after end: over midnight; days are those on which it opens.
    """

    zone: ZoneInfo
    days: frozenset[str]
    begin: time
    end: time
    freezes: Sequence[tuple[date, date, str]]

    def frozen(self, day: date) -> str:
        return next((f"{first} to {last}: {reason}" for first, last, reason in self.freezes if first <= day <= last), "")

    def opens(self, day: date) -> bool:
        return _DAYS[day.weekday()] in self.days and not self.frozen(day)

    def has(self, here: datetime) -> bool:
        """Whether that local time lies in it, the whole minute of ``end`` too."""
        day, minute = here.date(), here.time().replace(second=0, microsecond=0)
        if self.begin < self.end:
            return self.opens(day) and self.begin <= minute <= self.end
        began_yesterday = minute <= self.end and self.opens(day - timedelta(days=1)) and not self.frozen(day)
        return began_yesterday or (minute >= self.begin and self.opens(day))


def parse(given: Mapping[str, Any]) -> Window:
    """ValueError names the field and what it may be."""
    if unknown := sorted(set(given) - _KEYS):
        raise ValueError(f"window: {', '.join(unknown)} is not known; it has {', '.join(sorted(_KEYS))}.")
    try:
        zone = ZoneInfo(str(given.get("timezone", "UTC")))
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"window.timezone is {given.get('timezone')!r}; set a name like Europe/Berlin.") from error
    days = frozenset(str(day)[:3].lower() for day in given.get("days", _DAYS))
    if not days <= set(_DAYS):
        raise ValueError(f"window.days is {given['days']}; use {', '.join(_DAYS)}.")
    begin, end = _time("from", given.get("from", "00:00")), _time("to", given.get("to", "23:59"))
    if begin == end:
        raise ValueError(f"window: from and to are both {begin:%H:%M}; leave both out for the whole day.")
    return Window(zone, days, begin, end, [_freeze(one) for one in given.get("freezes", ())])


def _time(field: str, given: Any) -> time:
    """``10:00``; YAML reads that without quotes as the number 600."""
    try:
        return time(*divmod(given, 60)) if isinstance(given, int) else time.fromisoformat(str(given))
    except ValueError as error:
        raise ValueError(f"window.{field} is {given!r}; set a time like '09:30'.") from error


def _freeze(given: Mapping[str, Any]) -> tuple[date, date, str]:
    try:
        return date.fromisoformat(str(given["from"])), date.fromisoformat(str(given["to"])), str(given["reason"])
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(f"window.freezes: {given!r} must have from and to (YYYY-MM-DD) and reason.") from error


def check(window: Window, now: datetime) -> Finding:
    here = now.astimezone(window.zone)
    at = f"{here:%a %Y-%m-%d %H:%M} {window.zone.key}"
    hours = f"{', '.join(day for day in _DAYS if day in window.days)} {window.begin:%H:%M} to {window.end:%H:%M}"
    evidence = {"now": here.isoformat(timespec="seconds"), "window": hours, "timezone": window.zone.key}
    if window.has(here):
        return Finding("PF-90", "pass", f"Change window: {at} lies in it ({hours}).", evidence)
    frozen = window.frozen(here.date())
    why = f"is in a freeze ({frozen})" if frozen else f"is outside of it ({hours})"
    next_step = f"It opens {_next(window, here)}. An emergency sets preflight_window: {{}} for its run, which the journal shows."
    return Finding("PF-90", "fail", f"Change window: {at} {why}.", {**evidence, "freeze": frozen}, next_step)


def _next(window: Window, here: datetime) -> str:
    first = here.date() + timedelta(days=0 if here.time() < window.begin else 1)
    for day in (first + timedelta(days=number) for number in range(_SEARCH_DAYS)):
        if window.opens(day):
            return f"{day:%a %Y-%m-%d} {window.begin:%H:%M} {window.zone.key}"
    return f"not within {_SEARCH_DAYS} days"
