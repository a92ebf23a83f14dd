"""The failure detector: what kubelet, scheduler and controllers say, turned into ready, waiting or failed with a reason."""

import math

import pytest
from ansible_collections.hsc.jit.plugins.module_utils import _readiness as r
from ansible_collections.hsc.jit.plugins.module_utils._readiness_events import Events
from ansible_collections.hsc.jit.plugins.module_utils._readiness_pods import backed_off

DIGEST = "localhost:5001/x@sha256:1"


def pod(name="web-1", owner="rs", **status):
    metadata = {"name": name, "uid": f"uid-{name}", "labels": {}, "ownerReferences": [{"uid": owner}]}
    return {"kind": "Pod", "metadata": metadata, "status": {"phase": "Pending", **status}}


def waiting(reason, message="", restarts=0, last=None):
    state = {"name": "web", "restartCount": restarts, "state": {"waiting": {"reason": reason, "message": message}}, "image": DIGEST}
    return pod(containerStatuses=[{**state, "lastState": {"terminated": last}} if last else state])


def ready_pod(name="web-1"):
    conditions = [{"type": "Ready", "status": "True"}]
    return pod(name, phase="Running", conditions=conditions, containerStatuses=[{"name": "web", "ready": True, "state": {"running": {}}}])


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


@pytest.mark.parametrize(
    ("broken", "words", "next_step", "within_seconds"),
    [
        (waiting("ImagePullBackOff", "not found"), "ImagePullBackOff: not found", "release_images", 0),
        (waiting("ErrImagePull", "manifest unknown"), "ErrImagePull: manifest unknown", "release_images", 0),
        (waiting("ErrImagePull", "i/o timeout"), "i/o timeout", "release_images", 45),
        (waiting("ImagePullBackOff", "rpc error: connection refused"), "connection refused", "release_images", 45),
        (waiting("InvalidImageName", "bad"), "InvalidImageName", "release_images", 0),
        (waiting("CreateContainerConfigError", 'couldn\'t find key "redis-url"'), "redis-url", "key", 1),
        (waiting("CrashLoopBackOff", restarts=2, last={"exitCode": 3, "reason": "Error"}), "exit code 3, restarted 2", "log", 0),
        (waiting("CrashLoopBackOff", restarts=2, last={"exitCode": 137, "reason": "OOMKilled"}), "OOMKilled", "limits.memory", 0),
        (waiting("RunContainerError", "no such file"), "no such file", "command", 1),
        (
            pod(
                conditions=[
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: Insufficient cpu."}
                ]
            ),
            "Unschedulable: 0/1 nodes: Insufficient cpu",
            "requests",
            3,
        ),
    ],
)
def test_terminal_states_are_seen_with_their_reason(broken, words, next_step, within_seconds):
    state = judge(deployment(), ready_pod("web-2"), broken)
    assert state.status == "failed"
    assert words in state.reason
    assert next_step in state.next_step
    assert state.grace <= within_seconds
    assert state.pod == "web-1"


@pytest.mark.parametrize(
    ("slow", "words"),
    [
        (waiting("ContainerCreating"), "pulling image"),
        (waiting("PodInitializing"), "init"),
        (pod(containerStatuses=[{"name": "web", "restartCount": 0, "state": {"terminated": {"exitCode": 1}}}]), "exit code 1"),
        (pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]), "waits for a node"),
    ],
)
def test_what_may_still_become_well_is_waited_for(slow, words):
    state = judge(deployment(), slow)
    assert state.status == "waiting"
    assert words in state.reason


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
    assert judge(deployment(**{**full, "observedGeneration": 1})).status == "waiting"
    assert judge(deployment(**{**full, "updatedReplicas": 1})).status == "waiting"


def test_a_deployment_with_more_pods_than_wanted_is_not_ready_yet():
    state = judge(deployment(1, replicas=2, updatedReplicas=2, availableReplicas=2), ready_pod())
    assert (state.status, state.reason) == ("waiting", "old pods are still ending")


def test_only_a_pod_that_failed_waits_to_be_tried_again():
    unmounted = pod("web-2")
    events = Events([event(unmounted, "FailedMount", 'secret "x" not found')])
    pods = waiting("CrashLoopBackOff"), unmounted, waiting("ContainerCreating"), ready_pod()
    assert [backed_off(one, events) for one in pods] == [True, True, False, False]


