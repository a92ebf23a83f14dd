"""The nightly backup's age, judged."""

from datetime import UTC, datetime

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._preflight_backup import check

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
    finding = check(found, NOW, 26)
    assert (finding.id, finding.verdict) == ("PF-08", verdict)
    assert said in finding.message
