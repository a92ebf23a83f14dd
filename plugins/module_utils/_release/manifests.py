# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""From rendered text to complete objects: labels, namespace, wave and configuration hashes, all from this one place. Pure: no I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import yaml

from .._errors import ManifestError
from .._kube.objects import config_maps, pod_template
from .._product import CONFIG, PART_OF, WAVE

CLUSTER_WIDE = frozenset(
    {"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "PersistentVolume", "PriorityClass", "StorageClass"}
)


MIN_READY_SECONDS = 5  # a program that ends seconds after it was ready is not taken for available
_WITH_MIN_READY = frozenset({"Deployment", "StatefulSet", "DaemonSet"})


def parse(text: str, source: str) -> dict[str, Any] | None:
    """The object in a rendered template; None if it rendered to nothing (an object that this environment does not have)."""
    try:
        documents = [document for document in yaml.load_all(text, Loader=_LOADER) if document is not None]
    except yaml.YAMLError as error:
        raise ManifestError(f"{source}: the rendered text is no YAML: {' '.join(str(error).split())}") from error
    if not documents:
        return None
    if len(documents) > 1:
        raise ManifestError(f"{source}: {len(documents)} objects; write one object per file.")
    obj: dict[str, Any] = documents[0]
    for field in ("apiVersion", "kind", "metadata"):
        if not isinstance(obj, dict) or not obj.get(field):
            raise ManifestError(f"{source}: field {field} is missing.")
    if not isinstance(obj["metadata"], dict) or not obj["metadata"].get("name"):
        raise ManifestError(f"{source}: field metadata.name is missing.")
    if obj["kind"] == "Secret":
        raise ManifestError(f"{source}: its values would stand in plans and records; give them as release_secret_values (kind: Secret).")
    for field in _empty_fields(obj, ""):
        raise ManifestError(f"{source}: field {field} has no value; set the variable behind it, or leave the field out.")
    return obj


def _empty_fields(value: Any, path: str) -> Iterator[str]:
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _empty_fields(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _empty_fields(inner, f"{path}[{number}]")


class _LOADER(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML without timestamps: a date in a manifest is text, as for kubectl."""


_LOADER.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def stamp(obj: dict[str, Any], wave: str, namespace: str, pod_spec: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """The object with namespace, labels and wave, and its pods with the fields of ``pod_spec``. What the template itself says wins."""
    metadata = obj["metadata"]
    if obj["kind"] not in CLUSTER_WIDE:
        metadata.setdefault("namespace", namespace)
    component = wave.partition("-")[2] or wave
    labels = {"app.kubernetes.io/name": metadata["name"], "app.kubernetes.io/component": component, **PART_OF}
    metadata["annotations"] = {WAVE: wave, **metadata.get("annotations", {})}
    template = pod_template(obj)
    if template is not None:
        labels = {"app": metadata["name"], **labels}
        inner = template.setdefault("metadata", {})
        inner["labels"] = {**labels, **inner.get("labels", {})}
        template["spec"] = {**pod_spec, **template.get("spec", {})}
    if obj["kind"] in _WITH_MIN_READY:
        obj["spec"] = {"minReadySeconds": MIN_READY_SECONDS, **obj["spec"]}
    metadata["labels"] = {**labels, **metadata.get("labels", {})}
    return obj


def complete(objects: Sequence[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """The whole set, from (source, stamped object): names are unique, and pods carry the hash of the ConfigMaps they use."""
    sources: dict[tuple[str, str], str] = {}
    for source, obj in objects:
        name = (obj["kind"], obj["metadata"]["name"])
        if name in sources:
            raise ManifestError(f"{source}: field metadata.name: {' '.join(name)} is also in {sources[name]}.")
        sources[name] = source
    configs = {obj["metadata"]["name"]: obj.get("data") for _, obj in objects if obj["kind"] == "ConfigMap"}
    for _, obj in objects:
        template = pod_template(obj)
        used = sorted(name for name in config_maps(template or {}) if name in configs)
        if template is not None and used:
            text = json.dumps([configs[name] for name in used], sort_keys=True)
            template["metadata"].setdefault("annotations", {})[CONFIG] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return sorted((obj for _, obj in objects), key=lambda obj: obj["kind"] != "Namespace")  # stable: kubectl applies in this order