def test_quota_and_deadline_are_the_deployments_own_words():
    quota = [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods=1"}]
    assert "exceeded quota" in judge(deployment(conditions=quota)).reason
    late = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
    state = judge(deployment(conditions=late), pod(), events=[event(pod(), "Unhealthy", "Readiness probe failed: 503")])
    assert state.status == "failed"
    assert "503" in state.reason


def test_a_missing_secret_for_a_volume_is_told_by_its_event():
    creating = waiting("ContainerCreating")
    state = judge(deployment(), creating, events=[event(creating, "FailedMount", 'secret "tls" not found')])
    assert (state.status, state.grace) == ("failed", 1.0)
    assert 'secret "tls" not found' in state.reason


KUBELET_LATE = (
    'MountVolume.SetUp failed for volume "kube-api-access-zp8kl" : failed to sync configmap cache: timed out waiting for the condition'
)


def test_a_kubelet_that_is_late_itself_has_its_time():
    """Seen on a busy node, for a second: no fault of the release, but one that stays late is told."""
    creating = waiting("ContainerCreating")
    state = judge(deployment(), creating, events=[event(creating, "FailedMount", KUBELET_LATE)])
    assert (state.status, state.grace, state.late) == ("failed", 45.0, True)
    assert "kubelet" in state.next_step
    assert judge(deployment(), creating, events=[event(creating, "FailedMount", KUBELET_LATE)], node_scale_up_seconds=180).grace == 180
    missing = f'[{KUBELET_LATE}, secret "tls" not found]'
    state = judge(deployment(), creating, events=[event(creating, "FailedMount", missing)])
    assert (state.status, state.grace, state.late) == ("failed", 1.0, False)


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        (
            "FailedMount",
            'MountDevice failed for volume "pvc-1" : driver name efs.csi.aws.com not found in the list of registered CSI drivers',
        ),
        ("FailedMount", 'MountVolume.SetUp failed for volume "kube-api-access-x2v" : configmap "kube-root-ca.crt" not found'),
        ("FailedCreatePodSandBox", "failed to setup network for sandbox: failed to assign an IP address to container"),
    ],
    ids=["storage driver", "new namespace", "network"],
)
def test_a_node_that_is_so_new_that_it_cannot_carry_pods_has_its_time(reason, message):
    """Told of nodes that an autoscaler added: the first pods come before the storage driver and the network, for 10 to 90 s."""
    creating = waiting("ContainerCreating")
    states = [judge(deployment(), creating, events=[event(creating, reason, message)], node_scale_up_seconds=n) for n in (0, 180)]
    assert [(state.status, state.grace, state.late) for state in states] == [("failed", 45.0, True), ("failed", 180, True)]
    assert f"{reason}: " in states[0].reason and "kube-system" in states[0].next_step


@pytest.mark.parametrize(
    "message", ["context deadline exceeded", 'failed to reserve container name "web_0": name "web_0" is reserved for "818f"']
)
def test_a_runtime_that_is_too_busy_to_make_a_container_has_its_time(message):
    state = judge(deployment(), waiting("CreateContainerError", message))
    assert (state.status, state.grace, state.late) == ("failed", 45.0, True)
    assert judge(deployment(), waiting("CreateContainerError", "no command specified")).grace == 1.0


HELD_UP = pytest.mark.parametrize("message", ['configmap "settings" not found', "rpc error: the volume's server is away", KUBELET_LATE])


@HELD_UP
def test_what_held_a_pod_up_before_its_container_started_is_over(message):
    """Seen: the ConfigMap came, the container ran, and its probe needed longer than the old event's grace."""
    running = {"name": "web", "restartCount": 0, "ready": False, "state": {"running": {"startedAt": "2026-11-27T02:00:05Z"}}}
    starting = pod(phase="Running", containerStatuses=[running])

    def judged(time):
        return judge(deployment(), starting, events=[event(starting, "FailedMount", message, time)]).status

    assert (judged("2026-11-27T02:00:04Z"), judged("2026-11-27T02:00:09Z")) == ("waiting", "failed")


@HELD_UP
def test_what_held_a_pod_up_before_its_image_was_pulled_is_over(message):
    """A volume that came late, and then an image that takes longer than the old event's grace."""
    creating = waiting("ContainerCreating")

    def judged(time):
        pulls = event(creating, "Pulling", f'Pulling image "{DIGEST}"', "2026-11-27T02:00:05Z", "web")
        state = judge(deployment(), creating, events=[event(creating, "FailedMount", message, time), pulls])
        return state.status, state.reason

    assert judged("2026-11-27T02:00:05Z") == ("waiting", "pulling image")
    assert judged("2026-11-27T02:00:09Z") == ("failed", f"pod web-1: FailedMount: {message}")


