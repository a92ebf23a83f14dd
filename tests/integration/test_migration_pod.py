"""The pod of a migration is deleted while it works: never two at once, the effect exactly once, and the run says what happened."""

import time
from concurrent.futures import ThreadPoolExecutor

import product_images
import pytest
from ansible_collections.hsc.jit.plugins.module_utils._migration.jobs import Runner, job
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from stores import sql
from waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
# As process 1 of its container, Python is not ended by SIGTERM: the pod works on until it is killed.
REVISION = """
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("INSERT INTO test_effects VALUES (1)")
    op.execute("SELECT pg_sleep(12)")
"""
SLEEPS = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(12)' AND state = 'active'"


@pytest.fixture(scope="module")
def slow_image(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slow")
    source = product_images.source(folder)
    (source / "migrations/versions/0003_slow.py").write_text(REVISION)
    return product_images.build(folder, images_source=str(source))["images"]["service"]


@pytest.fixture
def migration(product, slow_image):
    """The Job that a deployment of that image would run; afterwards schema and Jobs are as before."""
    sql(product, "CREATE TABLE test_effects (n int)")
    workload = product.get(product.namespaced("deployments", "/apis/apps/v1") + "/hsc-jit-answer")
    manifest = job(workload, slow_image, "run", seconds=120)
    yield manifest
    path = f"{product.namespaced('jobs', '/apis/batch/v1')}/{manifest['metadata']['name']}"
    product.delete(path, propagation="Foreground")
    until(lambda: not product.find(path), 60)
    sql(product, "DROP TABLE test_effects; UPDATE alembic_version SET version_num = '0002'")


def deleted_at_work(product, manifest, grace_seconds):
    """(the wait's finding, the most pods that were alive at once) of a Job whose first pod is deleted while it migrates."""
    selector, most = f"job-name={manifest['metadata']['name']}", 0
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(Runner(product, Progress()).run, manifest, 90)
        until(lambda: sql(product, SLEEPS) == "1", 40)
        (pod,) = product.list(product.namespaced("pods"), labelSelector=selector)
        product.delete(f"{product.namespaced('pods')}/{pod['metadata']['name']}", grace_seconds=grace_seconds)
        while not ended.done():
            pods = product.list(product.namespaced("pods"), labelSelector=selector)
            most = max(most, sum(one["status"]["phase"] in ("Pending", "Running") for one in pods))
            time.sleep(0.3)
    return ended.result()[0], most


def test_a_pod_that_has_time_to_end_carries_it_out_once(product, migration):
    finding, most = deleted_at_work(product, migration, 60)
    assert (finding.verdict, most) == ("pass", 1), finding
    assert sql(product, "SELECT count(*) FROM test_effects") == "1"
    assert sql(product, "SELECT version_num FROM alembic_version") == "0003"


def test_a_pod_that_is_killed_leaves_nothing_and_the_next_run_carries_it_out(product, migration):
    finding, most = deleted_at_work(product, migration, 2)
    assert (finding.verdict, most) == ("fail", 1), finding
    assert "deleted" in finding.message, finding
    until(lambda: sql(product, SLEEPS) == "0", 10)
    assert sql(product, "SELECT count(*) FROM test_effects") == "0"
    finding, _ = Runner(product, Progress()).run(migration, 90)
    assert finding.verdict == "pass", finding
    assert sql(product, "SELECT count(*) FROM test_effects") == "1"
