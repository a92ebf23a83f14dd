"""The failure detector: what controllers say of workloads and their pods, turned into ready, waiting or failed with a reason."""

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._readiness import readiness as r
from ansible_collections.hsc.jit.plugins.module_utils._readiness.controllers import old_words
from judged import deployment, event, judge, pod, ready_pod, waiting


def test_only_pods_of_the_newest_replica_set_count():
    old = waiting("CrashLoopBackOff", last={"exitCode": 1})
    old["metadata"]["ownerReferences"] = [{"uid": "old"}]
    assert judge(deployment(), old, ready_pod()).status == "waiting"


def test_a_pod_on_its_way_out_does_not_count():
    leaving = waiting("CrashLoopBackOff", last={"exitCode": 1})
    leaving["metadata"]["deletionTimestamp"] = "now"
    assert judge(deployment(), leaving).status == "waiting"


def test_ready_only_when_every_pod_is_new_and_available():
    full = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
    assert judge(deployment(**full)).status == "ready"
    assert judge(deployment(**{**full, "replicas": 3})).status == "waiting"
    unseen = judge(deployment(**{**full, "observedGeneration": 1, "readyReplicas": 2}))
    assert (unseen.status, unseen.grace, unseen.late) == ("failed", 30.0, True), "a busy controller is late, not failed"
    assert "is kube-controller-manager running? Its pods have not changed; 2 are ready." in unseen.reason
    assert judge(deployment(**{**full, "updatedReplicas": 1})).status == "waiting"


def test_a_deployment_with_more_pods_than_wanted_is_not_ready_yet():
    state = judge(deployment(1, replicas=2, updatedReplicas=2, availableReplicas=2), ready_pod())
    assert (state.status, state.reason) == ("waiting", "old pods are still ending")


def test_a_quota_is_told_in_its_own_words():
    quota = [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods=1"}]
    assert "exceeded quota" in judge(deployment(conditions=quota)).reason


def no_progress(when="2026-11-28T02:10:00Z"):
    """A Deployment whose progress deadline has passed."""
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "lastUpdateTime": when}
    return deployment(conditions=[late])


UNHEALTHY = event(pod(), "Unhealthy", "Readiness probe failed: 503")


def test_the_deadline_of_a_deployment_is_told_with_what_its_pods_wait_for():
    state = judge(no_progress(), pod(), events=[UNHEALTHY])
    assert (state.status, state.grace) == ("failed", 0.0)
    assert "no progress within 600 s; not ready: Readiness probe failed: 503" in state.reason


def test_a_deadline_that_had_passed_before_the_wait_is_no_fault_of_today():
    """Seen: what a release needed came back, the same release was deployed again, and had failed after 0.0 s."""
    old = old_words([no_progress()])
    states = [judge(obj, pod(), events=[UNHEALTHY], old=old) for obj in (no_progress(), no_progress("2026-11-28T02:20:00Z"))]
    assert [state.status for state in states] == ["waiting", "failed"]


def test_a_pull_without_end_is_told_by_the_deployments_deadline():
    refused = waiting("ImagePullBackOff", "rpc error: connection refused")
    pulls = event(refused, "Pulling", "Pulling image", "2026-11-28T02:00:16Z", "web")
    state = judge(no_progress(), refused, events=[pulls])
    assert (state.status, state.grace) == ("failed", 0.0)
    assert "no progress within 600 s; pod web-1: container web: pulling image again" in state.reason
    assert "release_images" in state.next_step


def test_a_node_that_an_autoscaler_adds_may_take_longer_than_the_deadline():
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: 1 Insufficient cpu."}
    assert judge(no_progress(), pod(conditions=[condition]), node_scale_up_seconds=900).grace == 900


def test_a_pod_whose_pull_goes_on_hides_no_other_that_failed():
    refused, crashed = waiting("ImagePullBackOff", "rpc error: connection refused"), waiting("CrashLoopBackOff", last={"exitCode": 1})
    crashed["metadata"] |= {"name": "web-2", "uid": "uid-web-2"}
    state = judge(deployment(), refused, crashed, events=[event(refused, "Pulling", "Pulling image", "2026-11-28T02:00:16Z", "web")])
    assert (state.pod, state.grace) == ("web-2", 0.0)


def made(when):
    found = pod()
    found["metadata"]["creationTimestamp"] = when
    return found


