# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Who owns which field of an object, read from its managedFields. Pure: no I/O.

A field is written as in ``_kube.objects.differences``: ``spec.template.spec.containers[backend].image``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .objects import Object, element

# Kubernetes' own hands: what they write is no change by a person.
_CONTROLLERS = frozenset({"kube-controller-manager", "kube-scheduler", "kubelet", "cloud-controller-manager", "kube-apiserver"})


@dataclass(frozen=True)
class Owner:
    """manager: as it called itself, e.g. kubectl-edit. time: when it last wrote, ISO 8601; empty where the server keeps none."""

    manager: str
    time: str = ""

    def __str__(self) -> str:
        return f"{self.manager}, {self.time}" if self.time else self.manager


def owner_of(obj: Object, field: str, ours: str) -> Owner | None:
    """The other manager that has this field, or fields within it; the one who wrote last. None: nobody has it, because it was removed."""
    found = [owner for owned, owner in _foreign(obj, ours) if _within(owned, field) or _within(field, owned)]
    return max(found, key=lambda owner: owner.time, default=None)


def added(obj: Object, recorded: Object, ours: str, but: Sequence[str] = ()) -> list[tuple[str, Owner]]:
    """Fields that a person brought in and recorded does not have, metadata left out; but: names of fields that anybody may set.

    A field of recorded that another manager has taken over is none of them: only its value matters, and that is compared elsewhere.
    """
    mine = set(_leaves(recorded))
    return [
        (field, owner)
        for field, owner in _foreign(obj, ours)
        if field not in mine and not field.startswith(("metadata", "status")) and not field.endswith(tuple(but))
    ]


def _within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith((f"{outer}.", f"{outer}["))


def _entries(obj: Object) -> Sequence[Mapping[str, Any]]:
    return obj["metadata"].get("managedFields") or []


def _foreign(obj: Object, ours: str) -> Iterator[tuple[str, Owner]]:
    """Every field of every other manager. What was written by a subresource (status, scale) is a controller's or an autoscaler's."""
    for entry in _entries(obj):
        manager = str(entry.get("manager", ""))
        # ours.startswith: our own operations, e.g. hsc.jit-operate
        if manager in _CONTROLLERS or manager.startswith(ours) or entry.get("subresource") == "status":
            continue
        owner = Owner(manager, str(entry.get("time") or ""))
        for field in _fields(entry.get("fieldsV1") or {}, obj):
            yield field, owner


def _fields(tree: Mapping[str, Any], live: Any, path: str = "") -> Iterator[str]:
    """Leaves of a fieldsV1 tree: ``f:`` is a field, ``k:`` an element of a list by its keys, ``v:`` by its value, ``.`` itself."""
    for name, inner in tree.items():
        if name.startswith("f:"):
            key = name[2:]
            step, value = f"{path}.{key}".lstrip("."), live.get(key) if isinstance(live, Mapping) else None
        elif name.startswith(("k:", "v:")):
            step, value = _element(name, live, path)
        else:
            continue
        if any(key != "." for key in inner):
            yield from _fields(inner, value, step)
        else:
            yield step


def _leaves(value: Any, path: str = "") -> Iterator[str]:
    """Every field of a manifest, in the same words."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{element(inner, number)}]")
    else:
        yield path


def _element(name: str, live: Any, path: str) -> tuple[str, Any]:
    wanted = json.loads(name[2:])
    for number, value in enumerate(live if isinstance(live, list) else ()):
        keys = isinstance(wanted, Mapping) and isinstance(value, Mapping) and all(value.get(key) == one for key, one in wanted.items())
        if keys or value == wanted:
            return f"{path}[{element(value, number)}]", value
    return f"{path}[{name[2:]}]", None
