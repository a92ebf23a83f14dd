# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Which probe made the kubelet kill a container. Pure: dicts in, words out."""

from __future__ import annotations

from .._kube.objects import Object
from .events import Events


def killed_by_probe(pod: Object, container: str, events: Events) -> str:
    """Which probe of the container has used all its attempts, so that the kubelet killed it, and what it got; empty if none has."""
    spec = pod.get("spec") or {}
    of_container: Object = next(
        (one for kind in ("initContainers", "containers") for one in spec.get(kind) or [] if one["name"] == container), {}
    )
    for kind in ("startup", "liveness"):
        probe, prefix = of_container.get(f"{kind}Probe"), f"{kind.capitalize()} probe failed"
        failures, last = events.counted(pod, "Unhealthy", container, prefix)
        if probe and failures >= (attempts := int(probe.get("failureThreshold", 3))):
            period = int(probe.get("periodSeconds", 10))
            return (
                f"{kind} probe failed {failures} times ({attempts} are allowed, every {period} s): {last.removeprefix(prefix).lstrip(': ')}"
            )
    return ""
