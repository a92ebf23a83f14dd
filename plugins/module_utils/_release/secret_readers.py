# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Which keys of Secrets the pods of a workload read, and a keyed hash of their values. Pure: no I/O.

A pod reads an environment variable from a Secret once, when it starts. The hash is an annotation of the pod template, so that a changed
value restarts the pods that read it. It is an HMAC with a random key of the namespace: nobody can guess a value from it.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from .._kube.objects import Object, as_text, pod_template
from .._product import SECRETS

RESTARTED_KINDS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})  # a Job reads its Secrets each time that it runs
Key = tuple[str, str]  # name of the Secret, key in it; an empty key stands for all keys


def keys_read(obj: Object) -> set[Key]:
    """The keys that the pods of a Deployment, StatefulSet or DaemonSet read; empty for every other kind."""
    template = pod_template(obj) if obj["kind"] in RESTARTED_KINDS else None
    return set(_keys_read((template or {}).get("spec") or {}))


def _keys_read(spec: Mapping[str, Any]) -> Iterator[Key]:
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        for source in container.get("envFrom") or []:
            if reference := source.get("secretRef"):
                yield reference["name"], ""
        for variable in container.get("env") or []:
            if reference := (variable.get("valueFrom") or {}).get("secretKeyRef"):
                yield reference["name"], reference["key"]
    for volume in spec.get("volumes") or []:
        if source := volume.get("secret"):
            yield from _of_volume(source["secretName"], source)
        for projected in (volume.get("projected") or {}).get("sources") or []:
            if source := projected.get("secret"):
                yield from _of_volume(source["name"], source)


def _of_volume(name: str, source: Mapping[str, Any]) -> Iterator[Key]:
    items = source.get("items") or []
    yield from ((name, item["key"]) for item in items)
    if not items:
        yield name, ""


def reads(keys: Collection[Key], changed: Collection[Key]) -> bool:
    """Whether one of the changed keys (name, key) is among the keys that pods read."""
    return any(key in keys or (key[0], "") in keys for key in changed)


def fingerprint(keys: set[Key], data: Mapping[str, Mapping[str, str]], hmac_key: bytes) -> str:
    """32 hexadecimal digits for the values of ``keys``. data: the values as stored, by key, by name of the Secret."""
    values = [[name, key, data.get(name, {}) if not key else data.get(name, {}).get(key)] for name, key in sorted(keys)]
    return hmac.new(hmac_key, as_text(values).encode(), hashlib.sha256).hexdigest()[:32]


def fingerprint_of(obj: Object | None) -> str | None:
    """The hash that a workload carries; None if it has none."""
    metadata = ((pod_template(obj) if obj else None) or {}).get("metadata") or {}
    return (metadata.get("annotations") or {}).get(SECRETS)


def with_fingerprint(obj: Object, value: str) -> Object:
    """A copy of the workload whose pod template has the annotation."""
    annotated = copy.deepcopy(dict(obj))
    metadata = annotated["spec"]["template"].setdefault("metadata", {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), SECRETS: value}
    return annotated
