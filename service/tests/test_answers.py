"""The whole way of a question: socket, job, worker, fetched manual, streamed answer; Celery as the runbook uses it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest
import redis
from celery import Celery
from servers import SERVICE, Process, wait_until
from sqlalchemy import text
from stack import Stack, ask, assert_whole, collect, kinds, running_stack
from websockets.sync.client import connect

from app.core import answers, stream, tasks
from app.core.cache import cache_key
from app.core.library import NAMESPACE
from app.core.stream import Job, Streams


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, postgres_port: int) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack"), postgres_port) as running:
        yield running


def test_an_answer_from_a_fetched_manual_and_every_polite_refusal(stack: Stack) -> None:
    with connect(stack.backend.ws_url) as ws:
        messages = ask(ws, "td-17", "How do I do a factory reset?")
        order = [kind for place, kind in enumerate(kinds(messages)) if place == 0 or kinds(messages)[place - 1] != kind]
        assert order == ["status", "answer_chunk", "context", "final_answer"], "old clients get exactly the old order"
        assert 1 <= kinds(messages).count("status") <= 3
        assert "Hold the ENTER button" in messages[-1]["content"]
        assert "(page 3)" in messages[-1]["content"]
        assert messages[-2]["data"]["brand"]["name"] == "Roland"
        assert [item["id"] for item in messages[-2]["data"]["related_items"]] == ["td-27"]
        assert_whole(messages)
        for product_id, words in (
            ("td-27", "can't be read"),
            ("td-02", "can't be read"),
            ("td-50", "no manual for this product"),
            ("nope", "not in our catalogue"),
        ):
            refused = ask(ws, product_id, "reset?")
            assert words in refused[-1]["content"], product_id
            assert refused[-2]["type"] == "context"
            assert refused[-2]["data"]["related_items"] is not None
            assert_whole(refused)
        again = time.monotonic()
        assert "page 3" in ask(ws, "td-17", "factory reset")[-1]["content"]
        assert time.monotonic() - again < 5.0, "a known manual is not waited for"
    assert stack.manuals.asked.count("/td17.pdf") == 1
    with stack.engine.connect() as connection:
        rows = connection.execute(text("SELECT product_id, outcome FROM transcripts ORDER BY id")).all()
        assert ("td-17", "answered") in [tuple(row) for row in rows]
        errors = dict(connection.execute(text("SELECT split_part(url, '/', 4), error FROM documents")).all())
    assert errors == {"td17.pdf": "", "missing.pdf": "http_404", "broken.pdf": "broken"}
    worker, answer = stack.scrape("celery"), stack.scrape("answer")
    assert "documents_indexed_total 1.0" in worker
    assert 'celery_task_succeeded_total{name="app.core.tasks.fetch_manual"} 3.0' in worker
    assert 'pdf_fetch_seconds_count{outcome="http_404"} 1.0' in worker
    assert 'celery_queue_length{queue_name="fetch"} 0.0' in worker
    assert 'answer_generation_seconds_count{outcome="answered"} 2.0' in answer
    assert 'answer_generation_seconds_count{outcome="gave_up"} 0.0' in answer
    assert 'cache_hits_total{layer="l1",namespace="manual"}' in answer or 'cache_hits_total{layer="l2",namespace="manual"}' in answer


def test_inspect_active_works_as_the_runbook_writes_it(stack: Stack) -> None:
    arguments = [sys.executable, "-m", "celery", "-A", "app.core.tasks", "inspect", "active"]
    done = subprocess.run(arguments, env=stack.environment, cwd=SERVICE, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 node online" in done.stdout


def test_maintenance_really_runs(stack: Stack) -> None:
    cache = redis.Redis.from_url(stack.cache.url)
    cache.set("v0:old:1", "x", ex=1000)
    cache.set("v1:immortal:1", "x")
    cache.set("v1:good:1", "x", ex=1000)
    call = [sys.executable, "-m", "celery", "-A", "app.core.tasks", "call"]
    redis.Redis.from_url(stack.state.url).delete("tick:clean_cache", "tick:optimise_indexes")
    with stack.engine.begin() as connection:
        connection.execute(text("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'products_brand_id'::regclass"))
    for name in ("clean_cache", "optimise_indexes"):
        subprocess.run([*call, f"app.core.tasks.{name}"], env=stack.environment, cwd=SERVICE, check=True, capture_output=True, timeout=60)
    wait_until(lambda: 'succeeded_total{name="app.core.tasks.optimise_indexes"} 1.0' in stack.scrape("celery"), "VACUUM task", 30)
    assert [cache.exists(key) for key in ("v0:old:1", "v1:immortal:1", "v1:good:1")] == [0, 0, 1]
    with stack.engine.connect() as connection:
        wait_until(
            lambda: connection.execute(text("SELECT last_vacuum IS NOT NULL FROM pg_stat_user_tables WHERE relname = 'products'")).scalar(),
            "VACUUM seen by PostgreSQL",
        )
        valid = connection.execute(text("SELECT indisvalid FROM pg_index WHERE indexrelid = 'products_brand_id'::regclass"))
        assert valid.scalar(), "an index that PostgreSQL ignored is built again"


def forget_fetches(stack: Stack) -> None:
    """As if no manual had ever been asked for."""
    with stack.engine.begin() as connection:
        connection.execute(text("DELETE FROM documents"))
    redis.Redis.from_url(stack.cache.url).flushdb()
    client = redis.Redis.from_url(stack.state.url)
    client.delete("none", *client.keys("fetch:*"))


def fenced(process: Process) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{process.environment['HSC_METRICS_PORT']}/metrics", timeout=2) as answer:
        found = re.search(r"^fenced_appends_total (\S+)", answer.read().decode(), re.M)
    return float(found.group(1)) if found else 0.0


class Caller:
    """Sends tasks as a beat does, without starting one."""

    def __init__(self, stack: Stack) -> None:
        self.app, self.stack = Celery(broker=stack.state.url, set_as_current=False), stack

    def send(self, name: str, **options: str) -> None:
        self.app.send_task(f"app.core.tasks.{name}", queue="maintenance", **options)

    def outcomes(self, name: str) -> list[str]:
        """What the runs of a task returned, by the worker's log."""
        log = (self.stack.folder / "celery-0.log").read_text()
        return re.findall(rf"Task app\.core\.tasks\.{name}\[[^]]*\] succeeded in [^:]*: '([^']*)'", log)

    def forget_tick(self, name: str) -> None:
        redis.Redis.from_url(self.stack.state.url).delete(f"tick:{name}")


