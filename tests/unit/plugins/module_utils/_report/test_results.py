import json

import pytest
from ansible_collections.hsc.jit.plugins.module_utils import _journal
from ansible_collections.hsc.jit.plugins.module_utils._checklist import ROWS
from ansible_collections.hsc.jit.plugins.module_utils._report.files import previous, read_journal, write
from ansible_collections.hsc.jit.plugins.module_utils._report.results import NOT_RUN, About, build, duration

WHY = {"RO-03": "nothing had to be put back"}


class Run:
    """A journal as the modules write it."""

    def __init__(self, folder):
        self.path, self.second = folder / "run-1" / "journal.jsonl", 0

    def add(self, module, kind, **data):
        self.second += 1
        _journal.append(self.path, f"2026-11-24T04:00:{self.second:02}.000+00:00", module, kind, {"check_mode": False, **data})

    def finding(self, row, verdict="pass", module="verify_check", message="seen", step=""):
        self.add(module, "finding", id=row, verdict=verdict, message=message, evidence={"n": 1}, next_step=step)

    def module(self, name="verify_check", failed=False, message="", **more):
        self.add(name, "module", seconds=0.5, failed=failed, message=message, **more)

    def whole(self, **verdicts):
        for row in ROWS:
            if row.id != "RO-03":
                self.finding(row.id, verdicts.get(row.id.replace("-", ""), "pass"))
        self.module()
        return self

    def checklist(self, **about):
        entries, problem = read_journal(self.path)
        given = {"environment": "test", "run": "run-1", "not_run": WHY, "journal_problem": problem, **about}
        return build(entries, About(**given))


@pytest.fixture
def journal(tmp_path):
    return Run(tmp_path)


def row(checklist, wanted):
    return next(one for one in checklist["rows"] if one["id"] == wanted)


def test_all_rows_seen_is_a_go(journal):
    checklist = journal.whole().checklist()
    assert (checklist["verdict"], checklist["reason"]) == ("go", "")
    assert row(checklist, "RO-03")["verdict"] == NOT_RUN
    assert row(checklist, "RO-03")["reason"] == "nothing had to be put back"
    assert checklist["totals"] == {"pass": len(ROWS) - 1, "not run": 1}


def test_skipped_and_warn_are_named_and_production_refuses_skipped(journal):
    journal.whole(QG02="skipped", VF04="warn")
    assert journal.checklist()["reason"] == "With reservations: QG-02, VF-04."
    assert journal.checklist(fail_on=["fail", "error", "skipped"])["verdict"] == "no-go"


def test_production_goes_on_with_a_skipped_row_that_is_waived(journal):
    journal.whole()
    waived = {"waiver": {"owner": "Ada", "reason": "no scanner yet", "until": "2026-12-31"}}
    journal.add("quality_check", "finding", id="QG-02", verdict="skipped", message="no report", evidence=waived, next_step="")
    assert journal.checklist(fail_on=["fail", "error", "skipped"])["verdict"] == "go"


def test_a_row_that_nobody_looked_at_is_no_go_ahead(journal):
    journal.finding("PF-01", module="preflight_check")
    checklist = journal.checklist()
    assert checklist["verdict"] == "incomplete"
    assert "VF-01" in checklist["reason"]


def test_rows_of_other_phases_are_not_missed(journal):
    for one in ROWS:
        if one.phase == "verify":
            journal.finding(one.id)
    checklist = journal.checklist(phases=["verify"])
    assert checklist["verdict"] == "go"
    assert row(checklist, "PF-01")["reason"] == "not part of this run"


def test_a_run_of_some_phases_says_no_more_than_it_knows(journal):
    for one in ROWS:
        if one.phase == "quality":
            journal.finding(one.id, "pass", "good")
    assert journal.checklist(phases=["quality"])["headline"] == "Good as far as this run looked: quality"


def test_a_failure_is_a_no_go_whatever_came_after(journal):
    journal.finding("VF-03", "fail", message="too slow")
    journal.whole()
    checklist = journal.checklist()
    assert (checklist["verdict"], checklist["reason"], row(checklist, "VF-03")["verdict"]) == ("no-go", "too slow", "fail")
    assert [one["verdict"] for one in row(checklist, "VF-03")["findings"]] == ["fail", "pass"]
    assert journal.checklist()["headline"] == "This release is not good"


@pytest.mark.parametrize(
    ("evidence", "headline"), [({"release": 3}, "The previous release is back"), ({"run": "run-1"}, "Stopped before anything was changed")]
)
def test_what_became_of_the_product_is_the_headline(journal, evidence, headline):
    journal.finding("VF-03", "fail")
    journal.add("release", "finding", id="RO-03", verdict="pass", message="x", evidence=evidence, next_step="")
    assert journal.checklist()["headline"] == headline


