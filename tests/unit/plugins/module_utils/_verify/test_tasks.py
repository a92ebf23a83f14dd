from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._kube.client import ExecResult
from ansible_collections.hsc.jit.plugins.module_utils._verify import tasks
from memory_api import MemoryApiServer

LENGTHS = b'{"fetch": 3, "maintenance": 0}'


def pod(name="worker-1", ready="True", **metadata):
    conditions = [{"type": "Ready", "status": ready}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "hsc-jit-worker"}, **metadata},
        "spec": {"containers": [{"name": "worker"}]},
        "status": {"conditions": conditions},
    }


def check(pods=None, length=100, inspect=b'{"celery@worker-1": []}', lengths=LENGTHS):
    """inspect, lengths: what celery and the program that counts the queues answer."""
    pods = [pod()] if pods is None else pods
    server = MemoryApiServer(*pods)
    server.script(": celery ", inspect)
    server.script(": python ", lengths)
    return tasks.check_tasks(server.cluster(), pods, "hsc-jit-worker", ["fetch", "maintenance"], length)[0]


def test_workers_that_answer_pass_with_their_queues():
    finding = check()
    assert (finding.verdict, finding.evidence["queues"]) == ("pass", {"fetch": 3, "maintenance": 0})


def test_pods_that_are_not_ready_or_leaving_are_no_workers():
    assert check(pods=[pod(ready="False"), pod(deletionTimestamp="now")]).verdict == "fail"


def test_silence_is_a_failure_with_celerys_words():
    finding = check(inspect=ExecResult(69, b"", "Error: No nodes replied within time constraint"))
    assert (finding.verdict, "No nodes replied" in finding.message) == ("fail", True)


def test_one_silent_worker_among_two_is_seen():
    finding = check(pods=[pod(), pod("worker-2")])
    assert (finding.verdict, finding.message) == ("fail", "Only 1 of 2 ready workers answer celery inspect.")


def test_a_long_queue_is_named():
    finding = check(length=2)
    assert (finding.verdict, "fetch: 3 tasks wait" in finding.message) == ("fail", True)


def test_a_broker_that_refuses_is_a_failure_without_its_password():
    finding = check(lengths=ExecResult(1, b"", "Traceback\nError connecting to redis://:geheim@redis:6379"))
    assert (finding.verdict, "geheim" in finding.message) == ("fail", False)


def test_no_right_to_exec_is_an_error_not_a_pass():
    assert check(inspect=ApiError(403, "Forbidden", "pods/exec is forbidden")).verdict == "error"


def test_celerys_answer_is_found_among_its_warnings():
    assert tasks.parse_inspect(b'warning: x\n{"celery@a": [{"id": 1}]}\n') == {"celery@a": [{"id": 1}]}
    assert tasks.parse_inspect(b"nothing") == {}
