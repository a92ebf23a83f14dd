"""A restore without a cluster: which snapshot, what speaks against it, how Redis' files change places, what stays after a failure."""

import json
import re
import shutil
from contextlib import nullcontext

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._backup import scratch
from ansible_collections.hsc.jit.plugins.module_utils._backup.backup import Backup
from ansible_collections.hsc.jit.plugins.module_utils._backup.snapshot import Artefact, Snapshot, choose, file_sha256, read
from ansible_collections.hsc.jit.plugins.module_utils._errors import BackupError
from ansible_collections.hsc.jit.plugins.module_utils._finding import Finding
from ansible_collections.hsc.jit.plugins.module_utils._kube.client import ExecResult
from ansible_collections.hsc.jit.plugins.module_utils._product import PART_OF
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.module_utils._readiness import waiter
from ansible_collections.hsc.jit.plugins.module_utils._restore import redis
from ansible_collections.hsc.jit.plugins.module_utils._restore import restore as restore_module
from fake_clock import FakeClock
from memory_api import MemoryApiServer


def taken(folder, name, *, proved=True, **more):
    path = folder / name / "redis.rdb"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"REDIS0010")
    proof = {"restored": {"keys.string": 1}, "seconds": 1.0} if proved else {}
    artefact = Artefact("redis", str(path), path.stat().st_size, file_sha256(path), "hsc-jit-redis-0", {"keys.string": 1}, proof)
    snapshot = Snapshot(name, "2026-11-24T12:00:00+00:00", "hsc-jit", str(path.parent), [artefact], **more)
    snapshot.write()
    return snapshot


def test_the_newest_is_a_proved_one_that_no_restore_took(tmp_path):
    taken(tmp_path, "1")
    taken(tmp_path, "2")
    taken(tmp_path, "3", proved=False)
    taken(tmp_path, "4-safety", purpose="safety")
    (tmp_path / "5").mkdir()  # being written
    assert choose(tmp_path, "newest").id == "2"
    assert choose(tmp_path, "4-safety").purpose == "safety"
    with pytest.raises(ValueError, match=r"'\.\./2'.* there: 4-safety, 3, 2, 1"):
        choose(tmp_path, "../2")


def test_a_folder_that_was_moved_is_read_where_it_lies(tmp_path):
    taken(tmp_path / "a", "1")
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert read(tmp_path / "b/1").artefacts[0].path == str(tmp_path / "b/1/redis.rdb")
    (tmp_path / "b/1/snapshot.json").write_text('{"id": "1"}')
    with pytest.raises(ValueError, match=r"snapshot\.json does not describe"):
        read(tmp_path / "b/1")


class Product(MemoryApiServer):
    """Two data writers, each with one pod as long as it has replicas, and Redis. answers: {first words of a command: its result}."""

    def __init__(self, answers=()):
        super().__init__()
        self.controllers.append(Product.scale)
        for words, answer in dict(answers).items():
            self.script(f": {re.escape(words)}", answer)
        self.script("", b"")  # any other command succeeds
        self.add(pod("hsc-jit-redis-0"))
        for name, count in (("hsc-jit-backend", 3), ("hsc-jit-answer", 1)):
            deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"replicas": count}}
            self.scale(self.add(deployment) or deployment)

    def scale(self, obj):
        """A controller: the pod of a Deployment comes and goes."""
        if obj["kind"] == "Deployment":
            name = obj["metadata"]["name"]
            self.objects.pop(("", "pods", "hsc-jit", f"{name}-1"), None)
            if obj["spec"]["replicas"]:
                self.add(pod(f"{name}-1", app=name))

    def ran(self):
        return [" ".join(argv) for _, _, argv in self.commands]


def pod(name, **labels):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": {}, "status": {"phase": "Running"}}


def migration_job():
    metadata = {"name": "hsc-jit-migrate-run-1", "labels": PART_OF}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "status": {"active": 1}}


@pytest.fixture
def restore(tmp_path):
    one = Backup(Product().cluster(), Progress(), {}, clock=FakeClock())
    return restore_module.Restore(one, taken(tmp_path, "1"), {"redis": "hsc-jit-redis-0"}, lambda: "2-safety", 10)


def test_nothing_speaks_against_a_proved_snapshot(restore):
    assert restore_module.obstacles(restore) == []
    assert restore.planned["replicas"] == {"hsc-jit-backend": 3, "hsc-jit-answer": 1}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one.snapshot.artefacts[0].proof.clear(), "never proved"),
        (lambda one: setattr(one.snapshot.artefacts[0], "sha256", "0" * 64), "SHA-256 differs"),
        (lambda one: setattr(one.snapshot, "namespace", "other"), "of namespace other"),
        (lambda one: one.pods.clear(), "no Redis to restore into"),
        (lambda one: one.cluster.pool.add(migration_job()), "hsc-jit-migrate-run-1"),
    ],
)
def test_what_speaks_against_it_is_a_finding(restore, change, said):
    change(restore)
    (finding,) = restore_module.obstacles(restore)
    assert (finding.id, finding.verdict) == ("BK-05", "fail")
    assert said in finding.message


