"""A byte of a run's evidence that changed is found, whichever it is."""

import pytest
from ansible_collections.hsc.jit.plugins.module_utils import _journal
from ansible_collections.hsc.jit.plugins.module_utils._backup.snapshot import file_sha256
from ansible_collections.hsc.jit.plugins.module_utils._report import audit


@pytest.fixture
def journal(tmp_path):
    """A run with a finding, a backup and a report."""
    path = tmp_path / "run-1/journal.jsonl"
    backup = tmp_path / "snapshots/redis.rdb"
    backup.parent.mkdir()
    backup.write_bytes(b"REDIS")
    found = {"id": "BK-01", "verdict": "pass", "evidence": {"path": str(backup), "sha256": file_sha256(backup)}}
    _journal.append(path, "2026-11-24T00:00:00Z", "backup_snapshot", "finding", found)
    report = path.parent / "report.html"
    report.write_text("go")
    _journal.append(path, "2026-11-24T00:00:01Z", "report", audit.WRITTEN, {"files": {"report.html": file_sha256(report)}})
    return path


def check(journal):
    return [(finding.verdict, finding.message) for finding in audit.check(journal)]


def test_what_was_written_passes_and_says_the_last_hash(journal):
    last = list(_journal.read(journal))[-1]["hash"]
    assert check(journal) == [("pass", f"2 entries of run-1 and 2 files are what the run wrote; the last hash is {last}.")]


def test_a_changed_line_a_changed_report_and_a_changed_backup(journal):
    report = journal.parent / "report.html"
    report.write_text("no-go")
    (journal.parents[1] / "snapshots/redis.rdb").write_bytes(b"RUDIS")
    assert [verdict for verdict, _ in check(journal)] == ["fail", "fail"]
    assert "report.html is not what was written" in str(check(journal))
    report.unlink()
    assert "report.html is gone" in str(check(journal))
    journal.write_text(journal.read_text().replace('"verdict":"pass"', '"verdict":"fail"'))
    assert "line 1: not what was written" in check(journal)[0][1]


def test_a_backup_that_was_pruned_is_no_change(journal):
    (journal.parents[1] / "snapshots/redis.rdb").unlink()
    assert check(journal)[0][0] == "pass"


def test_a_run_that_was_killed_before_its_report_and_one_that_never_was(journal, tmp_path):
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text(lines[0])
    assert check(journal)[0][0] == "warn"
    assert check(tmp_path / "none/journal.jsonl")[0][0] == "error"
