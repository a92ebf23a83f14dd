"""The shared wait, with a clock that only sleep moves."""

from ansible_collections.hsc.jit.plugins.module_utils._discovery import Kinds
from ansible_collections.hsc.jit.plugins.module_utils._preflight_dry_run import Resource
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.module_utils._target import ApiProblem
from ansible_collections.hsc.jit.plugins.module_utils._watch import Watch

JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "uid": "u"}, "spec": {}}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "j-1", "ownerReferences": [{"uid": "u"}]},
    "status": {"phase": "Pending", "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "CreateContainerConfigError"}}}]},
}


class FakeCluster:
    """Answers lists from ``script``: one entry a poll, the last for ever. An exception in it is raised."""

    namespace = "ns"

    def __init__(self, *script):
        self.script, self.turn = list(script), -1

    def namespaced(self, plural, api="/api/v1", namespace=None):
        return plural

    def list(self, path, **query):
        if path == "jobs":
            self.turn += 1
        now = self.script[min(max(self.turn, 0), len(self.script) - 1)]
        if isinstance(now, Exception):
            raise now
        return now.get(path, [])

    def logs(self, *_, **__):
        return "first\nlast words"


def wait(*script, seconds=30.0):
    clock = [0.0]
    cluster = FakeCluster(*script)
    kinds = Kinds(cluster, {("batch/v1", "Job"): Resource("/apis/batch/v1", "batch", "jobs", True)})
    watch = Watch(cluster, kinds, Progress(), lambda: clock[0], lambda seconds: clock.__setitem__(0, clock[0] + seconds))
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


def test_a_failure_that_heals_within_its_grace_is_none():
    (finding,), _ = wait({**job(), "pods": [POD]}, job(), {**job(), "pods": [POD]}, job("Complete"))
    assert finding.verdict == "pass"


def test_the_time_is_over():
    (finding,), took = wait(job(), seconds=5)
    assert (finding.verdict, took) == ("fail", 5.0)
    assert "still waiting" in finding.message


def test_the_api_server_may_be_away_for_a_while():
    away = [ApiProblem(0, "Unreachable", "gone")] * 20
    (finding,), took = wait(job(), *away, job("Complete"))
    assert (finding.verdict, took) == ("pass", 21.0)
