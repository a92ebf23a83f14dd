# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What events say of an object: its warnings, and when an image of it began to be pulled. Pure: dicts in, words out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.hsc.jit.plugins.module_utils._objects import Object

WARNINGS, PULLS = {"fieldSelector": "type=Warning"}, {"fieldSelector": "reason=Pulling"}  # of the two lists that are read


class Events:
    """events: of both lists, as the API server has them, in any order."""

    def __init__(self, events: Iterable[Object] = ()) -> None:
        self._about: defaultdict[Any, list[Object]] = defaultdict(list)
        for event in events:
            self._about[(event.get("involvedObject") or {}).get("uid")].append(event)

    def last(self, obj: Object, *reasons: str, since: str = "") -> str:
        """The message of the newest one about an object, of the given reasons, later than ``since`` (ISO 8601); empty if none."""
        return str(max(self._of(obj, reasons, since), key=_time, default={}).get("message", ""))

    def pulled(self, pod: Object) -> str:
        """When the kubelet last began to pull an image for it (ISO 8601), once volumes and sandbox were there; may be empty."""
        return max(map(_time, self._of(pod, ("Pulling",))), default="")

    def _of(self, obj: Object, reasons: tuple[str, ...], since: str = "") -> Iterable[Object]:
        about = self._about.get(obj["metadata"].get("uid"), ())
        return (one for one in about if one.get("reason") in reasons and (not since or _time(one) > since))


def _time(event: Mapping[str, Any]) -> str:
    seen = (event.get("series") or {}).get("lastObservedTime")
    return str(seen or event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or "")
