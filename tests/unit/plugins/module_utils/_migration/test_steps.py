"""A migration's steps against a cluster in memory whose Jobs end as the test says."""

import json
import threading
from datetime import UTC, datetime

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import OperatorError
from ansible_collections.hsc.jit.plugins.module_utils._migration.steps import Migration
from ansible_collections.hsc.jit.plugins.module_utils._module import Context
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.module_utils._release import record
from fake_clock import TickingClock
from memory_api import MemoryApiServer

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


class Jobs(MemoryApiServer):
    """Runs Jobs at once. answers: what each ``plan`` Job logs, one after the other; run: how the other ends, "" for never."""

    def __init__(self, *answers, run="Complete", live=LIVE, releases=(4,)):
        super().__init__(*([live] if live else []))
        for number in releases:
            self.record(record.Release(number, "deployed", "d", schema_revision="r0"))
        self.replies, self.end, self.started = list(answers), run, []
        self.controllers.append(Jobs.finish)

    def record(self, release):
        self.add(record.as_config_map(release))

    def finish(self, obj):
        """A controller: the Job ends, its pod and its log stay."""
        name = obj["metadata"]["name"]
        if obj["kind"] != "Job" or obj.get("status"):
            return
        self.started.append(obj)
        planned = "-plan-" in name
        log = json.dumps(self.replies.pop(0)) if planned else "migrate: Running upgrade r0 -> r1"
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": obj["metadata"]["uid"]}
        metadata = {"name": name, "labels": {"job-name": name}, "ownerReferences": [owner]}
        self.add({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}, "status": {"phase": "Running"}})
        self.answers[f"/api/v1/namespaces/hsc-jit/pods/{name}/log"] = log.encode()
        if end := "Complete" if planned else self.end:
            condition = {"type": end, "status": "True", "reason": "BackoffLimitExceeded", "message": "it failed"}
            self.set_status(obj, conditions=[condition])

    def jobs(self):
        return [name for _, plural, _, name in self.objects if plural == "jobs"]


def steps(jobs, tmp_path, **params):
    defaults = {
        "objects": [WORKLOAD], "image": "new@sha256:1", "snapshot": {"id": "s", "proved": True, "empty": True, "created": NOW.isoformat()},
        "snapshot_max_age_minutes": 60, "accept": [], "restore_on_failure": False, "inventory": [], "lock_timeout_seconds": 15.0,
        "statement_timeout_seconds": 0.0, "timeout_seconds": 30,
    }  # fmt: skip
    progress = Progress(str(tmp_path / "said"))
    return Migration(Context({**defaults, **params}, False, progress, jobs.cluster(), lambda: NOW, TickingClock()))


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
    jobs.record(grown)
    outcome = steps(jobs, tmp_path).migrated()
    assert verdicts(outcome) == [("MG-02", "pass"), ("MG-01", "pass")]
    assert "The database is at r9, not in this image (r0): newer, and allowed by release 5's record" in outcome.findings[0].message
    assert outcome.facts["revision"] == "r0", "what the code was made for"
    assert len(jobs.started) == 1, "asked, not migrated"


def test_an_image_older_than_a_schema_of_which_nothing_is_known_is_refused(tmp_path):
    outcome = steps(Jobs(AHEAD), tmp_path).migrated()
    assert verdicts(outcome) == [("MG-02", "fail")]
    assert "does not know revision r9" in outcome.findings[0].message


@pytest.mark.parametrize("before", [{"live": None}, {"releases": ()}])
def test_a_first_release_is_not_asked(before, tmp_path):
    jobs = Jobs(**before)
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
    assert [path for method, path in jobs.writes() if method == "DELETE" and "-run-" in path]
    assert not any("-run-" in name for name in jobs.jobs())


def test_a_lost_api_server_is_no_reason_to_think_that_nothing_was_migrated(tmp_path):
    jobs = Jobs(plan())
    migration = steps(jobs, tmp_path, accept=["r1"])
    jobs.before_write = lambda method, path: method == "POST" and jobs.started and jobs.fail(0, "POST", "/jobs$", message="gone")
    outcome = migration.migrated()
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
    cluster = jobs.cluster()
    running = cluster.create(cluster.namespaced("jobs", "/apis/batch/v1"), manifest)
    ends = {"type": "Complete", "status": "True"}
    threading.Timer(0.5, lambda: jobs.set_status({**running, "kind": "Job"}, conditions=[ends])).start()
    assert verdicts(migration.migrated())[1] == ("MG-01", "pass")
    assert [one["metadata"]["name"] for one in jobs.started].count(manifest["metadata"]["name"]) == 1
