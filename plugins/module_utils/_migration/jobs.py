# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Migrate the schema by Jobs of the image that is being released: first what is pending, then once. See _release/rollback_policy.py."""

from __future__ import annotations

import copy
import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._errors import ApiError
from .._finding import Finding
from .._kube.client import Cluster
from .._kube.discovery import Kinds
from .._kube.objects import holds
from .._poll import CLOCK, Clock, poll
from .._progress import Progress
from .._readiness.waiter import Watch

Object = Mapping[str, Any]
COMMAND = ["python", "-m", "app.migrate"]
_DAY_SECONDS = 86_400
_GONE_SECONDS = 90.0


def job(workload: Object, image: str, action: str, *arguments: str, seconds: int = 900) -> dict[str, Any]:
    """A Job in the shape of a workload of the release: the same image, settings, secrets and security; it cannot differ by accident.

    action: ``plan`` or ``run``. arguments: of `app.migrate`. seconds: after so many the Job ends, so that none runs unseen.
    The name holds the image's digest, so one image migrates once.
    """
    name = f"hsc-jit-migrate-{action}-{hashlib.sha256(image.encode()).hexdigest()[:10]}"
    spec = copy.deepcopy(workload["spec"]["template"]["spec"])
    container = {
        key: value for key, value in spec["containers"][0].items() if not key.endswith("Probe") and key not in ("ports", "lifecycle")
    }
    container.update(name="migrate", image=image, command=[*COMMAND, *(["--current"] if action == "plan" else []), *arguments])
    for key in ("affinity", "topologySpreadConstraints", "terminationGracePeriodSeconds"):
        spec.pop(key, None)
    spec.update(restartPolicy="Never", containers=[container])
    labels = {
        "app": "hsc-jit-migrate",
        "app.kubernetes.io/name": "hsc-jit-migrate",
        "app.kubernetes.io/component": "migration",
        "app.kubernetes.io/part-of": "hsc-jit",
        "app.kubernetes.io/managed-by": "hsc.jit",
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            # a migration that failed is looked at by a person, not tried again by a controller
            "backoffLimit": 0,
            # a pod that was deleted may still be at work: none beside it
            "podReplacementPolicy": "Failed",
            "activeDeadlineSeconds": seconds,
            "ttlSecondsAfterFinished": 30 * _DAY_SECONDS,
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def workload_of(objects: Sequence[Object]) -> Object:
    """The rendered Deployment whose settings the Job takes; ValueError if it is not there."""
    for obj in objects:
        if obj["kind"] == "Deployment" and obj["metadata"]["name"] == "hsc-jit-answer":
            return obj
    raise ValueError(
        "objects has no Deployment hsc-jit-answer, whose settings a migration takes. Give the rendered manifests (release_objects)."
    )


def parse_plan(log: str) -> dict[str, Any]:
    """The JSON that `app.migrate --current` prints: {current, head, pending, since, steps}, or {refused: why}. ValueError: it is not there.

    Where the database has a revision that the image does not know, {refused, unknown: that one, head: the image's newest}; whether that
    revision may stay is `_release.rollback_policy.ahead`'s to say, from the record.
    steps: [{revision, title, applied, class, reasons, declared, sql}], oldest first.
    """
    for line in reversed(log.splitlines()):
        try:
            answer = json.loads(line)
        except ValueError:
            continue
        if isinstance(answer, dict) and ("steps" in answer or "refused" in answer):
            return answer
    raise ValueError(f"`{' '.join(COMMAND)} --current` printed no plan: {log.strip()[-300:] or 'nothing'}")


@dataclass
class Runner:
    """Runs Jobs of one namespace to their end, telling what they log."""

    cluster: Cluster
    progress: Progress
    clock: Clock = CLOCK

    def finished(self, manifest: Object) -> bool:
        """Whether this very Job has succeeded before."""
        return "Complete" in _ends(self.cluster.find(self._path(manifest)))

    def run(self, manifest: Object, seconds: float, *, again: bool = False) -> tuple[Finding, str]:
        """(the wait's finding, the log). A Job that runs already (of a killed run) is waited for, never started twice.

        again: even if it has succeeded before.
        """
        found = self.cluster.find(self._path(manifest))
        ends = _ends(found)
        if ends and (again or "Complete" not in ends):
            self._forget(manifest)
            found = None
        if found is None:
            self.cluster.create(self.cluster.namespaced("jobs", "/apis/batch/v1"), manifest)
        done = threading.Event()
        follower = threading.Thread(target=self._follow, args=(manifest, done), daemon=True)
        follower.start()
        try:
            watch = Watch(self.cluster, Kinds(self.cluster), self.progress, self.clock.monotonic)
            finding = watch.wait([manifest], seconds)[0]
        finally:
            done.set()
            follower.join(timeout=10)
        return finding, self.log(manifest)

    def log(self, manifest: Object) -> str:
        pods = self.cluster.list(self.cluster.namespaced("pods"), labelSelector=f"job-name={manifest['metadata']['name']}")
        newest = max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)
        try:
            return self.cluster.logs(newest["metadata"]["name"], "migrate", tailLines=500) if newest else ""
        except ApiError:
            return ""

    def _follow(self, manifest: Object, done: threading.Event) -> None:
        said = 0
        while not done.wait(1.0):
            try:
                lines = self.log(manifest).splitlines()
            except ApiError:
                continue
            for line in lines[said:]:
                self.progress.say(str(manifest["metadata"]["name"]), detail=line[:160])
            said = max(said, len(lines))

    def stop(self, manifest: Object) -> None:
        """End a Job that still runs, and its pod. One that ended stays, with its log."""
        found = self.cluster.find(self._path(manifest))
        if found is not None and not _ends(found):
            self._forget(manifest)

    def _forget(self, manifest: Object) -> None:
        """Foreground: the Job is gone when its pod is."""
        self.cluster.delete(self._path(manifest), propagation="Foreground")
        if not poll(lambda: self.cluster.find(self._path(manifest)) is None, _GONE_SECONDS, every=0.3, clock=self.clock):
            name = manifest["metadata"]["name"]
            raise ApiError(0, "Timeout", f"Job {name} is still there {_GONE_SECONDS:.0f} s after it was deleted")

    def _path(self, manifest: Object) -> str:
        return f"{self.cluster.namespaced('jobs', '/apis/batch/v1')}/{manifest['metadata']['name']}"


def _ends(found: Object | None) -> set[str]:
    """How a Job ended: Complete or Failed; empty while it runs or if there is none. Other conditions only announce it."""
    return {end for end in ("Complete", "Failed") if found and holds(found, end)}