def test_what_writes_is_stopped_and_remembered_and_comes_back(restore):
    restore.writers.stop()
    assert restore.writers.replicas() == {"hsc-jit-backend": 0, "hsc-jit-answer": 0}
    assert restore.state.replicas == {"hsc-jit-backend": 3, "hsc-jit-answer": 1}


def failing(restore, monkeypatch, step):
    """Fails when it has come to ``step``; nothing but the state and the replicas is real."""

    def replace():
        restore.writers.stop()
        restore._keep(step, "2-safety")
        raise BackupError("the disk is full")

    monkeypatch.setattr(restore, "_replace", replace)
    monkeypatch.setattr(
        waiter.Watch, "wait", lambda *given: [Finding("RO-02", "pass", "ready"), Finding("RO-02", "warn", "restarted once")]
    )
    return restore.carry_out()


def test_a_failure_before_anything_was_replaced_brings_the_workloads_back(restore, monkeypatch):
    finding = failing(restore, monkeypatch, "stopping")
    assert finding.message == "Nothing was replaced: the disk is full"
    assert "All workloads are back" in finding.next_step
    assert restore.writers.replicas() == {"hsc-jit-backend": 3, "hsc-jit-answer": 1}
    assert restore_module.read_state(restore.cluster) is None


def test_a_failure_in_between_leaves_them_stopped_and_the_next_run_knows_how_many_there_were(restore, monkeypatch):
    finding = failing(restore, monkeypatch, "replacing")
    assert "-e restore_snapshot=1" in finding.next_step
    assert "-e restore_snapshot=2-safety" in finding.next_step
    assert restore.writers.replicas() == {"hsc-jit-backend": 0, "hsc-jit-answer": 0}
    again = restore_module.Restore(restore.backup, restore.snapshot, restore.pods, lambda: "3-safety", 10)
    assert (again.state.replicas, again.state.safety) == ({"hsc-jit-backend": 3, "hsc-jit-answer": 1}, "2-safety")


def test_after_a_killed_replacement_redis_starts_anew_before_its_settings_are_read(restore, monkeypatch):
    """The killed run may have set appendonly to no: read then, the dump would be laid beside the append-only file, which wins."""
    order = []
    monkeypatch.setattr(redis, "restart", lambda cluster, pod, *given: order.append(f"restart {pod}"))
    monkeypatch.setattr(scratch.Scratch, "server", lambda self, artefact, plain: order.append("scratch") or nullcontext("scratch"))
    restore._keep("replacing", "2-safety")
    again = restore_module.Restore(restore.backup, restore.snapshot, restore.pods, lambda: "3-safety", 10)
    restore.cluster.pool.scripts.insert(0, ("redis-cli --raw CONFIG GET", ExecResult(1, b"", "as far as here")))
    finding = again.carry_out()
    assert "as far as here" in finding.message
    assert order == ["restart hsc-jit-redis-0", "scratch"]


def settings(**changes):
    found = {"dir": "/data", "appendonly": "yes", "appenddirname": "aof", "appendfilename": "a.aof", "dbfilename": "dump.rdb", **changes}
    return {"redis-cli --raw CONFIG GET": ExecResult(0, "\n".join(word for pair in found.items() for word in pair).encode(), "")}


def test_with_an_append_only_file_the_dump_becomes_its_base(tmp_path):
    source = tmp_path / "rdb"
    source.write_bytes(b"REDIS0010")
    api = Product({**settings(), "stat": ExecResult(0, b"9\n", "")})
    found = redis.prepare(api.cluster(), "hsc-jit-redis-0", "redis", source)
    assert "redis-check-aof /data/hsc-restore/a.aof.manifest" in api.ran()
    api.commands.clear()
    redis.swap(api.cluster(), "hsc-jit-redis-0", "redis", found)
    assert api.ran().index("redis-cli CONFIG SET appendonly no") < api.ran().index("mv /data/aof /data/hsc-replaced")
    assert api.ran()[-1] == "mv /data/hsc-restore /data/aof"


def test_without_one_the_dump_is_the_file_that_is_read(tmp_path):
    source = tmp_path / "rdb"
    source.write_bytes(b"REDIS0010")
    api = Product({**settings(appendonly="no"), "stat": ExecResult(0, b"9\n", "")})
    redis.swap(api.cluster(), "hsc-jit-redis-0", "redis", redis.prepare(api.cluster(), "hsc-jit-redis-0", "redis", source))
    assert api.ran()[-1] == "mv /data/hsc-restore/a.aof.1.base.rdb /data/dump.rdb"


def test_an_old_redis_is_refused_before_anything_happens(tmp_path):
    api = Product({"redis-cli --raw CONFIG GET": ExecResult(0, b"dir\n/data\nappendonly\nyes\n", "")})
    with pytest.raises(BackupError, match="Redis 7 or later"):
        redis.prepare(api.cluster(), "hsc-jit-redis-0", "redis", tmp_path / "rdb")
    assert json.dumps(api.ran()).count("rm") == 0
