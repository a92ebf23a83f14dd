# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Desired objects: the hash that marks them, their waves, and whether a live object still equals one. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from .._kube.managed_fields import owns
from .._kube.objects import Object, at, contains, digest, ownership
from .._product import HASH, WAVE

_SERVERS_METADATA = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
_SERVERS_ANNOTATIONS = (HASH, "deployment.kubernetes.io/revision")
_HIDDEN = "(hidden)"
SCALED_KINDS = frozenset({"Deployment", "StatefulSet", "ReplicaSet"})


def marked(obj: Object) -> dict[str, Any]:
    """The object with the hash of itself as an annotation: what is sent to the server."""
    annotations = {name: value for name, value in (obj["metadata"].get("annotations") or {}).items() if name != HASH}
    bare = {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}
    return {**bare, "metadata": {**bare["metadata"], "annotations": {**annotations, HASH: digest(bare)[:32]}}}


def keeping_replicas(wanted: Object, live: Object | None, managers: Collection[str]) -> Object:
    """With the live number of replicas, where the manifest has none and one of ``managers`` (we) still owns the field.

    A field that leaves the applied set gets the API server's default, here 1: all other pods would be killed. An autoscaler takes the
    field over when it changes the number for the first time; from then on it is left out.
    """
    replicas = at(live, "spec.replicas")
    if wanted["kind"] not in SCALED_KINDS or live is None or replicas is None or "replicas" in (wanted.get("spec") or {}):
        return wanted
    return {**wanted, "spec": {**wanted["spec"], "replicas": replicas}} if owns(live, "spec.replicas", managers) else wanted


def waves(objects: Sequence[Object]) -> list[list[Object]]:
    """The objects by wave, first wave first; without the annotation an object belongs to the last one.

    Definitions of kinds come before all: any wave may have an object of theirs.
    """
    by_wave: dict[str, list[Object]] = {}
    for obj in objects:
        wave = (obj["metadata"].get("annotations") or {}).get(WAVE, "~")
        by_wave.setdefault("" if obj["kind"] == "CustomResourceDefinition" else wave, []).append(obj)
    return [by_wave[name] for name in sorted(by_wave)]


def component(obj: Object) -> str:
    """``data-stores`` of wave ``20-data-stores``"""
    wave = str((obj["metadata"].get("annotations") or {}).get(WAVE, ""))
    return wave.partition("-")[2] or wave


def surely_unchanged(live: Object | None, wanted: Object, owned: str, field_manager: str) -> bool:
    """Whether wanted (marked) was applied before and nobody has changed a field of it since: then no request is needed.

    Two proofs, each enough. We own the very fields that we did after applying it (owned, their hash): whoever changes one takes it out of
    our entry. Or every wanted value is there, where no such hash was recorded.
    """
    if live is None or (live["metadata"].get("annotations") or {}).get(HASH) != wanted["metadata"]["annotations"][HASH]:
        return False
    if owned and owned == ownership(live, field_manager):
        return True
    return contains(live, {name: value for name, value in wanted.items() if name != "apiVersion"})


def cleaned(obj: Object) -> dict[str, Any]:
    """The part of an object that people write: without status, and without what the server keeps in metadata."""
    result = {name: value for name, value in obj.items() if name not in ("status", "apiVersion", "kind")}
    result["metadata"] = {name: value for name, value in obj["metadata"].items() if name not in _SERVERS_METADATA}
    if annotations := obj["metadata"].get("annotations"):
        result["metadata"]["annotations"] = {name: value for name, value in annotations.items() if name not in _SERVERS_ANNOTATIONS}
    if obj["kind"] == "Secret":
        for field in ("data", "stringData"):
            result[field] = {name: digest(value)[:12] + _HIDDEN for name, value in (result.get(field) or {}).items()}
    return result