def test_a_module_or_a_task_that_failed_without_a_finding_is_a_no_go(journal):
    journal.whole()
    assert journal.checklist(failure="undefined variable")["reason"] == "undefined variable"
    journal.module("release", failed=True, message="API server is away")
    assert journal.checklist()["reason"] == "API server is away"


def test_no_journal_and_a_changed_journal_are_no_go(journal):
    assert journal.checklist()["verdict"] == "no-go"
    journal.whole()
    journal.path.write_text(journal.path.read_text().replace('"seen"', '"Seen"', 1))
    checklist = journal.checklist()
    assert (checklist["verdict"], "cannot be trusted" in checklist["reason"]) == ("no-go", True)


def test_what_stands_before_a_changed_line_is_still_shown(journal):
    journal.whole()
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(b"".join([*lines[:5], lines[5].replace(b"pass", b"fail"), *lines[6:]]))
    assert journal.checklist()["journal"]["entries"] == 5


def test_half_a_last_line_is_what_a_killed_run_leaves_and_no_forgery(journal):
    journal.finding("PF-01")
    with journal.path.open("ab") as file:
        file.write(b'{"half')
    assert (journal.checklist()["verdict"], journal.checklist()["journal"]["problem"]) == ("incomplete", "")


def test_phases_have_their_times_and_neighbours_are_one(journal):
    for name in ("preflight_check", "release", "release", "verify_check", "report"):
        journal.module(name)
    phases = journal.checklist()["phases"]
    assert [(phase["phase"], phase["seconds"]) for phase in phases] == [("preflight", 0.5), ("rollout", 1.5), ("verify", 0.5)]
    assert phases[1]["started"] == "2026-11-24T04:00:01.500+00:00"


def test_a_lease_is_no_phase_unless_it_was_refused(journal):
    for module, failed in (("lease", False), ("preflight_check", False), ("lease", True)):
        journal.add(module, "module", seconds=1, failed=failed, message="held by ada" if failed else "")
    assert [phase["phase"] for phase in journal.checklist()["phases"]] == ["preflight", "lease"]


def test_changes_are_flat_names_from_and_to(journal):
    journal.add(
        "release", "change", before={"images": {"service": "a@1", "redis": "r"}}, after={"images": {"service": "a@2", "redis": "r"}, "n": 3}
    )
    journal.add("lease", "change", before={}, after={"holder": "me"})
    (change,) = journal.checklist()["changes"]
    assert change["items"] == [{"what": "images.service", "before": "a@1", "after": "a@2"}, {"what": "n", "before": None, "after": "3"}]


def test_check_mode_says_so(journal):
    for name in ("preflight_check", "release"):
        journal.add(name, "module", seconds=1, failed=False, message="", check_mode=True)
    assert journal.checklist()["verdict"] == "checked"


def test_four_files_are_written_for_their_owner_only(journal, tmp_path):
    paths = write(journal.whole().checklist(), tmp_path / "run-1")
    assert set(paths) == {"checklist.json", "report.html", "junit.xml", "summary.md"}
    assert json.loads((tmp_path / "run-1/checklist.json").read_text())["schema_version"] == 1
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "run-1").glob("*.*")} == {0}


def test_the_report_before_is_the_newest_of_the_same_kind(tmp_path):
    def report(name, environment="local", p95=4.0, verdict="go"):
        found = build([], About(environment, name))
        found["verdict"] = verdict
        row = next(row for row in found["rows"] if row["id"] == "VF-03")
        row["findings"] = [{"evidence": {"load": "HTTP", "p95_ms": p95}}]
        (tmp_path / name).mkdir()
        (tmp_path / name / "checklist.json").write_text(json.dumps(found))
        return found

    report("1")
    report("2", p95=7.0, verdict="no-go")
    report("3", environment="staging")
    now = report("4")
    report("5")
    (tmp_path / "2b").mkdir()
    (tmp_path / "2b" / "checklist.json").write_text("half a")
    assert previous(tmp_path / "4", now) == {"run": "2", "verdict": "no-go", "p95_ms": {"HTTP": 7.0}}
    assert previous(tmp_path / "1", now) == {}


def test_durations_are_readable():
    assert [duration(seconds) for seconds in (0.04, 59.9, 60, 134.2)] == ["0.0 s", "59.9 s", "1 min 0 s", "2 min 14 s"]