def test_a_pod_that_could_not_be_made_at_first_is_made_now():
    refused = [event(job(), "FailedCreate", "exceeded quota: small", "2026-11-27T02:00:05Z")]
    assert judge(job(active=1), events=refused).status == "failed"
    assert judge(job(active=1), made("2026-11-27T02:00:01Z"), events=refused).status == "failed"
    assert judge(job(active=1), made("2026-11-27T02:00:09Z"), events=refused).status == "waiting"


def test_stateful_set_judges_pods_of_the_new_revision():
    status = {"observedGeneration": 1, "updateRevision": "b", "readyReplicas": 1, "updatedReplicas": 0, "replicas": 1}
    obj = {"kind": "StatefulSet", "metadata": {"name": "db", "uid": "s", "generation": 1}, "spec": {"replicas": 1}, "status": status}
    new = waiting("ImagePullBackOff", "not found")
    new["metadata"] |= {"labels": {"controller-revision-hash": "b"}, "ownerReferences": [{"uid": "s"}]}
    assert judge(obj, new).status == "failed"
    assert judge({**obj, "status": {**status, "updatedReplicas": 1}}).status == "ready"


def job(*conditions, **status):
    found = [{"type": kind, "status": "True", "reason": "BackoffLimitExceeded", "message": "m"} for kind in conditions]
    return {"kind": "Job", "metadata": {"name": "j", "uid": "rs"}, "spec": {}, "status": {"conditions": found, **status}}


def test_jobs():
    assert judge(job("Complete", succeeded=1)).status == "ready"
    assert judge(job()).status == "waiting"
    ended = pod(phase="Failed", containerStatuses=[{"name": "m", "restartCount": 0, "state": {"terminated": {"exitCode": 4}}}])
    state = judge(job("Failed"), ended)
    assert state.status == "failed"
    assert "BackoffLimitExceeded" in state.reason
    assert "exit code 4" in state.reason
    assert (state.pod, state.container) == ("web-1", "m")


def test_a_job_whose_pod_was_deleted_says_so():
    """A pod that fails by itself stays with its log."""
    assert "its pod was deleted while it worked" in judge(job("Failed")).reason
    leaving = pod(phase="Failed", containerStatuses=[{"name": "m", "restartCount": 0, "state": {"terminated": {"exitCode": 137}}}])
    leaving["metadata"]["deletionTimestamp"] = "now"
    assert "its pod was deleted while it worked" in judge(job("Failed"), leaving).reason


def helped(code, annotations=None, helper="running"):
    """A pod of two containers: ``m`` has ended, ``helper`` goes on."""
    found = pod(phase="Running", containerStatuses=[
        {"name": "m", "restartCount": 0, "state": {"terminated": {"exitCode": code, "finishedAt": "2026-11-27T02:00:00Z"}}},
        {"name": "helper", "restartCount": 0, "ready": True, "state": {helper: {"exitCode": 0}}},
    ])  # fmt: skip
    found["metadata"]["annotations"] = annotations or {}
    return {**found, "spec": {"containers": [{"name": "m"}, {"name": "helper"}]}}


@pytest.mark.parametrize(("code", "told"), [(0, "exit code 0"), (4, "exit code 4")])
def test_a_helper_that_keeps_a_job_open_is_named(code, told):
    state = judge(job(active=1), helped(code))
    assert (state.status, state.grace, state.container) == ("failed", 5.0, "m")
    assert f"container m ended at 2026-11-27T02:00:00Z ({told}), and helper keeps the Job open" in state.reason
    assert "sidecar" in state.next_step


def test_a_job_whose_work_goes_on_is_not_kept_open():
    assert judge(job(active=1), helped(0, {"kubectl.kubernetes.io/default-container": "helper"})).status == "waiting"
    assert judge(job(active=1), helped(0, helper="terminated")).status == "waiting"


def test_a_program_that_ends_badly_is_no_failed_job_while_the_job_tries_again():
    crash = waiting("CrashLoopBackOff", restarts=1, last={"exitCode": 4, "reason": "Error"})
    state = judge(job(active=1), crash)
    assert (state.status, state.crashed, state.restarted) == ("waiting", True, True)
    assert "exit code 4" in state.reason
    assert judge(deployment(), crash).status == "failed", "nobody counts for a Deployment"


