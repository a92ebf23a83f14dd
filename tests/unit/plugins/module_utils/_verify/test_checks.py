from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._finding import Finding
from ansible_collections.hsc.jit.plugins.module_utils._module import Context
from ansible_collections.hsc.jit.plugins.module_utils._product import PART_OF
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.module_utils._verify import checks
from fake_clock import FakeClock
from memory_api import MemoryApiServer

NOW = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)


def cluster_of(*pods, logs=None):
    """logs: {(pod, whether of the previous container): text, or the API server's refusal}; a log that is not named is empty."""
    server, texts = MemoryApiServer(*pods), logs or {}
    for one in pods:
        name = one["metadata"]["name"]

        def answer(method, query, body, name=name):
            text = texts.get((name, query.get("previous") == "true"), "")
            return text if isinstance(text, ApiError) else text.encode()

        server.answers[f"/api/v1/namespaces/hsc-jit/pods/{name}/log"] = answer
    return server.cluster()


def look_at(cluster=None, clock=None, **asked):
    clock = clock or FakeClock()
    context = Context({}, False, Progress(), cluster, lambda: NOW, clock)
    given = {
        "url": "http://x",
        "ca_file": None,
        "rollout_began": None,
        "log_errors_per_minute": 5.0,
        "ready_timeout": 3.0,
        "rollout_ended": None,
        "settle": True,
        "deployment": False,
    }
    return checks.Look(context, SimpleNamespace(**{**given, **asked}), NOW)


def pod(name="api-1", restarts=0, born=NOW - timedelta(hours=1), app="api"):
    status = {"name": app, "restartCount": restarts, "containerID": "containerd://x"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": app, **PART_OF}, "creationTimestamp": born.isoformat().replace("+00:00", "Z")},
        "status": {"containerStatuses": [status]},
    }


def log(count, before=timedelta(0), text="ERROR boom"):
    return f"{(NOW - before).isoformat()} {text}\n" * count


def passing(row):
    return lambda one: [Finding(row, "pass", "seen")]


def refused(status):
    def check(one):
        raise ApiError(status, "X", "pods is forbidden")

    return check


def test_a_shut_door_leaves_page_and_load_untried_and_the_rest_is_looked_at(monkeypatch):
    def shut(one):
        return [Finding("VF-01", "fail", "shut")]

    stages = ([("VF-01", shut)], [("VF-02", passing("VF-02")), ("VF-05", passing("VF-05"))], [("VF-03", passing("VF-03"))])
    monkeypatch.setattr(checks, "STAGES", stages)
    verdicts = {finding.id: finding.verdict for finding in checks.look(look_at().context, look_at().asked)}
    assert verdicts == {"VF-01": "fail", "VF-02": "skipped", "VF-03": "skipped", "VF-05": "pass"}


@pytest.mark.parametrize(("status", "verdict"), [(403, "skipped"), (0, "error"), (500, "error")])
def test_a_row_that_may_not_look_does_not_hide_the_others(monkeypatch, status, verdict):
    monkeypatch.setattr(checks, "STAGES", ([("VF-01", passing("VF-01"))], [("VF-05", refused(status)), ("VF-06", passing("VF-06"))]))
    found = checks.look(look_at().context, look_at().asked)
    assert [finding.verdict for finding in found] == ["pass", verdict, "pass"]
    assert "pods is forbidden" in found[1].message


class Doors:
    """A door that opens at its n-th try."""

    def __init__(self, opens_at):
        self.tries, self.opens_at = 0, opens_at

    def __call__(self, url, ca_file):
        return self

    def get(self, path):
        self.tries += 1
        if self.tries < self.opens_at:
            raise ConnectionRefusedError(111, "Connection refused")
        return 200, b"{}"

    def close(self):
        pass


@pytest.mark.parametrize(("opens_at", "verdict", "waited"), [(1, "pass", 0.0), (5, "pass", 1.0), (99, "fail", 3.0)])
def test_the_door_is_given_time_but_not_for_ever(monkeypatch, opens_at, verdict, waited):
    monkeypatch.setattr(checks, "Door", Doors(opens_at))
    (finding,) = checks.check_door(look_at())
    assert (finding.verdict, finding.evidence["waited_seconds"]) == (verdict, waited)


def test_logs_of_restarted_containers_are_read_too():
    cluster = cluster_of(pod(restarts=1), logs={("api-1", True): log(6), ("api-1", False): log(1)})
    (finding,) = checks.check_logs(look_at(cluster))
    assert (finding.verdict, finding.evidence["errors"]) == ("fail", 7)


def test_a_log_that_has_gone_is_empty_but_one_that_may_not_be_read_is_told():
    gone = cluster_of(pod(restarts=1), logs={("api-1", True): ApiError(400, "BadRequest", "previous terminated container not found")})
    assert checks.check_logs(look_at(gone))[0].verdict == "pass"
    with pytest.raises(ApiError):
        checks.check_logs(look_at(cluster_of(pod(), logs={("api-1", False): ApiError(403, "Forbidden", "pods/log is forbidden")})))


