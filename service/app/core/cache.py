"""Two-level cache: a bytes-bounded LRU in memory, Redis behind it. Fails open: without Redis every miss goes to the loader.

Values are what JSON can hold; treat what you get as read-only. Expired values in Redis are served while one process refreshes them.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import redis
from cachetools import TLRUCache

from app.core.background import spawn
from app.metrics import CACHE_HITS, CACHE_MISSES, REDIS_ERRORS

log = logging.getLogger(__name__)

VERSION = "v1"
L1_BYTES = 64 * 1024 * 1024
L1_SECONDS = 60.0
NEGATIVE_SECONDS = 30.0
# Kept this many lifetimes in Redis: the second one is for serving stale while refreshing.
HARD_LIVES = 2
LOCK_MS = 10_000
INVALIDATE = "__redis__:invalidate"


def cache_key(namespace: str, key: Any) -> str:
    """One key for equal values: canonical JSON, with the version of the format in front."""
    return f"{VERSION}:{namespace}:{json.dumps(key, sort_keys=True, separators=(',', ':'), ensure_ascii=False)}"


class _Entry:
    """A value in memory with its size in bytes and how long it may stay."""

    __slots__ = ("seconds", "size", "value")

    def __init__(self, value: Any, size: int, seconds: float) -> None:
        self.value, self.size, self.seconds = value, size, seconds


class Cache:
    """`get(namespace, key, loader, ttl)`; everything else serves it. client None: memory only."""

    def __init__(self, client: redis.Redis | None, *, l1_bytes: int = L1_BYTES, now: Callable[[], float] = time.time) -> None:
        self.client = client
        self._now = now
        self._lock = threading.RLock()
        self._l1: TLRUCache[str, _Entry] = TLRUCache(
            l1_bytes, ttu=lambda _key, entry, at: at + entry.seconds, timer=now, getsizeof=lambda entry: entry.size
        )
        self._flights: dict[str, threading.Event] = {}

    def get(self, namespace: str, key: Any, loader: Callable[[], Any], ttl: float) -> Any:
        """The value for `key`, loaded at most once at a time in this process and, while Redis is there, across pods.

        ttl: seconds. A loader that returns None is remembered for NEGATIVE_SECONDS. What the loader raises is the caller's.
        """
        full = cache_key(namespace, key)
        while True:
            with self._lock:
                entry = self._l1.get(full)
                if entry is not None:
                    CACHE_HITS.labels("l1", namespace).inc()
                    return entry.value
                flight = self._flights.get(full)
                if flight is None:
                    self._flights[full] = threading.Event()
                    break
            flight.wait(LOCK_MS / 1000)
        CACHE_MISSES.labels("l1", namespace).inc()
        try:
            return self._from_redis(namespace, full, loader, ttl)
        finally:
            with self._lock:
                self._flights.pop(full).set()

    def peek(self, namespace: str, key: Any) -> Any:
        """The value if Redis has it, else None. Asks nobody else and counts nothing."""
        found = self._read(cache_key(namespace, key))
        return found[0] if found else None

    def put(self, namespace: str, key: Any, value: Any, ttl: float) -> None:
        """Store a value that was made elsewhere."""
        self._store(cache_key(namespace, key), value, ttl)

    def drop(self, namespace: str, key: Any) -> None:
        """Forget a value everywhere (other pods learn it by tracking)."""
        full = cache_key(namespace, key)
        with self._lock:
            self._l1.pop(full, None)
        self._attempt(lambda client: client.delete(full))

    def namespaces(self) -> dict[str, int]:
        """How many values Redis holds, by namespace. Raises redis.RedisError."""
        found: Counter[str] = Counter()
        for key in self._keys(f"{VERSION}:*"):
            found[key.decode().split(":", 2)[1]] += 1
        return dict(found)

    def flush(self, namespace: str | None = None) -> int:
        """Remove the values of one namespace, or all of ours, from Redis and so from every process's memory; how many there were.

        Raises redis.RedisError: unlike a miss, a flush that did not happen must not look like one that did.
        """
        removed = 0
        with self._lock:
            self._l1.clear()
        keys = self._keys(f"{VERSION}:{namespace}:*" if namespace else f"{VERSION}:*")
        while batch := list(islice(keys, 500)):
            removed += int(self._redis().unlink(*batch))
        return removed

    def _keys(self, pattern: str) -> Iterator[bytes]:
        return iter(self._redis().scan_iter(match=pattern, count=500))

    def _redis(self) -> redis.Redis:
        if self.client is None:
            raise redis.ConnectionError("no cache Redis is configured")
        return self.client

    def flush_memory(self) -> None:
        with self._lock:
            self._l1.clear()

    def _from_redis(self, namespace: str, full: str, loader: Callable[[], Any], ttl: float) -> Any:
        found = self._read(full)
        if found is not None:
            CACHE_HITS.labels("l2", namespace).inc()
            value, until = found
            if until < self._now():
                spawn(self._refresh, full, loader, ttl)
            self._remember(full, value, min(ttl, L1_SECONDS) if value is not None else NEGATIVE_SECONDS)
            return value
        CACHE_MISSES.labels("l2", namespace).inc()
        if self._other_pod_loads(full):
            found = self._read(full)
            if found is not None:
                self._remember(full, found[0], min(ttl, L1_SECONDS))
                return found[0]
        try:
            value = loader()
            self._store(full, value, ttl if value is not None else NEGATIVE_SECONDS)
        finally:
            self._attempt(lambda client: client.delete(f"lock:{full}"))
        return value

    def _other_pod_loads(self, full: str) -> bool:
        """True after waiting for another pod that holds the lock; False when the lock is ours (or Redis is away)."""
        deadline = time.monotonic() + LOCK_MS / 1000
        while time.monotonic() < deadline:
            if self._attempt(lambda client: client.set(f"lock:{full}", 1, nx=True, px=LOCK_MS), True):
                return False
            time.sleep(0.03)
            if self._attempt(lambda client: client.exists(full), 0):
                return True
        return False

    def _refresh(self, full: str, loader: Callable[[], Any], ttl: float) -> None:
        if not self._attempt(lambda client: client.set(f"lock:{full}", 1, nx=True, px=LOCK_MS)):
            return
        try:
            self._store(full, loader(), ttl)
        except Exception as problem:
            log.warning("cache refresh failed", extra={"reason": str(problem)})
        finally:
            self._attempt(lambda client: client.delete(f"lock:{full}"))

    def _read(self, full: str) -> tuple[Any, float] | None:
        text = self._attempt(lambda client: client.get(full))
        if text is None:
            return None
        try:
            envelope = json.loads(text)
            return envelope["value"], float(envelope["until"])
        except (ValueError, KeyError, TypeError):
            return None

    def _store(self, full: str, value: Any, ttl: float) -> None:
        text = json.dumps({"value": value, "until": self._now() + ttl}, ensure_ascii=False)
        # ± 10 %, so that what was cached together does not expire together.
        milliseconds = max(1, int(ttl * HARD_LIVES * 1000 * random.uniform(0.9, 1.1)))  # noqa: S311  no secret hangs on it
        self._attempt(lambda client: client.set(full, text, px=milliseconds))
        self._remember(full, value, min(ttl, L1_SECONDS), len(text))

    def _remember(self, full: str, value: Any, seconds: float, size: int | None = None) -> None:
        size = size if size is not None else len(json.dumps(value))
        with self._lock:
            if size <= self._l1.maxsize:
                self._l1[full] = _Entry(value, size, seconds)

    def _attempt(self, operation: Callable[[redis.Redis], Any], otherwise: Any = None) -> Any:
        """Do it if Redis is there; count and go on if it is not."""
        if self.client is None:
            return otherwise
        try:
            return operation(self.client)
        except (redis.RedisError, OSError):
            REDIS_ERRORS.labels("cache").inc()
            return otherwise

    def follow_invalidations(self) -> None:
        """Drop from memory what any pod changes in Redis. Runs until the connection breaks, then flushes memory and raises.

        RESP2 tracking: one connection listens, another tracks every key of ours on its behalf.
        """
        if self.client is None:
            raise RuntimeError("no cache Redis to follow")
        pool = self.client.connection_pool
        listener, tracker = pool.get_connection(), pool.get_connection()
        try:
            identity = _ask(listener, "CLIENT", "ID")
            _ask(listener, "SUBSCRIBE", INVALIDATE)
            _ask(tracker, "CLIENT", "TRACKING", "ON", "REDIRECT", identity, "BCAST", "PREFIX", f"{VERSION}:")
            self.flush_memory()
            while True:
                if listener.can_read(timeout=5):
                    self._invalidate(listener.read_response())
                else:
                    # Without this a peer that vanished silently would go unnoticed, and memory stay stale.
                    _ask(tracker, "PING")
        finally:
            self.flush_memory()
            for connection in (listener, tracker):
                connection.disconnect()
                pool.release(connection)

    def _invalidate(self, message: Any) -> None:
        if not message or message[0] != b"message":
            return
        if message[2] is None:
            self.flush_memory()
            return
        with self._lock:
            for key in message[2]:
                self._l1.pop(key.decode(), None)


def _ask(connection: Any, *command: Any) -> Any:
    connection.send_command(*command)
    return connection.read_response()
