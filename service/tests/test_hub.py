"""The hub on a real Redis: order, repair from the stream, slow clients, lost sessions."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

import pytest
import redis
from servers import RedisServer, wait_until

from app.core import stream
from app.core.hub import Hub
from app.core.stream import Job, Streams, Taken
from app.metrics import GAP_REPAIRS


class Listener:
    """A connection that takes at most `room` messages until it is given more."""

    def __init__(self, session: str, epoch: str, room: int = 1000) -> None:
        self.session, self.epoch, self.position, self.lagging = session, epoch, 0, False
        self.room, self.got, self.was_lost = room, [], False

    def deliver(self, text: str) -> bool:
        if len(self.got) >= self.room:
            return False
        self.got.append(json.loads(text)["seq"])
        return True

    def lost(self) -> None:
        self.was_lost = True


@pytest.fixture
def hub(state_redis: RedisServer) -> Iterator[Hub]:
    made = Hub(Streams(redis.Redis.from_url(state_redis.url, protocol=2, socket_timeout=2)), check_seconds=0.2)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def taken(hub: Hub) -> Taken:
    hub.streams.ensure_group()
    hub.streams.submit(Job("s1", "e1", "c1", "p", "q"))
    [(entry, job)] = hub.streams.read_new("w", 100)
    found = hub.streams.take(entry, job)
    assert found is not None
    return found


def test_who_comes_while_the_hub_is_still_connecting_is_served_too(state_redis: RedisServer, monkeypatch) -> None:
    made = Hub(Streams(redis.Redis.from_url(state_redis.url, protocol=2, socket_timeout=2)))
    pool, begun = made.streams.client.connection_pool, threading.Event()
    connect = pool.get_connection

    def slowly(*names: object) -> object:
        """The listener asks first and is given its connection last."""
        if threading.current_thread() is not threading.main_thread():
            begun.set()
            time.sleep(0.3)
        return connect(*names)

    monkeypatch.setattr(pool, "get_connection", slowly)
    made.start()
    assert begun.wait(5)
    try:
        made.attach(Listener("s1", "e1"))
    finally:
        made.stop()


def say(hub: Hub, taken: Taken, count: int) -> None:
    for number in range(count):
        hub.streams.append(taken, "answer_chunk", content=str(number))


def test_messages_come_in_order_to_every_client_of_the_session(hub: Hub, taken: Taken) -> None:
    clients = [Listener("s1", "e1"), Listener("s1", "e1")]
    stranger = Listener("s2", "e2")
    for client in (*clients, stranger):
        hub.attach(client)
    say(hub, taken, 50)
    for client in clients:
        wait_until(lambda client=client: client.got == list(range(1, 51)), "50 messages", 5)
    assert stranger.got == []
    hub.detach(clients[0])
    say(hub, taken, 1)
    wait_until(lambda: clients[1].got[-1] == 51, "the other goes on", 5)
    assert clients[0].got[-1] == 50


def test_what_pubsub_missed_comes_from_the_stream(hub: Hub, taken: Taken) -> None:
    before = GAP_REPAIRS._value.get()
    say(hub, taken, 5)
    client = Listener("s1", "e1")
    hub.attach(client)
    wait_until(lambda: client.got == [1, 2, 3, 4, 5], "repair", 5)
    assert GAP_REPAIRS._value.get() == before + 5


def test_a_slow_client_is_served_later_and_whole_while_others_do_not_wait(hub: Hub, taken: Taken) -> None:
    slow, quick = Listener("s1", "e1", room=10), Listener("s1", "e1")
    hub.attach(slow)
    hub.attach(quick)
    say(hub, taken, 300)
    wait_until(lambda: len(quick.got) == 300, "the quick one", 5)
    assert slow.got == list(range(1, 11))
    assert slow.lagging
    slow.room = 1000
    hub.nudge()
    wait_until(lambda: slow.got == list(range(1, 301)), "the slow one", 5)
    say(hub, taken, 1)
    wait_until(lambda: slow.got[-1] == 301 and not slow.lagging, "live again", 5)


def test_what_comes_while_redis_is_asked_is_not_taken_for_forgotten(hub: Hub, taken: Taken, monkeypatch) -> None:
    client = Listener("s1", "e1")
    hub.attach(client)
    say(hub, taken, 2)
    ask, once = hub.streams.tops, iter([3])

    def slowly(sessions):
        answer = ask(sessions)
        say(hub, taken, next(once, 0))
        wait_until(lambda: len(client.got) == 5, "messages", 5)
        return answer

    wait_until(lambda: len(client.got) == 2, "messages", 5)
    monkeypatch.setattr(hub.streams, "tops", slowly)
    hub.check_positions()
    assert client.got == [1, 2, 3, 4, 5]
    assert not client.was_lost


def test_a_forgotten_session_is_told(hub: Hub, taken: Taken) -> None:
    client = Listener("s1", "e1")
    hub.attach(client)
    say(hub, taken, 2)
    wait_until(lambda: client.got == [1, 2], "messages", 5)
    hub.streams.client.delete(stream.session_key("s1"), stream.log_key("s1"))
    wait_until(lambda: client.was_lost, "lost", 5)


def test_a_forgotten_session_is_told_before_its_first_message_too(hub: Hub, taken: Taken) -> None:
    """A question was accepted, nothing has been said yet: whoever waits must not wait for ever."""
    asked, silent = Listener("s1", "e1"), Listener("s2", "e2")
    for client in (asked, silent):
        hub.attach(client)
    hub.check_positions()
    hub.streams.client.flushall()
    hub.check_positions()
    assert asked.was_lost
    assert not silent.was_lost, "nothing was ever asked in its session"


def test_a_slow_client_of_a_forgotten_session_is_told_too(hub: Hub, taken: Taken) -> None:
    slow = Listener("s1", "e1", room=1)
    hub.attach(slow)
    say(hub, taken, 3)
    wait_until(lambda: slow.lagging, "slow", 5)
    hub.check_positions()
    hub.streams.client.flushall()
    hub.check_positions()
    assert slow.was_lost


def test_live_sessions_do_not_expire(hub: Hub, taken: Taken) -> None:
    hub.streams.client.expire(stream.session_key("s1"), 5)
    hub.streams.touch(["s1"])
    assert hub.streams.client.ttl(stream.session_key("s1")) > 1000
