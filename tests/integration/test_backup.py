"""Backups of the deployed product, proved; and every way in which a backup can be worthless, refused.

A corruption gets fresh size and hash where a bad medium would not change what is compared first: the restore itself must see it.
"""

import base64
import json
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._backup import backup as backup_module
from ansible_collections.hsc.jit.plugins.module_utils._backup import pod_files, scratch
from ansible_collections.hsc.jit.plugins.module_utils._backup import redis as backup_redis
from ansible_collections.hsc.jit.plugins.module_utils._backup import snapshot as backup_snapshot
from ansible_collections.hsc.jit.plugins.module_utils._backup.encryption import Seal
from ansible_collections.hsc.jit.plugins.module_utils._backup.snapshot import Artefact, Snapshot
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from cron_jobs import backups_pod, run_now
from playbook import play
from pyrage import x25519
from stores import PODS, redis
from waiting import until

ROOT = Path(__file__).parents[2]
EMPTY_RDB = b"REDIS0010\xff" + bytes(8)  # Redis 7.0 writes version 10
pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def keys(product):
    """Keys of every type in Redis, some that expire, so that there is something to lose."""
    script = """
    for n = 1, 500 do redis.call('SET', 'test:backup:s' .. n, string.rep('x', n)) end
    redis.call('RPUSH', 'test:backup:l', 1, 2, 3) redis.call('SADD', 'test:backup:set', 1, 2) redis.call('ZADD', 'test:backup:z', 1, 'a')
    redis.call('HSET', 'test:backup:h', 'a', 1) redis.call('XADD', 'test:backup:x', '*', 'a', 1)
    redis.call('SET', 'test:backup:ttl', 1, 'EX', 3600)"""
    redis(product, "EVAL", script, "0")
    yield
    redis(product, "EVAL", "for _, k in ipairs(redis.call('KEYS', 'test:backup:*')) do redis.call('DEL', k) end", "0")


@pytest.fixture(scope="module")
def taken(product, images, keys, tmp_path_factory):
    """One proved Snapshot that the corruptions are made from."""
    snapshot, backup = take(product, images, tmp_path_factory.mktemp("snapshot"), PODS)
    assert [finding.verdict for finding in backup.findings] == ["pass"] * 3, backup.findings
    return snapshot


def take(product, images, folder, pods):
    backup = backup_module.Backup(product, Progress(), images)
    snapshot = Snapshot("test", "2026-11-24T12:00:00+00:00", "hsc-jit", str(folder))
    backup.take(snapshot, pods)
    backup.prove(snapshot)
    return snapshot, backup


def test_a_backup_is_proved_by_what_is_in_it(taken):
    assert taken.proved
    facts = {artefact.kind: artefact.proof["restored"] for artefact in taken.artefacts}
    assert facts["redis"]["keys.string"] >= 500
    assert {"keys.list", "keys.set", "keys.zset", "keys.hash", "keys.stream", "expiring"} <= facts["redis"].keys()
    assert facts["postgres"]["revision"]
    assert sum(count for name, count in facts["postgres"].items() if name.startswith("rows.")) > 500
    assert {stat.S_IMODE(Path(artefact.path).stat().st_mode) for artefact in taken.artefacts} == {0o600}


def half(content):
    return content[: len(content) // 2]


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("redis", half, "redis-check-rdb"),
        ("redis", flipped, "redis-check-rdb"),
        ("redis", lambda content: EMPTY_RDB, "elements.string: 0 restored"),
        ("redis", lambda content: b"", "0 bytes"),
        ("redis", lambda content: b"-ERR unknown command\r\n", "redis-check-rdb"),
        ("postgres", half, "pg_restore"),
        ("postgres", flipped, "pg_restore"),
        ("postgres", lambda content: b"", "0 bytes"),
        ("postgres", lambda content: b"CREATE TABLE brands (id text);\n", "pg_restore"),
    ],
)
def test_a_corrupt_file_does_not_restore(product, images, taken, tmp_path, kind, change, said):
    broken = copy(artefact(taken, kind), tmp_path)
    Path(broken.path).write_bytes(change(Path(broken.path).read_bytes()))
    refused(product, images, tmp_path, rehashed(broken), said)


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_a_file_that_was_exchanged_or_lost_is_not_restored(product, images, taken, tmp_path, kind):
    other = copy(artefact(taken, kind), tmp_path)
    Path(other.path).write_bytes(flipped(Path(other.path).read_bytes()))
    refused(product, images, tmp_path, other, "SHA-256 differs")
    Path(other.path).unlink()
    refused(product, images, tmp_path, other, "is gone")


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--schema-only", "rows.public"),
        ("--exclude-table=products", "rows.public.products: 0 restored"),
        ("--exclude-table-data=products", "rows.public.products: 0 restored"),
    ],
)
def test_a_dump_without_the_rows_is_refused(product, images, taken, tmp_path, flag, said):
    partial = copy(artefact(taken, "postgres"), tmp_path)
    command = ["pg_dump", "-h", "127.0.0.1", "-U", "hsc", "-d", "hsc", "--format=custom", "--no-owner", flag]
    pod_files.checked(product.exec(PODS["postgres"], "postgres", command, stdout=Path(partial.path)), "pg_dump")
    refused(product, images, tmp_path, rehashed(partial), said)


