# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What an object is called, what of it counts, and how two of them differ. Pure: no I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .quantities import int_or_percent

Object = Mapping[str, Any]
ObjectKey = tuple[str, str, str]  # group, kind, name
_POD_PATHS = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
AUTOSCALERS = ("HorizontalPodAutoscaler", "ScaledObject")
NEVER_PRUNED = frozenset({"PersistentVolumeClaim", "PersistentVolume", "Namespace", "Secret", "CustomResourceDefinition"})


def title(obj: Object) -> str:
    """``Deployment backend``"""
    return f"{obj['kind']} {obj['metadata']['name']}"


def at(obj: Any, path: str) -> Any:
    """The value at a dotted path; None where it ends."""
    for name in path.split("."):
        obj = obj.get(name) if isinstance(obj, Mapping) else None
    return obj


def key(obj: Object) -> ObjectKey:
    """Group, kind and name: what makes an object one and the same, whichever version of the API it is read in."""
    return str(obj.get("apiVersion") or "").rpartition("/")[0], obj["kind"], obj["metadata"]["name"]


def pod_template(obj: Mapping[str, Any]) -> dict[str, Any] | None:
    """The pod template inside a workload; None for what starts no pods."""
    path = _POD_PATHS.get(obj["kind"])
    if path is None:
        return None
    value: Any = obj
    for step in path:
        value = value.get(step) or {}
    return value or None


def config_maps(template: Mapping[str, Any]) -> set[str]:
    spec = template.get("spec") or {}
    containers = [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
    whole = [source.get("configMapRef") for container in containers for source in container.get("envFrom") or []]
    keys = [(one.get("valueFrom") or {}).get("configMapKeyRef") for container in containers for one in container.get("env") or []]
    volumes = [volume.get("configMap") for volume in spec.get("volumes") or []]
    return {reference["name"] for reference in [*whole, *keys, *volumes] if reference}


def owner_kinds(obj: Object) -> set[str]:
    return {owner["kind"] for owner in obj["metadata"].get("ownerReferences") or []}


def by_owner(objects: Iterable[Object]) -> dict[str, list[Object]]:
    """Those that have owners, by the uid of each."""
    found: dict[str, list[Object]] = {}
    for obj in objects:
        for owner in obj["metadata"].get("ownerReferences") or []:
            found.setdefault(owner["uid"], []).append(obj)
    return found


def status_of(obj: Object) -> Mapping[str, Any]:
    return obj.get("status") or {}


def condition(obj: Object, kind: str) -> Mapping[str, Any]:
    """Of that type; empty if there is none."""
    return next((one for one in status_of(obj).get("conditions") or [] if one["type"] == kind), {})


def holds(obj: Object, kind: str) -> bool:
    """Whether its condition of that type is True."""
    return bool(condition(obj, kind).get("status") == "True")


def is_ready(pod: Object) -> bool:
    """Whether the kubelet says Ready: what an endpoint needs."""
    return holds(pod, "Ready")


def may_go_first(deployment: Object, replicas: int) -> bool:
    """Whether an old pod may end before the new one is there; percent is rounded down, as the controller does."""
    strategy = deployment["spec"].get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return True
    most = (strategy.get("rollingUpdate") or {}).get("maxUnavailable", "25%")
    return int_or_percent(most, replicas, round_up=False) > 0


def as_text(value: Any) -> str:
    """Canonical JSON: equal values are equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def digest(value: Any) -> str:
    return hashlib.sha256(as_text(value).encode()).hexdigest()


def without_scaled_replicas(objects: Sequence[Object]) -> list[Object]:
    """The objects, spec.replicas left out of what an autoscaler of the set scales (HPA, or KEDA's ScaledObject): it owns that field."""
    targets = [at(one, "spec.scaleTargetRef") or {} for one in objects if one["kind"] in AUTOSCALERS]
    scaled = {(target.get("kind", "Deployment"), target.get("name")) for target in targets}
    return [without_replicas(obj) if (obj["kind"], obj["metadata"]["name"]) in scaled else obj for obj in objects]


def without_replicas(obj: Object) -> Object:
    """The workload without spec.replicas."""
    return {**obj, "spec": {name: value for name, value in obj["spec"].items() if name != "replicas"}}


def contains(live: Any, wanted: Any) -> bool:
    """Whether every field of wanted is in live with the same value. False is no proof of a difference ("1000m" is stored as "1")."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(name in live and contains(live[name], value) for name, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(live, list) and len(live) == len(wanted) and all(map(contains, live, wanted))
    return bool(live == wanted)


def ownership(obj: Object | None, field_manager: str) -> str:
    """Hash of what field_manager owns of an object by server-side apply."""
    entries = (obj or {"metadata": {}})["metadata"].get("managedFields") or []
    mine = [entry.get("fieldsV1") for entry in entries if entry.get("manager") == field_manager and entry.get("operation") == "Apply"]
    return digest(mine)[:16]


def differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(field, before, after) for each leaf that differs; None where there is none."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}):
            yield from differences(before.get(name), after.get(name), f"{path}.{name}".lstrip("."))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, f"{path}[{element(new, number)}]")
    elif before != after:
        yield path, before, after


def element(value: Any, number: int) -> str:
    """What an element of a list is called in the name of a field: its name, or its place."""
    return str(value["name"]) if isinstance(value, Mapping) and "name" in value else str(number)
