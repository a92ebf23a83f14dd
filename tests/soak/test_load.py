"""300 people type while 50 answers stream, through the deployed product's Service: how long do predictions and paragraphs take?

The figures are printed and stand in .cache/test/load.json. They are of one shared machine: only what would be broken anywhere fails here.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._kube.client import Cluster
from kills import ANSWER, Killer
from websockets.asyncio.client import ClientConnection, connect

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

SERVICE = Path(__file__).parents[2] / "service"
TYPISTS, SESSIONS, CHUNKS_PER_SECOND, SECONDS = 300, 50, 250, 30


async def opened(url: str, number: int) -> tuple[ClientConnection, list[str]]:
    """A session that has had one answer, so that it is in Redis and its pod follows it."""
    ws = await connect(f"{url}?proto=1", compression=None)
    hello = json.loads(await ws.recv())
    await ws.send(json.dumps({"type": "query", "product_id": "none", "query": "load", "cmd": f"first-{number}"}))
    while json.loads(await asyncio.wait_for(ws.recv(), 30))["type"] != "final_answer":
        pass
    return ws, [hello["session"], hello["epoch"]]


async def read(ws: ClientConnection, latencies: list[float], last: list[int]) -> None:
    """Note how late each paragraph is; its text is when it was handed to Redis."""
    async for text in ws:
        message = json.loads(text)
        latencies.append(time.time() - float(message["content"]))
        last.append(message["seq"])


def typing(url: str) -> subprocess.Popen[str]:
    arguments = [url, "--clients", str(TYPISTS), "--rate", "1", "--seconds", str(SECONDS)]
    return subprocess.Popen([sys.executable, "-m", "bench.typing", *arguments], cwd=SERVICE, stdout=subprocess.PIPE, text=True)


async def streaming(product: Cluster, url: str) -> tuple[list[float], list[list[int]], dict[str, Any]]:
    """Latencies of paragraphs, the seqs that each session got, and what the streamer says."""
    pairs = await asyncio.gather(*(opened(url, number) for number in range(SESSIONS)))
    latencies: list[float] = []
    seqs: list[list[int]] = [[] for _ in pairs]
    readers = [asyncio.create_task(read(ws, latencies, seqs[number])) for number, (ws, _) in enumerate(pairs)]
    code = (SERVICE / "bench/streamer.py").read_text()
    argv = ["python", "-c", code, str(CHUNKS_PER_SECOND), str(SECONDS), json.dumps([names for _, names in pairs])]
    pod = Killer(product, random.Random(0)).ready(ANSWER)[0]["metadata"]["name"]
    done = await asyncio.to_thread(product.exec, pod, "answer", argv, timeout_seconds=SECONDS + 60)
    assert done.returncode == 0, done
    said = json.loads(done.stdout)
    deadline = time.monotonic() + 15
    while len(latencies) < said["appended"] and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    for reader, (ws, _) in zip(readers, pairs, strict=True):
        reader.cancel()
        await ws.close()
    return latencies, seqs, said


def test_typing_and_streaming_do_not_wait_for_each_other(product: Cluster, door: str, results: Path) -> None:
    url = door.replace("http", "ws", 1) + "/ws"
    typists = typing(url)
    try:
        latencies, seqs, said = asyncio.run(streaming(product, url))
        output, _ = typists.communicate(timeout=120)
    finally:
        typists.kill()
    cuts = statistics.quantiles(latencies, n=20)
    found = {
        "typing": json.loads(output),
        "streaming": {
            "sessions": SESSIONS,
            "chunks_per_second": CHUNKS_PER_SECOND,
            **said,
            "append_to_client_p50_ms": round(cuts[9] * 1000, 2),
            "append_to_client_p95_ms": round(cuts[18] * 1000, 2),
            "append_to_client_max_ms": round(max(latencies) * 1000, 2),
        },
    }
    (results / "load.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    assert len(latencies) == said["appended"]
    for got in seqs:
        assert got == list(range(got[0], got[0] + len(got)))
    assert found["typing"]["answers"] == TYPISTS * SECONDS
    assert found["typing"]["max_ms"] < math.inf
    assert max(found["typing"]["p95_ms"], found["streaming"]["append_to_client_p95_ms"]) < 1000
