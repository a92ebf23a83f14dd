# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""A plan that somebody looked at, kept as ``plan.json``: it is applied later only if it would still do the same. Pure: no I/O.

``{"schema_version", "namespace", "release", "set", "changes": [{"object", "action", "diff"}]}``; release: number of the newest record, set:
hash of all wanted objects.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .._finding import Finding
from .._kube import objects
from .plan import Change

SCHEMA_VERSION = 1
_SHOWN = 5


def document(namespace: str, release: int, wanted: str, changes: Sequence[Change]) -> dict[str, Any]:
    told = sorted((change.as_dict() for change in changes), key=lambda one: str(one["object"]))
    return {"schema_version": SCHEMA_VERSION, "namespace": namespace, "release": release, "set": wanted, "changes": told}


def read(text: str) -> dict[str, Any]:
    """ValueError: this is no plan."""
    try:
        saved = json.loads(text)
        names = {"namespace", "release", "set", "changes"}
        if saved["schema_version"] != SCHEMA_VERSION or not names <= set(saved):
            raise ValueError(f"schema_version {saved['schema_version']}")
        return dict(saved)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"it is no plan of this version ({error})") from error


def compare(path: str, saved: Mapping[str, Any], now: Mapping[str, Any]) -> Finding:
    """RO-01: whether what would happen now is what the saved plan says."""
    moved = list(_moved(saved, json.loads(objects.as_text(now))))  # as JSON, like the saved one
    evidence = {"plan": path, "differences": moved}
    if moved:
        more = f"; and {len(moved) - _SHOWN} more" if len(moved) > _SHOWN else ""
        message = f"Plan {path} is not what would happen now: {'; '.join(moved[:_SHOWN])}{more}. Nothing was changed."
        step = "Plan anew (deploy.yml --check --diff), look at it, and give the new plan.json."
        return Finding("RO-01", "fail", message, evidence, step)
    return Finding("RO-01", "pass", f"Plan {path} still holds: {len(saved['changes'])} changes.", evidence)


def _moved(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    found = []
    if saved["namespace"] != now["namespace"]:
        found.append(f"it is for namespace {saved['namespace']}, not {now['namespace']}")
    if saved["set"] != now["set"]:
        found.append("the wanted objects are others (inventory, images or templates changed)")
    if saved["release"] != now["release"]:
        found.append(f"release {now['release']} is the newest, it was {saved['release']}")
    before, after = ({one["object"]: one for one in plan["changes"]} for plan in (saved, now))
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is None:
            found.append(f"{name} would be changed too ({new['action']})" if new else name)
        elif new is None:
            found.append(f"{name} would not be changed any more ({old['action']})")
        elif old != new:
            found.append(f"{name} would be changed otherwise ({old['action']}, now {new['action']})")
    return found