def test_a_changed_row_and_another_revision_are_seen(product, images, taken, tmp_path):
    older = copy(artefact(taken, "postgres"), tmp_path)
    table = next(name for name in older.facts if name.startswith("sum.") and older.facts[name] != "0")
    refused(product, images, tmp_path, change_facts(older, {table: "1"}), table)
    refused(product, images, tmp_path, change_facts(older, {"revision": "9999"}), "9999 is in the source")


def test_an_older_dump_than_the_source_is_refused(product, images, taken, tmp_path):
    older = copy(artefact(taken, "redis"), tmp_path)
    now = {**older.facts, "keys.string": older.facts["keys.string"] + 200}
    refused(product, images, tmp_path, change_facts(older, now), "keys.string")


def test_a_dump_restored_under_an_append_only_file_is_nothing(product, images, taken, tmp_path, monkeypatch):
    """The classic: dump.rdb is put beside an empty append-only file, Redis starts, PING says PONG, and every key is gone."""
    whole = backup_redis.restore
    monkeypatch.setattr(backup_redis, "restore", lambda *given: whole(*given, append_only=True))
    refused(product, images, tmp_path, copy(artefact(taken, "redis"), tmp_path), "elements.string: 0 restored")


def test_a_proof_that_cannot_be_made_is_no_proof(product, images, taken, tmp_path):
    gone = {**images, "redis": images["redis"].partition("@")[0] + "@sha256:" + "0" * 64}
    refused(product, gone, tmp_path, copy(artefact(taken, "redis"), tmp_path), "Redis:")


def test_a_product_in_use_is_not_refused(product, images, keys, kubeconfig, tmp_path):
    """Keys come and go while the backup runs: that is life, not corruption."""
    writer = """
    for round in 1 2 3 4 5 6; do
      for n in $(seq 1 3000); do echo SET test:backup:busy$n $n; echo DEL test:backup:busy$((n - 50)); done | redis-cli > /tmp/busy
      sleep 0.2
    done"""
    kubectl = str(Path(kubeconfig).parent / "bin/kubectl")
    command = [kubectl, f"--kubeconfig={kubeconfig}", "-n", "hsc-jit", "exec", PODS["redis"], "-c", "redis", "--", "sh", "-c", writer]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        snapshot, backup = take(product, images, tmp_path, {"redis": PODS["redis"]})
    finally:
        process.wait(timeout=120)
    assert snapshot.proved, backup.findings


def test_a_database_in_use_is_counted_to_the_row_at_the_dumps_own_moment(product, images, tmp_path):
    """Rows come, change and go all the time; what was counted and what was dumped are one moment, so nothing may differ at all."""
    work = """
    DO $$ BEGIN FOR n IN 1..60000 LOOP
      INSERT INTO test_backup_busy (word) SELECT md5(random()::text) FROM generate_series(1, 5);
      UPDATE test_backup_busy SET word = 'x' || n WHERE id % 97 = n % 97; DELETE FROM test_backup_busy WHERE id <= n;
      COMMIT; PERFORM pg_sleep(0.002);
    END LOOP; END $$;"""
    psql = ["psql", "-h", "127.0.0.1", "-U", "hsc", "-d", "hsc", "--quiet", "--file=-"]
    table = b"CREATE TABLE test_backup_busy (id serial PRIMARY KEY, word text);"
    pod_files.checked(product.exec(PODS["postgres"], "postgres", psql, stdin=table), "psql")
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(product.exec, PODS["postgres"], "postgres", psql, stdin=work.encode())
        try:
            seen = [take(product, images, tmp_path, {"postgres": PODS["postgres"]}) for _ in range(2)]
            assert not busy.done(), "the writer was done too early to disturb"
        finally:
            stop = (
                b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%test_backup_busy%' AND pid <> pg_backend_pid();"
            )
            product.exec(PODS["postgres"], "postgres", psql, stdin=stop)
            busy.result(timeout=60)
            product.exec(PODS["postgres"], "postgres", psql, stdin=b"DROP TABLE test_backup_busy;")
    for snapshot, backup in seen:
        (artefact,) = snapshot.artefacts
        assert artefact.facts == artefact.proof["restored"], backup.findings
    first, second = (snapshot.artefacts[0].facts["sum.public.test_backup_busy"] for snapshot, _ in seen)
    assert first != second, "the table did not change meanwhile"


