"""A migration's steps against a cluster in memory whose Jobs end as the test says."""

import json
from datetime import UTC, datetime

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError, OperatorError
from ansible_collections.hsc.jit.plugins.module_utils._migration.steps import Migration
from ansible_collections.hsc.jit.plugins.module_utils._module import Context
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.module_utils._readiness import waiter
from ansible_collections.hsc.jit.plugins.module_utils._release import record
from fake_clock import FakeClock

NOW = datetime(2026, 11, 25, 5, tzinfo=UTC)
WORKLOAD = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "hsc-jit-answer"},
    "spec": {"template": {"spec": {"containers": [{"name": "answer", "env": [{"name": "NEW"}]}]}}},
}
LIVE = {**WORKLOAD, "spec": {"template": {"spec": {"containers": [{"name": "answer", "env": [{"name": "OLD"}]}]}}}}


def step(kind="contract", *, applied=False):
    return {"revision": "r1", "title": "", "applied": applied, "class": kind, "reasons": ["why"], "declared": False, "sql": "ALTER;"}


def plan(kind="contract", *, applied=False):
    current, pending = ("r1", []) if applied else ("r0", ["r1"])
    return {"current": current, "head": "r1", "pending": pending, "since": "r0", "steps": [step(kind, applied=applied)]}


class Jobs:
    """Runs Jobs at once. answers: what each ``plan`` Job logs, one after the other; run: how the other ends."""

    namespace = "ns"
    node_scale_up_seconds = 0.0

    def __init__(self, *answers, run="Complete", live=LIVE, releases=(4,)):
        self.answers, self.run, self.live = list(answers), run, live
        self.jobs, self.started, self.deleted = {}, [], []
        self.records = [record.as_config_map(record.Release(n, "deployed", "d", schema_revision="r0")) for n in releases]

    def namespaced(self, plural, api="/api/v1", namespace=None):
        return plural

    def find(self, path, **query):
        if path.startswith("/apis/"):
            return {"resources": [{"name": "jobs", "kind": "Job", "namespaced": True, "verbs": ["list"]}]}
        plural, _, name = path.partition("/")
        return self.live if plural == "deployments" else self.jobs.get(name)

    def list(self, path, **query):
        if path == "configmaps":
            return self.records
        if path == "pods":
            name = query.get("labelSelector", "").removeprefix("job-name=")
            return [{"metadata": {"name": name, "creationTimestamp": "1"}, "status": {}}] if name else []
        return list(self.jobs.values()) if path == "jobs" else []

    def create(self, path, manifest):
        action = "plan" if "-plan-" in manifest["metadata"]["name"] else "run"
        end = "Complete" if action == "plan" else self.run
        if isinstance(end, Exception):
            raise end
        conditions = [{"type": end, "status": "True", "reason": "BackoffLimitExceeded", "message": "it failed"}] if end else []
        log = json.dumps(self.answers.pop(0)) if action == "plan" else "migrate: Running upgrade r0 -> r1"
        self.jobs[manifest["metadata"]["name"]] = {**manifest, "status": {"conditions": conditions}, "log": log}
        self.started.append(manifest)

    def delete(self, path, propagation="Background"):
        self.deleted.append(path)
        del self.jobs[path.partition("/")[2]]

    def logs(self, pod, container=None, **query):
        return self.jobs[pod]["log"]


CLOCK = FakeClock()


class Listed:
    """A mirror without threads: it lists at each look, and each wait is a second."""

    problem = None

    def __init__(self, cluster, sources):
        self.cluster, self.sources = cluster, sources

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def objects(self, name):
        return self.cluster.list(self.sources[name][0])

    def wait(self, _seconds):
        CLOCK.now += 1


@pytest.fixture(autouse=True)
def no_time(monkeypatch):
    CLOCK.now = 0.0
    monkeypatch.setattr(waiter, "Mirror", Listed)


def steps(jobs, tmp_path, **params):
    defaults = {
        "objects": [WORKLOAD], "image": "new@sha256:1", "snapshot": {"id": "s", "proved": True, "empty": True, "created": NOW.isoformat()},
        "snapshot_max_age_minutes": 60, "accept": [], "restore_on_failure": False, "inventory": [], "lock_timeout_seconds": 15.0,
        "statement_timeout_seconds": 0.0, "timeout_seconds": 30,
    }  # fmt: skip
    context = Context(
        {**defaults, **params}, False, Progress(str(tmp_path / "said")), jobs,
        lambda: NOW, CLOCK,
    )  # fmt: skip
    return Migration(context)


def verdicts(outcome):
    return [(finding.id, finding.verdict) for finding in outcome.findings]


def command(manifest):
    return manifest["spec"]["template"]["spec"]["containers"][0]["command"]


