"""The two-level cache: in memory alone, and on a real Redis with two processes' worth of instances."""

from __future__ import annotations

import threading
import time

import pytest
import redis
from servers import RedisServer, wait_until

from app import cache as cache_command
from app.core.cache import INVALIDATE, Cache, cache_key
from app.metrics import CACHE_HITS, CACHE_MISSES


def client(server: RedisServer) -> redis.Redis:
    return redis.Redis.from_url(server.url, protocol=2, socket_timeout=1)


@pytest.fixture(params=["memory", "redis"])
def cache(request) -> Cache:
    if request.param == "memory":
        return Cache(None)
    return Cache(client(request.getfixturevalue("cache_redis")))


def count(metric, *labels: str) -> float:
    return metric.labels(*labels)._value.get()


def test_equal_keys_are_one_key() -> None:
    assert cache_key("n", {"b": 1, "a": [1, "é"]}) == cache_key("n", {"a": [1, "é"], "b": 1})
    assert cache_key("n", "1") != cache_key("n", 1)


def test_loads_once_then_hits(cache: Cache) -> None:
    loads: list[int] = []
    hits = count(CACHE_HITS, "l1", "n")
    for _ in range(3):
        assert cache.get("n", "k", lambda: loads.append(1) or {"v": [1, 2]}, 60) == {"v": [1, 2]}
    assert len(loads) == 1
    assert count(CACHE_HITS, "l1", "n") == hits + 2


def test_nothing_is_remembered_too(cache: Cache) -> None:
    loads: list[int] = []
    assert [cache.get("n", "none", lambda: loads.append(1), 60) for _ in range(3)] == [None] * 3
    assert len(loads) == 1


def test_a_loaders_error_is_the_callers_and_is_not_remembered(cache: Cache) -> None:
    def broken() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.get("n", "e", broken, 60)
    assert cache.get("n", "e", lambda: 1, 60) == 1


def test_one_flight_per_process(cache: Cache) -> None:
    loads: list[int] = []

    def slow() -> int:
        loads.append(1)
        time.sleep(0.2)
        return 7

    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(cache.get("n", "slow", slow, 60))) for _ in range(50)]
    [thread.start() for thread in threads]
    [thread.join(10) for thread in threads]
    assert results == [7] * 50
    assert len(loads) == 1


def test_one_load_across_pods_and_second_level_hits(cache_redis: RedisServer) -> None:
    pods = [Cache(client(cache_redis)), Cache(client(cache_redis))]
    loads: list[int] = []

    def slow() -> int:
        loads.append(1)
        time.sleep(0.3)
        return 7

    results: list[int] = []
    threads = [threading.Thread(target=lambda pod=pod: results.append(pod.get("n", "k", slow, 60))) for pod in pods * 100]
    [thread.start() for thread in threads]
    [thread.join(10) for thread in threads]
    assert results == [7] * 200
    assert len(loads) == 1
    hits, misses = count(CACHE_HITS, "l2", "fresh"), count(CACHE_MISSES, "l2", "fresh")
    pods[0].put("fresh", "k", 1, 60)
    assert pods[1].get("fresh", "k", lambda: 2, 60) == 1
    assert (count(CACHE_HITS, "l2", "fresh"), count(CACHE_MISSES, "l2", "fresh")) == (hits + 1, misses)


def test_bounded_by_bytes_and_time() -> None:
    now = [0.0]
    cache = Cache(None, l1_bytes=1000, now=lambda: now[0])
    for number in range(100):
        cache.put("n", number, "x" * 50, 10)
    assert cache._l1.currsize <= 1000
    cache.put("n", "t", 1, 10)
    now[0] += 11
    assert cache.get("n", "t", lambda: 2, 10) == 2


def test_stale_is_served_while_one_refreshes(cache_redis: RedisServer) -> None:
    now = [1000.0]
    pod = Cache(client(cache_redis), now=lambda: now[0], l1_bytes=0)
    assert pod.get("n", "k", lambda: "old", 10) == "old"
    now[0] += 11
    assert pod.get("n", "k", lambda: "new", 10) == "old"
    wait_until(lambda: pod.peek("n", "k") == "new", "refresh")


