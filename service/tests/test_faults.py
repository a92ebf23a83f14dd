"""What happens to answers when parts of the product die: nothing is lost, nothing doubled."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from servers import stop
from stack import Stack, ask, assert_whole, collect, kinds, running_stack
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from app.core import stream


@pytest.fixture
def stack(tmp_path: Path, postgres_port: int) -> Iterator[Stack]:
    with running_stack(tmp_path, postgres_port) as running:
        yield running


def test_an_answer_worker_killed_mid_answer_is_taken_over(stack: Stack) -> None:
    """A job taken by a worker that is frozen, then killed: another continues, the client sees one whole answer."""
    with connect(f"{stack.backend.ws_url}?proto=1") as ws:
        assert json.loads(ws.recv(5))["type"] == "hello"
        ask(ws, "td-17", "pads cable", "warm-1")
        first = stack.answerers[0]
        first.handle.send_signal(signal.SIGSTOP)
        stack.start_answerer()
        started = time.monotonic()
        answers = [ask(ws, "td-17", "factory reset", f"kill-{number}") for number in range(12)]
        seconds = time.monotonic() - started
        first.handle.send_signal(signal.SIGCONT)
        assert_whole(ask(ws, "td-17", "factory reset", "after-1"))
    for messages in answers:
        assert messages[0]["type"] == "ack"
        assert_whole(messages)
    assert seconds < 40
    log = redis.Redis.from_url(stack.state.url)
    assert log.xlen(stream.JOBS) == 0
    assert log.xpending(stream.JOBS, stream.GROUP)["pending"] == 0


def test_resume_on_another_pod_replays_what_is_missing(stack: Stack) -> None:
    other = stack.make_backend(stack.environment)
    with connect(f"{stack.backend.ws_url}?proto=1") as ws:
        hello = json.loads(ws.recv(5))
        ws.send(json.dumps({"type": "query", "product_id": "td-17", "query": "factory reset", "cmd": "c-1"}))
        seen = [json.loads(ws.recv(30))]
        while "seq" not in seen[-1]:
            seen.append(json.loads(ws.recv(30)))
    stop(stack.backend.handle, signal.SIGKILL)
    offset = seen[-1]["seq"]
    query = f"proto=1&session={hello['session']}&token={hello['token']}&epoch={hello['epoch']}"
    with connect(f"{other.ws_url}?{query}&offset={offset}") as ws:
        again = json.loads(ws.recv(5))
        assert (again["recovered"], again["reason"], again["session"]) == (True, None, hello["session"])
        rest = collect(ws)
        assert_whole([message for message in seen if "seq" in message] + rest)
        ws.send(json.dumps({"type": "query", "product_id": "td-17", "query": "factory reset", "cmd": "c-1"}))
        assert json.loads(ws.recv(5)) == {"type": "ack", "cmd": "c-1", "dup": True}
    for changed, reason in ((f"{query}&offset=999", "unknown"), (query.replace(hello["token"], "0" * 32) + "&offset=0", "unknown")):
        with connect(f"{other.ws_url}?{changed}") as ws:
            refused = json.loads(ws.recv(5))
            assert (refused["recovered"], refused["reason"]) == (False, reason)
            assert refused["session"] != hello["session"]
            assert_whole(ask(ws, "td-17", "factory reset", "new-1")[1:])
    with connect(f"{other.ws_url}?{query.replace(hello['epoch'], 'other')}&offset=1") as ws:
        assert json.loads(ws.recv(5))["reason"] == "epoch"
    assert 'resume_total{result="recovered"} 1.0' in other.get("/metrics")[2].decode()


@pytest.mark.slow
def test_ten_seconds_without_redis_lose_no_question_and_no_socket(stack: Stack) -> None:
    """The manual takes 3 s; Redis dies in between and comes back on its append-only file."""
    with ExitStack() as sockets:
        clients = [sockets.enter_context(connect(f"{stack.backend.ws_url}?proto=1")) for _ in range(6)]
        for number, ws in enumerate(clients):
            ws.recv(5)
            ws.send(json.dumps({"type": "query", "product_id": "td-07", "query": "factory reset", "cmd": f"c-{number}"}))
        seen = [[json.loads(ws.recv(10))] for ws in clients]
        assert {messages[0]["type"] for messages in seen} == {"ack"}
        while seen[0][-1].get("msg") != "Fetching the manual…":
            seen[0].append(json.loads(clients[0].recv(10)))
        time.sleep(1.1)  # what Redis has not written to disk yet, `everysec` does not promise
        stack.state.kill()
        clients[0].send(json.dumps({"type": "query", "product_id": "td-50", "query": "pads?", "cmd": "c-away"}))
        away = time.monotonic()
        while time.monotonic() - away < 10:
            for ws in clients:
                ws.send(json.dumps({"type": "typing", "content": "td17"}))
            time.sleep(1)
        stack.state.start()
        for ws, messages in zip(clients, seen, strict=True):
            messages.extend(collect(ws))
            assert kinds(messages).count("prediction") == 10, "typing goes on meanwhile"
            assert_whole(messages)
            assert "Hold the ENTER button" in messages[-1]["content"]
        refused = [(message["code"], message["cmd"]) for message in seen[0] if message["type"] == "error"]
        assert refused == [("retry", "c-away")], "what could not be saved is said to be so"
        assert_whole(ask(clients[0], "td-50", "pads?", "c-away", 60))


@pytest.mark.parametrize("heard", [False, True], ids=["only an ack", "an answer before"])
def test_a_redis_that_forgot_everything_is_noticed_and_the_question_asked_again(stack: Stack, heard: bool) -> None:
    """The worst case of a lost volume: an accepted question is gone. The client hears of it, comes back, asks again, and is answered."""
    state = redis.Redis.from_url(stack.state.url)
    with connect(f"{stack.backend.ws_url}?proto=1") as ws:
        hello = json.loads(ws.recv(5))
        offset = ask(ws, "td-17", "pads cable", "before-1")[-1]["seq"] if heard else 0
        stack.answerers[0].handle.send_signal(signal.SIGSTOP)
        ws.send(json.dumps({"type": "query", "product_id": "td-17", "query": "factory reset", "cmd": "c-1"}))
        assert json.loads(ws.recv(5)) == {"type": "ack", "cmd": "c-1", "dup": False}
        time.sleep(1.2)  # the hub has seen the session: it looks once a second
        state.flushall()
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(10)
        assert closed.value.rcvd.code == 1012
    query = f"proto=1&session={hello['session']}&token={hello['token']}&epoch={hello['epoch']}&offset={offset}"
    with connect(f"{stack.backend.ws_url}?{query}") as ws:
        again = json.loads(ws.recv(5))
        assert (again["recovered"], again["reason"]) == ((False, "unknown") if heard else (True, None))
        assert (again["session"] == hello["session"]) is not heard
        stack.answerers[0].handle.send_signal(signal.SIGCONT)
        messages = ask(ws, "td-17", "factory reset", "c-1")
        assert messages[0] == {"type": "ack", "cmd": "c-1", "dup": False}
        assert_whole(messages)
        assert messages[1]["seq"] == 1


def test_pubsub_killed_is_repaired_from_the_stream(stack: Stack) -> None:
    client = redis.Redis.from_url(stack.state.url)
    with connect(f"{stack.backend.ws_url}?proto=1") as ws:
        ws.recv(5)
        ask(ws, "td-17", "pads cable", "warm-1")
        for number in range(10):
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            started = time.monotonic()
            assert_whole([m for m in ask(ws, "td-17", "factory reset", f"k-{number}") if "seq" in m])
            assert time.monotonic() - started < 15


def test_sigterm_of_the_answer_worker_ends_it_cleanly(stack: Stack) -> None:
    stack.answerers[0].handle.send_signal(signal.SIGTERM)
    assert stack.answerers[0].handle.wait(10) == 0
    with connect(stack.backend.ws_url) as ws, pytest.raises((TimeoutError, ConnectionClosed)):
        ask(ws, "td-17", "x", seconds=1.5)