def test_the_way_back_is_said_before_anything_changes_with_the_settings_that_are_there(tmp_path):
    jobs = Jobs(plan())
    outcome = steps(jobs, tmp_path).planned()
    assert verdicts(outcome) == [("MG-02", "fail")]
    assert outcome.facts["way_back"]["action"] == "hold"
    (asked,) = jobs.started
    assert command(asked)[-3:] == ["--current", "--since", "r0"]
    assert asked["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "OLD"}]
    assert "If this fails: stop and hold" in (tmp_path / "said").read_text()


AHEAD = {"refused": "This image does not know revision r9", "unknown": "r9", "head": "r0"}


def test_an_image_older_than_a_schema_that_only_grew_is_deployed_and_nothing_is_migrated(tmp_path):
    jobs = Jobs(AHEAD)
    grown = record.Release(5, "withdrawn", "d", schema_revision="r9", schema_class="expand")
    jobs.records.append(record.as_config_map(grown))
    outcome = steps(jobs, tmp_path).migrated()
    assert verdicts(outcome) == [("MG-02", "pass"), ("MG-01", "pass")]
    assert "The database is at r9, not in this image (r0): newer, and allowed by release 5's record" in outcome.findings[0].message
    assert outcome.facts["revision"] == "r0", "what the code was made for"
    assert len(jobs.started) == 1, "asked, not migrated"


def test_an_image_older_than_a_schema_of_which_nothing_is_known_is_refused(tmp_path):
    outcome = steps(Jobs(AHEAD), tmp_path).migrated()
    assert verdicts(outcome) == [("MG-02", "fail")]
    assert "does not know revision r9" in outcome.findings[0].message


@pytest.mark.parametrize("jobs", [Jobs(live=None), Jobs(releases=())])
def test_a_first_release_is_not_asked(jobs, tmp_path):
    assert verdicts(steps(jobs, tmp_path).planned()) == [("MG-02", "pass")]
    assert jobs.started == []


def test_what_is_not_allowed_is_not_started(tmp_path):
    jobs = Jobs(plan())
    assert verdicts(steps(jobs, tmp_path).migrated()) == [("MG-02", "fail")]
    assert len(jobs.started) == 1


def test_two_heads_stop_with_their_names(tmp_path):
    jobs = Jobs({"refused": "There are 2 heads, a and b: which comes first is not said."})
    outcome = steps(jobs, tmp_path).migrated()
    assert verdicts(outcome) == [("MG-02", "fail")]
    assert "a and b" in outcome.findings[0].message


def test_without_a_proved_snapshot_nothing_is_even_asked(tmp_path):
    jobs = Jobs()
    with pytest.raises(OperatorError, match="no migration without a proved backup"):
        steps(jobs, tmp_path, snapshot={}).migrated()


def test_a_migration_that_ended_well_holds_to_its_way_back(tmp_path):
    jobs = Jobs(plan())
    outcome = steps(jobs, tmp_path, accept=["r1"], statement_timeout_seconds=2.5).migrated()
    assert verdicts(outcome) == [("MG-02", "warn"), ("MG-01", "pass")]
    assert (outcome.facts["revision"], outcome.facts["way_back"]["applied"]) == ("r1", True)
    assert command(jobs.started[1])[-2:] == ["--lock-timeout-seconds=15", "--statement-timeout-seconds=2.5"]
    assert outcome.diff[0]["after"] == "-- r1: contract\nALTER;\n"


@pytest.mark.parametrize(("left", "applied"), [(plan(), False), (plan(applied=True), True)])
def test_after_a_failure_the_database_says_whether_the_schema_moved(left, applied, tmp_path):
    outcome = steps(Jobs(plan(), left, run="Failed"), tmp_path, accept=["r1"]).migrated()
    assert verdicts(outcome) == [("MG-02", "warn"), ("MG-01", "fail")]
    assert outcome.facts["way_back"]["applied"] is applied
    assert f"the schema is at {left['current']}" in outcome.findings[1].message


def test_a_job_that_takes_too_long_is_ended_before_anything_is_put_back(tmp_path):
    jobs = Jobs(plan(), plan(), run="")
    outcome = steps(jobs, tmp_path, accept=["r1"], timeout_seconds=3).migrated()
    assert verdicts(outcome)[1] == ("MG-01", "fail")
    assert [path for path in jobs.deleted if "-run-" in path]
    assert not any("-run-" in name for name in jobs.jobs)


def test_a_lost_api_server_is_no_reason_to_think_that_nothing_was_migrated(tmp_path):
    outcome = steps(Jobs(plan(), run=ApiError(0, "Unreachable", "gone")), tmp_path, accept=["r1"]).migrated()
    assert verdicts(outcome)[1] == ("MG-01", "error")
    assert outcome.facts["way_back"]["applied"] is True


def test_an_image_migrates_once_also_in_a_run_after_one_that_was_killed(tmp_path):
    jobs = Jobs(plan(), plan(applied=True))
    steps(jobs, tmp_path, accept=["r1"]).migrated()
    outcome = steps(jobs, tmp_path).migrated()
    assert verdicts(outcome) == [("MG-02", "warn"), ("MG-01", "pass")]
    assert outcome.before == outcome.after
    assert [name["metadata"]["name"].split("-")[3] for name in jobs.started] == ["plan", "run", "plan"]
    assert outcome.facts["way_back"] | {"action": "hold", "applied": True} == outcome.facts["way_back"]


def test_a_job_of_a_killed_run_is_waited_for_and_not_started_again(tmp_path, monkeypatch):
    jobs = Jobs(plan(), run="")
    migration = steps(jobs, tmp_path, accept=["r1"])
    manifest = migration._job("run")
    jobs.create("jobs", manifest)

    class Ends(Listed):
        def wait(self, seconds):
            super().wait(seconds)
            jobs.jobs[manifest["metadata"]["name"]]["status"]["conditions"] = [{"type": "Complete", "status": "True"}]

    monkeypatch.setattr(waiter, "Mirror", Ends)
    assert verdicts(migration.migrated())[1] == ("MG-01", "pass")
    assert [one["metadata"]["name"] for one in jobs.started].count(manifest["metadata"]["name"]) == 1
