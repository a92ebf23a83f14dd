"""A deployment is ended at any moment, by a signal or by kill -9: the lease is free in seconds, and the next run finishes what it began.

HSC_KILLS says how many random moments are tried beside those where a phase begins.
"""

import json
import os
import random
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import product_images
import pytest
from ansible_collections.hsc.jit.plugins.module_utils._backup.scratch import SCRATCH
from ansible_collections.hsc.jit.plugins.module_utils._module import Context
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.module_utils._release import drift
from deployment import SHORT_LOAD, Deployment
from playbook import start
from stores import DUMPS, PODS, much_in_postgres, sql
from waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
LEASE = "/apis/coordination.k8s.io/v1/namespaces/default/leases/hsc-jit-deploy"
# What a run says when a phase is at work.
MOMENTS = ["Planning", "Backing up", "hsc-jit-migrate", "Applying", "Deployment hsc-jit-", "Door http", "Load"]
LEVELS = ["DEBUG", "WARNING"]
KILLS = int(os.environ.get("HSC_KILLS", "3"))


@pytest.fixture(scope="module")
def level():
    """Another log level than the last run's, so that each run has something to change."""
    turns = iter(range(1000))
    return lambda: LEVELS[next(turns) % 2]


REVISION = """
import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("documents", sa.Column("test_only", sa.Text))


def downgrade() -> None:
    op.drop_column("documents", "test_only")
"""
# The database itself notes each time that it is brought to a revision.
NOTED = """
CREATE TABLE test_stamps (revision text);
CREATE RULE test_stamps AS ON UPDATE TO alembic_version DO ALSO INSERT INTO test_stamps VALUES (NEW.version_num);
"""
FORGOTTEN = "DROP RULE test_stamps ON alembic_version; DROP TABLE test_stamps;"
TAKEN_BACK = "ALTER TABLE documents DROP COLUMN IF EXISTS test_only; UPDATE alembic_version SET version_num = '0002';"


class Interrupted:
    """One run of deploy.yml that is ended when it says a word, or after a while. how: a signal, or what is done with the process."""

    def __init__(self, kubeconfig, folder, images, level, how, word="", seconds=0.0):
        end = how if callable(how) else lambda process: process.send_signal(how)
        values = {"release_evidence_dir": str(folder), "verify_load": SHORT_LOAD, "release_images": images, "release_log_level": level}
        self.process = start("deploy.yml", kubeconfig=kubeconfig, **values)
        self.lines, began = [], time.monotonic()
        if seconds:
            threading.Timer(seconds, end, [self.process]).start()
        for line in self.process.stdout:
            self.lines.append(line)
            if word and word in line:
                end(self.process)
                word = ""
        self.process.wait()
        self.seconds = time.monotonic() - began
        assert not word, f"it never said {word}: {''.join(self.lines)[-2000:]}"


def free(product):
    found = product.find(LEASE)
    return found is None or not found["spec"].get("holderIdentity")


def finishes(product, kubeconfig, folder, images, level):
    """The next run, with the same settings: good, whole, and nothing migrated twice."""
    began = time.monotonic()
    until(lambda: free(product), 30)
    freed = time.monotonic() - began
    run = Deployment(folder, kubeconfig=kubeconfig, release_images=images, release_log_level=level)
    assert run.returncode == 0, run.output[-4000:]
    (found,) = drift.look(Context({"field_manager": "hsc.jit"}, False, Progress(), product))
    assert found.verdict == "pass", found
    config = product.get(product.namespaced("configmaps/hsc-jit-config"))["data"]
    assert level in config.values()
    migrations = [job for job in product.list(product.namespaced("jobs", "/apis/batch/v1")) if "migrate-run" in job["metadata"]["name"]]
    assert all((job["status"].get("succeeded"), job["status"].get("failed")) == (1, None) for job in migrations), json.dumps(migrations)[
        :2000
    ]
    return freed


@pytest.mark.parametrize("word", MOMENTS)
def test_kill_9_where_a_phase_is_at_work(product, kubeconfig, images, level, tmp_path, seen, word):
    now = level()
    cut = Interrupted(kubeconfig, tmp_path, images, now, signal.SIGKILL, word=word)
    assert cut.process.returncode == -signal.SIGKILL
    freed = finishes(product, kubeconfig, tmp_path, images, now)
    seen(f"kill -9 of the run at: {word}", "lease free", freed, 30, "the next run finished the release")


