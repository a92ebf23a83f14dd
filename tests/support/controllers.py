"""Controllers for ``MemoryApiServer.controllers``: what they write into a status, at once."""


def ready_at_once(server, obj):
    """A controller for ``server.controllers``: every workload is ready as soon as it was written."""
    generation, replicas = obj["metadata"].get("generation", 1), (obj.get("spec") or {}).get("replicas", 1)
    counts = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"), replicas)
    if obj["kind"] == "Deployment":
        progressing = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
        conditions = [{"type": "Available", "status": "True"}, progressing]
        server.set_status(obj, observedGeneration=generation, conditions=conditions, **counts)
    elif obj["kind"] == "StatefulSet":
        revision = f"revision-{generation}"
        server.set_status(obj, observedGeneration=generation, currentRevision=revision, updateRevision=revision, **counts)
    elif obj["kind"] == "Job":
        server.set_status(obj, succeeded=1, conditions=[{"type": "Complete", "status": "True"}])


def never_ready(server, obj):
    """A controller: no pod of a Deployment becomes available; what else there is becomes ready."""
    if obj["kind"] != "Deployment":
        ready_at_once(server, obj)
        return
    message = 'ReplicaSet "web-1" has timed out progressing.'
    conditions = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": message}]
    counts = {"replicas": 1, "readyReplicas": 0, "updatedReplicas": 1, "availableReplicas": 0, "unavailableReplicas": 1}
    server.set_status(obj, observedGeneration=obj["metadata"]["generation"], conditions=conditions, **counts)