def test_a_quota_that_is_used_up_is_waited_for_where_an_old_pod_may_end_first():
    def full(most, **status):
        failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: full, requested: pods=1"}
        obj = deployment(conditions=[failure], **status)
        obj["spec"]["strategy"] = {"rollingUpdate": {"maxUnavailable": most}}
        return obj

    old = {"replicas": 2, "updatedReplicas": 1}
    assert judge(full("25%", **old)).grace == 2.0, "a quarter of two is none"
    assert judge(full(1, **old)).status == judge(full("50%", **old)).status == "waiting"
    assert judge(full(1, replicas=1, updatedReplicas=1)).grace == 15.0, "the last old one has just ended"


def test_pods_that_end_matter_only_where_their_place_would_be_one():
    def without_place(why):
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}
        found = pod("web-2", conditions=[condition])
        found["metadata"]["labels"] = {"app": "web", "pod-template-hash": "new"}
        return found

    def ending(app):
        found = pod(f"{app}-old", "other")
        found["metadata"] |= {"deletionTimestamp": "now", "labels": {"app": app, "pod-template-hash": "old"}}
        return found

    room, enemy = without_place("0/1 nodes: 1 Insufficient cpu."), without_place("0/1 nodes: 1 didn't match pod anti-affinity rules.")
    assert judge(deployment(), room, ending("job")).status == "waiting"
    assert judge(deployment(), enemy, ending("job")).status == "failed"
    assert judge(deployment(), enemy, ending("web")).status == "waiting"


def claim(phase, name="data"):
    return {"kind": "PersistentVolumeClaim", "metadata": {"name": name, "uid": "c"}, "spec": {}, "status": {"phase": phase}}


def test_claims():
    assert judge(claim("Bound")).status == "ready"
    assert judge(claim("Lost")).status == "failed"
    assert judge(claim("Pending")).status == "ready", "bound when it is first used"
    assert judge(claim("Pending"), claims_used=frozenset({"data"})).status == "waiting"
    failed = judge(claim("Pending"), events=[event(claim("Pending"), "ProvisioningFailed", 'storageclass "x" not found')])
    assert failed.status == "failed"
    assert 'storageclass "x" not found' in failed.reason
    slow = judge(claim("Pending"), events=[event(claim("Pending"), "ProvisioningFailed", "rpc error: code = DeadlineExceeded")])
    again = judge(claim("Pending"), events=[event(claim("Pending"), "ProvisioningFailed", "not found")], old=old_words([claim("Pending")]))
    assert (failed.grace, slow.grace, again.grace) == (3.0, 45.0, 45.0)


def test_autoscaler_without_metrics_is_no_failure_but_without_target_it_is():
    def hpa(reason):
        condition = {"type": "AbleToScale", "status": "False", "reason": reason, "message": "m"}
        return {"kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"}, "status": {"conditions": [condition]}}

    assert judge(hpa("FailedGetScale")).status == "failed"
    assert judge(hpa("BackoffDownscale")).status == "ready"


def test_what_has_no_readiness_is_ready_and_what_is_not_there_is_waited_for():
    assert judge({"kind": "ConfigMap", "metadata": {"name": "c"}}).status == "ready"
    assert judge(None).status == "waiting"


def evicted(name):
    return pod(name, phase="Failed", reason="Evicted", message="node was low on memory")


def test_an_evicted_pod_beside_its_replacement_is_no_failure_and_three_are():
    assert judge(deployment(), evicted("a"), evicted("b"), ready_pod()).status == "waiting"
    assert (
        judge(deployment(updatedReplicas=2, replicas=2, availableReplicas=2), evicted("a"), ready_pod(), ready_pod("web-2")).status
        == "ready"
    )
    state = judge(deployment(), evicted("a"), evicted("b"), evicted("c"))
    assert (state.status, "Evicted: node was low on memory" in state.reason) == ("failed", True)


def by(manager, fields):
    return [{"manager": manager, "operation": "Update", "time": "2026-11-25T09:30:00Z", "fieldsV1": fields}]


