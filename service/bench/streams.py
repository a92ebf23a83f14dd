"""How soon does a paragraph reach its client, and do people who type wait for those who are answered? One backend, as in production.

    python -m bench.streams --repeat 3 --seconds 15

50 sessions are sent 1,000 paragraphs a second together; 100 others type once a second, before and meanwhile. Milliseconds from the append
to the client, and from when a text was due to its prediction. Prints a line of JSON for each run and the medians; exit status 1 when a
median is above its goal.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit

from bench.served import SERVICE, one_run, running
from bench.wire import Wire

SESSIONS, CHUNKS_PER_SECOND, TYPISTS = 50, 1000, 100
GOALS = {"append_to_client_p95_ms": 3.0, "typing_meanwhile_p95_ms": 10.0}


async def opened(port: int, number: int) -> tuple[Wire, list[str]]:
    """A session in which something was asked, so that it is in Redis and its process follows it."""
    wire = await Wire.open(port, "/ws?proto=1")
    hello = json.loads(await wire.next())
    wire.send(json.dumps({"type": "query", "product_id": "none", "query": "load", "cmd": f"first-{number}"}))
    await wire.next()
    return wire, [hello["session"], hello["epoch"]]


async def streamed(port: int, environment: dict[str, str], seconds: float) -> dict[str, Any]:
    """One load of paragraphs on fresh sessions."""
    pairs = await asyncio.gather(*(opened(port, number) for number in range(SESSIONS)))
    late: list[float] = []

    def hear(text: bytes) -> None:
        late.append(time.time() - float(json.loads(text)["content"]))

    for wire, _ in pairs:
        wire.hear = hear
    sessions = json.dumps([names for _, names in pairs])
    arguments = [sys.executable, "-m", "bench.streamer", str(CHUNKS_PER_SECOND), str(seconds), sessions]
    streamer = await asyncio.create_subprocess_exec(*arguments, env=environment, cwd=SERVICE, stdout=subprocess.PIPE)
    output, _ = await streamer.communicate()
    said = json.loads(output)
    deadline = time.monotonic() + 15
    while len(late) < said["appended"] and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    for wire, _ in pairs:
        wire.close()
    cuts = statistics.quantiles(late, n=100)
    figures = {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(late)}
    return {**said, "arrived": len(late), **{f"append_to_client_{name}_ms": round(value * 1000, 2) for name, value in figures.items()}}


async def both(url: str, environment: dict[str, str], seconds: float) -> dict[str, Any]:
    typing = asyncio.create_task(asyncio.to_thread(one_run, url, TYPISTS, 1, seconds))
    await asyncio.sleep(2.5)  # bench.typing begins after as long: it connects first
    result = await streamed(urlsplit(url).port or 0, environment, seconds)
    return {**result, "typing_meanwhile_p95_ms": (await typing)["p95_ms"]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0)
    chosen = parser.parse_args()
    runs: list[dict[str, Any]] = []
    with running() as backend:
        one_run(backend.ws_url, 10, 1, 3)
        for _ in range(chosen.repeat):
            alone = one_run(backend.ws_url, TYPISTS, 1, chosen.seconds)["p95_ms"]
            result = asyncio.run(both(backend.ws_url, {**os.environ, **backend.environment}, chosen.seconds))
            runs.append({"typing_alone_p95_ms": alone, **result, "load_average": round(os.getloadavg()[0], 1)})
            sys.stdout.write(json.dumps(runs[-1]) + "\n")
            sys.stdout.flush()
    names = ("typing_alone_p95_ms", "typing_meanwhile_p95_ms", "append_to_client_p50_ms", "append_to_client_p95_ms")
    medians = {name: statistics.median(run[name] for run in runs) for name in names}
    whole = all(run["arrived"] == run["appended"] for run in runs)
    sys.stdout.write(json.dumps({"medians": medians, "goals": GOALS, "every_paragraph_arrived": whole}) + "\n")
    return int(not whole or any(medians[name] > goal for name, goal in GOALS.items()))


if __name__ == "__main__":
    sys.exit(main())
