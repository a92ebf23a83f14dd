"""Appends timed paragraphs to sessions as an answer worker would; the other half of bench.streams and of tests/soak/test_load.py, which
runs it inside an answer worker's container.

    python streamer.py RATE SECONDS '[["session", "epoch"], …]'

RATE is paragraphs a second over all sessions, open loop; each paragraph is the time.time() at which it was handed to Redis. Prints how
many were appended, how long an append took, and how late the appender itself was, in milliseconds.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

from app import config
from app.core.stream import Job, Streams, Taken
from app.wiring import redis_client

rate, seconds, sessions = float(sys.argv[1]), float(sys.argv[2]), json.loads(sys.argv[3])
streams = Streams(redis_client(config.from_env().redis_url))
answers = [Taken(Job(session, epoch, "load", "", ""), "0-1", 1, 0, ()) for session, epoch in sessions]
for answer in answers:
    # A job that is on no stream: no worker takes it, and it goes with its session.
    streams.client.hset(answer.job.key, mapping={"state": "running", "attempt": 1, "statuses": 0})
begin, took, late = time.time() + 0.5, [], []
for number in range(int(rate * seconds)):
    due = begin + number / rate
    time.sleep(max(0.0, due - time.time()))
    now, started = time.time(), time.perf_counter()
    streams.append(answers[number % len(answers)], "answer_chunk", content=f"{now:.6f}")
    took.append(time.perf_counter() - started)
    late.append(now - due)
figures = {"append_p50_ms": statistics.median(took), "own_lateness_p95_ms": statistics.quantiles(late, n=20)[18]}
sys.stdout.write(json.dumps({"appended": len(took), **{name: round(value * 1000, 2) for name, value in figures.items()}}))
