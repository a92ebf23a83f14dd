"""A release that is good, and one that is withdrawn, while users work: 100 requests a second and 100 sockets that ask, and none is failed.

Every backend and answer pod is replaced, in the second release twice. The figures are printed and stand in .cache/test/releases.json.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._kube.client import Cluster
from asker import Asker
from deployment import Deployment
from test_answers_survive import product_ids, spread

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(600)]
RATE, SOCKETS, ASK_SECONDS, LAST_SECONDS = 100, 100, 10.0, 60.0
PATHS = ("/", "/health", "/api/search?q=td17")
NOBODY = "No such product"


class Users:
    """Requests on schedule, each on a connection of its own, and sessions that ask again and again."""

    def __init__(self, door: str, products: list[str]) -> None:
        self.door, self.products, self.ended = urlsplit(door), products, False
        self.seconds: list[float] = []
        self.failed: list[str] = []
        url = door.replace("http", "ws", 1) + "/ws"
        self.askers = [Asker(url, random.Random(number)) for number in range(SOCKETS)]

    async def work(self) -> None:
        tasks = [asyncio.create_task(asker.live()) for asker in self.askers]
        asking = [asyncio.create_task(self._ask(number, asker)) for number, asker in enumerate(self.askers)]
        await self._request_on_schedule()
        await asyncio.gather(*asking)
        deadline = time.monotonic() + LAST_SECONDS
        while any(asker.open or asker.waiting for asker in self.askers) and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
        for asker in self.askers:
            await asker.end()
        await asyncio.wait(tasks, timeout=10)

    async def _ask(self, number: int, asker: Asker) -> None:
        await asyncio.sleep(ASK_SECONDS * number / SOCKETS)
        for turn in itertools.count():
            if self.ended:
                return
            await asker.ask(f"release-{number}-{turn}", self.products[(number + turn) % len(self.products)], "How do I connect it?")
            await asyncio.sleep(ASK_SECONDS)

    async def _request_on_schedule(self) -> None:
        """Open loop: an answer that is late delays no other request."""
        began, sent = time.monotonic(), set()
        for number in itertools.count():
            if self.ended:
                break
            await asyncio.sleep(max(0.0, began + number / RATE - time.monotonic()))
            task = asyncio.create_task(self._request(PATHS[number % len(PATHS)]))
            sent.add(task)
            task.add_done_callback(sent.discard)
        await asyncio.gather(*sent)

    async def _request(self, path: str) -> None:
        started = time.monotonic()
        try:
            async with asyncio.timeout(10):
                reader, writer = await asyncio.open_connection(self.door.hostname, self.door.port)
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {self.door.netloc}\r\nConnection: close\r\n\r\n".encode())
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
                writer.close()
        except (OSError, TimeoutError) as error:
            self.failed.append(f"{path}: {type(error).__name__} {error} after {time.monotonic() - started:.2f} s")
            return
        self.seconds.append(time.monotonic() - started)
        if b" 200 " not in head.split(b"\r\n", 1)[0] or not body:
            self.failed.append(f"{path}: {head[:80]!r}")


async def _while_users_work(users: Users, deploy: Any) -> list[Deployment]:
    working = asyncio.create_task(users.work())
    try:
        return [await asyncio.to_thread(deploy, *one) for one in (("good", {}), ("withdrawn", {"verify_expected_product": NOBODY}))]
    finally:
        users.ended = True
        await working


def _another_level(product: Cluster) -> Iterator[str]:
    now = product.get(product.namespaced("configmaps/hsc-jit-config"))["data"]["HSC_LOG_LEVEL"]
    return itertools.cycle(["WARNING", "INFO"] if now == "INFO" else ["INFO", "WARNING"])


def test_no_request_and_no_answer_is_lost(
    product: Cluster, kubeconfig: str, images: dict[str, str], door: str, results: Path, tmp_path: Path
):
    users, levels = Users(door, product_ids(door)), _another_level(product)

    def deploy(name: str, more: dict[str, Any]) -> Deployment:
        evidence = tmp_path / name
        evidence.mkdir()
        return Deployment(evidence, kubeconfig=kubeconfig, release_images=images, release_log_level=next(levels), **more)

    pods = {pod["metadata"]["uid"] for pod in product.list(product.namespaced("pods"), labelSelector="app=hsc-jit-backend")}
    good, withdrawn = asyncio.run(_while_users_work(users, deploy))
    after = {pod["metadata"]["uid"] for pod in product.list(product.namespaced("pods"), labelSelector="app=hsc-jit-backend")}
    answers = [answer for asker in users.askers for answer in asker.answers.values()]
    faults = [fault for asker in users.askers for fault in asker.faults]
    back = next(iter(withdrawn.messages("RO-03", "pass")), "")
    found = {
        "seconds": {"good": round(good.seconds, 1), "withdrawn": round(withdrawn.seconds, 1)},
        "way_back": back,
        "requests": {**spread(users.seconds), "failed": len(users.failed)},
        "questions": {"asked": len(answers), "answered": sum(answer.done is not None for answer in answers), "faults": len(faults)},
        "sockets": {"resumed": spread([one.outage for asker in users.askers for one in asker.resumes])},
    }
    (results / "releases.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    assert (good.returncode, withdrawn.returncode) == (0, 2), good.output[-3000:] + withdrawn.output[-3000:]
    assert back, withdrawn.findings
    assert not pods & after, "every pod was replaced"
    assert users.failed == []
    assert len(users.seconds) > 0.9 * RATE * (good.seconds + withdrawn.seconds)
    assert faults == []
    assert {answer.finals for answer in answers} == {1}
    assert not any(asker.renewed for asker in users.askers), "every session was resumed"
