# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Who owns which field of an object, read from its managedFields. Pure: no I/O.

A field is written as in ``_kube.objects.differences``: ``spec.template.spec.containers[backend].image``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
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
    found = [owner for owned, owner in _foreign(obj, ours) if overlap(owned, field)]
    return max(found, key=lambda owner: owner.time, default=None)


def added(obj: Object, recorded: Object, ours: str, but: Sequence[str] = ()) -> list[tuple[str, Owner]]:
    """Fields that a person brought in and recorded does not have, metadata left out; but: names of fields that anybody may set.

    A field of recorded that another manager has taken over is none of them: only its value matters, and that is compared elsewhere.
    """
    mine = set(leaves(recorded))
    return [
        (field, owner)
        for field, owner in _foreign(obj, ours)
        if field not in mine and not field.startswith(("metadata", "status")) and not field.endswith(tuple(but))
    ]


def owns(obj: Object, field: str, managers: Collection[str]) -> bool:
    """Whether one of the managers owns the field by an apply or an update, or fields within it."""
    return any(
        overlap(owned, field)
        for entry in _entries(obj)
        if entry.get("manager") in managers and not entry.get("subresource")
        for owned in _fields(entry.get("fieldsV1") or {}, obj)
    )


def applies(obj: Object, managers: Collection[str]) -> bool:
    """Whether one of the managers has applied the object by server-side apply."""
    return any(entry.get("operation") == "Apply" and entry.get("manager") in managers for entry in _entries(obj))


def held_by(obj: Object, managers: Collection[str]) -> list[str]:
    """Names of those of the managers that own a field, subresources left out."""
    return sorted({entry["manager"] for entry in _entries(obj) if entry.get("manager") in managers and not entry.get("subresource")})


def fields_of(obj: Object, managers: Collection[str]) -> list[str]:
    """Every field that one of the managers owns, subresources left out."""
    entries = [entry for entry in _entries(obj) if entry.get("manager") in managers and not entry.get("subresource")]
    return sorted({field for entry in entries for field in _fields(entry.get("fieldsV1") or {}, obj)})


def transferred(obj: Object, managers: Collection[str], ours: str, api_version: str, *, merge: bool) -> list[dict[str, Any]]:
    """The object's managedFields with the entries of ``managers`` removed.

    merge: their fields are added to our entry, so that our next apply removes those that it does not have. Otherwise nobody owns them, and
    they stay. An entry of another API version cannot be merged: its fields may have other names.
    https://kubernetes.io/docs/reference/using-api/server-side-apply/#upgrading-from-client-side-apply-to-server-side-apply
    """
    kept: list[dict[str, Any]] = []
    tree: dict[str, Any] = {}
    time = ""
    for entry in _entries(obj):
        mine = entry.get("manager") == ours and entry.get("operation") == "Apply"
        taken = entry.get("manager") in managers and not entry.get("subresource")
        if not mine and not taken:
            kept.append(dict(entry))
        elif mine or (merge and entry.get("apiVersion") == api_version):
            tree, time = _union(tree, entry.get("fieldsV1") or {}), max(time, str(entry.get("time") or ""))
    entry = {"manager": ours, "operation": "Apply", "apiVersion": api_version, "fieldsType": "FieldsV1", "fieldsV1": tree}
    return [*kept, *([{**entry, **({"time": time} if time else {})}] if tree else [])]


def _union(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _union(one.get(name, {}), other.get(name, {})) for name in {**one, **other}}


def overlap(one: str, other: str) -> bool:
    """Whether the two are the same field, or one is within the other."""
    return _within(one, other) or _within(other, one)


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


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """Every field of a manifest, written as in managedFields."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{element(inner, number)}]")
    else:
        yield path


def _element(name: str, live: Any, path: str) -> tuple[str, Any]:
    wanted = json.loads(name[2:])
    for number, value in enumerate(live if isinstance(live, list) else ()):
        keys = isinstance(wanted, Mapping) and isinstance(value, Mapping) and all(value.get(key) == one for key, one in wanted.items())
        if keys or value == wanted:
            return f"{path}[{element(value, number)}]", value
    return f"{path}[{name[2:]}]", None
