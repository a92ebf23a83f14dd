import json

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._kube.client import ExecResult
from ansible_collections.hsc.jit.plugins.module_utils._verify import tasks
from memory_api import MemoryApiServer

QUEUES = ["fetch", "maintenance"]


def seen(consumers=None, probed=QUEUES, **lengths):
    """What the program in the worker's container prints."""
    consumers = {"celery@worker-1": QUEUES} if consumers is None else consumers
    return json.dumps({"consumers": consumers, "lengths": {"fetch": 3, "maintenance": 0, **lengths}, "probed": probed}).encode()


def pod(name="worker-1", ready="True", **metadata):
    conditions = [{"type": "Ready", "status": ready}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "hsc-jit-worker"}, **metadata},
        "spec": {"containers": [{"name": "worker"}]},
        "status": {"conditions": conditions},
    }


def check(pods=None, length=100, inspect=b'{"celery@worker-1": []}', probe=None):
    """inspect, probe: what celery and the program that looks at the queues answer."""
    pods = [pod()] if pods is None else pods
    server = MemoryApiServer(*pods)
    server.script(": celery ", inspect)
    server.script(": python ", seen() if probe is None else probe)
    return tasks.check_tasks(server.cluster(), pods, "hsc-jit-worker", QUEUES, length)[0]


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
    finding = check(probe=ExecResult(1, b"", "Traceback\nError connecting to redis://:geheim@redis:6379"))
    assert (finding.verdict, "geheim" in finding.message) == ("fail", False)


def test_no_right_to_exec_is_an_error_not_a_pass():
    assert check(inspect=ApiError(403, "Forbidden", "pods/exec is forbidden")).verdict == "error"


def test_celerys_answer_is_found_among_its_warnings():
    assert tasks.parse_inspect(b'warning: x\n{"celery@a": [{"id": 1}]}\n') == {"celery@a": [{"id": 1}]}
    assert tasks.parse_inspect(b"nothing") == {}


@pytest.mark.parametrize(
    ("probe", "verdict", "words"),
    [
        (seen({"celery@worker-1": ["maintenance"]}), "fail", "celery@worker-1 does not consume fetch. Waiting: fetch 3"),
        (seen(probed=["maintenance"]), "fail", "Queue fetch: a test task was not done within 15 s, and no task runs"),
        (seen(probed=QUEUES), "pass", "a test task passed fetch, maintenance"),
        (seen(probed=None), "pass", "no test task was sent: the image is older"),
        (b"no json", "fail", "Queues cannot be read"),
    ],
)
def test_a_worker_that_answers_must_consume(probe, verdict, words):
    finding = check(probe=probe)
    assert finding.verdict == verdict and words in finding.message


def test_busy_workers_only_warn_of_a_test_task_that_waits():
    finding = check(inspect=b'{"celery@worker-1": [{"id": "1"}]}', probe=seen(probed=[]))
    assert finding.verdict == "warn" and "busy with 1 tasks" in finding.message


def test_a_message_has_no_source_of_a_program():
    finding = check(probe=ApiError(500, "InternalError", "hsc-jit/worker-1: python -c import json: container not running"))
    assert finding.verdict == "error" and "import" not in finding.message
