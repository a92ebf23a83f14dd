"""A backup without a cluster: what is counted in PostgreSQL, and steps that fail become findings."""

import base64

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._backup import backup as backup_module
from ansible_collections.hsc.jit.plugins.module_utils._backup import postgres, redis
from ansible_collections.hsc.jit.plugins.module_utils._backup.snapshot import Snapshot
from ansible_collections.hsc.jit.plugins.module_utils._errors import BackupError
from ansible_collections.hsc.jit.plugins.module_utils._kube.client import ExecResult
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from memory_api import MemoryApiServer

CENSUS = "public.products\t340\t57542282501167764954698\npublic.empty\t0\t0\nrelations.i\t7\nrevision\t0005\n"
FACTS = {
    "rows.public.products": 340,
    "sum.public.products": "57542282501167764954698",
    "rows.public.empty": 0,
    "sum.public.empty": "0",
    "relations.i": 7,
    "revision": "0005",
}


class Pods:
    """Answers commands by their first words; writes ``sent`` where a command's output goes to a file."""

    def __init__(self, answers, sent=b""):
        self.answers, self.sent = answers, sent

    def exec(self, pod, container, argv, *, stdin=b"", stdout=None, timeout_seconds=600.0):
        if stdout:
            stdout.write_bytes(self.sent)
        answer = next(answer for words, answer in self.answers.items() if " ".join(argv).startswith(words))
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_the_census_is_read_and_other_lines_are_left_alone():
    assert postgres.parse_census(f"WARNING: a\tb\n{CENSUS}pg_dump ended with 0\n") == FACTS


def test_postgresql_is_counted_at_the_moment_of_the_dump(tmp_path):
    pods = Pods({"psql": ExecResult(0, b"", f"{CENSUS}pg_dump ended with 0\n")}, b"PGDMP and more")
    before, after = postgres.dump(pods, "pod", "postgres", tmp_path / "dump")
    assert before == after == FACTS


@pytest.mark.parametrize(
    ("result", "sent", "said"),
    [
        (ExecResult(0, b"", f"{CENSUS}pg_dump: error: no space\npg_dump ended with 1\n"), b"PGDMP", "pg_dump ended with 1: pg_dump: error"),
        (ExecResult(0, b"", CENSUS), b"PGDMP", "pg_dump ended with nothing"),
        (ExecResult(3, b"", "ERROR: no such table"), b"", "no such table"),
        (ExecResult(0, b"", f"{CENSUS}pg_dump ended with 0\n"), b"", "not a dump"),
    ],
)
def test_a_dump_that_is_none_is_refused(tmp_path, result, sent, said):
    with pytest.raises(BackupError, match=said):
        postgres.dump(Pods({"psql": result}, sent), "pod", "postgres", tmp_path / "dump")


def test_a_killed_runs_dump_that_cannot_be_ended_is_told():
    sessions = ExecResult(0, f"71\thsc.jit-backup\t{postgres.DUMP_SECONDS + 1}\n".encode(), "")
    psql = " ".join([*postgres.PSQL, "-h 127.0.0.1 -U hsc -d hsc --command"])
    pods = Pods({f"{psql} SELECT": ExecResult(1, b"", "ERROR: must be a superuser"), psql: sessions})
    backup = backup_module.Backup(pods, Progress(), {})
    backup._end_leftovers("hsc-jit-postgres-0")
    (finding,) = backup.findings
    assert (finding.id, finding.verdict) == ("BK-02", "warn")
    assert "could not be ended" in finding.message and "must be a superuser" in finding.message
    assert "SELECT pg_terminate_backend(71)" in finding.next_step


REDIS = {
    "redis-cli SET": ExecResult(0, b"OK\n", ""),
    "redis-cli INFO keyspace": ExecResult(0, b"# Keyspace\r\ndb0:keys=3,expires=0\r\ndb3:keys=1,expires=0\r\n", ""),
    "redis-cli -n 0 --raw EVAL": ExecResult(0, b"0\nkeys.string\n3\nsample\n\ngroups\n" + b"a" * 80 + b"\n", ""),
    "redis-cli -n 3 --raw EVAL": ExecResult(0, b"0\nkeys.hash\n1\nsample\n\n", ""),
    "redis-cli FUNCTION": ExecResult(0, b"\n", ""),
    "redis-cli GET": ExecResult(0, b"word\n", ""),
    "redis-cli COMMAND": ExecResult(0, b"set\ndel\n", ""),
    "redis-cli INFO": ExecResult(0, b"cmdstat_set:calls=4,usec=1\r\nexpired_keys:0\r\nevicted_keys:0\r\n", ""),
}


