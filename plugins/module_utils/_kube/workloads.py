# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What the pre-flight checks ask of rendered objects: which pods they make, with what in them. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .objects import at, title
from .quantities import parse_quantity

_TEMPLATE_PATHS = {"Pod": "spec", "CronJob": "spec.jobTemplate.spec.template.spec"} | dict.fromkeys(
    ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"), "spec.template.spec"
)
_MEASURED = timedelta(minutes=3)


@dataclass(frozen=True)
class Workload:
    """An object that makes pods; ``spec`` is the pod's, ``path`` where it stands in the object."""

    obj: Mapping[str, Any]
    spec: Mapping[str, Any]
    path: str

    @property
    def title(self) -> str:
        return title(self.obj)

    def containers(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Path and container, init containers too."""
        for field in ("initContainers", "containers"):
            for number, container in enumerate(self.spec.get(field) or []):
                yield f"{self.path}.{field}[{number}]", container


def of_kind(objects: Iterable[Mapping[str, Any]], *kinds: str) -> list[Mapping[str, Any]]:
    return [obj for obj in objects if obj["kind"] in kinds]


def workloads(objects: Sequence[Mapping[str, Any]]) -> list[Workload]:
    found = []
    for obj in objects:
        path = _TEMPLATE_PATHS.get(obj["kind"])
        if path and at(obj, path):
            found.append(Workload(obj, at(obj, path), path))
    return found


def labels_match(selector: Mapping[str, str] | None, labels: Mapping[str, str] | None) -> bool:
    return bool(selector) and all((labels or {}).get(key) == value for key, value in (selector or {}).items())


def size(amount: float) -> str:
    """Bytes for people: ``9.0 GB``."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(amount) >= factor:
            return f"{amount / factor:.1f} {unit}"
    return f"{amount:.0f} B"


def requests(spec: Mapping[str, Any]) -> dict[str, float]:
    """What the scheduler must find for one pod: ``{"cpu": cores, "memory": bytes, "pods": 1}``."""
    need: dict[str, float] = {"pods": 1.0}
    for name in ("cpu", "memory"):
        running, starting = (
            [parse_quantity(at(container, f"resources.requests.{name}")) for container in spec.get(field) or []]
            for field in ("containers", "initContainers")
        )
        need[name] = max(sum(running), max(starting, default=0.0))
    return need


def claims_mounted(pods: Sequence[Mapping[str, Any]], now: datetime) -> dict[str, str]:
    """{claim: pod} of the pods that have run for a while: a kubelet measures a volume once a minute, a new one has no figures yet."""
    return {
        volume["persistentVolumeClaim"]["claimName"]: pod["metadata"]["name"]
        for pod in pods
        if at(pod, "status.phase") == "Running" and now - datetime.fromisoformat(pod["status"]["startTime"]) > _MEASURED
        for volume in at(pod, "spec.volumes") or []
        if "persistentVolumeClaim" in volume
    }
