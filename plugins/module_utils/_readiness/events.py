# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What events say of an object: its warnings, and when an image of it began to be pulled. Pure: dicts in, words out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from .._kube.objects import Object

WARNINGS, PULLS = {"fieldSelector": "type=Warning"}, {"fieldSelector": "reason=Pulling"}  # of the two lists that are read


class Events:
    """events: of both lists, as the API server has them, in any order."""

    def __init__(self, events: Iterable[Object] = ()) -> None:
        self._about: defaultdict[Any, list[Object]] = defaultdict(list)
        for event in events:
            self._about[(event.get("involvedObject") or {}).get("uid")].append(event)

    def last(self, obj: Object, *reasons: str, since: str = "", container: str = "") -> str:
        """The message of the newest one about an object or a container of it, later than ``since`` (ISO 8601); empty if none."""
        found = (one for one in self._of(obj, reasons, container) if not since or _time(one) > since)
        return str(max(found, key=_time, default={}).get("message", ""))

    def when(self, obj: Object, reason: str, container: str = "") -> str:
        """The time of the newest one (ISO 8601); empty if none."""
        return max(map(_time, self._of(obj, (reason,), container)), default="")

    def counted(self, obj: Object, reason: str, container: str, prefix: str) -> tuple[int, str]:
        """(how often, newest message) of the events about the container whose message begins with ``prefix``."""
        found = sorted((one for one in self._of(obj, (reason,), container) if str(one.get("message", "")).startswith(prefix)), key=_time)
        times = sum(int((one.get("series") or {}).get("count") or one.get("count") or 1) for one in found)
        return times, str(found[-1]["message"]).strip() if found else ""

    def _of(self, obj: Object, reasons: tuple[str, ...], container: str) -> Iterable[Object]:
        about = self._about.get(obj["metadata"].get("uid"), ())
        return (one for one in about if one.get("reason") in reasons and (not container or _container(one) == container))


def _container(event: Object) -> str:
    """``web`` of ``spec.containers{web}``"""
    return str((event.get("involvedObject") or {}).get("fieldPath") or "").rpartition("{")[2].rstrip("}")


def _time(event: Mapping[str, Any]) -> str:
    seen = (event.get("series") or {}).get("lastObservedTime")
    return str(seen or event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or "")
