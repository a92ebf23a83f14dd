"""A hundred people and more at once, as locust plays them: they type over a WebSocket, search, and ask now and then (QG-03).

    make load USERS=120 SECONDS=60 URL=http://127.0.0.1:8000 IMAGE=<registry>/hsc-jit-service@sha256:...

Writes the report that QG-03 reads to HSC_LOAD_REPORT. IMAGE names what is under load: a report counts only for that digest.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from locust import HttpUser, between, events, task
from locust.env import Environment
from websockets.sync.client import ClientConnection, connect

TEXTS = ("td17", "roland td", "moog sub", "juno x", "sm58", "scarlett 2i2", "hx stomp", "nord stag", "yamaha p", "digitakt")
SECONDS = 10  # to wait for one answer


class Musician(HttpUser):
    """Types a name letter by letter, looks at a result, asks a question in one of twenty cases."""

    wait_time = between(0.3, 1.0)
    socket: ClientConnection
    open: ExitStack

    def on_start(self) -> None:
        address = f"{self.host.replace('http', 'ws', 1)}/ws?proto=1"
        self.open = ExitStack()
        self.socket = self.open.enter_context(connect(address, compression=None, open_timeout=SECONDS))
        self._read("hello")

    def on_stop(self) -> None:
        self.open.close()

    @task(12)
    def type_a_letter(self) -> None:
        text = random.choice(TEXTS)  # noqa: S311  load, no secret
        self._measured("typing", lambda: self._typed(text[: random.randint(2, len(text))]))  # noqa: S311

    @task(6)
    def search(self) -> None:
        self.client.get("/api/search", params={"q": random.choice(TEXTS)}, name="/api/search")  # noqa: S311

    @task(1)
    def ask(self) -> None:
        self._measured("first words of an answer", self._asked)

    def _typed(self, text: str) -> None:
        self.socket.send(json.dumps({"type": "typing", "content": text, "rid": 1}))
        self._read("prediction")

    def _asked(self) -> None:
        command = f"load-{id(self)}-{time.monotonic_ns()}"
        self.socket.send(json.dumps({"type": "query", "product_id": "none", "query": "factory reset", "cmd": command}))
        self._read("status", "answer_chunk", "final_answer")

    def _read(self, *kinds: str) -> None:
        """Until a message of these kinds comes; what an earlier question still brings is passed over."""
        deadline = time.monotonic() + SECONDS
        while json.loads(self.socket.recv(timeout=max(0.01, deadline - time.monotonic())))["type"] not in kinds:
            pass

    def _measured(self, name: str, act: Callable[[], None]) -> None:
        began, problem = time.perf_counter(), None
        try:
            act()
        except Exception as error:
            problem = error
        took = (time.perf_counter() - began) * 1000
        self.environment.events.request.fire(request_type="WebSocket", name=name, response_time=took, response_length=0, exception=problem)


@events.quitting.add_listener
def write_report(environment: Environment, **_: Any) -> None:
    path = os.environ.get("HSC_LOAD_REPORT")
    if not path or environment.runner is None:
        return
    kinds = [
        {
            "name": f"{method} {name}",
            "requests": entry.num_requests,
            "failures": entry.num_failures,
            "p95_ms": round(entry.get_response_time_percentile(0.95) or 0, 1),
        }
        for (name, method), entry in environment.stats.entries.items()
    ]
    report = {
        "tool": "locust",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "url": environment.host,
        "image": os.environ["HSC_LOAD_IMAGE"],
        "users": environment.parsed_options.num_users,
        "seconds": environment.parsed_options.run_time,
        "kinds": kinds,
    }
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(report, indent=1))
