# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""A canary out of a release's own Deployment: a second one behind the same Service, with its own copies of the settings. Pure: no I/O."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

from .._kube.objects import Object, config_maps, pod_template

TRACK = "hsc.jit/track"  # label of the canary's pods alone; the stable ones have none, so that they need no change
SUFFIX = "-canary"
_REFERENCES = frozenset({"configMapRef", "configMapKeyRef", "configMap"})


def deployment(objects: Sequence[Object], workload: str) -> Object:
    """LookupError: the release has none of that name."""
    for obj in objects:
        if (obj["kind"], obj["metadata"]["name"]) == ("Deployment", workload):
            return obj
    raise LookupError(f"the release has no Deployment {workload}")


def made_from(objects: Sequence[Object], workload: str, replicas: int) -> list[dict[str, Any]]:
    """The canary's objects. LookupError: the release has no such Deployment.

    It reads copies of the release's ConfigMaps: a stable pod that starts meanwhile must not read the new settings.
    """
    canary = _renamed(deployment(objects, workload))
    used = config_maps(pod_template(canary) or {})
    copies = [_renamed(obj) for obj in objects if obj["kind"] == "ConfigMap" and obj["metadata"]["name"] in used]
    copied = {obj["metadata"]["name"].removesuffix(SUFFIX) for obj in copies}
    spec = canary["spec"]
    spec["replicas"] = replicas
    spec["selector"]["matchLabels"][TRACK] = "canary"
    spec["template"]["metadata"]["labels"][TRACK] = "canary"
    spec["template"]["spec"] = _pointed(spec["template"]["spec"], copied)
    return [*copies, canary]


def _renamed(obj: Object) -> dict[str, Any]:
    copied = copy.deepcopy(dict(obj))
    copied["metadata"]["name"] += SUFFIX
    return copied


def _pointed(value: Any, copied: set[str]) -> Any:
    """The pod's spec with each reference to a copied ConfigMap turned to its copy."""
    if isinstance(value, Mapping):
        return {
            name: {**inner, "name": f"{inner['name']}{SUFFIX}"}
            if name in _REFERENCES and isinstance(inner, Mapping) and inner.get("name") in copied
            else _pointed(inner, copied)
            for name, inner in value.items()
        }
    return [_pointed(one, copied) for one in value] if isinstance(value, list) else value


def replicas_for(percent: float, stable: int) -> int:
    """How many canary pods beside the stable ones make that share of all; one at least."""
    return max(1, math.floor(stable * percent / (100 - percent) + 0.5))
