"""A run is killed while it dumps 160 MB: the next one ends what it left in the server, and nobody else's dump."""

import multiprocessing

import pytest
from ansible_collections.hsc.jit.plugins.module_utils import _postgres_backup
from ansible_collections.hsc.jit.plugins.module_utils._target import connect
from stores import PODS, sql
from waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'hsc.jit-backup%'"


@pytest.fixture
def much(product):
    sql(product, "CREATE TABLE test_much AS SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 5000000) n GROUP BY n % 999")
    yield
    sql(product, "DROP TABLE test_much")


def dumping(kubeconfig, path):
    cluster = connect({"kubeconfig": kubeconfig, "namespace": "hsc-jit"})
    _postgres_backup.dump(cluster, PODS["postgres"], "postgres", path)


@pytest.fixture
def backup(kubeconfig, product, much, tmp_path):
    """A process that dumps, once the server is at it."""
    process = multiprocessing.get_context("fork").Process(target=dumping, args=(kubeconfig, tmp_path / "dump"))
    process.start()
    until(lambda: int(sql(product, SESSIONS)) == 2, 30)  # the one that counts, and pg_dump
    return process


def test_what_a_killed_run_left_is_ended(product, backup):
    backup.kill()
    backup.join()
    assert int(sql(product, SESSIONS)) == 2, "the server does not notice by itself"
    left = _postgres_backup.leftovers(product, PODS["postgres"], "postgres")
    assert len(left) == 2
    _postgres_backup.end_sessions(product, PODS["postgres"], "postgres", left)
    until(lambda: int(sql(product, SESSIONS)) == 0, 10)


def test_a_dump_whose_run_lives_is_left_alone(product, backup):
    assert _postgres_backup.leftovers(product, PODS["postgres"], "postgres") == {}
    backup.join(60)
    assert backup.exitcode == 0
