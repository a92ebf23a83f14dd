"""A node without a machine: pods that are placed on it are said to be ready at once, and nothing is started.

API server, controllers and scheduler are the real ones. So a measurement of many pods is one of them and of ours, not of how fast two cores
start containers.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._kube.kubeconfig import connect
from waiting import until

NAME = "bench-stand-in"
TAINT = {"key": "hsc.jit/bench", "value": "stand-in", "effect": "NoSchedule"}
PLACEMENT = {"nodeSelector": {"kubernetes.io/hostname": NAME}, "tolerations": [{"key": TAINT["key"], "operator": "Exists"}]}
ROOM = {"cpu": "64", "memory": "256Gi", "pods": "110", "ephemeral-storage": "100Gi"}
_TICK, _HEARTBEAT = 0.1, 10.0
_NODE = f"/api/v1/nodes/{NAME}"


@contextmanager
def stand_in_node(kubeconfig):
    """There as long as the block lasts. Give pods PLACEMENT."""
    cluster, over = connect({"kubeconfig": kubeconfig}), threading.Event()
    cluster.delete(_NODE)  # one that a killed benchmark left
    labels = {"kubernetes.io/hostname": NAME, "kubernetes.io/os": "linux"}
    status = {"capacity": ROOM, "allocatable": ROOM, "conditions": [ready()]}
    cluster.create("/api/v1/nodes", {"metadata": {"name": NAME, "labels": labels}, "spec": {"taints": [TAINT]}, "status": status})
    with ThreadPoolExecutor(1) as pool:
        serving = pool.submit(serve, cluster, over)
        try:
            until(lambda: cluster.get(_NODE)["spec"]["taints"] == [TAINT], 60)  # no longer held for one that is not ready
            yield
        finally:
            over.set()
            problem = serving.exception()
            cluster.delete(_NODE)
            if problem:
                raise problem  # the cause of whatever was waited for in vain


def serve(cluster, over):
    beat = 0.0
    while not over.wait(_TICK):
        beat -= _TICK
        if beat <= 0:
            cluster.patch_merge(f"{_NODE}/status", {"status": {"conditions": [ready()]}})
            beat = _HEARTBEAT
        for pod in cluster.list("/api/v1/pods", fieldSelector=f"spec.nodeName={NAME}"):
            try:
                attend(cluster, pod)
            except ApiError as problem:
                if problem.status != 404:  # it has gone since it was listed
                    raise


def attend(cluster, pod):
    path = cluster.namespaced("pods", namespace=pod["metadata"]["namespace"]) + "/" + pod["metadata"]["name"]
    if pod["metadata"].get("deletionTimestamp"):
        cluster.delete(path, grace_seconds=0)
    elif pod["status"]["phase"] == "Pending":
        cluster.patch_merge(f"{path}/status", {"status": running(pod)})


def now():
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def true(kind):
    return {"type": kind, "status": "True", "lastTransitionTime": now()}


def ready():
    """The node's condition, and its heartbeat."""
    return {**true("Ready"), "reason": "StandIn", "lastHeartbeatTime": now()}


def running(pod):
    started = {"running": {"startedAt": now()}}
    containers = [
        {"name": one["name"], "image": one["image"], "imageID": "", "ready": True, "restartCount": 0, "state": started}
        for one in pod["spec"]["containers"]
    ]
    conditions = [true(kind) for kind in ("PodScheduled", "ContainersReady", "Ready")]
    return {"phase": "Running", "startTime": now(), "conditions": conditions, "containerStatuses": containers}