@pytest.fixture
def nightly(product, images, tmp_path):
    """What the CronJob writes, run now: {kind: file}."""
    found = {kind: tmp_path / f"{kind}.{suffix}" for kind, suffix in (("redis", "rdb"), ("postgres", "dump"))}
    with run_now(product, "hsc-jit-backup") as job, backups_pod(product, images["redis"]) as pod:
        assert job.good, job.said
        for path in found.values():
            written = f"/backups/{job.pod}{path.suffix}"
            pod_files.checked(product.exec(pod, "scratch", ["cat", written], stdout=path), "cat")
            product.exec(pod, "scratch", ["rm", written])
        yield found


@pytest.fixture
def before(product, keys):
    return {kind: scratch.STORES[kind].facts(product, pod, kind) for kind, pod in PODS.items()}


@pytest.mark.slow
def test_what_the_nightly_backup_writes_restores_as_well(product, images, before, nightly, tmp_path):
    backup = backup_module.Backup(product, Progress(), images)
    snapshot = Snapshot("test", "2026-11-24T12:00:00+00:00", "hsc-jit", str(tmp_path))
    for kind, path in nightly.items():
        backup.after[kind] = scratch.STORES[kind].facts(product, PODS[kind], kind)
        size, digest = path.stat().st_size, backup_snapshot.file_sha256(path)
        snapshot.artefacts.append(Artefact(kind, str(path), size, digest, PODS[kind], before[kind]))
    backup.prove(snapshot)
    assert snapshot.proved, backup.findings


def test_an_encrypted_backup_is_proved_from_the_file_and_nothing_plain_stays(product, images, keys, tmp_path):
    identity = x25519.Identity.generate()
    backup = backup_module.Backup(product, Progress(), images, seal=Seal([str(identity.to_public())]))
    snapshot = Snapshot("test", "2026-11-24T12:00:00+00:00", "hsc-jit", str(tmp_path / "encrypted"))
    backup.whole(snapshot, PODS)
    assert snapshot.proved, backup.findings
    assert sorted(path.name for path in (tmp_path / "encrypted").iterdir()) == ["postgres.dump.age", "redis.rdb.age", "snapshot.json"]
    assert all(path.read_bytes().startswith(b"age-encryption.org/v1") for path in (tmp_path / "encrypted").glob("*.age"))


@pytest.mark.slow
def test_the_playbook_keeps_the_newest_and_shows_no_password(product, images, tmp_path):
    directory = tmp_path / "snapshots"
    settings = {"backup_directory": str(directory), "backup_keep_count": 2, "backup_images": images, "release_evidence_dir": str(tmp_path)}
    secret = product.get(product.namespaced("secrets") + "/hsc-jit-generated")["data"]
    words = [base64.b64decode(value).decode() for value in secret.values()]
    for _ in range(3):
        done = play("playbooks/backup.yml", "-vvv", **settings)
        assert done.returncode == 0, done.stdout[-3000:]
        assert not [word for word in words if len(word) > 7 and word in done.stdout]
    kept = sorted(directory.iterdir())
    assert len(kept) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o700}
    assert all(json.loads((path / "snapshot.json").read_text())["proved"] for path in kept)


def artefact(snapshot, kind):
    return next(one for one in snapshot.artefacts if one.kind == kind)


def copy(one, folder):
    path = folder / Path(one.path).name
    path.write_bytes(Path(one.path).read_bytes())
    return Artefact(one.kind, str(path), one.size_bytes, one.sha256, one.source, dict(one.facts))


def rehashed(one):
    path = Path(one.path)
    return Artefact(one.kind, one.path, path.stat().st_size, backup_snapshot.file_sha256(path), one.source, one.facts)


def change_facts(one, changes):
    return Artefact(one.kind, one.path, one.size_bytes, one.sha256, one.source, {**one.facts, **changes})


def refused(product, images, folder, broken, *said):
    backup = backup_module.Backup(product, Progress(), images)
    snapshot = Snapshot("test", "2026-11-24T12:00:00+00:00", "hsc-jit", str(folder), [broken])
    backup.prove(snapshot)
    assert not snapshot.proved
    finding = backup.findings[-1]
    assert (finding.id, finding.verdict) == ("BK-03", "fail")
    assert any(word in finding.message for word in said), finding.message
    until(lambda: product.find(product.namespaced("pods") + f"/{scratch.SCRATCH}-{broken.kind}") is None, 10)
