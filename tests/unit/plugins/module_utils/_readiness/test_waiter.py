"""The shared wait, with a clock that only sleep moves."""

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._kube.discovery import Kinds
from ansible_collections.hsc.jit.plugins.module_utils._kube.kinds import Resource
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.module_utils._readiness import waiter
from ansible_collections.hsc.jit.plugins.module_utils._readiness.waiter import Watch
from memory_api import MemoryApiServer

JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "uid": "u"}, "spec": {}}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "j-1", "ownerReferences": [{"uid": "u"}]},
    "status": {"phase": "Pending", "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "CreateContainerConfigError"}}}]},
}


class Script:
    """A mirror that shows one entry of the script after the other, one a second; the last for ever. A problem in it is one for so long."""

    def __init__(self, clock, script):
        self.clock, self.script, self.turn = clock, list(script), 0

    def __call__(self, cluster, sources):
        self.sources = sources
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    @property
    def now(self):
        return self.script[min(self.turn, len(self.script) - 1)]

    @property
    def problem(self):
        return self.now if isinstance(self.now, Exception) else None

    def objects(self, name):
        return self.now.get(name if isinstance(name, str) else self.sources[name][0].rpartition("/")[2], [])

    def wait(self, _seconds):
        self.turn += 1
        self.clock[0] += 1


def wait(*script, seconds=30.0):
    clock, server = [0.0], MemoryApiServer(POD, namespaces=("ns",))
    server.answers["/api/v1/namespaces/ns/pods/j-1/log"] = b"first\nlast words"
    cluster = server.cluster("ns")
    kinds = Kinds(cluster, {("batch/v1", "Job"): Resource("/apis/batch/v1", "batch", "jobs", True)})
    watch = Watch(cluster, kinds, Progress(), lambda: clock[0], Script(clock, script))
    return watch.wait([JOB, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}], seconds), clock[0]


def job(kind=None):
    return {"jobs": [{**JOB, "status": {"conditions": [{"type": kind, "status": "True"}] if kind else []}}]}


def test_waits_until_all_are_ready():
    (finding,), took = wait({}, job(), job("Complete"))
    assert (finding.verdict, took) == ("pass", 2.0)


def test_a_failure_is_told_after_its_grace_with_the_log():
    (finding,), took = wait({**job(), "pods": [POD]})
    assert finding.verdict == "fail"
    assert 1.0 <= took <= 2.0
    assert "CreateContainerConfigError" in finding.message
    assert "last words" in finding.message
    assert finding.evidence["pod"] == "j-1"


def test_a_failure_that_heals_within_its_grace_is_none_but_is_told():
    (finding, warning), _ = wait({**job(), "pods": [POD]}, job(), {**job(), "pods": [POD]}, job("Complete"))
    assert (finding.verdict, warning.verdict) == ("pass", "warn")
    assert "Job j recovered by itself: pod j-1: container c: CreateContainerConfigError" in warning.message


def mounting(message):
    """The job, and its pod that a volume holds up."""
    creating = {"name": "c", "state": {"waiting": {"reason": "ContainerCreating"}}}
    event = {"metadata": {}, "type": "Warning", "reason": "FailedMount", "message": message, "involvedObject": {"uid": "p", "name": "j-1"}}
    pod = {**POD, "metadata": {**POD["metadata"], "uid": "p"}, "status": {"phase": "Pending", "containerStatuses": [creating]}}
    return {**job(), "pods": [pod], "warnings": [event]}


LATE = "failed to sync configmap cache: timed out waiting for the condition"


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ([mounting(LATE)], []),
        ([mounting(LATE)] * 9, [f"{LATE}, for 9 s"]),
        ([mounting("the volume's server is away"), mounting(LATE)], ["server is away, for 2 s"]),
    ],
    ids=["a moment", "longer", "after something else"],
)
def test_no_word_is_lost_on_a_kubelet_that_was_late_for_a_moment(seen, words):
    (finding, *warnings), _ = wait(*seen, job(), job("Complete"))
    assert finding.verdict == "pass"
    assert len(warnings) == len(words)
    assert all(word in warning.message for word, warning in zip(words, warnings, strict=True))


def test_a_kubelet_that_stays_late_is_told():
    (finding,), took = wait(mounting(LATE), seconds=300)
    assert (finding.verdict, took) == ("fail", 45.0)
    assert LATE in finding.message
    assert finding.evidence["events"] == [f"FailedMount: {LATE}"]


def test_of_a_pod_that_is_gone_when_its_job_fails_the_last_words_are_kept():
    container = {"name": "c", "restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    crashed = {**POD, "status": {"containerStatuses": [{**container, "lastState": {"terminated": {"exitCode": 4}}}]}}
    (finding,), _ = wait({**job(), "pods": [crashed]}, {**job(), "pods": [crashed]}, job("Failed"))
    assert finding.verdict == "fail"
    assert "before that: container c: CrashLoopBackOff: exit code 4" in finding.message
    assert finding.evidence["log"] == ["first", "last words"]


def test_nothing_is_opened_where_nothing_is_waited_for():
    def never(*_):
        raise AssertionError("opened")

    cluster = MemoryApiServer().cluster()
    watch = Watch(cluster, Kinds(cluster, {}), Progress(), lambda: 0.0, never)
    assert [finding.verdict for finding in watch.wait([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}], 30)] == [
        "pass"
    ]


def test_a_restart_meanwhile_is_told_and_an_older_one_is_not():
    def pods(*restarts):
        return [
            {**POD, "metadata": {"name": f"p{n}"}, "status": {"containerStatuses": [{"name": "c", "restartCount": count}]}}
            for n, count in enumerate(restarts)
        ]

    (_, warning), _ = wait({**job(), "pods": pods(4, 0)}, {**job("Complete"), "pods": pods(4, 1)})
    assert "Pod p1: container c was restarted 1 times" in warning.message


def test_old_pods_that_still_end_are_no_hang_and_are_told():
    ending = {"metadata": {"name": "old", "deletionTimestamp": "now", "deletionGracePeriodSeconds": 90}}
    (finding,), _ = wait({**job("Complete"), "pods": [ending]})
    assert finding.verdict == "pass"
    assert "Old pods that still end, out of the endpoints: 1, for at most 90 s." in finding.message


def test_the_time_is_over():
    (finding,), took = wait(job(), seconds=5)
    assert (finding.verdict, took) == ("fail", 5.0)
    assert "still waiting" in finding.message


def test_the_api_server_may_be_away_for_a_while():
    away = [ApiError(0, "Unreachable", "gone")] * 20
    (finding,), took = wait(job(), *away, job("Complete"))
    assert (finding.verdict, took) == ("pass", 21.0)


def test_a_claim_is_waited_for_only_if_a_pod_is_to_mount_it():
    def workload(kind, replicas, claim):
        spec = {"template": {"spec": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]}}, "replicas": replicas}
        return {"kind": kind, "metadata": {"name": claim}, "spec": spec}

    assert waiter._claims_used([workload("Deployment", 1, "used"), workload("Deployment", 0, "of-nobody")]) == {"used"}
