# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""PF-07: do the rendered objects agree with each other? Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .._finding import Finding, Verdict
from .._kube.objects import at, title
from .._kube.workloads import Workload, labels_match, of_kind, workloads

Objects = Sequence[Mapping[str, Any]]
_POLICY = re.compile(r"^\s*(?:--)?maxmemory-policy\s+(\S+)", re.MULTILINE)


def check(objects: Objects, broker: str) -> list[Finding]:
    """broker: name of the StatefulSet or Deployment whose Redis holds Celery's queues."""
    found = [*_autoscalers(objects), *_budgets(objects), *_services(objects)]
    counts = {kind: len(of_kind(objects, kind)) for kind in ("HorizontalPodAutoscaler", "PodDisruptionBudget", "Service")}
    text = ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items())
    return [*(found or [Finding("PF-07", "pass", f"{text} agree with their workloads.", counts)]), *_check_broker(objects, broker)]


def _check_broker(objects: Objects, broker: str) -> list[Finding]:
    if not any(workload.obj["metadata"]["name"] == broker for workload in workloads(objects)):
        message = f"Celery's broker {broker} is not part of the release: whether it evicts keys was not looked at."
        return [
            Finding("PF-07", "skipped", message, {"broker": broker}, "Look: `redis-cli CONFIG GET maxmemory-policy` must say noeviction.")
        ]
    return list(_broker(objects, broker)) or [Finding("PF-07", "pass", f"Celery's broker {broker} evicts no keys.", {"broker": broker})]


def _wrong(obj: Mapping[str, Any], what: str, next_step: str, verdict: Verdict = "fail", **evidence: Any) -> Finding:
    return Finding("PF-07", verdict, f"{title(obj)}: {what}", {"object": title(obj), **evidence}, next_step)


def _autoscalers(objects: Objects) -> Iterator[Finding]:
    by_title = {title(workload.obj): workload for workload in workloads(objects)}
    for hpa in of_kind(objects, "HorizontalPodAutoscaler"):
        spec, target = hpa["spec"], f"{at(hpa, 'spec.scaleTargetRef.kind')} {at(hpa, 'spec.scaleTargetRef.name')}"
        if spec.get("minReplicas", 1) > spec["maxReplicas"]:
            what = f"minReplicas {spec['minReplicas']} is more than maxReplicas {spec['maxReplicas']}."
            yield _wrong(hpa, what, "Correct one of the two.", minReplicas=spec["minReplicas"], maxReplicas=spec["maxReplicas"])
        if target not in by_title:
            yield _wrong(hpa, f"scales {target}, which is not part of the release.", "Correct spec.scaleTargetRef.", target=target)
            continue
        workload = by_title[target]
        if at(workload.obj, "spec.replicas") is not None:
            what = f"scales {target}, whose manifest sets spec.replicas: each deployment would undo the scaling."
            yield _wrong(hpa, what, "Leave spec.replicas out of that manifest.", replicas=at(workload.obj, "spec.replicas"))
        for name in {
            at(metric, "resource.name") for metric in spec.get("metrics") or [] if at(metric, "resource.target.type") == "Utilization"
        }:
            lacking = [c["name"] for c in workload.spec["containers"] if at(c, f"resources.requests.{name}") is None]
            if lacking:
                what = f"scales by {name} utilization, but container {', '.join(lacking)} of {target} requests no {name}."
                yield _wrong(hpa, what, f"Set resources.requests.{name} there.", containers=lacking)


def _least_replicas(objects: Objects, workload: Mapping[str, Any]) -> int:
    for hpa in of_kind(objects, "HorizontalPodAutoscaler"):
        if f"{at(hpa, 'spec.scaleTargetRef.kind')} {at(hpa, 'spec.scaleTargetRef.name')}" == title(workload):
            return int(at(hpa, "spec.minReplicas") or 1)
    replicas = at(workload, "spec.replicas")
    return 1 if replicas is None else int(replicas)


def _budgets(objects: Objects) -> Iterator[Finding]:
    for budget in of_kind(objects, "PodDisruptionBudget"):
        selector = at(budget, "spec.selector.matchLabels")
        covered = [o.obj for o in workloads(objects) if labels_match(selector, at(o.obj, "spec.template.metadata.labels"))]
        if not covered:
            yield _wrong(
                budget, f"its selector {selector} matches no workload of the release.", "Correct spec.selector.", selector=selector
            )
        replicas = sum(_least_replicas(objects, workload) for workload in covered)
        least, most = at(budget, "spec.minAvailable"), at(budget, "spec.maxUnavailable")
        blocked = (isinstance(least, int) and least >= replicas) or least == "100%" or most in (0, "0%")
        if covered and blocked:
            what = f"allows no pod of {replicas} to go (minAvailable {least}, maxUnavailable {most}): a node can never be drained."
            numbers = {"replicas": replicas, "minAvailable": least, "maxUnavailable": most}
            yield _wrong(budget, what, "Raise the replicas or set maxUnavailable: 1.", "warn", **numbers)


def _services(objects: Objects) -> Iterator[Finding]:
    for service in of_kind(objects, "Service"):
        selector = at(service, "spec.selector")
        if selector and not any(labels_match(selector, at(o.obj, "spec.template.metadata.labels")) for o in workloads(objects)):
            yield _wrong(
                service, f"its selector {selector} matches no workload of the release.", "Correct spec.selector.", selector=selector
            )


def _broker(objects: Objects, broker: str) -> Iterator[Finding]:
    """Redis evicts nothing unless it is told to, by an argument or in a file that an argument names."""
    for workload in (one for one in workloads(objects) if one.obj["metadata"]["name"] == broker):
        arguments = " ".join(str(word) for _, c in workload.containers() for word in [*(c.get("command") or []), *(c.get("args") or [])])
        texts = {"arguments": arguments.replace(" --", "\n--"), **_files(objects, workload, arguments)}
        for place, text in texts.items():
            for policy in _POLICY.findall(text):
                if policy.strip("\"'") != "noeviction":
                    what = f"Celery's broker evicts keys when its memory is full ({place}: maxmemory-policy {policy}): tasks would be lost."
                    yield _wrong(workload.obj, what, "Set maxmemory-policy noeviction there.", policy=policy, place=place)


def _files(objects: Objects, workload: Workload, arguments: str) -> dict[str, str]:
    """Mounted ConfigMap files that the arguments name, by where they come from; all of them if the arguments name no .conf file."""
    configs = {obj["metadata"]["name"]: obj for obj in of_kind(objects, "ConfigMap")}
    found = {}
    for source in (volume.get("configMap") or {} for volume in workload.spec.get("volumes") or []):
        names = {item["key"]: item["path"] for item in source.get("items") or []}
        for key, text in (configs.get(source.get("name", ""), {}).get("data") or {}).items():
            named = f"/{names.get(key, key)}" in arguments or ".conf" not in arguments
            if named and (not names or key in names):
                found[f"ConfigMap {source['name']}, {key}"] = text
    return found
