"""The nightly backup's age, judged."""

from datetime import UTC, datetime

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._preflight.backup_age import BACKUP, DRILL, DRILL_HOURS, check

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def cron_job(created="2026-11-01T00:00:00Z", last=None, **spec):
    return {"metadata": {"creationTimestamp": created}, "spec": spec, "status": {"lastSuccessfulTime": last} if last else {}}


@pytest.mark.parametrize(
    ("found", "verdict", "said"),
    [
        (None, "pass", "not there yet"),
        (cron_job(last="2026-11-25T02:00:10Z"), "pass", "10.0 h old"),
        (cron_job(last="2026-11-24T10:00:00Z"), "pass", "26.0 h old"),
        (cron_job(last="2026-11-24T09:50:00Z"), "warn", "26.2 h old; 26 h are allowed"),
        (cron_job(), "warn", "No nightly backup yet: hsc-jit-backup is 588.0 h old"),
        (cron_job(created="2026-11-25T09:00:00Z"), "pass", "is 3.0 h old"),
        (cron_job(last="2026-11-25T02:00:10Z", suspend=True), "warn", "suspended"),
    ],
)
def test_how_old_is_the_nightly_backup(found, verdict, said):
    finding = check(BACKUP, found, NOW, 26)
    assert (finding.id, finding.verdict) == ("PF-08", verdict)
    assert said in finding.message


def test_a_restore_drill_may_be_a_week_old_and_no_more():
    assert check(DRILL, cron_job(last="2026-11-18T13:00:00Z"), NOW, DRILL_HOURS).verdict == "pass"
    late = check(DRILL, cron_job(last="2026-11-17T11:00:00Z"), NOW, DRILL_HOURS)
    assert (late.verdict, "The last restore drill that succeeded is 193.0 h old" in late.message) == ("warn", True)
    assert "--from=cronjob/hsc-jit-restore-drill" in late.next_step
