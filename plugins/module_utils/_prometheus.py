# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What Prometheus' own API says about its scrape targets. Pure: no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.hsc.jit.plugins.module_utils._finding import Finding
from ansible_collections.hsc.jit.plugins.module_utils._logs import redact

TARGETS_PATH = "/api/v1/targets?state=active"


def unsettled(targets: Sequence[Mapping[str, Any]], jobs: Sequence[str]) -> list[str]:
    """Names of targets that are not up, and of jobs that have none (yet)."""
    found = {target.get("labels", {}).get("job") for target in targets}
    return [name(target) for target in targets if target.get("health") != "up"] + [job for job in jobs if job not in found]


def name(target: Mapping[str, Any]) -> str:
    """``hsc-jit-worker on hsc-jit-worker-5f7c`` or the instance's address."""
    labels = target.get("labels", {})
    where = labels.get("pod") or labels.get("instance") or target.get("scrapeUrl", "?")
    return f"{labels.get('job', '?')} on {where}"


def judge(targets: Sequence[Mapping[str, Any]], expected: Sequence[str], waited_seconds: float) -> list[Finding]:
    """VF-06: each target that is down and each expected job without a target, or one pass for all of them.

    A workload whose pods are not ready has no target at all: only the list of jobs shows that it is not watched.
    """
    jobs = Counter(target.get("labels", {}).get("job", "?") for target in targets)
    evidence = {"targets": len(targets), "jobs": dict(jobs), "waited_seconds": round(waited_seconds, 1)}
    found = [_down(target, waited_seconds) for target in targets if target.get("health") != "up"]
    for job in [*expected] or ([] if targets else ["any job"]):
        if job not in jobs:
            step = f"kubectl get endpoints -l app={job}; kubectl logs deploy/hsc-jit-prometheus"
            found.append(Finding("VF-06", "fail", f"Prometheus has no target of {job} after {waited_seconds:.0f} s.", evidence, step))
    if found:
        return found
    return [Finding("VF-06", "pass", f"All {len(targets)} scrape targets of Prometheus are up, in {len(jobs)} jobs.", evidence)]


def _down(target: Mapping[str, Any], waited_seconds: float) -> Finding:
    error = redact(str(target.get("lastError") or "not scraped yet"))[:300]
    address = target.get("scrapeUrl", "?")
    message = f"Prometheus target {name(target)} is {target.get('health')} after {waited_seconds:.0f} s: {error}"
    evidence = {"url": address, "health": target.get("health"), "error": error, "last_scrape": target.get("lastScrape")}
    return Finding("VF-06", "fail", message, evidence, f"Look at what answers at {address}, and at the pod's NetworkPolicy.")
