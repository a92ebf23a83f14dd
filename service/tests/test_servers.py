"""What the tests' own servers promise: a start that failed is told at once, with its reason."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from servers import Process, RedisServer, free_port, wait_until


def test_the_end_of_a_process_ends_the_wait_and_its_log_is_told(tmp_path: Path) -> None:
    process = Process(["-c", "print('no such table'); raise SystemExit(3)"], {}, tmp_path / "log").start()
    begun = time.monotonic()
    with pytest.raises(AssertionError, match=r"ready: the process ended with 3(.|\n)*no such table"):
        process.wait_until(lambda: False, "ready", 60)
    assert time.monotonic() - begun < 30


def test_what_a_process_did_before_its_end_counts(tmp_path: Path) -> None:
    process = Process(["-c", "pass"], {}, tmp_path / "log").start()
    assert process.handle
    process.handle.wait(30)
    wait_until(lambda: True, "done", process=process.handle)


def test_a_redis_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = RedisServer(free_port(), tmp_path, ["--maxmemory-policy", "no-such-policy"])
    with pytest.raises(AssertionError, match=r"redis-server: the process ended with 1(.|\n)*maxmemory-policy"):
        server.start()
