"""A run is killed while it dumps 160 MB: the next one ends what it left in the server, and nobody else's dump."""

import multiprocessing

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._backup import postgres
from ansible_collections.hsc.jit.plugins.module_utils._backup.backup import Backup
from ansible_collections.hsc.jit.plugins.module_utils._backup.snapshot import Snapshot
from ansible_collections.hsc.jit.plugins.module_utils._kube.kubeconfig import connect
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from stores import DUMPS, PODS, much_in_postgres, sql
from waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture
def much(product):
    with much_in_postgres(product):
        yield


def dumping(kubeconfig, path):
    cluster = connect({"kubeconfig": kubeconfig, "namespace": "hsc-jit"})
    postgres.dump(cluster, PODS["postgres"], "postgres", path)


@pytest.fixture
def backup(kubeconfig, product, much, tmp_path):
    """A process that dumps, once the server is at it."""
    process = multiprocessing.get_context("fork").Process(target=dumping, args=(kubeconfig, tmp_path / "dump"))
    process.start()
    until(lambda: int(sql(product, DUMPS)) == 2, 30)  # the one that counts, and pg_dump
    return process


def test_what_a_killed_run_left_is_ended_before_the_next_dump(product, backup, tmp_path):
    backup.kill()
    backup.join()
    assert int(sql(product, DUMPS)) == 2, "the server does not notice by itself"
    following = Backup(product, Progress(), {})
    following.take(Snapshot("1", "2026-11-27T12:00:00+00:00", "hsc-jit", str(tmp_path)), {"postgres": PODS["postgres"]})
    ended, dumped = following.findings
    assert (ended.id, ended.verdict, dumped.id, dumped.verdict) == ("BK-02", "warn", "BK-02", "pass")
    assert ended.message.startswith("Ended the dump that a killed run had left") and len(ended.evidence["sessions"]) == 2
    until(lambda: int(sql(product, DUMPS)) == 0, 10)


def test_a_dump_whose_run_lives_is_left_alone(product, backup):
    assert postgres.leftovers(product, PODS["postgres"], "postgres") == {}
    backup.join(60)
    assert backup.exitcode == 0