@pytest.mark.parametrize("name", tasks.TICKS)
def test_two_beats_tick_once_and_a_tick_handed_out_again_runs(stack: Stack, name: str) -> None:
    caller = Caller(stack)
    caller.forget_tick(name)
    before = len(caller.outcomes(name))
    for task_id in (f"{name}-beat-1", f"{name}-beat-2", f"{name}-beat-1"):
        caller.send(name, task_id=task_id)
    wait_until(lambda: len(caller.outcomes(name)) == before + 3, "three runs", 20)
    first, second, again = caller.outcomes(name)[before:]
    assert (first.isdecimal(), second, again.isdecimal()) == (True, "skipped", True)


def test_orphaned_jobs_are_buried_once_although_two_beats_say_so(stack: Stack) -> None:
    """One job without a session, one that a worker has had for hours; a third that only waits is none."""
    client, caller, worker = redis.Redis.from_url(stack.state.url, protocol=2), Caller(stack), stack.answerers[0]
    streams = Streams(client)
    stuck, gone, waiting = (Job(session, "e", "c1", "td-17", "reset?") for session in ("stuck", "gone", "waiting"))
    worker.handle.send_signal(signal.SIGSTOP)
    try:
        assert [streams.submit(job) for job in (stuck, gone, waiting)] == ["new"] * 3
        client.hset(stuck.key, mapping={"state": "running", "attempt": 1, "statuses": 1, "since": 1})
        client.delete(stream.session_key("gone"))
        caller.forget_tick("bury_orphans")
        ran = len(caller.outcomes("bury_orphans"))
        for _ in range(2):
            caller.send("bury_orphans")
        wait_until(lambda: len(caller.outcomes("bury_orphans")) == ran + 2, "both ticks", 20)
        assert [job.job for job in streams.open_jobs()] == [waiting]
    finally:
        worker.handle.send_signal(signal.SIGCONT)
    wait_until(lambda: streams.history("waiting", 0).top >= 4 and not client.xlen(stream.JOBS), "the answer to the third", 20)
    said = [json.loads(text) for _, text in streams.history("stuck", 0).messages]
    assert kinds(said) == ["answer_chunk", "context", "final_answer"]
    assert said[-1]["content"] == answers.SORRY
    assert said[1]["data"]["brand"]["name"] == "Roland"
    letters = [json.loads(fields[b"dead"]) for _, fields in client.xrange(stream.DEAD)]
    assert sorted((letter["session"], letter["reason"]) for letter in letters) == [
        ("gone", "the session is gone"),
        ("stuck", "not finished within 540 s"),
    ]
    wait_until(lambda: client.xpending(stream.JOBS, stream.GROUP)["pending"] == 0, "nothing pending", 10)
    assert streams.submit(stuck) == "dup", "done is done"
    assert sorted(caller.outcomes("bury_orphans")[-2:]) == ["2", "skipped"]


