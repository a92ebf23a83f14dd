# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""PF-04: what pods refer to (Secrets, ConfigMaps and their keys, accounts, claims) is there, or comes with the release. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._finding import Finding
from .._kube.objects import at, title
from .._kube.workloads import Workload, workloads

Target = tuple[str, str]  # kind, name
PLURALS = {
    "Secret": "secrets",
    "ConfigMap": "configmaps",
    "ServiceAccount": "serviceaccounts",
    "PersistentVolumeClaim": "persistentvolumeclaims",
}


@dataclass(frozen=True)
class Reference:
    """One place that names something. key: None if the whole object is meant; field: path in the object of ``owner``."""

    kind: str
    name: str
    key: str | None
    owner: str
    field: str

    @property
    def target(self) -> Target:
        return self.kind, self.name


def references(objects: Sequence[Mapping[str, Any]]) -> list[Reference]:
    """Every reference that is not optional."""
    found = [reference for workload in workloads(objects) for reference in _of_pod(workload)]
    for obj in objects:
        if obj["kind"] == "Ingress":
            for number, tls in enumerate(at(obj, "spec.tls") or []):
                if tls.get("secretName"):
                    found.append(Reference("Secret", tls["secretName"], "tls.crt", title(obj), f"spec.tls[{number}].secretName"))
    return found


def _of_pod(workload: Workload) -> Iterator[Reference]:
    owner, spec, path = workload.title, workload.spec, workload.path
    for field, container in workload.containers():
        for number, variable in enumerate(container.get("env") or []):
            for source, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
                yield from _key(kind, (variable.get("valueFrom") or {}).get(source), owner, f"{field}.env[{number}].valueFrom.{source}")
        for number, source_of_all in enumerate(container.get("envFrom") or []):
            for source, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
                yield from _whole(kind, source_of_all.get(source), "name", owner, f"{field}.envFrom[{number}].{source}")
    for number, volume in enumerate(spec.get("volumes") or []):
        yield from _of_volume(volume, owner, f"{path}.volumes[{number}]")
    for number, pull in enumerate(spec.get("imagePullSecrets") or []):
        yield from _whole("Secret", pull, "name", owner, f"{path}.imagePullSecrets[{number}]")
    if spec.get("serviceAccountName", "default") != "default":
        yield Reference("ServiceAccount", spec["serviceAccountName"], None, owner, f"{path}.serviceAccountName")


def _of_volume(volume: Mapping[str, Any], owner: str, field: str) -> Iterator[Reference]:
    sources = [
        (volume, field),
        *((one, f"{field}.projected.sources[{n}]") for n, one in enumerate((volume.get("projected") or {}).get("sources") or [])),
    ]
    for source, place in sources:
        for part, kind in (("secret", "Secret"), ("configMap", "ConfigMap")):
            name = "secretName" if part == "secret" and source is volume else "name"
            yield from _whole(kind, source.get(part), name, owner, f"{place}.{part}")
            for item in (source.get(part) or {}).get("items") or []:
                yield from _key(kind, {**source[part], **item, "name": source[part].get(name)}, owner, f"{place}.{part}.items")
    yield from _whole("PersistentVolumeClaim", volume.get("persistentVolumeClaim"), "claimName", owner, f"{field}.persistentVolumeClaim")


def _key(kind: str, source: Mapping[str, Any] | None, owner: str, field: str) -> Iterator[Reference]:
    if source and not source.get("optional"):
        yield Reference(kind, source["name"], source["key"], owner, field)


def _whole(kind: str, source: Mapping[str, Any] | None, name: str, owner: str, field: str) -> Iterator[Reference]:
    if source and not source.get("optional") and source.get(name):
        yield Reference(kind, source[name], None, owner, field)


def keys_of(obj: Mapping[str, Any]) -> set[str]:
    """The keys of a Secret or ConfigMap; never a value."""
    return {key for part in ("data", "stringData", "binaryData") for key in obj.get(part) or {}}


def delivered(objects: Sequence[Mapping[str, Any]], provided: Mapping[str, Collection[str]]) -> dict[Target, set[str]]:
    """What comes with the release: its own objects, and Secrets that it makes of ``provided`` (name -> keys)."""
    found = {(obj["kind"], obj["metadata"]["name"]): keys_of(obj) for obj in objects if obj["kind"] in PLURALS}
    for name, keys in provided.items():
        found.setdefault(("Secret", name), set()).update(keys)
    return found


def unanswered(wanted: Sequence[Reference], known: Mapping[Target, Collection[str]]) -> list[Target]:
    """What the cluster must be asked for."""
    return sorted({one.target for one in wanted if one.target not in known or (one.key is not None and one.key not in known[one.target])})


def check(
    wanted: Sequence[Reference], there: Mapping[Target, Collection[str] | None], unreadable: Mapping[Target, str], namespace: str
) -> list[Finding]:
    """PF-04. there: keys by target, None where there is no such object; unreadable: why the cluster did not say."""
    found: dict[tuple[Target, str | None], list[Reference]] = {}
    for one in wanted:
        keys = there.get(one.target)
        if keys is None or (one.key is not None and one.key not in keys):
            found.setdefault((one.target, one.key if keys is not None else None), []).append(one)
    findings = [_missing(places, there.get(target), unreadable.get(target), namespace) for (target, _), places in found.items()]
    message = (
        f"All {len(wanted)} references to {len({one.target for one in wanted})} Secrets, ConfigMaps, accounts and claims can be followed."
    )
    return findings or [
        Finding("PF-04", "pass", message, {"references": len(wanted), "targets": sorted({f"{o.kind} {o.name}" for o in wanted})})
    ]


def _missing(places: Sequence[Reference], keys: Collection[str] | None, unreadable: str | None, namespace: str) -> Finding:
    first = places[0]
    what = f"{first.kind} {first.name}"
    used = "; ".join(f"{one.owner}: {one.field}" for one in places[:3]) + (f"; and {len(places) - 3} more" if len(places) > 3 else "")
    evidence = {
        "target": what,
        "key": first.key,
        "keys_there": sorted(keys or ()),
        "used_by": [f"{one.owner}: {one.field}" for one in places],
    }
    if unreadable:
        next_step = f"Allow the deployer to get {PLURALS[first.kind]}, so that this can be looked at."
        return Finding("PF-04", "skipped", f"{what}: may not be read ({unreadable}); needed by {used}.", evidence, next_step)
    if keys is not None:
        there = ", ".join(sorted(keys)) or "none"
        next_step = f"Add the key: `kubectl edit {first.kind.lower()} {first.name} -n {namespace}`, or correct the name in the manifest."
        return Finding("PF-04", "fail", f"{what} has no key {first.key} (it has: {there}); needed by {used}.", evidence, next_step)
    next_step = f"Create {what}, or add it to the release's manifests."
    if first.kind == "Secret":
        create = f"`kubectl create secret generic {first.name} --from-literal={first.key or 'KEY'}=... -n {namespace}`"
        next_step = f"{create}, or set it in release_secret_values."
    return Finding("PF-04", "fail", f"{what} does not exist; needed by {used}.", evidence, next_step)
