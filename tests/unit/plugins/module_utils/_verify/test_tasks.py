from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._kube.client import ExecResult
from ansible_collections.hsc.jit.plugins.module_utils._verify import tasks

LENGTHS = b'{"fetch": 3, "maintenance": 0}'


def pod(name="worker-1", ready="True", **metadata):
    conditions = [{"type": "Ready", "status": ready}]
    return {
        "metadata": {"name": name, "labels": {"app": "hsc-jit-worker"}, **metadata},
        "spec": {"containers": [{"name": "worker"}]},
        "status": {"conditions": conditions},
    }


class Cluster:
    def __init__(self, inspect=ExecResult(0, b'{"celery@worker-1": []}', ""), lengths=ExecResult(0, LENGTHS, "")):  # noqa: B008
        self.answers = {"celery": inspect, "python": lengths}

    def exec(self, pod, container, argv, **options):
        answer = self.answers[argv[0]]
        if isinstance(answer, Exception):
            raise answer
        return answer


def check(cluster=None, pods=None, length=100):
    return tasks.check_tasks(
        cluster or Cluster(), pods if pods is not None else [pod()], "hsc-jit-worker", ["fetch", "maintenance"], length
    )[0]


def test_workers_that_answer_pass_with_their_queues():
    finding = check()
    assert (finding.verdict, finding.evidence["queues"]) == ("pass", {"fetch": 3, "maintenance": 0})


def test_pods_that_are_not_ready_or_leaving_are_no_workers():
    assert check(pods=[pod(ready="False"), pod(deletionTimestamp="now")]).verdict == "fail"


def test_silence_is_a_failure_with_celerys_words():
    finding = check(Cluster(inspect=ExecResult(69, b"", "Error: No nodes replied within time constraint")))
    assert (finding.verdict, "No nodes replied" in finding.message) == ("fail", True)


def test_one_silent_worker_among_two_is_seen():
    finding = check(pods=[pod(), pod("worker-2")])
    assert (finding.verdict, finding.message) == ("fail", "Only 1 of 2 ready workers answer celery inspect.")


def test_a_long_queue_is_named():
    finding = check(length=2)
    assert (finding.verdict, "fetch: 3 tasks wait" in finding.message) == ("fail", True)


def test_a_broker_that_refuses_is_a_failure_without_its_password():
    finding = check(Cluster(lengths=ExecResult(1, b"", "Traceback\nError connecting to redis://:geheim@redis:6379")))
    assert (finding.verdict, "geheim" in finding.message) == ("fail", False)


def test_no_right_to_exec_is_an_error_not_a_pass():
    assert check(Cluster(inspect=ApiError(403, "Forbidden", "pods/exec is forbidden"))).verdict == "error"


def test_celerys_answer_is_found_among_its_warnings():
    assert tasks.parse_inspect(b'warning: x\n{"celery@a": [{"id": 1}]}\n') == {"celery@a": [{"id": 1}]}
    assert tasks.parse_inspect(b"nothing") == {}
