"""Peers that do not read, do not answer, or stay for ever: on a real gunicorn, with each kind of worker."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
import redis
from peer import PING, TEXT, frame, handshake, private_bytes, worker_pid
from servers import Backend, RedisServer, backends, free_port, service_environment, wait_until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from app.core import stream
from app.core.stream import Streams, Taken

MEGABYTE = 1024 * 1024
Make = Callable[[dict[str, str]], Backend]


@pytest.fixture(scope="module", params=["gevent", pytest.param("gthread", marks=pytest.mark.slow)])
def worker(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(free_port(), tmp_path_factory.mktemp("redis"), ["--appendonly", "yes"])
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    made: list[Backend] = []

    def make_and_note(environment: dict[str, str]) -> Backend:
        made.append(make(environment))
        return made[-1]

    with backends(tmp_path_factory.mktemp("backends")) as make:
        yield make_and_note
        for backend in made:  # all at once: each takes its time to say goodbye
            backend.handle.terminate()


@pytest.fixture(scope="module")
def patient(start: Make, catalogue_database: str, state: RedisServer, worker: str) -> Backend:
    """A backend with the settings of every day."""
    return start(service_environment(catalogue_database, state.url, HSC_WORKER=worker))


@pytest.fixture(scope="module")
def hasty(start: Make, catalogue_database: str, state: RedisServer, worker: str) -> Backend:
    """One that gives a peer up after 1.2 s."""
    return start(service_environment(catalogue_database, state.url, HSC_WORKER=worker, HSC_PING_SECONDS="0.5"))


def typing(text: str) -> bytes:
    return json.dumps({"type": "typing", "content": text}).encode()


def metric(backend: Backend, name: str) -> float:
    values = [line.rpartition(" ")[2] for line in backend.get("/metrics")[2].decode().splitlines() if line.startswith(f"{name} ")]
    return float(values[0]) if values else 0.0


FLOODS = {
    "typing": frame(TEXT, typing("roland")) * 50,
    "bad messages": frame(TEXT, b"{") * 500,
    "pings": frame(PING, b"x" * 125) * 100,
    "empty fragments": frame(0, fin=False) * 1000,
    "questions": frame(TEXT, b'{"type":"query","product_id":"p","query":"q"}') * 50,
}


def flood(raw: socket.socket, block: bytes, seconds: float) -> tuple[int, bool]:
    """Send without reading; the bytes that went, and whether the server cut us off."""
    raw.settimeout(0.2)
    sent, place, until = 0, 0, time.monotonic() + seconds
    while time.monotonic() < until and sent < 200 * MEGABYTE:
        try:
            count = raw.send(block[place:])
        except TimeoutError:
            continue
        except OSError:
            return sent, True
        sent, place = sent + count, (place + count) % len(block)
    return sent, False


@pytest.mark.parametrize("kind", FLOODS)
def test_a_peer_that_does_not_read_does_not_grow_the_process(patient: Backend, kind: str) -> None:
    pid = worker_pid(patient.handle.pid)
    with connect(patient.ws_url) as other, closing(handshake(patient.port)) as raw:
        other.send(typing("td17").decode())
        other.recv(5)
        before = private_bytes(pid)
        if kind == "empty fragments":
            raw.sendall(frame(TEXT, b'"', fin=False))
        flood(raw, FLOODS[kind], 1.5)
        other.send(typing("td1").decode())
        assert json.loads(other.recv(5))["type"] == "prediction", "nobody else waits"
        assert private_bytes(pid) - before < 12 * MEGABYTE


@pytest.mark.parametrize("kind", ["typing", "bad messages", "pings"])
def test_a_peer_that_takes_nothing_is_dropped(hasty: Backend, kind: str) -> None:
    before = metric(hasty, 'websocket_errors_total{code="stalled"}')
    with closing(handshake(hasty.port, receive_bytes=4096)) as raw:
        assert flood(raw, FLOODS[kind], 20.0)[1], "cut off, not waited for"
    assert metric(hasty, 'websocket_errors_total{code="stalled"}') == before + 1


def test_a_peer_that_answers_no_ping_is_pinged_and_dropped(hasty: Backend) -> None:
    before = metric(hasty, 'websocket_errors_total{code="silent"}')
    with closing(handshake(hasty.port)) as raw, connect(hasty.ws_url) as honest:
        assert raw.recv(2) == bytes([0x80 | PING, 0])
        with suppress(ConnectionResetError):
            assert raw.recv(2) == b"", "one ping is enough"
        assert metric(hasty, 'websocket_errors_total{code="silent"}') == before + 1
        honest.send(typing("td17").decode())
        assert json.loads(honest.recv(5))["type"] == "prediction", "who answers pings stays"


FROZEN = """
import sys
from websockets.sync.client import connect
with connect(sys.argv[1]) as ws:
    ws.send('{"type":"typing","content":"td17"}')
    ws.recv()
    print("here", flush=True)
    ws.recv()
