# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""PF-01 and PF-02: what nodes and their kubelets say, judged. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .._finding import Finding, Verdict
from .._kube.workloads import size

_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
_CLOCK_SECONDS = 30  # by which two clocks may differ; the server says its own in whole seconds
_OLDEST_KUBELET = 3  # minor versions behind the API server that Kubernetes supports; a newer kubelet never


def check_nodes(nodes: Sequence[Mapping[str, Any]], server: Mapping[str, Any]) -> list[Finding]:
    """PF-01 of NodeList items and the answer of /version."""
    if not nodes:
        return [Finding("PF-01", "fail", "The cluster has no node.", {}, "Add a node; see `kubectl get nodes`.")]
    bad = [finding for node in nodes for finding in _node(node, server)]
    evidence = {"nodes": {node["metadata"]["name"]: node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes}}
    evidence["api_server"] = server["gitVersion"]
    ready = f"{len(nodes)} of {len(nodes)} nodes are Ready without pressure (API server {server['gitVersion']})."
    return bad or [Finding("PF-01", "pass", ready, evidence)]


def check_clock(skew_seconds: float) -> list[Finding]:
    """PF-01 of this machine's clock, which judges certificates, ages and windows. skew: by how much it is ahead of the API server's."""
    if abs(skew_seconds) <= _CLOCK_SECONDS:
        return []
    message = f"This machine's clock differs from the API server's by {skew_seconds:+,.0f} s; ages and certificates are judged by it."
    step = "Set the clock (timedatectl, chronyc tracking); until then believe no row that speaks of a time."
    return [Finding("PF-01", "fail", message, {"skew_seconds": round(skew_seconds), "allowed_seconds": _CLOCK_SECONDS}, step)]


def _node(node: Mapping[str, Any], server: Mapping[str, Any]) -> list[Finding]:
    name = node["metadata"]["name"]
    conditions = {condition["type"]: condition for condition in node["status"].get("conditions", [])}
    found = []

    def add(verdict: Verdict, what: str, next_step: str, **evidence: Any) -> None:
        found.append(Finding("PF-01", verdict, f"Node {name}: {what}", {"node": name, **evidence}, next_step))

    ready = conditions.get("Ready", {"status": "Unknown", "reason": "NoCondition"})
    if ready["status"] != "True":
        why = f"{ready.get('reason')}: {ready.get('message', '')}".rstrip(": ")
        add("fail", f"not Ready since {ready.get('lastTransitionTime', '?')} ({why}).", f"`kubectl describe node {name}`.", ready=ready)
    for pressure in _PRESSURES:
        condition = conditions.get(pressure, {})
        if condition.get("status") == "True":
            add(
                "fail",
                f"{pressure} ({condition.get('message', '')}).",
                f"`kubectl describe node {name}` names the cause.",
                condition=condition,
            )
    if node.get("spec", {}).get("unschedulable"):
        add("warn", "cordoned: no new pod starts there.", f"`kubectl uncordon {name}` when its maintenance is over.")
    kubelet = node["status"]["nodeInfo"]["kubeletVersion"]
    behind = _minor(server["gitVersion"]) - _minor(kubelet or server["gitVersion"])  # empty: it never reported, so it is not Ready
    if behind < 0 or behind > _OLDEST_KUBELET:
        what = f"kubelet {kubelet} does not go with API server {server['gitVersion']} (0 to {_OLDEST_KUBELET} minor versions behind it)."
        add("fail", what, "Upgrade the older of the two.", kubelet=kubelet, api_server=server["gitVersion"])
    return found


def _minor(version: str) -> int:
    return int(re.match(r"v?\d+\.(\d+)", version)[1])  # type: ignore[index]


def check_metrics(needed_by: Sequence[str], status: int, items: int) -> list[Finding]:
    """PF-01: does the metrics API answer, if an HPA needs it? status: HTTP, 404 if nobody serves it."""
    if not needed_by:
        return []
    evidence = {"http_status": status, "nodes_with_metrics": items, "needed_by": list(needed_by)}
    if status == 404:
        next_step = "Install metrics-server, or the HPA never scales."
        return [Finding("PF-01", "fail", f"Metrics API: not installed, but {', '.join(needed_by)} needs it.", evidence, next_step)]
    if status != 200 or not items:
        next_step = "`kubectl get apiservice v1beta1.metrics.k8s.io` says why; it needs a minute after a restart."
        return [Finding("PF-01", "warn", f"Metrics API: installed, but has no values now (HTTP {status}).", evidence, next_step)]
    return [Finding("PF-01", "pass", f"Metrics API: has values of {items} nodes.", evidence)]


def check_disk(summaries: Mapping[str, Mapping[str, Any]], free_bytes: int, inodes_free_percent: int) -> list[Finding]:
    """PF-02 of each node's kubelet summary: the node's filesystem and that of the images."""
    found, least = [], float("inf")
    evidence = {}
    for node, summary in summaries.items():
        for where, fs in _filesystems(summary["node"]):
            least = min(least, fs["availableBytes"])
            numbers = {name: fs.get(name) for name in ("availableBytes", "capacityBytes", "inodesFree", "inodes")}
            evidence[f"{node} {where}"] = numbers
            found += _filesystem(node, where, fs, free_bytes, inodes_free_percent, numbers)
    message = f"{len(summaries)} nodes: at least {size(least)} free everywhere ({size(free_bytes)} are needed)."
    return found or [Finding("PF-02", "pass", message, {"filesystems": evidence, "needed_bytes": free_bytes})]