@pytest.mark.parametrize(("tail", "whole"), [(b"", True), (b"e" * 40, True), (b"e" * 39, False)])
def test_a_redis_dump_is_what_was_transferred_without_the_mark_at_its_end(tmp_path, tail, whole):
    said = ExecResult(0, b"", "Transfer finished with success after 10 bytes\n")
    pods = Pods({**REDIS, "redis-cli --rdb": said}, b"REDIS00101" + tail)
    if not whole:
        with pytest.raises(BackupError, match="sent 49 bytes"):
            redis.dump(pods, "pod", "redis", tmp_path / "rdb")
        return
    facts, _ = redis.dump(pods, "pod", "redis", tmp_path / "rdb")
    assert (tmp_path / "rdb").read_bytes() == b"REDIS00101"
    assert (facts["keys.string"], facts["db3.keys.hash"], len(facts["groups"])) == (3, 1, 64)
    assert "sample" not in facts and facts["functions"] == ""


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("redis://hsc-jit-redis:6379/0", False),
        ("redis://:secret@hsc-jit-redis.hsc-jit.svc.cluster.local:6379/1\n", False),
        ("", False),
        ("rediss://:hunter2@bought-redis.example.com:6380/0", True),
        ("redis://hsc-jit-redis.other:6379/0", True),
    ],
)
def test_a_redis_that_is_not_ours_is_never_backed_up_as_ours(url, refused):
    data = {"redis-url": base64.b64encode(url.encode()).decode()}
    server = MemoryApiServer({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hsc-secrets"}, "data": data})
    backup = backup_module.Backup(server.cluster(), Progress(), {})
    if not refused:
        assert backup.stores() == {}
        return
    with pytest.raises(BackupError, match="which is not backed up here") as caught:
        backup.stores()
    assert "hunter2" not in str(caught.value) and caught.value.next_step


@pytest.mark.parametrize("error", [TimeoutError("redis-cli: no answer in time"), OSError(28, "No space left on device")])
def test_a_command_that_does_not_end_or_a_full_disk_is_a_finding(tmp_path, error):
    pods = Pods({"redis-cli": error, "psql": ExecResult(0, b"", f"{CENSUS}pg_dump ended with 0\n")}, b"PGDMP")
    backup = backup_module.Backup(pods, Progress(), {})
    snapshot = Snapshot("1", "2026-11-24T12:00:00+00:00", "hsc-jit", str(tmp_path))
    backup.take(snapshot, {"redis": "hsc-jit-redis-0", "postgres": "hsc-jit-postgres-0"})
    verdicts = {finding.id: finding.verdict for finding in backup.findings}
    assert verdicts == {"BK-01": "fail", "BK-02": "pass"}
    assert str(error) in backup.findings[0].message


@pytest.mark.parametrize(
    ("answer", "verdict", "said"),
    [
        (ExecResult(0, b"appendonly\nno\nsave\n\n\n", ""), "pass", "nothing to back up"),
        (ExecResult(0, b"save\n900 1\nappendonly\nno\n\n", ""), "warn", "900 1"),
        (ExecResult(0, b"appendonly\nyes\nsave\n\n\n", ""), "warn", "nobody backs it up"),
        (TimeoutError("no answer in time"), "warn", "no answer in time"),
    ],
)
def test_the_cache_has_nothing_to_back_up_and_that_is_looked_at(answer, verdict, said):
    pods = Pods({"redis-cli --raw CONFIG": answer})
    pods.namespaced = lambda plural: plural
    pods.list = lambda path, **query: [{"metadata": {"name": "hsc-jit-redis-cache-1"}}]
    backup = backup_module.Backup(pods, Progress(), {})
    backup.look_at_cache()
    (finding,) = backup.findings
    assert (finding.id, finding.verdict) == ("BK-01", verdict)
    assert said in finding.message
