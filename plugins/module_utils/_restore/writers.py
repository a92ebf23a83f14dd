# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The workloads that write to the data stores: stopped while those are replaced, and brought back as they were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import not_

from .._errors import BackupError
from .._finding import good
from .._kube.client import Cluster
from .._kube.discovery import Kinds
from .._poll import Clock, poll
from .._product import SELECTOR
from .._progress import Progress
from .._readiness.waiter import Watch

WRITERS = ("hsc-jit-backend", "hsc-jit-answer", "hsc-jit-worker", "hsc-jit-beat")
_MANAGER = "hsc.jit-restore"
_STOP_SECONDS = 180.0  # the longest grace of a pod is 60 s


@dataclass
class Writers:
    """Deployments of the namespace of ``cluster``."""

    cluster: Cluster
    progress: Progress
    clock: Clock

    def replicas(self) -> dict[str, int]:
        """{Deployment: pods that are wanted now} of the writers that exist."""
        found = {name: self.cluster.find(self._path(name)) for name in WRITERS}
        return {name: int(deployment["spec"].get("replicas", 1)) for name, deployment in found.items() if deployment}

    def jobs(self) -> list[str]:
        """Our Jobs that are at work just now: migrations, the nightly backup."""
        jobs = self.cluster.list(self.cluster.namespaced("jobs", "/apis/batch/v1"), labelSelector=SELECTOR)
        return sorted(job["metadata"]["name"] for job in jobs if (job.get("status") or {}).get("active"))

    def stop(self) -> None:
        """No pod of a writer is left. An autoscaler lets a workload of zero pods alone. BackupError: one did not end."""
        for name, count in self.replicas().items():
            if count:
                self._scale(name, 0)

        def running() -> list[str]:
            if left := self._pods():
                self.progress.say("Stopping the writers", detail=f"{len(left)} pods left")
            return left

        if left := poll(running, _STOP_SECONDS, until=not_, every=0.5, clock=self.clock):
            raise BackupError(f"These pods did not end within {_STOP_SECONDS:.0f} s: {', '.join(left)}.")

    def start(self, replicas: Mapping[str, int], seconds: float) -> list[str]:
        """As many pods as before, all ready (for the backend: /ready answers). Answers why they are not; a fault that healed is none."""
        there = {name: count for name, count in replicas.items() if self.cluster.find(self._path(name))}
        for name, count in there.items():
            self._scale(name, count)
        objects = [{"apiVersion": "apps/v1", "kind": "Deployment", **self.cluster.get(self._path(name))} for name in there]
        watch = Watch(self.cluster, Kinds(self.cluster), self.progress, self.clock.monotonic)
        findings = watch.wait(objects, seconds) if objects else []
        for name in there:
            self._let_go(name)
        return [finding.message for finding in findings if not good([finding])]

    def _pods(self) -> list[str]:
        pods = self.cluster.list(self.cluster.namespaced("pods"), labelSelector=f"app in ({','.join(WRITERS)})")
        return [pod["metadata"]["name"] for pod in pods if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")]

    def _path(self, name: str) -> str:
        return f"{self.cluster.namespaced('deployments', '/apis/apps/v1')}/{name}"

    def _scale(self, name: str, count: int) -> None:
        self.cluster.patch_merge(self._path(name), {"spec": {"replicas": count}}, fieldManager=_MANAGER)

    def _let_go(self, name: str) -> None:
        """Own no field afterwards: the next release that wants other replicas would meet a conflict with us."""
        metadata = self.cluster.get(self._path(name))["metadata"]
        entries = metadata.get("managedFields") or []
        others = [entry for entry in entries if entry.get("manager") != _MANAGER]
        if others and len(others) < len(entries):
            changes = {"metadata": {"managedFields": others, "resourceVersion": metadata["resourceVersion"]}}
            self.cluster.patch_merge(self._path(name), changes, fieldManager=_MANAGER)
