"""How long does a prediction take while many people type? Open loop: messages leave on schedule, however late answers are.

    python -m bench.typing ws://127.0.0.1:8000/ws --clients 100 --rate 1 --seconds 30

Latency is counted from the moment a message was due, so a stalled server can't hide (no coordinated omission). Prints one line of JSON
with milliseconds; exit status 1 when an answer is missing or p95 is above --limit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

TEXTS = (
    "td17",
    "roland td",
    "moog sub",
    "juno x",
    "korg min",
    "sm58",
    "scarlett 2i2",
    "hx stomp",
    "nord stag",
    "prophet",
    "yamaha p",
    "digitakt",
)


Words = tuple[str, ...]


async def client(number: int, url: str, rate: float, seconds: float, start: float, words: Words = TEXTS) -> list[float]:
    """One typist: latencies in seconds, infinite for an answer that never came."""
    stagger = number * 0.618 % 1 / rate
    due: list[float] = []
    took: list[float] = []
    async with connect(url, compression=None, open_timeout=30) as ws:
        reader = asyncio.create_task(_read(ws, due, took, max(1, int(seconds * rate))))
        for step in range(max(1, int(seconds * rate))):
            due.append(start + stagger + step / rate)
            await asyncio.sleep(max(0.0, due[-1] - time.perf_counter()))
            text = words[(number + step) % len(words)]
            await ws.send(json.dumps({"type": "typing", "content": text[: 2 + (number + step) % len(text)], "rid": step}))
        try:
            await asyncio.wait_for(reader, 15)
        except TimeoutError:
            took += [float("inf")] * (len(due) - len(took))
    return took


async def _read(ws: ClientConnection, due: list[float], took: list[float], count: int) -> None:
    while len(took) < count:
        answer = json.loads(await ws.recv())
        if answer["type"] == "prediction":
            took.append(time.perf_counter() - due[answer["rid"]])


async def measure(url: str, clients: int, rate: float, seconds: float, words: Words = TEXTS) -> dict[str, float]:
    """Latencies in milliseconds over all clients."""
    start = time.perf_counter() + 2 + clients / 200
    results = await asyncio.gather(*(client(number, url, rate, seconds, start, words) for number in range(clients)))
    took = sorted(value * 1000 for result in results for value in result)
    cuts = statistics.quantiles(took, n=100)
    figures = {
        "clients": clients,
        "rate": rate,
        "answers": len(took),
        "p50_ms": cuts[49],
        "p95_ms": cuts[94],
        "p99_ms": cuts[98],
        "max_ms": took[-1],
    }
    return {name: round(value, 2) for name, value in figures.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", default="ws://127.0.0.1:8000/ws")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--rate", type=float, default=1.0, help="messages a second and client")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--texts", type=Path, help="a file like tests/queries.tsv: its second column is typed, so that few texts repeat")
    parser.add_argument("--limit", type=float, default=float("inf"), help="p95 in milliseconds that fails the run")
    chosen = parser.parse_args()
    words = (
        tuple(line.split("\t")[1] for line in chosen.texts.read_text("utf-8").splitlines() if line[:1] != "#") if chosen.texts else TEXTS
    )
    result = asyncio.run(measure(chosen.url, chosen.clients, chosen.rate, chosen.seconds, words))
    sys.stdout.write(json.dumps(result) + "\n")
    return int(result["max_ms"] == float("inf") or result["p95_ms"] > chosen.limit)


if __name__ == "__main__":
    sys.exit(main())
