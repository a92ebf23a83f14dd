"""What the API server would say of pods and workloads, cut down to what the failure detector reads; and its verdict."""

from ansible_collections.hsc.jit.plugins.module_utils._readiness import readiness as r

DIGEST = "localhost:5001/x@sha256:1"


def pod(name="web-1", owner="rs", **status):
    """A pod that its kubelet has begun to start."""
    metadata = {"name": name, "uid": f"uid-{name}", "labels": {}, "ownerReferences": [{"uid": owner}]}
    return {"kind": "Pod", "metadata": metadata, "status": {"phase": "Pending", "startTime": "2026-11-27T02:00:00Z", **status}}


def waiting(reason, message="", restarts=0, last=None):
    state = {"name": "web", "restartCount": restarts, "state": {"waiting": {"reason": reason, "message": message}}, "image": DIGEST}
    return pod(containerStatuses=[{**state, "lastState": {"terminated": last}} if last else state])


def ready_pod(name="web-1"):
    conditions = [{"type": "Ready", "status": "True"}]
    return pod(name, phase="Running", conditions=conditions, containerStatuses=[{"name": "web", "ready": True, "state": {"running": {}}}])


def unready(since, probe=None, name="web-1", restarts=0, **state):
    """since: a time of 2026-11-28. probe: its startup probe. state: its container's."""
    conditions = [{"type": "Ready", "status": "False", "lastTransitionTime": f"2026-11-28T{since}Z"}]
    one = pod(name, conditions=conditions, containerStatuses=[{"name": "web", "restartCount": restarts, "state": state}])
    return {**one, "spec": {"containers": [{"startupProbe": probe} if probe else {}, {}]}}


def event(about, reason, message, time="", container=None):
    about = {"uid": about["metadata"]["uid"], **({"fieldPath": f"spec.containers{{{container}}}"} if container else {})}
    return {"metadata": {}, "reason": reason, "message": message, "involvedObject": about, "lastTimestamp": time}


def deployment(wanted=2, **status):
    metadata = {"name": "web", "uid": "d", "generation": 2, "annotations": {"deployment.kubernetes.io/revision": "7"}}
    return {"kind": "Deployment", "metadata": metadata, "spec": {"replicas": wanted}, "status": {"observedGeneration": 2, **status}}


def replica_set(uid="rs", revision="7"):
    metadata = {"name": uid, "uid": uid, "ownerReferences": [{"uid": "d"}], "annotations": {"deployment.kubernetes.io/revision": revision}}
    return {"kind": "ReplicaSet", "metadata": metadata}


def judge(obj, *pods, events=(), **more):
    return r.assess(obj, r.World(pods, (replica_set(), replica_set("old", "6")), events, **more))
