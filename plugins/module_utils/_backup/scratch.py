# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""A scratch server: a pod of the data store's own image, in which a backup is restored to see what is in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from .._kube.client import Cluster
from .._kube.discovery import Kinds
from .._progress import Progress
from .._readiness.waiter import Watch
from . import postgres, redis
from .redis import BackupProblem
from .snapshot import Artefact

STORES: Mapping[str, ModuleType] = {"redis": redis, "postgres": postgres}
TITLES = {"redis": "Redis", "postgres": "PostgreSQL"}
SCRATCH = "hsc-jit-restore-proof"
_LIFE_SECONDS = 900  # a scratch pod of a killed run ends itself
_START_SECONDS = 120  # for the node to have the image, beside the time in which an autoscaler adds a node
_AS_SOURCE = ("imagePullSecrets", "nodeSelector", "tolerations")  # where the data store's pod may run and its image come from, it may too


@dataclass
class Scratch:
    """Makes scratch servers in the namespace of ``cluster``. images: {kind: image}; what is left out is the running data store's."""

    cluster: Cluster
    progress: Progress
    images: Mapping[str, str]
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    prefix: str = SCRATCH

    @contextmanager
    def server(self, artefact: Artefact, plain: Path) -> Iterator[str]:
        """The name of a pod whose server has what is in ``plain``, the artefact's file. It is gone afterwards.

        BackupProblem, ApiProblem, OSError: it cannot be made, or the file does not restore.
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
            raise BackupProblem(
                f"Pod {artefact.source} is not there, so the image to restore with is not known: give images.{artefact.kind}."
            )
        if self.cluster.delete(f"{path}/{name}", grace_seconds=0):  # of a killed run
            while self.cluster.find(f"{path}/{name}"):
                self.sleep(0.3)
        self.cluster.create(path, scratch_pod(name, image, {field: source[field] for field in _AS_SOURCE if field in source}))
        watch = Watch(self.cluster, Kinds(self.cluster), self.progress, self.monotonic)
        seconds = _START_SECONDS + self.cluster.node_scale_up_seconds
        finding = watch.wait([{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {}}], seconds)[0]
        if finding.verdict != "pass":
            raise BackupProblem(finding.message)


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
