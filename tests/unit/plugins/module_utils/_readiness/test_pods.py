"""One pod: what the kubelet and the scheduler say of it, turned into ready, waiting or failed with a reason."""

import math
from datetime import UTC, datetime

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._readiness.events import Events
from ansible_collections.hsc.jit.plugins.module_utils._readiness.pods import backed_off, starting
from judged import DIGEST, deployment, event, judge, pod, ready_pod, unready, waiting


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


def test_a_gate_that_somebody_else_has_to_open_is_named():
    """Of a load balancer, for example: all containers are ready then, and nothing else tells what is waited for."""
    message = 'corresponding condition of pod readiness gate "lb/attached" does not exist.'
    gated = {
        **ready_pod()["status"],
        "conditions": [{"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady", "message": message}],
    }
    state = judge(deployment(wanted=1), pod(**gated))
    assert (state.status, message in state.reason) == ("waiting", True)


def test_only_a_pod_that_failed_waits_to_be_tried_again():
    unmounted = pod("web-2")
    events = Events([event(unmounted, "FailedMount", 'secret "x" not found')])
    pods = waiting("CrashLoopBackOff"), unmounted, waiting("ContainerCreating"), ready_pod()
    assert [backed_off(one, events) for one in pods] == [True, True, False, False]


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


def test_a_container_whose_pull_goes_on_hides_no_other_that_failed():
    refused, crashed = waiting("ImagePullBackOff", "rpc error: connection refused"), waiting("CrashLoopBackOff", last={"exitCode": 1})
    (helper,) = crashed["status"]["containerStatuses"]
    refused["status"]["containerStatuses"].append({**helper, "name": "helper"})
    state = judge(deployment(), refused, events=[event(refused, "Pulling", "Pulling image", "2026-11-28T02:00:16Z", "web")])
    assert (state.container, state.grace) == ("helper", 0.0)


def test_a_pod_without_place_has_as_long_as_an_autoscaler_needs_for_a_node():
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: 1 Insufficient cpu."}
    homeless = pod(conditions=[condition])
    assert [judge(deployment(), homeless, node_scale_up_seconds=seconds).grace for seconds in (0, 180)] == [3.0, 180]


def test_a_pod_for_which_others_are_made_to_leave_has_a_place():
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: 1 Insufficient cpu."}
    state = judge(deployment(), pod(conditions=[condition], nominatedNodeName="n0"))
    assert (state.status, "lower priority have left n0" in state.reason) == ("waiting", True)


PROBE = {"periodSeconds": 2, "failureThreshold": 60}


@pytest.mark.parametrize(
    ("one", "wanted"),
    [
        (unready("02:00:14", running={}), False),
        (unready("02:00:16", running={}), True),
        (unready("01:58:59", PROBE, running={}), False),
        (unready("01:59:01", PROBE, running={}), True),
        (unready("01:58:59", {**PROBE, "initialDelaySeconds": 10}, running={}), True),
        (unready("02:00:59", waiting={"reason": "ContainerCreating"}), False),
        (ready_pod(), False),
        (pod(conditions=[{"type": "PodScheduled", "status": "False"}]), False),
    ],
)
def test_a_database_that_recovers_has_the_time_of_its_startup_probe(one, wanted):
    """Where nothing of a pod runs, nothing is lost with it."""
    assert starting(one, datetime(2026, 11, 28, 2, 1, tzinfo=UTC)) is wanted


@pytest.mark.parametrize(("restarts", "wanted"), [(0, True), (1, False)])
def test_the_pull_of_its_image_is_not_of_that_time_and_a_crash_gives_no_more_of_it(restarts, wanted):
    one = unready("01:50:00", restarts=restarts, running={"startedAt": "2026-11-28T02:00:30Z"})
    assert starting(one, datetime(2026, 11, 28, 2, 1, tzinfo=UTC)) is wanted


def test_a_program_that_was_ready_has_its_time_from_when_it_no_longer_is():
    one = unready("02:00:30", running={"startedAt": "2026-11-01T00:00:00Z"})
    assert starting(one, datetime(2026, 11, 28, 2, 1, tzinfo=UTC))


def test_restarts_of_another_day_are_no_fault_of_this_release():
    """Seen: a machine was started again three times, and later a probe was late once."""
    container = {"name": "web", "restartCount": 3, "ready": False, "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 255}}}
    late = pod(phase="Running", containerStatuses=[container])
    assert judge(deployment(), late).status == "failed"
    assert judge(deployment(), late, restarts={("web-1", "web"): 3}).status == "waiting"
    assert judge(deployment(), late, restarts={("web-1", "web"): 0}).status == "failed"


def test_the_event_tells_why_an_image_is_not_pulled_where_the_status_does_not():
    broken = waiting("ImagePullBackOff", "Back-off pulling image")
    state = judge(deployment(), broken, events=[event(broken, "Failed", "manifest unknown", container="web")])
    assert (state.status, state.grace) == ("failed", 0.0)
    assert "manifest unknown" in state.reason