@pytest.mark.parametrize("number", range(KILLS))
def test_kill_9_at_a_random_moment(product, kubeconfig, images, level, tmp_path, seen, number):
    now, seconds = level(), random.uniform(2, 35)
    Interrupted(kubeconfig, tmp_path, images, now, signal.SIGKILL, seconds=seconds)
    freed = finishes(product, kubeconfig, tmp_path, images, now)
    seen(f"kill -9 of the run after {seconds:.0f} s", "lease free", freed, 30, "the next run finished the release")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_the_next_run_goes_on(product, kubeconfig, images, level, tmp_path, seen, how):
    now = level()
    cut = Interrupted(kubeconfig, tmp_path, images, now, how, word="Applying")
    assert cut.process.returncode != 0
    freed = finishes(product, kubeconfig, tmp_path, images, now)
    seen(f"{how.name} to the run while it applies", "lease free", freed, 30, "the next run finished the release")


def test_a_job_that_is_cancelled_while_it_proves_its_backup(product, kubeconfig, images, level, tmp_path):
    """As AWX does it: SIGTERM, and SIGKILL ten seconds later."""
    now, killers = level(), []

    def cancelled(process):
        process.terminate()
        killers.append(threading.Timer(10, process.kill))
        killers[0].start()

    cut = Interrupted(kubeconfig, tmp_path, images, now, cancelled, word="Restoring PostgreSQL")
    killers[0].cancel()
    assert cut.process.returncode != 0
    finishes(product, kubeconfig, tmp_path, images, now)
    until(lambda: not product.list(product.namespaced("pods"), labelSelector=f"app={SCRATCH}"), 10)


@pytest.fixture(scope="module")
def with_a_migration(product, kubeconfig, images, tmp_path_factory):
    """Images of the product with one migration more; afterwards the release before it is there again, and its schema."""
    folder = tmp_path_factory.mktemp("newer")
    source = product_images.source(folder)
    (source / "migrations/versions/0003_test_only.py").write_text(REVISION)
    newer = {**images, "service": product_images.build(folder, images_source=str(source))["images"]["service"]}
    sql(product, NOTED)
    yield newer
    sql(product, FORGOTTEN + TAKEN_BACK)
    assert Deployment(folder, kubeconfig=kubeconfig, release_images=images, release_log_level="INFO").returncode == 0


@pytest.mark.parametrize("word", ["hsc-jit-migrate", "Applying", "Load"])
def test_a_migration_is_carried_out_once(product, kubeconfig, with_a_migration, level, tmp_path, seen, word):
    sql(product, f"{TAKEN_BACK} DELETE FROM test_stamps;")
    now = level()
    cut = Interrupted(kubeconfig, tmp_path, with_a_migration, now, signal.SIGKILL, word=word)
    assert cut.process.returncode == -signal.SIGKILL
    freed = finishes(product, kubeconfig, tmp_path, with_a_migration, now)
    assert sql(product, "SELECT revision FROM test_stamps") == "0003"
    assert sql(product, "SELECT count(*) FROM information_schema.columns WHERE column_name = 'test_only'") == "1"
    seen(f"kill -9 of a run with a migration at: {word}", "lease free", freed, 30, "the next run finished it; migrated exactly once")


def read_for(product, seconds):
    """50 reads a second of the table that the migration changes: how many there were, and how many took, or began, over a second late."""
    command = f"pgbench -n -h 127.0.0.1 -U hsc -f /dev/stdin -R 50 -c 4 -L 1000 -T {seconds} hsc"
    answer = product.exec(PODS["postgres"], "postgres", ["sh", "-c", command], stdin=b"SELECT count(url) FROM documents;")
    report = answer.stdout.decode()
    done, skipped, above = (int(re.search(words, report)[1]) for words in (r"processed: (\d+)", r"skipped: (\d+)", r"latency limit: (\d+)"))
    return done + skipped, skipped + above


def test_a_killed_runs_dump_holds_up_neither_the_migration_nor_the_readers(product, kubeconfig, with_a_migration, level, tmp_path, seen):
    sql(product, f"{TAKEN_BACK} DELETE FROM test_stamps;")
    now = level()

    def killed_while_it_dumps(process):
        until(lambda: sql(product, DUMPS) == "2", 30)
        process.kill()

    with much_in_postgres(product), ThreadPoolExecutor(1) as pool:
        Interrupted(kubeconfig, tmp_path, with_a_migration, now, killed_while_it_dumps, word="Backing up PostgreSQL")
        reads = pool.submit(read_for, product, 120)
        freed = finishes(product, kubeconfig, tmp_path, with_a_migration, now)
        assert not reads.done(), "the readers had ended before the release was there"
        number, late = reads.result()
    assert sql(product, "SELECT revision FROM test_stamps") == "0003"
    assert number > 5000 and late <= 0.05 * number, f"{late} of {number} reads were late"
    reported = f"lease free; {late} of {number} reads above 1 s"
    seen("kill -9 of a run with a migration while it dumps 160 MB", reported, freed, 30, "the next run finished it; migrated exactly once")