"""


def test_a_frozen_client_is_dropped(hasty: Backend) -> None:
    before = metric(hasty, "websocket_active_connections")
    with subprocess.Popen([sys.executable, "-c", FROZEN, hasty.ws_url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
        try:
            assert client.stdout.readline() == b"here\n"
            assert metric(hasty, "websocket_active_connections") == before + 1
            client.send_signal(signal.SIGSTOP)
            wait_until(lambda: metric(hasty, "websocket_active_connections") == before, "the frozen one is dropped", 15)
        finally:
            client.kill()


# ── answers ──────────────────────────────────────────────────────────────────────────────────────


def take(state: RedisServer, cmd: str) -> tuple[Streams, Taken]:
    """Be the answer worker of one question."""
    streams = Streams(redis.Redis.from_url(state.url))
    streams.ensure_group()
    while True:
        [(entry, job)] = streams.read_new("test", 10_000)
        found = streams.take(entry, job)
        if job.cmd == cmd:
            return streams, found
        streams.drop(entry)


def finish(streams: Streams, taken: Taken) -> None:
    streams.finish(taken, [stream.body("final_answer", taken.job.cmd, taken.attempt, content="the end")])


def ask(ws, cmd: str) -> None:
    ws.send(json.dumps({"type": "query", "product_id": "p", "query": "q", "cmd": cmd}))
    assert json.loads(ws.recv(10)) == {"type": "ack", "cmd": cmd, "dup": False}


def test_a_slow_client_has_its_answer_from_the_stream_and_nobody_waits(patient: Backend, state: RedisServer) -> None:
    pid = worker_pid(patient.handle.pid)
    # max_queue: the client's library shall not read ahead for it
    with connect(patient.ws_url, max_queue=1) as slow, connect(patient.ws_url) as quick:
        ask(slow, "slow")
        streams, taken = take(state, "slow")
        before = private_bytes(pid)
        for _ in range(2000):
            streams.append(taken, "answer_chunk", content="x" * 8000)
        finish(streams, taken)
        ask(quick, "quick")
        finish(*take(state, "quick"))
        assert json.loads(quick.recv(5))["type"] == "final_answer"
        assert private_bytes(pid) - before < 12 * MEGABYTE, "16 MB wait in Redis, not here"
        got = [json.loads(slow.recv(10)) for _ in range(2001)]
    assert [message["seq"] for message in got] == list(range(1, 2002))
    assert got[-1]["type"] == "final_answer"


# ── age ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def short(start: Make, catalogue_database: str, state: RedisServer, worker: str) -> Backend:
    """One that renews connections after 1.5 s."""
    return start(service_environment(catalogue_database, state.url, HSC_WORKER=worker, HSC_CONNECTION_SECONDS="1.5"))


@pytest.mark.parametrize("query", ["", "?proto=1"])
def test_an_old_connection_is_sent_to_come_back(short: Backend, query: str) -> None:
    with connect(f"{short.ws_url}{query}") as ws:
        began = time.monotonic()
        hello = json.loads(ws.recv(5)) if query else None
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(10)
        assert closed.value.rcvd.code == 1012
        assert time.monotonic() - began > 1.2
    if hello is not None:
        again = f"{query}&session={hello['session']}&token={hello['token']}&epoch={hello['epoch']}&offset=0"
        with connect(f"{short.ws_url}{again}") as ws:
            assert json.loads(ws.recv(5))["recovered"] is True
            with pytest.raises(ConnectionClosed) as closed:
                ws.recv(5)
            assert closed.value.rcvd.code == 1012, "one that came back grows old, too"


@pytest.mark.parametrize("query", ["", "?proto=1"])
def test_but_not_while_an_answer_is_on_its_way(short: Backend, state: RedisServer, query: str) -> None:
    cmd = f"age-{time.monotonic_ns()}"
    with connect(f"{short.ws_url}{query}") as ws:
        began = time.monotonic()
        if query:
            ws.recv(5)
        ask(ws, cmd)
        streams, taken = take(state, cmd)
        # Nothing said for longer than its age, then a chunk, and again nothing for a while: it is owed an answer all the time.
        while time.monotonic() - began < 3:
            wait_until(lambda: ws.ping().wait(1), "still open", 2)
        streams.append(taken, "answer_chunk", content="the end")
        assert json.loads(ws.recv(5))["type"] == "answer_chunk"
        finish(streams, taken)
        assert json.loads(ws.recv(5))["type"] == "final_answer"
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(5)
        assert closed.value.rcvd.code == 1012


def test_a_resumed_answer_is_not_cut_either(short: Backend, state: RedisServer) -> None:
    """The new connection has asked nothing: that an answer runs it sees by its chunks."""
    cmd = f"resumed-{time.monotonic_ns()}"
    with connect(f"{short.ws_url}?proto=1") as ws:
        hello = json.loads(ws.recv(5))
        ask(ws, cmd)
        streams, taken = take(state, cmd)
    back = f"{short.ws_url}?proto=1&session={hello['session']}&token={hello['token']}&epoch={hello['epoch']}&offset=0"
    with connect(back) as ws:
        began = time.monotonic()
        assert json.loads(ws.recv(5))["recovered"] is True
        streams.append(taken, "answer_chunk", content="the end")
        assert json.loads(ws.recv(5))["type"] == "answer_chunk"
        while time.monotonic() - began < 2.5:
            wait_until(lambda: ws.ping().wait(1), "still open", 2)
        finish(streams, taken)
        assert json.loads(ws.recv(5))["type"] == "final_answer"
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(5)
        assert closed.value.rcvd.code == 1012


def test_a_log_without_complaints(patient: Backend, hasty: Backend, short: Backend) -> None:
    for backend in (patient, hasty, short):
        lines = [json.loads(line) for line in Path(backend.log).read_text().splitlines()]
        assert [line for line in lines if line["level"] in ("error", "critical")] == []