def test_changes_elsewhere_leave_no_stale_value_in_memory(cache_redis: RedisServer) -> None:
    reader, writer = Cache(client(cache_redis)), Cache(client(cache_redis))
    threading.Thread(target=lambda: _ignore(reader.follow_invalidations), daemon=True).start()
    time.sleep(0.3)
    for number in range(20):
        writer.put("n", "k", number, 60)
        wait_until(lambda number=number: reader.get("n", "k", lambda: None, 60) == number, "invalidation", 2)
    client(cache_redis).flushdb()
    wait_until(lambda: reader.get("n", "k", lambda: "reloaded", 60) == "reloaded", "FLUSHDB invalidates", 2)


def command(server_url: str, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("HSC_CACHE_URL", server_url)
    monkeypatch.setenv("HSC_REDIS_URL", "redis://127.0.0.1:1/0")
    try:
        return cache_command.main(list(arguments))
    except SystemExit as ended:
        return int(ended.code or 0)


def test_flush_empties_one_namespace_everywhere_and_leaves_the_rest(cache_redis: RedisServer, monkeypatch, capsys) -> None:
    pod, raw = Cache(client(cache_redis)), client(cache_redis)
    threading.Thread(target=lambda: _ignore(pod.follow_invalidations), daemon=True).start()
    wait_until(lambda: raw.pubsub_numsub(INVALIDATE)[0][1] == 1 and any(item["flags"] == "tB" for item in raw.client_list()), "tracking")
    for number in range(1200):
        raw.set(cache_key("manual", number), '{"value": 1, "until": 9e9}', px=60_000)
    pod.put("manual", "k", "old", 60)
    pod.put("other", "k", "kept", 60)
    raw.set("not:ours", 1)
    assert command(cache_redis.url, "flush", "manual", monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out == "1201 removed\n"
    wait_until(lambda: pod.get("manual", "k", lambda: "new", 60) == "new", "the other process forgets", 2)
    assert pod.get("other", "k", lambda: "lost", 60) == "kept"
    assert command(cache_redis.url, "flush", "--all", monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out == "2 removed\n"
    wait_until(lambda: pod.get("other", "k", lambda: "new", 60) == "new", "the other process forgets all", 2)
    assert raw.exists("not:ours")


def test_flush_says_what_is_wrong(cache_redis: RedisServer, monkeypatch, capsys) -> None:
    client(cache_redis).set(cache_key("other", 1), "{}", px=60_000)
    for arguments, status, words in (
        (["flush", "manuals"], 2, "there is no namespace 'manuals'. Known: manual, other."),
        (["flush"], 2, "one of the arguments namespace --all is required"),
        (["flush", "manual", "--all"], 2, "not allowed with"),
        ([], 2, "flush | warm"),
    ):
        assert command(cache_redis.url, *arguments, monkeypatch=monkeypatch) == status, arguments
        assert words in capsys.readouterr().err
    assert command("", "flush", "--all", monkeypatch=monkeypatch) == 2
    assert "HSC_CACHE_URL is not set" in capsys.readouterr().err
    assert command(cache_redis.url, "--help", monkeypatch=monkeypatch) == 0
    assert "Exit status: 0 done, 1 a server is away, 2 called wrongly." in capsys.readouterr().out
    cache_redis.kill()
    assert command(cache_redis.url, "flush", "manual", monkeypatch=monkeypatch) == 1
    assert "ConnectionError" in capsys.readouterr().err


def _ignore(work) -> None:
    try:
        work()
    except Exception:
        return


def test_fails_open_without_redis(cache_redis: RedisServer) -> None:
    cache = Cache(redis.Redis.from_url(cache_redis.url, protocol=2, socket_timeout=0.3))
    assert cache.get("n", "a", lambda: 1, 60) == 1
    cache_redis.kill()
    cache.flush_memory()
    started = time.monotonic()
    assert cache.get("n", "a", lambda: 2, 60) == 2
    assert time.monotonic() - started < 3