def test_popular_manuals_are_warmed_by_the_schedule_and_by_hand(stack: Stack) -> None:
    cache, caller = redis.Redis.from_url(stack.cache.url), Caller(stack)
    key = cache_key(NAMESPACE, f"{stack.environment['HSC_MANUAL_BASE_URL']}/td17.pdf")
    row = "('warm', '%s', '%s', 'q', 'a', 'answered', 1, 1.0, now() - interval '%s days')"
    rows = [row % (f"n{number}", product, days) for number, (product, days) in enumerate([("td-17", 1), ("td-50", 1), ("td-02", 30)])]
    with stack.engine.begin() as connection:
        connection.execute(text("DELETE FROM transcripts"))
        columns = "session, cmd, product_id, question, answer, outcome, attempt, seconds, created_at"
        connection.execute(text(f"INSERT INTO transcripts ({columns}) VALUES {', '.join(rows)}"))
    forget_fetches(stack)
    asked = len(stack.manuals.asked)
    caller.forget_tick("warm_manuals")
    ran = len(caller.outcomes("warm_manuals"))
    for _ in range(2):
        caller.send("warm_manuals")
    wait_until(lambda: json.loads(cache.get(key))["value"]["error"] == "", "the manual in L2", 20)
    wait_until(lambda: len(caller.outcomes("warm_manuals")) == ran + 2, "both ticks", 20)
    assert stack.manuals.asked[asked:] == ["/td17.pdf"], "fetched once, and nothing that is asked for no longer"
    cache.delete(key)
    done = subprocess.run(
        [sys.executable, "-m", "app.cache", "warm"],
        env=stack.environment,
        cwd=SERVICE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "1 in the cache, 0 being fetched\n"), done.stderr
    assert cache.exists(key), "from PostgreSQL, without another fetch"


def test_a_tick_is_good_for_at_most_half_the_time_to_the_next() -> None:
    for name, (when, seconds) in tasks.TICKS.items():
        at = sorted(60 * hour + minute for hour in when.hour for minute in when.minute)
        gaps = [later - earlier for earlier, later in zip(at, [*at[1:], at[0] + 24 * 60], strict=True)]
        assert 2 * seconds <= 60 * min(gaps), name


def test_a_fetch_that_must_come_back_has_not_expired_by_then() -> None:
    """A task that runs longer than the visibility timeout would run twice, one that expires before it would be lost."""
    assert tasks.app.conf.task_time_limit < tasks.VISIBILITY_SECONDS
    assert tasks.VISIBILITY_SECONDS + tasks.RESTORE_SECONDS + tasks.app.conf.task_time_limit < tasks.FETCH_EXPIRES


