"""Frames, wires and ages by themselves: no server, clocks of the tests' own."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator

import pytest
from peer import CLOSE, TEXT, frame

from app.allowance import Allowance
from app.core import predict
from app.core.catalog import Catalogue
from app.core.messages import Query
from app.core.predict import Index
from app.health import Health
from app.ws_backend import Backend
from app.ws_connection import POSTPONED_SECONDS, Connection, renewal
from app.ws_frames import QUEUE_BYTES, QUEUE_MESSAGES, Frames
from app.ws_wire import CLOSE_SECONDS, PATIENCE, Wire

RESTARTED = bytes([0x80 | CLOSE, 2]) + (1012).to_bytes(2, "big")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(5)
    with ours, theirs:
        yield ours, theirs


def test_an_allowance_is_lent_and_paid_back() -> None:
    allowance = Allowance(10, burst=2, now=0.0)
    assert [allowance.take(0.0) for _ in range(3)] == [True, True, False]
    assert [allowance.take(0.1), allowance.take(0.1)] == [True, False]
    assert allowance.spend(5, 0.1) == 0.5
    assert not allowance.take(0.6)
    assert allowance.take(0.8)


def test_what_is_queued_goes_before_the_goodbye() -> None:
    frames = Frames()
    for text in ("a", "b"):
        frames.put(text)
    frames.close(1012)
    frames.put("too late")
    assert frames.take() == b"\x81\x01a\x81\x01b" + RESTARTED
    assert frames.take() is None


def test_a_message_in_a_million_parts_is_one_buffer() -> None:
    frames = Frames()
    assert frames.feed(frame(TEXT, b"a", fin=False)) == ([], 1)
    for _ in range(100):
        frames.feed(frame(0, fin=False) * 1000)
    assert sys.getsizeof(frames._message) < 1000
    assert frames.feed(frame(0, b"b")) == (["ab"], 1)


def test_nothing_is_heard_after_a_failure() -> None:
    frames = Frames()
    messages, _ = frames.feed(frame(TEXT, b"good") + frame(TEXT, b"\xff") + frame(TEXT, b"more"))
    assert messages == ["good"]
    assert not frames.open
    assert frames.take()[:4] == b"\x88\x13" + (1007).to_bytes(2, "big")
    assert frames.take() == b"", "and then no more"
    assert frames.feed(frame(TEXT, b"still there?")) == ([], 0)


def test_queued_messages_leave_in_blocks_and_count_down_to_nothing() -> None:
    frames = Frames()
    for number in range(QUEUE_MESSAGES):
        assert frames.has_room
        frames.put(f"{number:05}" + "x" * 500)
    assert frames.congested and not frames.has_room
    sizes = []
    while (data := frames.take()) is not None:
        sizes.append(len(data))
    assert len(sizes) > 1 and max(sizes) < 20_000
    assert frames.has_room and not frames.congested and not frames.unsent
    frames.put("x" * QUEUE_BYTES)
    assert not frames.has_room, "bytes count, too"


def test_when_a_peer_is_gone(pair) -> None:
    now = [100.0]
    wire = Wire(pair[0], 10.0, clock=lambda: now[0])
    reader = threading.Thread(target=wire.receive)
    reader.start()
    while wire._quiet_since == float("inf"):
        pass
    assert [wire.check(100 + seconds) for seconds in (9, 11, 12, 10 * PATIENCE)] == [""] * 4
    assert pair[1].recv(100) == b"\x89\x00", "one ping"
    while not wire.idle:
        pass
    assert wire.check(101 + 10 * PATIENCE) == "silent"
    pair[1].sendall(frame(10))
    reader.join(5)
    assert wire.check(101 + 10 * PATIENCE) == "", "not listened to, so not silent"
    wire.close(1012)
    assert wire.check(100 + CLOSE_SECONDS) == ""
    assert wire.check(101 + CLOSE_SECONDS) == "unclosed"


def test_a_peer_that_takes_nothing_is_stalled_and_a_slow_one_is_not(pair) -> None:
    now = [100.0]
    wire = Wire(pair[0], 10.0, clock=lambda: now[0])
    wire.put("x" * 5_000_000)
    writer = threading.Thread(target=wire.flush)
    writer.start()
    while wire._stuck_since != 100.0:
        pass
    assert wire.check(100 + 10 * PATIENCE) == ""
    assert wire.check(101 + 10 * PATIENCE) == "stalled"
    now[0] = 150.0
    while wire._stuck_since != 150.0:
        assert pair[1].recv(4096)
    assert wire.check(101 + 10 * PATIENCE) == ""
    assert wire.check(151 + 10 * PATIENCE) == "stalled"
    wire.cut()
    writer.join(5)
    assert not writer.is_alive()
    assert wire.over and wire.idle


class Hub:
    """Stands for the hub, and for Redis."""

    def attach(self, client: object) -> None: ...
    def detach(self, client: object) -> None: ...
    def nudge(self) -> None: ...
    def submit(self, job: object) -> str:
        return "new"


def connection(sock: socket.socket, **more: float) -> Connection:
    hub = Hub()
    return Connection(sock, Backend(lambda: None, hub, hub, Health(1), b"", frozenset(), **more), {})  # type: ignore[arg-type]


def test_an_answer_postpones_the_end_but_not_for_ever(pair, monkeypatch) -> None:
    monkeypatch.setattr("app.ws_connection.time.monotonic", lambda: 0.0)
    client = connection(pair[0], connection_seconds=100.0, ping_seconds=1e9)
    client.session.ask(Query("p", "q", "c-1"))
    assert json.loads(pair[1].recv(100)[2:]) == {"type": "ack", "cmd": "c-1", "dup": False}
    client.keep_alive(89.0)
    client.keep_alive(111.0)
    client.keep_alive(89.0 + POSTPONED_SECONDS)
    assert client.wire._frames.open
    client.keep_alive(111.0 + POSTPONED_SECONDS)
    assert pair[1].recv(100) == RESTARTED


def test_connections_that_began_together_do_not_end_together() -> None:
    ends = [renewal(1000.0, 3600.0) for _ in range(200)]
    assert 1000 + 3240 <= min(ends) < 1000 + 3400 and 1000 + 3800 < max(ends) <= 1000 + 3960
    assert renewal(1000.0, 0.0) == float("inf")


def test_long_texts_of_strangers_are_not_remembered() -> None:
    before = predict._remembered.cache_info().currsize
    long = [f"{number} " + "x" * 900 for number in range(10)]
    assert [predict.normalise(text) for text in long] == long
    assert predict._remembered.cache_info().currsize == before


def test_remembered_predictions_bear_threads(monkeypatch) -> None:
    """Without a lock the cache's order breaks: KeyError within a few thousand reads."""
    monkeypatch.setattr(predict, "REMEMBERED_TEXTS", 3)
    index = Index(Catalogue([], []))
    failed: list[BaseException] = []

    def hammer(start: int) -> None:
        try:
            for number in range(4000):
                index.predict(str((start + number) % 5))
        except BaseException as problem:
            failed.append(problem)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=hammer, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert failed == []
