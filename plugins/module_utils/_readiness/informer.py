# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""A live copy of some kinds of objects: one LIST each, then a WATCH each, so that a change is known the moment the server says it.

Who finds in the lists what he looks for waits for nothing, and no watch is begun. A watch that breaks is begun again: from where it was, or
by a LIST where the server has forgotten (410) or was away. Nothing is trusted to last: the server ends each watch after ``_WATCH_SECONDS``,
and a silent one is given up a little later, so that a connection that died without a word costs seconds. Reads only.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping
from types import TracebackType
from typing import Any

from .._errors import ApiError
from .._kube.client import Cluster
from .._kube.discovery import in_parallel

_WATCH_SECONDS = 10
_AGAIN_SECONDS = 1.0  # between attempts while the server is away
_TOGETHER_SECONDS = 0.05  # what changes together is looked at together
Source = tuple[str, Mapping[str, Any]]  # path of the collection, query of the LIST and the WATCH


class Mirror:
    """``with Mirror(cluster, {name: source}) as mirror``. ApiError: one of them can never be listed (no right, no such kind)."""

    def __init__(self, cluster: Cluster, sources: Mapping[Hashable, Source]) -> None:
        self.cluster, self.sources = cluster.impatient(), dict(sources)
        self._objects: dict[Hashable, dict[str, dict[str, Any]]] = {name: {} for name in self.sources}
        self._problems: dict[Hashable, ApiError] = {}
        self._changed, self._ended = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._to_follow: list[tuple[Hashable, str]] = []  # with the version to go on from

    def __enter__(self) -> Mirror:
        names = list(self.sources)
        self._to_follow = [*zip(names, in_parallel(self._first, names), strict=True)]
        self._changed.clear()  # what was listed is looked at before the first wait
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._ended.set()  # each thread ends with its watch, within seconds; none of them writes anything

    def objects(self, name: Hashable) -> list[dict[str, Any]]:
        with self._lock:
            return list(self._objects[name].values())

    @property
    def problem(self) -> ApiError | None:
        """Why the copy is not up to date now; None if it is."""
        with self._lock:
            return next(iter(self._problems.values()), None)

    def wait(self, seconds: float) -> None:
        """Until something has changed, at most so long."""
        while self._to_follow:
            threading.Thread(target=self._follow, args=self._to_follow.pop(), daemon=True).start()
        if self._changed.wait(seconds):
            self._ended.wait(_TOGETHER_SECONDS)
            self._changed.clear()

    def _first(self, name: Hashable) -> str:
        try:
            return self._list(name)
        except ApiError as problem:
            if not problem.transient:
                raise
            self._problems[name] = problem
            return ""

    def _list(self, name: Hashable) -> str:
        path, query = self.sources[name]
        items, version = self.cluster.list_at(path, **query)
        with self._lock:
            self._objects[name] = {item["metadata"]["uid"]: item for item in items}
            self._problems.pop(name, None)
        self._changed.set()
        return version

    def _follow(self, name: Hashable, version: str) -> None:
        while not self._ended.is_set():
            try:
                version = self._watch(name, version or self._list(name))
            except ApiError as problem:
                version = ""
                if problem.status != 410:  # Gone: the server has forgotten that version, and a new list will do
                    with self._lock:
                        self._problems[name] = problem
                    self._changed.set()
                    self._ended.wait(_AGAIN_SECONDS)

    def _watch(self, name: Hashable, version: str) -> str:
        """The version to go on from."""
        path, query = self.sources[name]
        for event in self.cluster.watch(path, _WATCH_SECONDS, resourceVersion=version, allowWatchBookmarks=True, **query):
            if self._ended.is_set():
                break
            found = event["object"]
            if event["type"] == "ERROR":
                raise ApiError(int(found.get("code") or 0), str(found.get("reason", "")), str(found.get("message", "")))
            version = found["metadata"]["resourceVersion"]
            if event["type"] != "BOOKMARK":
                with self._lock:
                    known = self._objects[name]
                    known.pop(found["metadata"]["uid"], None) if event["type"] == "DELETED" else known.update(
                        {found["metadata"]["uid"]: found}
                    )
                self._changed.set()
        return version