@pytest.mark.parametrize(
    ("pulled", "container", "grace"),
    [("02:00:16Z", "web", math.inf), ("02:00:06Z", "web", 45.0), ("02:00:16Z", "helper", 45.0)],
    ids=["again", "the one that failed", "another container's"],
)
def test_while_an_image_is_pulled_again_its_pod_has_not_failed(pulled, container, grace):
    """Seen: a registry was away, and then slow; the kubelet goes on saying ImagePullBackOff, until the pull ends."""
    refused = waiting("ImagePullBackOff", "rpc error: connection refused")
    events = [
        event(refused, "Failed", "connection refused", "2026-11-28T02:00:06Z", "web"),
        event(refused, "Pulling", f'Pulling image "{DIGEST}"', f"2026-11-28T{pulled}", container),
    ]
    state = judge(deployment(), refused, events=events)
    assert (state.status, state.grace) == ("failed", grace)
    assert ("pulling image again, after ImagePullBackOff" in state.reason) == (grace == math.inf)


def test_a_pull_without_end_is_told_by_the_deployments_deadline():
    refused = waiting("ImagePullBackOff", "rpc error: connection refused")
    late = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
    pulls = event(refused, "Pulling", "Pulling image", "2026-11-28T02:00:16Z", "web")
    state = judge(deployment(conditions=late), refused, events=[pulls])
    assert (state.status, state.grace) == ("failed", 0.0)
    assert "no progress within 600 s; pod web-1: container web: pulling image again" in state.reason


def test_a_pod_whose_pull_goes_on_hides_no_other_that_failed():
    refused, crashed = waiting("ImagePullBackOff", "rpc error: connection refused"), waiting("CrashLoopBackOff", last={"exitCode": 1})
    crashed["metadata"] |= {"name": "web-2", "uid": "uid-web-2"}
    state = judge(deployment(), refused, crashed, events=[event(refused, "Pulling", "Pulling image", "2026-11-28T02:00:16Z", "web")])
    assert (state.pod, state.grace) == ("web-2", 0.0)


def test_a_container_whose_pull_goes_on_hides_no_other_that_failed():
    refused, crashed = waiting("ImagePullBackOff", "rpc error: connection refused"), waiting("CrashLoopBackOff", last={"exitCode": 1})
    (helper,) = crashed["status"]["containerStatuses"]
    refused["status"]["containerStatuses"].append({**helper, "name": "helper"})
    state = judge(deployment(), refused, events=[event(refused, "Pulling", "Pulling image", "2026-11-28T02:00:16Z", "web")])
    assert (state.container, state.grace) == ("helper", 0.0)


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
    assert judge(full("25%", **old)).grace == 1.0, "a quarter of two is none"
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


def test_a_pod_without_place_has_as_long_as_an_autoscaler_needs_for_a_node():
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: 1 Insufficient cpu."}
    homeless = pod(conditions=[condition])
    assert [judge(deployment(), homeless, node_scale_up_seconds=seconds).grace for seconds in (0, 180)] == [3.0, 180]


def test_a_pod_for_which_others_are_made_to_leave_has_a_place():
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: 1 Insufficient cpu."}
    state = judge(deployment(), pod(conditions=[condition], nominatedNodeName="n0"))
    assert (state.status, "lower priority have left n0" in state.reason) == ("waiting", True)


def test_restarts_of_another_day_are_no_fault_of_this_release():
    """Seen: a machine was started again three times, and later a probe was late once."""
    container = {"name": "web", "restartCount": 3, "ready": False, "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 255}}}
    late = pod(phase="Running", containerStatuses=[container])
    assert judge(deployment(), late).status == "failed"
    assert judge(deployment(), late, restarts={("web-1", "web"): 3}).status == "waiting"
    assert judge(deployment(), late, restarts={("web-1", "web"): 0}).status == "failed"


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
    assert (failed.grace, slow.grace) == (3.0, 45.0)


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


def test_the_event_tells_why_an_image_is_not_pulled_where_the_status_does_not():
    broken = waiting("ImagePullBackOff", "Back-off pulling image")
    state = judge(deployment(), broken, events=[event(broken, "Failed", "manifest unknown", container="web")])
    assert (state.status, state.grace) == ("failed", 0.0)
    assert "manifest unknown" in state.reason


def test_a_pod_without_room_waits_while_others_leave():
    conditions = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: Insufficient cpu."}]
    without, leaving = pod(conditions=conditions), ready_pod("old")
    leaving["metadata"] |= {"deletionTimestamp": "now", "ownerReferences": [{"uid": "old"}]}
    state = judge(deployment(), without, leaving)
    assert (state.status, "the room of 1 pods that are ending" in state.reason) == ("waiting", True)
    assert judge(deployment(), without).status == "failed"
