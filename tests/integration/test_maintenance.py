"""The CronJobs' own Jobs, run now: backup, cleanup, optimisation, and a restore drill that believes no file."""

import json

import pytest
from cron_jobs import backups_pod, run_now

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture
def backups(product, images):
    """A shell in the backups' volume."""
    with backups_pod(product, images["redis"]) as pod:
        yield lambda script: product.exec(pod, "scratch", ["sh", "-c", script]).stdout.decode()


def test_what_was_backed_up_is_restored_and_what_is_broken_is_not_believed(product, backups):
    with run_now(product, "hsc-jit-backup") as job:
        assert job.good, job.said
    with run_now(product, "hsc-jit-restore-drill") as drill:
        assert drill.good, drill.said
    found = {store: json.loads(text) for store, text in drill.said.items()}
    assert found["postgres"]["products"] == 407
    assert found["redis"]["keys"] > 0

    cut = "cd /backups && head -c 20000 $(ls -t *.dump | head -1) > broken.dump && head -c 100 $(ls -t *.rdb | head -1) > broken.rdb"
    backups(cut)
    try:
        with run_now(product, "hsc-jit-restore-drill") as drill:
            assert not drill.good
    finally:
        backups("rm -f /backups/broken.*")
    assert "pg_restore ended with 1" in drill.said["postgres"]
    assert "redis-check-rdb ended with 1" in drill.said["redis"]


def test_without_a_fresh_backup_the_drill_says_so(product, backups):
    backups("cd /backups && mkdir -p /tmp/kept && cp -p *.dump *.rdb /tmp/kept && touch -d '2 days ago' *.dump *.rdb")
    try:
        with run_now(product, "hsc-jit-restore-drill") as drill:
            assert not drill.good
    finally:
        backups("cp -p /tmp/kept/* /backups/")
    assert "h old; 26 h are allowed" in drill.said["postgres"]


@pytest.mark.parametrize("cron_job", ["hsc-jit-cleanup", "hsc-jit-optimise"])
def test_the_others_succeed(product, cron_job):
    with run_now(product, cron_job) as job:
        assert job.good, job.said