def test_beat_starts_and_writes_only_to_tmp(stack: Stack) -> None:
    beat = Process(
        ["-m", "celery", "-A", "app.core.tasks", "beat", "-s", str(stack.folder / "schedule"), "--pidfile="],
        stack.environment,
        stack.folder / "beat.log",
    )
    beat.start()
    try:
        beat.wait_until(lambda: "beat: Starting" in beat.log.read_text(), "beat", 30)
    finally:
        beat.stop()


def test_a_manual_is_fetched_while_its_product_is_being_typed(stack: Stack) -> None:
    with connect(stack.backend.ws_url) as ws:
        for content in ("td0", "td07", "td07", "roland td07"):
            ws.send(f'{{"type":"typing","content":"{content}"}}')
            ws.recv(5)
        wait_until(lambda: "/slow.pdf" in stack.manuals.asked, "prefetch", 10)
        time.sleep(4)
        messages = ask(ws, "td-07", "factory reset")
    assert "Fetching the manual…" not in [message.get("msg") for message in messages]
    assert "(page 3)" in messages[-1]["content"]
    assert stack.manuals.asked.count("/slow.pdf") == 1


def test_who_comes_back_to_a_trimmed_history_is_shown_the_last_answer(stack: Stack) -> None:
    """Two windows of one session: one has said that it has everything, the other comes back with less."""
    with connect(f"{stack.backend.ws_url}?proto=1") as ws:
        hello = json.loads(ws.recv(5))
        for number in range(2):
            messages = ask(ws, "td-17", "factory reset", f"c-{number}")
        ws.send(json.dumps({"type": "seen", "seq": messages[-1]["seq"]}))
        client = redis.Redis.from_url(stack.state.url)
        wait_until(lambda: client.xlen(stream.log_key(hello["session"])) == 2, "trimmed to the end of the last answer", 5)
    query = f"proto=1&session={hello['session']}&token={hello['token']}&epoch={hello['epoch']}&offset=1"
    with connect(f"{stack.backend.ws_url}?{query}") as ws:
        again = json.loads(ws.recv(5))
        assert (again["recovered"], again["reason"], again["session"]) == (False, "trimmed", hello["session"])
        assert again["offset"] == messages[-1]["seq"] - 2
        assert [json.loads(ws.recv(5)) for _ in range(2)] == messages[-2:]


def test_a_worker_frozen_mid_answer_wakes_up_fenced(stack: Stack) -> None:
    """It is stopped after its first words and goes on where it was when another has long finished: nobody hears it."""
    forget_fetches(stack)
    with connect(f"{stack.backend.ws_url}?proto=1") as ws:
        session = json.loads(ws.recv(5))["session"]
        zombie = stack.answerers[0]
        before = fenced(zombie)
        ws.send(json.dumps({"type": "query", "product_id": "td-07", "query": "factory reset", "cmd": "z-1"}))
        seen = [json.loads(ws.recv(10))]
        while seen[-1].get("msg") != "Fetching the manual…":
            seen.append(json.loads(ws.recv(10)))
        zombie.handle.send_signal(signal.SIGSTOP)
        stack.start_answerer()
        seen += collect(ws)
        zombie.handle.send_signal(signal.SIGCONT)
        wait_until(lambda: fenced(zombie) > before, "the zombie is fenced", 10)
        with pytest.raises(TimeoutError):
            ws.recv(0.5)
        assert_whole(seen)
        assert {message["attempt"] for message in seen if message["type"] == "final_answer"} == {2}
        said = [
            json.loads(text) for _, text in stream.Streams(redis.Redis.from_url(stack.state.url, protocol=2)).history(session, 0).messages
        ]
        assert said == [message for message in seen if "seq" in message]
        assert_whole(ask(ws, "td-17", "factory reset", "after-1"))
