"""Restores into the deployed product: what was lost is back, the workloads too; refused, killed and failed restores leave a clear state."""

import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._restore import restore, writers
from playbook import ROOT, command, environment, play
from stores import redis, sql

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture
def data(product):
    """A table and keys of the test's own."""
    sql(
        product,
        "DROP TABLE IF EXISTS test_restore; CREATE TABLE test_restore (n int); INSERT INTO test_restore SELECT generate_series(1, 100)",
    )
    redis(product, "EVAL", "for n = 1, 100 do redis.call('SET', 'test:restore:' .. n, n) end", "0")
    yield
    sql(product, "DROP TABLE IF EXISTS test_restore")
    redis(product, "EVAL", "for _, k in ipairs(redis.call('KEYS', 'test:restore:*')) do redis.call('DEL', k) end", "0")


def lose(product):
    sql(product, "DELETE FROM test_restore WHERE n > 10; INSERT INTO test_restore VALUES (-1)")
    redis(product, "EVAL", "for n = 11, 100 do redis.call('DEL', 'test:restore:' .. n) end redis.call('SET', 'test:restore:new', 1)", "0")


def seen(product):
    return sql(product, "SELECT count(*), min(n), max(n) FROM test_restore"), redis(
        product, "EVAL", "return #redis.call('KEYS', 'test:restore:*')", "0"
    )


WHOLE, LOST = ("100|1|100", "100"), ("11|-1|10", "11")


def settings(folder, **more):
    return {
        "backup_directory": f"{folder}/snapshots",
        "restore_directory": f"{folder}/snapshots",
        "release_evidence_dir": str(folder),
        **more,
    }


def run(name, folder, *flags, **more):
    done = play(f"playbooks/{name}.yml", *flags, **settings(folder, **more))
    return done.returncode, done.stdout


def workloads(product):
    """{name: (replicas wanted, ready)}, and that the restore owns no field of them any more."""
    found = {}
    for name in writers.WRITERS:
        one = product.get(product.namespaced("deployments", "/apis/apps/v1") + f"/{name}")
        assert "hsc.jit-restore" not in {entry["manager"] for entry in one["metadata"]["managedFields"]}
        found[name] = one["spec"]["replicas"], one["status"].get("readyReplicas", 0)
    return found


def test_what_was_lost_is_back_and_nothing_happens_without_the_typed_name(product, data, tmp_path):
    code, said = run("backup", tmp_path)
    assert code == 0, said[-3000:]
    lose(product)
    before = workloads(product)

    for more in ([], ["-e", "confirm=production"]):
        code, said = run("restore", tmp_path, *more)
        assert code != 0
        assert "-e confirm=local" in said, said[-2000:]
    code, said = run("restore", tmp_path, "--check")
    assert code == 0, said[-3000:]
    assert "changed=1" in said
    assert seen(product) == LOST
    assert workloads(product) == before

    code, said = run("restore", tmp_path, "-e", "confirm=local")
    assert code == 0, said[-4000:]
    assert seen(product) == WHOLE
    assert restore.read_state(product) is None
    assert {name: wanted for name, (wanted, _) in workloads(product).items()} == {name: wanted for name, (wanted, _) in before.items()}
    with urllib.request.urlopen("http://127.0.0.1:8000/ready", timeout=10) as answer:
        assert answer.status == 200
    assert redis(product, "CONFIG", "GET", "appendonly").split() == ["appendonly", "yes"]

    (safety,) = (path.name for path in (tmp_path / "snapshots").glob("*-safety"))
    code, said = run("restore", tmp_path, "-e", "confirm=local", "-e", f"restore_snapshot={safety}", restore_wait_seconds=200)
    assert code == 0, said[-4000:]
    assert seen(product) == LOST, "the safety backup holds what was there before"


@pytest.mark.parametrize("step", ["stopping", "replacing"])
def test_a_restore_that_was_killed_is_finished_by_the_next(product, data, tmp_path, step):
    code, said = run("backup", tmp_path)
    assert code == 0, said[-3000:]
    lose(product)
    before = workloads(product)
    line = command("playbooks/restore.yml", "-e", "confirm=local", **settings(tmp_path))
    process = subprocess.Popen(line, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        for _ in range(2400):
            state = restore.read_state(product)
            if state and state.step == step:
                break
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.05)
        else:
            pytest.fail(f"no step {step}")
    finally:
        kill_tree(process.pid)
        process.wait()
    assert restore.read_state(product).replicas == {name: wanted for name, (wanted, _) in before.items()}
    code, said = run("restore", tmp_path, "-e", "confirm=local")
    assert code == 0, said[-4000:]
    assert seen(product) == WHOLE
    assert {name: wanted for name, (wanted, _) in workloads(product).items()} == {name: wanted for name, (wanted, _) in before.items()}
    assert restore.read_state(product) is None


def kill_tree(pid):
    """Everything at once, as when the machine dies: Ansible's workers have sessions of their own."""
    os.kill(pid, signal.SIGSTOP)  # so that it starts nothing while its children are looked up
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for child in children:
        kill_tree(int(child))
    os.kill(pid, signal.SIGKILL)


def test_a_file_that_is_not_the_one_that_was_written_is_refused_and_nothing_stops(product, data, tmp_path):
    code, said = run("backup", tmp_path)
    assert code == 0, said[-3000:]
    before = workloads(product)
    (dump,) = (tmp_path / "snapshots").glob("*/postgres.dump")
    content = bytearray(dump.read_bytes())
    content[len(content) // 2] ^= 0xFF
    dump.write_bytes(content)
    lose(product)
    code, said = run("restore", tmp_path, "-e", "confirm=local")
    assert code != 0
    assert "SHA-256 differs" in said
    assert seen(product) == LOST
    assert workloads(product) == before
