"""A client as the protocol wants it: one session, resumed after every break, and what nobody acknowledged is sent again.

It keeps everything that it is sent and notes what must not be: a gap or a repetition in `seq`, a second final answer, a final that is
not the chunks before it, a session that was forgotten although it had accepted questions.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

FIRST_WAIT, LONGEST_WAIT = 0.25, 2.0
SEEN_SECONDS = 1.2


@dataclass
class Answer:
    """One question and what came for it. Times are time.monotonic()."""

    asked: float
    acknowledged: bool = False
    done: float | None = None
    finals: int = 0
    chunks: list[str] = field(default_factory=list)
    attempts: dict[int, float] = field(default_factory=dict)  # attempt -> when its first message came


@dataclass(frozen=True)
class Resume:
    """A break that was healed: from the begin of the last attempt, and from the break, to the greeting; and how many attempts it took."""

    at: float
    seconds: float
    outage: float
    attempts: int


class Asker:
    """One person. `live` runs until `ended`; `ask` may be called at any time, connected or not."""

    def __init__(self, url: str, chance: random.Random) -> None:
        self.url, self.chance = url, chance
        self.session: dict[str, Any] = {}
        self.offset = 0
        self.answers: dict[str, Answer] = {}
        self.waiting: dict[str, dict[str, str]] = {}
        self.resumes: list[Resume] = []
        self.renewed: list[str] = []
        self.faults: list[str] = []
        self.retries = 0
        self.ended = False
        self._ws: ClientConnection | None = None
        self._broken_at: float | None = None
        self._attempts = 0
        self._again: set[asyncio.Task[None]] = set()
        self._seen_at = 0.0

    @property
    def open(self) -> list[str]:
        """Commands that have no final answer yet."""
        return [cmd for cmd, answer in self.answers.items() if answer.done is None]

    async def ask(self, cmd: str, product_id: str, question: str) -> None:
        self.answers[cmd] = Answer(time.monotonic())
        self.waiting[cmd] = {"type": "query", "product_id": product_id, "query": question, "cmd": cmd}
        await self._send(self.waiting[cmd])

    async def live(self) -> None:
        """Stay connected, whatever happens."""
        while not self.ended:
            began = time.monotonic()
            try:
                address = {"proto": 1, **({**self.session, "offset": self.offset} if self.session else {})}
                self._attempts += 1
                async with connect(
                    f"{self.url}?{urlencode(address)}", open_timeout=5, close_timeout=1, ping_interval=5, ping_timeout=5, compression=None
                ) as ws:
                    self._greeted(json.loads(await ws.recv()), began)
                    self._ws = ws
                    for command in list(self.waiting.values()):
                        await self._send(command)
                    async for text in ws:
                        await self._receive(json.loads(text))
            except (OSError, WebSocketException, TimeoutError, EOFError):
                pass
            finally:
                self._ws = None
            if self._broken_at is None:
                self._broken_at, self._attempts = time.monotonic(), 0
            await asyncio.sleep(min(LONGEST_WAIT, FIRST_WAIT * 2**self._attempts) * self.chance.uniform(0.5, 1))

    async def end(self) -> None:
        self.ended = True
        if self._ws is not None:
            await self._ws.close()

    def _greeted(self, hello: dict[str, Any], began: float) -> None:
        now = time.monotonic()
        if hello["type"] != "hello":
            self.faults.append(f"{hello['type']} before the greeting")
        if self._broken_at is not None:
            self.resumes.append(Resume(now, now - began, now - self._broken_at, self._attempts))
        if self.session and not hello["recovered"]:
            self.renewed.append(hello["reason"])
        elif self.session and hello["offset"] != self.offset:
            self.faults.append(f"greeted at {hello['offset']}, was at {self.offset}")
        self.session = {key: hello[key] for key in ("session", "token", "epoch")}
        self.offset, self._broken_at, self._attempts = hello["offset"], None, 0

    async def _send(self, message: dict[str, Any]) -> None:
        if self._ws is not None:
            try:
                await self._ws.send(json.dumps(message))
            except ConnectionClosed:
                return  # `live` sends it again

    async def _receive(self, message: dict[str, Any]) -> None:
        cmd = message.get("cmd", "")
        if "seq" in message:
            self._durable(message)
            if time.monotonic() - self._seen_at > SEEN_SECONDS:
                self._seen_at = time.monotonic()
                await self._send({"type": "seen", "seq": self.offset})
        elif message["type"] == "ack":
            self.waiting.pop(cmd, None)
            self.answers[cmd].acknowledged = True
        elif message["type"] == "error" and message.get("code") in ("retry", "busy"):
            self.retries += 1
            task = asyncio.create_task(self._send_again(cmd))
            self._again.add(task)
            task.add_done_callback(self._again.discard)
        else:
            self.faults.append(f"unexpected {json.dumps(message)[:200]}")

    async def _send_again(self, cmd: str) -> None:
        await asyncio.sleep(self.chance.uniform(0.5, 1.5))
        if cmd in self.waiting:
            await self._send(self.waiting[cmd])

    def _durable(self, message: dict[str, Any]) -> None:
        now, seq, kind = time.monotonic(), message["seq"], message["type"]
        if seq != self.offset + 1:
            self.faults.append(f"{'gap' if seq > self.offset else 'repetition'}: seq {seq} after {self.offset}")
        self.offset = max(self.offset, seq)
        answer = self.answers.get(message["cmd"])
        if answer is None:
            self.faults.append(f"an answer to {message['cmd']}, which was never asked")
            return
        answer.attempts.setdefault(message["attempt"], now)
        if answer.done is not None:
            self.faults.append(f"{kind} after the final answer to {message['cmd']}")
        if kind == "answer_chunk":
            answer.chunks.append(message["content"])
        elif kind == "answer_reset":
            answer.chunks.clear()
        elif kind == "final_answer":
            answer.finals += 1
            answer.done = now
            if "\n\n".join(answer.chunks) != message["content"]:
                self.faults.append(f"the final answer to {message['cmd']} is not its chunks")