def test_a_paused_deployment_is_told_with_who_paused_it():
    paused = deployment()
    paused["spec"]["paused"] = True
    paused["metadata"]["managedFields"] = by("kubectl-rollout", {"f:spec": {"f:paused": {}}})
    state = judge(paused, ready_pod())
    assert state.status == "failed"
    assert "spec.paused (set by kubectl-rollout, 2026-11-25T09:30:00Z)" in state.reason
    done = deployment(updatedReplicas=2, replicas=2, availableReplicas=2)
    done["spec"]["paused"] = True
    assert judge(done).status == "ready", "a pause with nothing to do holds nothing back"


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}, "rollingUpdate.partition 1"),
        ({"type": "OnDelete"}, "updateStrategy OnDelete"),
    ],
)
def test_a_stateful_set_that_keeps_old_pods_is_never_ready(strategy, words):
    status = {
        "observedGeneration": 1,
        "replicas": 1,
        "readyReplicas": 1,
        "updatedReplicas": 0,
        "currentRevision": "a",
        "updateRevision": "b",
    }
    metadata = {"name": "redis", "uid": "s", "generation": 1}
    redis = {"kind": "StatefulSet", "metadata": metadata, "spec": {"replicas": 1, "updateStrategy": strategy}, "status": status}
    state = r.assess(redis, r.World())
    assert state.status == "failed"
    assert words in state.reason
    redis["status"] = {**status, "updatedReplicas": 1, "currentRevision": "b"}
    assert r.assess(redis, r.World()).status == "ready"


def test_a_pod_without_room_waits_while_others_leave():
    conditions = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: Insufficient cpu."}]
    without, leaving = pod(conditions=conditions), ready_pod("old")
    leaving["metadata"] |= {"deletionTimestamp": "now", "ownerReferences": [{"uid": "old"}]}
    state = judge(deployment(), without, leaving)
    assert (state.status, "the room of 1 pods that are ending" in state.reason) == ("waiting", True)
    assert judge(deployment(), without).status == "failed"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, "no scheduler has looked at it: is default-scheduler running?"),
        ({"schedulerName": "mine"}, "is mine running?"),
        ({"nodeName": "n1"}, "node n1 has not begun to start it: is its kubelet running?"),
    ],
)
def test_a_pod_that_nobody_touches_names_who_does_not_run(spec, words):
    idle = {**pod(), "spec": spec, "status": {"phase": "Pending"}}
    state = r.World().pod_state(idle)
    assert (state.status, state.grace, state.late) == ("failed", 30.0, True) and words in state.reason
    gated = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}
    assert r.World().pod_state({**idle, "status": gated}).status == "waiting"


def test_a_job_that_no_controller_starts_is_not_waited_for():
    obj = {**job(), "status": {}}
    state = judge(obj)
    assert state.status == "failed" and state.grace == 30.0 and "no controller has started it" in state.reason
    assert judge({**obj, "spec": {"suspend": True}}).status == "waiting"


def probed(kind, attempts, restarts=1, container="side"):
    """A sidecar whose probe may fail ``attempts`` times, killed ``restarts`` times."""
    last = {"terminated": {"exitCode": 137, "reason": "Error"}}
    status = {"name": container, "restartCount": restarts, "ready": False, "state": {"running": {}}, "lastState": last}
    probe = {"httpGet": {"path": "/", "port": 1}, "failureThreshold": attempts, "periodSeconds": 2}
    spec = {"initContainers": [{"name": container, "restartPolicy": "Always", f"{kind}Probe": probe}]}
    return {**pod(initContainerStatuses=[status]), "spec": spec}


def unhealthy(of, kind, times, container="side"):
    about = {"uid": of["metadata"]["uid"], "fieldPath": f"spec.initContainers{{{container}}}"}
    message = f"{kind.capitalize()} probe failed: HTTP probe failed with statuscode: 500"
    return {"involvedObject": about, "reason": "Unhealthy", "count": times, "message": message, "type": "Warning", "metadata": {}}


@pytest.mark.parametrize("kind", ["startup", "liveness"])
def test_a_container_that_its_probe_killed_is_named_with_the_probe(kind):
    killed = probed(kind, 3)
    state = r.World(events=[unhealthy(killed, kind, 3)]).pod_state(killed)
    assert state.status == "failed" and state.grace <= 5.0
    assert f"container side: {kind} probe failed 3 times (3 are allowed, every 2 s): HTTP probe failed with statuscode: 500" in state.reason
    assert "exit code 137" in state.reason and "probe" in state.next_step


def test_a_probe_that_has_attempts_left_killed_nothing():
    killed = probed("startup", 30)
    assert r.World(events=[unhealthy(killed, "startup", 3)]).pod_state(killed).status == "waiting"
    before = r.World(events=[unhealthy(killed, "startup", 40)], restarts={("web-1", "side"): 1})
    assert before.pod_state(killed).status == "waiting", "it was killed before this wait"
    others = probed("startup", 3, container="other")
    assert r.World(events=[unhealthy(others, "startup", 3)]).pod_state(others).status == "waiting"