def test_before_is_before_the_rollout_and_new_pods_have_none():
    began = NOW - timedelta(minutes=2)
    old, new = pod("api-1"), pod("db-1", born=NOW - timedelta(minutes=1), app="db")
    texts = {("api-1", False): log(60, timedelta(minutes=5)) + log(6), ("db-1", False): log(6)}
    found = checks.check_logs(look_at(cluster_of(old, new, logs=texts), rollout_began=began))
    assert [(one.evidence["component"], one.verdict) for one in found] == [("api", "pass"), ("db", "fail")]
    assert found[1].evidence["errors_per_minute_before"] is None


def test_a_namespace_without_the_product_is_a_failure():
    assert checks.check_logs(look_at(cluster_of()))[0].verdict == "fail"


@pytest.mark.parametrize(
    ("verdict", "expected"), [("pass", "pass"), ("skipped", "pass"), ("warn", "pass"), ("fail", "fail"), ("error", "fail")]
)
def test_what_was_put_back_is_verified_again_in_one_finding(verdict, expected):
    found = [Finding("VF-01", "pass", "open"), Finding("VF-02", verdict, "no TD-17", {}, "Look at the page.")]
    told = checks.after_way_back(found)
    assert (told.id, told.verdict, told.evidence) == ("RO-03", expected, {"VF-01": "pass", "VF-02": verdict})
    assert ("no TD-17" in told.message and "Look at the page." in told.next_step) == (expected == "fail")


@pytest.mark.parametrize(
    ("row", "expected"), [("VF-01", "fail"), ("VF-05", "fail"), ("VF-09", "fail"), ("VF-06", "warn"), ("VF-08", "warn")]
)
def test_a_deployment_only_warns_of_what_depends_on_the_environment(monkeypatch, row, expected):
    monkeypatch.setattr(checks, "STAGES", ([(row, lambda one: [Finding(row, "fail", "No data.", {"jobs": 0})])],))
    (finding,) = checks.look(look_at().context, look_at(deployment=True).asked)
    assert finding.verdict == expected and finding.evidence["jobs"] == 0
    (alone,) = checks.look(look_at().context, look_at().asked)
    assert alone.verdict == "fail"


def steady(name="api-1", born=NOW - timedelta(hours=1), ready=True, ended=None, **more):
    """A pod with one container. ended: when its container last ended."""
    obj = pod(name, born=born)
    status = obj["status"]["containerStatuses"][0] | {"state": {"running": {}}}
    if ended:
        status["lastState"] = {"terminated": {"exitCode": 3, "reason": "Error", "finishedAt": ended.isoformat()}}
    when = (born + timedelta(seconds=2)).isoformat()
    conditions = [{"type": "Ready", "status": str(ready), "lastTransitionTime": when, "message": "containers are not ready"}]
    obj["status"] = {"containerStatuses": [status], "conditions": conditions, "phase": "Running"}
    obj["metadata"] |= more
    return obj


def restarts(*pods, began=NOW - timedelta(minutes=1), ended=NOW - timedelta(seconds=20), clock=None, failed=False, **asked):
    texts = {("api-1", True): "boom\nsecond line"}
    one = look_at(cluster_of(*pods, logs=texts), clock, rollout_began=began, rollout_ended=ended, **asked)
    one.failed = failed
    return checks.check_restarts(one)


def test_pods_that_go_on_pass():
    before = steady("old", ended=NOW - timedelta(minutes=5))
    job = steady("job", ready=False, ownerReferences=[{"kind": "Job", "uid": "j"}])
    (finding,) = restarts(steady(), before, job)
    assert finding.verdict == "pass" and finding.evidence["pods"] == 2


def test_a_container_that_ended_after_the_rollout_is_named_with_its_log():
    (finding,) = restarts(steady(ended=NOW - timedelta(seconds=5)), steady("other"))
    assert finding.verdict == "fail"
    assert "Pod api-1: container api ended after the rollout (exit code 3" in finding.message
    assert "boom | second line" in finding.message and "--previous" in finding.next_step


def test_a_pod_that_is_no_longer_ready_fails():
    (finding,) = restarts(steady(ready=False))
    assert finding.verdict == "fail" and "not ready after the rollout: containers are not ready" in finding.message


@pytest.mark.parametrize(
    ("changes", "waits"),
    [({}, True), ({"settle": False}, False), ({"failed": True}, False), ({"began": NOW + timedelta(seconds=1)}, False)],
)
def test_replaced_pods_are_watched_for_some_time(changes, waits):
    clock = FakeClock()
    restarts(steady(born=NOW - timedelta(seconds=10)), clock=clock, **changes)
    assert (clock.now > 0) == waits
