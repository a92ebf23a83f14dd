# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Where the API server serves the kinds of a set of objects, and what of them lives there. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .._errors import ApiError, OperatorError
from .client import POOL_SIZE, Cluster
from .kinds import STAND_IN, Kind, Resource, defined, prefix, served
from .objects import Object, key, title

_T = TypeVar("_T")
_R = TypeVar("_R")


def in_parallel(work: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]:
    """``work`` of every item, at most as many at once as the connection pool has places; results in the items' order."""
    if not items:
        return []
    with ThreadPoolExecutor(min(POOL_SIZE, len(items))) as pool:
        return list(pool.map(work, items))


@dataclass
class Kinds:
    """The kinds that the server knows, looked up once by API version. coming: those that the set of objects itself defines."""

    cluster: Cluster
    known: dict[Kind, Resource] = field(default_factory=dict)
    coming: dict[Kind, Resource] = field(default_factory=dict)

    def learn(self, versions: Iterable[str], *, again: bool = False) -> None:
        asked = sorted(set(versions) - (set() if again else {version for version, _ in self.known}))
        for version, answer in zip(asked, in_parallel(lambda one: self.cluster.find(prefix(one)), asked), strict=True):
            self.known |= served(version, answer or {})

    def find(self, obj: Object) -> Resource | None:
        kind = obj["apiVersion"], obj["kind"]
        return self.known.get(kind) or self.coming.get(kind)

    def of(self, obj: Object) -> Resource:
        """Problem: the server does not serve this kind."""
        resource = self.find(obj)
        if resource is None:
            raise OperatorError(
                f"{title(obj)}: the API server serves no {obj['kind']} of {obj['apiVersion']}.",
                "Install its CustomResourceDefinition, or use an apiVersion of `kubectl api-versions`.",
            )
        return resource

    def is_coming(self, obj: Object) -> bool:
        """Whether nothing of its kind can be there yet, nor be tried."""
        kind = obj["apiVersion"], obj["kind"]
        return kind in self.coming and kind not in self.known

    def path(self, obj: Object) -> str:
        return self.of(obj).path(obj["metadata"].get("namespace") or self.cluster.namespace, obj["metadata"]["name"])

    def trial(self, obj: Object, *, stand_in: bool) -> tuple[str, Object]:
        """Path and object of a dry run. stand_in: the release's own namespace is not there yet, so it is tried in another one."""
        if not (stand_in and self.of(obj).namespaced and obj["metadata"].get("namespace") in (None, self.cluster.namespace)):
            return self.path(obj), obj
        tried = {**obj, "metadata": {**obj["metadata"], "namespace": STAND_IN}}
        return self.path(tried), tried


def live(kinds: Kinds, objects: Sequence[Object], also: Iterable[Kind], selector: str) -> dict[tuple[str, str, str], dict[str, Any]]:
    """What is in the cluster of ``objects`` (by key), and every labelled object of ours of the same kinds and those of ``also``.

    One list per kind for what carries our labels. An object that is not among them is there without labels, or not at all: see _unlabelled.
    """
    kinds.learn(version for version, _ in [*((obj["apiVersion"], "") for obj in objects), *also])
    kinds.coming = defined(objects)
    wanted = {(obj["apiVersion"], obj["kind"]) for obj in objects} | {kind for kind in also if kind in kinds.known}
    namespaced = sorted(kind for kind in wanted if kind in kinds.known and kinds.known[kind].namespaced)
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for items in in_parallel(lambda kind: _list(kinds, kind, selector), namespaced):
        found |= {key(item): item for item in items}
    missing = [obj for obj in objects if key(obj) not in found and not kinds.is_coming(obj)]
    return found | {key(item): item for item in _unlabelled(kinds, missing)}


def _unlabelled(kinds: Kinds, objects: Sequence[Object]) -> list[dict[str, Any]]:
    """Those of the objects that are there: a read of each, after a look at the names where a round of parallel reads would not do."""
    by_collection: dict[str, set[str]] = {}
    for obj in objects:
        collection, _, name = kinds.path(obj).rpartition("/")
        by_collection.setdefault(collection, set()).add(name)
    many = [collection for collection, names in by_collection.items() if len(names) > POOL_SIZE]
    for collection, there in zip(many, in_parallel(kinds.cluster.names, many), strict=True):
        by_collection[collection] &= there
    paths = [f"{collection}/{name}" for collection, names in by_collection.items() for name in sorted(names)]
    return [item for item in in_parallel(kinds.cluster.find, paths) if item is not None]


def _list(kinds: Kinds, kind: Kind, selector: str) -> list[dict[str, Any]]:
    resource = kinds.known[kind]
    path = kinds.cluster.namespaced(resource.plural, resource.prefix)
    return kinds.cluster.list(path, labelSelector=selector)


def namespace(cluster: Cluster) -> dict[str, Any] | None:
    """The namespace; None if there is none. Without a right to read it: as if it were well, the first write will tell."""
    try:
        return cluster.find(f"/api/v1/namespaces/{cluster.namespace}")
    except ApiError as problem:
        if problem.status == 403:
            return {"metadata": {"name": cluster.namespace}}
        raise