def silent_kubelet(node: str, status: int, why: str) -> Finding:
    """PF-02 of a node whose disk could not be looked at; status: HTTP."""
    evidence = {"node": node, "http_status": status}
    if status == 403:
        next_step = 'Add to the deployer\'s ClusterRole: apiGroups: [""], resources: [nodes/proxy], verbs: [get].'
        return Finding("PF-02", "skipped", f"Node {node}: its disk may not be looked at ({why}).", evidence, next_step)
    return Finding("PF-02", "fail", f"Node {node}: its kubelet does not say how full the disk is ({why}).", evidence, "See PF-01.")


def _filesystems(node: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """nodefs, and imagefs where that is another one."""
    nodefs, imagefs = node.get("fs") or {}, (node.get("runtime") or {}).get("imageFs") or {}
    both = [("nodefs", nodefs)]
    if any(nodefs.get(key) != imagefs.get(key) for key in ("capacityBytes", "inodes")):
        both.append(("imagefs", imagefs))
    return [(where, fs) for where, fs in both if "availableBytes" in fs]


def _filesystem(node: str, where: str, fs: Mapping[str, Any], free: int, inodes_percent: int, numbers: Mapping[str, Any]) -> list[Finding]:
    found = []
    evidence = {"node": node, "filesystem": where, **numbers}
    if fs["availableBytes"] < free:
        message = f"Node {node}: {size(fs['availableBytes'])} of {size(fs['capacityBytes'])} free on {where}; {size(free)} are needed."
        next_step = "Remove unused images (`crictl rmi --prune` on the node) and old logs under /var/log/pods, or enlarge the disk."
        found.append(Finding("PF-02", "fail", message, {**evidence, "needed_bytes": free}, next_step))
    if fs.get("inodes") and fs["inodesFree"] * 100 < fs["inodes"] * inodes_percent:
        message = f"Node {node}: {fs['inodesFree']} of {fs['inodes']} inodes free on {where}; {inodes_percent} % are needed."
        next_step = "Find the folder with many small files (`du --inodes -x / | sort -n | tail` on the node)."
        found.append(Finding("PF-02", "fail", message, {**evidence, "needed_percent": inodes_percent}, next_step))
    return found


def check_volumes(
    summaries: Mapping[str, Mapping[str, Any]], namespace: str, free_percent: int, inodes_percent: int, mounted: Mapping[str, str]
) -> list[Finding]:
    """PF-02 of each PersistentVolumeClaim of the release. mounted: {claim: a running pod that has it}; what has no figures is no pass."""
    found: dict[str, list[Finding]] = {}
    for pod in (pod for summary in summaries.values() for pod in summary.get("pods") or []):
        for volume in pod.get("volume") or []:
            claim = volume.get("pvcRef") or {}
            if claim.get("namespace") == namespace and volume.get("capacityBytes"):
                found[claim["name"]] = _volume(claim["name"], pod["podRef"]["name"], volume, namespace, free_percent, inodes_percent)
    silent = [_without_figures(claim, pod) for claim, pod in sorted(mounted.items()) if claim not in found] if summaries else []
    return [*(finding for findings in found.values() for finding in findings), *silent]


def _volume(claim: str, pod: str, volume: Mapping[str, Any], namespace: str, free_percent: int, inodes_percent: int) -> list[Finding]:
    free, capacity, inodes, inodes_free = (volume.get(key) or 0 for key in ("availableBytes", "capacityBytes", "inodes", "inodesFree"))
    numbers = {"availableBytes": free, "capacityBytes": capacity, "inodes": inodes, "inodesFree": inodes_free}
    evidence, found = {"claim": claim, "pod": pod, **numbers}, []
    if free * 100 < capacity * free_percent:
        message = f"PersistentVolumeClaim {claim}: {size(free)} of {size(capacity)} free; {free_percent} % are needed."
        next_step = f"`kubectl edit pvc {claim} -n {namespace}` (larger request, if its StorageClass allows it)."
        found.append(Finding("PF-02", "fail", message, evidence, next_step))
    if inodes and inodes_free * 100 < inodes * inodes_percent:
        message = f"PersistentVolumeClaim {claim}: {inodes - inodes_free} of {inodes} inodes used; {inodes_percent} % must be free. "
        message += f"Of its bytes, {size(free)} of {size(capacity)} are free."
        next_step = f"Find the folder with many small files (`kubectl exec -n {namespace} {pod} -- df -i`), or enlarge the volume."
        found.append(Finding("PF-02", "fail", message, evidence, next_step))
    return found


def _without_figures(claim: str, pod: str) -> Finding:
    message = f"PersistentVolumeClaim {claim}: no volume stats, so how full it is was not looked at (pod {pod} has it)."
    step = f"`kubectl exec {pod} -- df -h -i` says it; a volume type with statistics (CSI, local) lets this row look."
    return Finding("PF-02", "skipped", message, {"claim": claim, "pod": pod}, step)
