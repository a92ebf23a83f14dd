# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""A scratch server: a pod of the data store's own image, in which a backup is restored to see what is in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from .._errors import BackupError
from .._kube.client import Cluster
from .._kube.discovery import Kinds
from .._poll import CLOCK, Clock, poll
from .._progress import Progress
from .._readiness.waiter import Watch
from . import postgres, redis
from .snapshot import Artefact

STORES: Mapping[str, ModuleType] = {"redis": redis, "postgres": postgres}
TITLES = {"redis": "Redis", "postgres": "PostgreSQL"}
SCRATCH = "hsc-jit-restore-proof"
_DELETE_SECONDS = 60.0
_LIFE_SECONDS = 900  # a scratch pod of a killed run ends itself
_START_SECONDS = 120  # for the node to have the image, beside the time in which an autoscaler adds a node
_AS_SOURCE = ("imagePullSecrets", "nodeSelector", "tolerations")  # where the data store's pod may run and its image come from, it may too


@dataclass
class Scratch:
    """Makes scratch servers in the namespace of ``cluster``. images: {kind: image}; what is left out is the running data store's."""

    cluster: Cluster
    progress: Progress
    images: Mapping[str, str]
    clock: Clock = CLOCK
    prefix: str = SCRATCH

    @contextmanager
    def server(self, artefact: Artefact, plain: Path) -> Iterator[str]:
        """The name of a pod whose server has what is in ``plain``, the artefact's file. It is gone afterwards.

        BackupError, ApiError, OSError: it cannot be made, or the file does not restore.
        """
        name = f"{self.prefix}-{artefact.kind}"
        self.progress.say(f"Restoring {TITLES[artefact.kind]} into a scratch server")
        try:
            self._start(name, artefact)
            STORES[artefact.kind].restore(self.cluster, name, "scratch", plain)
            yield name
        finally:
            self.cluster.delete(self.cluster.namespaced("pods") + f"/{name}", grace_seconds=0)

    def _start(self, name: str, artefact: Artefact) -> None:
        """With the data store's own image, unless another is given: what is restored is read by the same version."""
        path = self.cluster.namespaced("pods")
        source = (self.cluster.find(f"{path}/{artefact.source}") or {}).get("spec") or {"containers": []}
        image = self.images.get(artefact.kind) or next((one["image"] for one in source["containers"]), "")
        if not image:
            raise BackupError(
                f"Pod {artefact.source} is not there, so the image to restore with is not known: give images.{artefact.kind}."
            )
        self._delete_left_over(f"{path}/{name}")
        self.cluster.create(path, scratch_pod(name, image, {field: source[field] for field in _AS_SOURCE if field in source}))
        watch = Watch(self.cluster, Kinds(self.cluster), self.progress, self.clock.monotonic)
        seconds = _START_SECONDS + self.cluster.node_scale_up_seconds
        finding = watch.wait([{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {}}], seconds)[0]
        if finding.verdict != "pass":
            raise BackupError(finding.message)

    def _delete_left_over(self, path: str) -> None:
        """Delete the scratch pod of a run that was killed. BackupError: it is still there after a minute."""
        if not self.cluster.delete(path, grace_seconds=0):
            return
        if poll(lambda: self.cluster.find(path) is None, _DELETE_SECONDS, every=0.3, clock=self.clock):
            return
        name = path.rpartition("/")[2]
        finalizers = ", ".join((self.cluster.find(path) or {"metadata": {}})["metadata"].get("finalizers") or []) or "none"
        raise BackupError(
            f"Pod {name} of an earlier run still exists {_DELETE_SECONDS:.0f} s after its deletion (finalizers: {finalizers}).",
            f"Find out what holds it: kubectl -n {self.cluster.namespace} get pod {name} -o yaml. Remove it, then run again.",
        )


def scratch_pod(name: str, image: str, placement: Mapping[str, Any]) -> dict[str, Any]:
    """A pod that does nothing until something is restored in it, with no rights and no network use. placement: fields of its spec."""
    container = {
        "name": "scratch",
        "image": image,
        "command": ["sleep", str(_LIFE_SECONDS)],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {"app": SCRATCH, "app.kubernetes.io/part-of": "hsc-jit", "app.kubernetes.io/component": "backup"},
        },
        "spec": {
            **placement,
            "restartPolicy": "Never",
            "activeDeadlineSeconds": _LIFE_SECONDS,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "runAsGroup": 10001,
                "fsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [{"name": "data", "emptyDir": {"sizeLimit": "10Gi"}}, {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
        },
    }
