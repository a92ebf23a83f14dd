"""Brings durable messages from Redis to this process's clients: pub/sub for speed, the stream for truth.

Pub/sub is at-most-once. So every client has a position, a message is handed over only when it is the next one, and once a second the
positions of all local sessions are compared with Redis in one round trip; whatever is missing is read from the stream. A slow client's
queue refuses messages; it is then served from the stream when there is room again, and nobody else waits for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Protocol

import redis

from app.core.background import spawn
from app.core.stream import Streams, log_key
from app.metrics import GAP_REPAIRS, REDIS_ERRORS

log = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
CONFIRM_SECONDS = 2.0
# Sessions of connected clients are kept from expiring, however long they say nothing.
TOUCH_SECONDS = 300.0
BATCH = 200
_CONTROL = b"hub:control"


class Unavailable(Exception):
    """Redis did not confirm in time."""


class Client(Protocol):
    """A connection as the hub sees it."""

    session: str
    epoch: str
    position: int
    lagging: bool

    def deliver(self, text: str) -> bool:
        """Queue a durable message without waiting; False when the queue is full."""

    def lost(self) -> None:
        """The session is no longer in Redis: nothing more will come for what was asked."""


class Hub:
    """One subscriber connection and one checker for all clients of the process."""

    def __init__(self, streams: Streams, seen: Callable[[], None] = lambda: None, check_seconds: float = CHECK_SECONDS) -> None:
        self.streams = streams
        self._seen = seen
        self._check_seconds = check_seconds
        self._clients: dict[str, set[Client]] = defaultdict(set)
        self._existing: set[str] = set()  # sessions that Redis was seen to have
        self._confirmed: dict[bytes, threading.Event] = {}
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._failing: set[str] = set()
        self._stopped = False
        self._clock = time.monotonic
        self._touched = self._clock()
        self._pubsub = streams.client.pubsub()
        self._subscribing = threading.Lock()

    def start(self) -> None:
        for work in (self._listen, self._check):
            spawn(work)

    def stop(self) -> None:
        self._stopped = True
        self._wake.set()

    def attach(self, client: Client) -> None:
        """Have `client` served; returns when Redis has confirmed the subscription. Raises Unavailable or redis.RedisError."""
        channel = log_key(client.session).encode()
        with self._lock:
            self._clients[client.session].add(client)
            confirmed = self._confirmed.get(channel)
            if confirmed is None:
                confirmed = self._confirmed[channel] = threading.Event()
        if not confirmed.is_set():
            self._subscribe(channel)
            if not confirmed.wait(CONFIRM_SECONDS):
                raise Unavailable(f"no confirmation of the subscription within {CONFIRM_SECONDS:g} s")

    def _subscribe(self, channel: bytes) -> None:
        """One thread at a time: of two that find no connection yet each would make one, and what was subscribed on the first be lost."""
        with self._subscribing:
            self._pubsub.subscribe(channel)

    def detach(self, client: Client) -> None:
        """Stop serving `client`."""
        channel = log_key(client.session).encode()
        with self._lock:
            here = self._clients.get(client.session)
            if here is None:
                return
            here.discard(client)
            if here:
                return
            del self._clients[client.session]
            self._existing.discard(client.session)
            self._confirmed.pop(channel, None)
        try:
            self._pubsub.unsubscribe(channel)
        except (redis.RedisError, OSError):
            REDIS_ERRORS.labels("state").inc()

    def repair(self, client: Client, *, resuming: bool = False) -> None:
        """Hand over everything after the client's position from the stream. Raises redis.RedisError."""
        while True:
            history = self.streams.history(client.session, client.position, BATCH)
            if history.epoch != client.epoch:
                return
            for seq, text in history.messages:
                with self._lock:
                    if seq <= client.position:
                        continue
                    if not client.deliver(text):
                        client.lagging = True
                        return
                    client.position = seq
                if not resuming:
                    GAP_REPAIRS.inc()
            if len(history.messages) < BATCH:
                client.lagging = False
                return

    def nudge(self) -> None:
        """Check positions now: a slow client has room again, or a gap was seen."""
        self._wake.set()

    def _listen(self) -> None:
        """Read pub/sub for ever; redis-py subscribes again by itself after a reconnect."""
        while not self._stopped:
            try:
                if not self._pubsub.subscribed:
                    self._subscribe(_CONTROL)
                message = self._pubsub.get_message(timeout=1.0)
                self._complain("pub/sub", None)
                if message is not None:
                    self._on_message(message)
            except (redis.RedisError, OSError) as problem:
                REDIS_ERRORS.labels("state").inc()
                self._complain("pub/sub", problem)
                time.sleep(0.3)
                self._wake.set()
            except Exception:
                # One bad message or one bad client must never end the reader that all clients share.
                log.exception("pub/sub reader stumbled")
                time.sleep(0.1)

    def _on_message(self, message: dict[str, Any]) -> None:
        channel = message["channel"]
        if message["type"] == "subscribe":
            confirmed = self._confirmed.get(channel)
            if confirmed is not None:
                confirmed.set()
        elif message["type"] == "message":
            number, _, text = message["data"].partition(b" ")
            session = channel[len(b"session:") : -len(b":log")].decode()
            decoded = text.decode()
            for client in list(self._clients.get(session, ())):
                self._offer(client, int(number), decoded)

    def _offer(self, client: Client, seq: int, text: str) -> None:
        with self._lock:
            if seq <= client.position:
                return
            if seq == client.position + 1 and not client.lagging:
                if client.deliver(text):
                    client.position = seq
                else:
                    client.lagging = True
                return
        if not client.lagging:
            self._wake.set()

    def _check(self) -> None:
        while not self._stopped:
            self._wake.wait(self._check_seconds)
            self._wake.clear()
            try:
                self.check_positions()
                self._seen()
                self._complain("position check", None)
            except (redis.RedisError, OSError) as problem:
                REDIS_ERRORS.labels("state").inc()
                self._complain("position check", problem)
                time.sleep(0.3)
            except Exception:
                log.exception("position check stumbled")
                time.sleep(0.3)

    def _complain(self, what: str, problem: Exception | None) -> None:
        """Log when something begins to fail and when it works again, not three times a second in between."""
        if problem is not None and what not in self._failing:
            self._failing.add(what)
            log.warning("%s failed, trying again until it works", what, extra={"reason": str(problem)})
        elif problem is None and what in self._failing:
            self._failing.discard(what)
            log.info("%s works again", what)

    def check_positions(self) -> None:
        """Compare every local session's top seq with its clients' positions and repair what lags."""
        with self._lock:
            # Positions before tops: a message that comes while Redis is asked must not look like one that Redis has forgotten.
            before = {session: [(client, client.position) for client in clients] for session, clients in self._clients.items()}
        if not before:
            self.streams.client.ping()
            return
        for (session, clients), top in zip(before.items(), self.streams.tops(before), strict=True):
            # A client that was sent nothing yet has position 0 but may have been promised an answer.
            gone = top is None and session in self._existing
            for client, position in clients:
                if gone or ((top or 0) < position and not client.lagging):
                    client.lost()
                elif top is not None and top > client.position:
                    self.repair(client)
            self._note(session, exists=top is not None)
        if self._clock() - self._touched > TOUCH_SECONDS:
            self._touched = self._clock()
            self.streams.touch(before)

    def _note(self, session: str, *, exists: bool) -> None:
        with self._lock:
            if not exists:
                self._existing.discard(session)
            elif session in self._clients:
                self._existing.add(session)
