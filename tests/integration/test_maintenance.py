"""The CronJobs' own Jobs, run now: backup, cleanup, optimisation, and a restore drill that believes no file."""

import json
import secrets

import pytest
from ansible_collections.hsc.jit.plugins.module_utils import _scratch
from waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture
def run_now(product):
    """A Job as the CronJob of that name makes it, once; (whether it succeeded, {container: what it said})."""
    jobs, pods, made = product.namespaced("jobs", "/apis/batch/v1"), product.namespaced("pods"), []

    def _run(cron_job):
        name = f"{cron_job}-test-{secrets.token_hex(3)}"
        spec = product.get(product.namespaced("cronjobs", "/apis/batch/v1") + f"/{cron_job}")["spec"]["jobTemplate"]["spec"]
        product.create(jobs, {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {**spec, "backoffLimit": 0}})
        made.append(name)

        def ended():
            status = product.get(f"{jobs}/{name}")["status"]
            return [
                one["type"] for one in status.get("conditions", []) if one["type"] in ("Complete", "Failed") and one["status"] == "True"
            ]

        (verdict,) = until(ended, 120, f"for {name}".format)
        (pod,) = product.list(pods, labelSelector=f"job-name={name}")
        said = {one["name"]: product.logs(pod["metadata"]["name"], one["name"]) for one in pod["spec"]["containers"]}
        return verdict == "Complete", said

    yield _run
    for name in made:
        product.delete(f"{jobs}/{name}")


@pytest.fixture
def backups(product, images):
    """A shell in the backups' volume."""
    name = f"hsc-jit-backups-test-{secrets.token_hex(3)}"
    reader = _scratch.scratch_pod(name, images["redis"])
    reader["spec"]["volumes"].append({"name": "backups", "persistentVolumeClaim": {"claimName": "hsc-jit-backups"}})
    reader["spec"]["containers"][0]["volumeMounts"].append({"name": "backups", "mountPath": "/backups"})
    product.create(product.namespaced("pods"), reader)
    path = product.namespaced("pods") + f"/{name}"
    until(lambda: product.get(path)["status"]["phase"] == "Running")
    yield lambda script: product.exec(name, "scratch", ["sh", "-c", script]).stdout.decode()
    product.delete(path, grace_seconds=0)


def test_what_was_backed_up_is_restored_and_what_is_broken_is_not_believed(run_now, backups):
    good, said = run_now("hsc-jit-backup")
    assert good, said
    good, said = run_now("hsc-jit-restore-drill")
    assert good, said
    found = {store: json.loads(text) for store, text in said.items()}
    assert found["postgres"]["products"] == 407
    assert found["redis"]["keys"] > 0

    cut = "cd /backups && head -c 20000 $(ls -t *.dump | head -1) > broken.dump && head -c 100 $(ls -t *.rdb | head -1) > broken.rdb"
    backups(cut)
    try:
        good, said = run_now("hsc-jit-restore-drill")
    finally:
        backups("rm -f /backups/broken.*")
    assert not good
    assert "pg_restore ended with 1" in said["postgres"]
    assert "redis-check-rdb ended with 1" in said["redis"]


def test_without_a_fresh_backup_the_drill_says_so(run_now, backups):
    backups("cd /backups && mkdir -p /tmp/kept && cp -p *.dump *.rdb /tmp/kept && touch -d '2 days ago' *.dump *.rdb")
    try:
        good, said = run_now("hsc-jit-restore-drill")
    finally:
        backups("cp -p /tmp/kept/* /backups/")
    assert not good
    assert "h old; 26 h are allowed" in said["postgres"]


@pytest.mark.parametrize("cron_job", ["hsc-jit-cleanup", "hsc-jit-optimise"])
def test_the_others_succeed(run_now, cron_job):
    good, said = run_now(cron_job)
    assert good, said
