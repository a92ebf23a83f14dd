"""Every process of the product on loopback, with a catalogue and manuals of the tests' own."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

from manuals import MANUAL, manuals_server
from servers import Backend, Process, RedisServer, backends, free_port, own_database, service_environment
from sqlalchemy import Engine
from websockets.sync.client import ClientConnection

from app import config, migrate
from app.core import catalog, database

BRAND = {"id": "roland", "name": "Roland", "hq": "Hamamatsu, Japan", "website": "https://www.roland.com"}


def product(name: str, **more: object) -> dict[str, object]:
    fixed = {"brand_id": "roland", "category": "Electronic Drums", "description": f"{name}, a drum kit.", "production_country": "Malaysia"}
    return {"id": name.lower(), "name": name, **fixed, **more}


PRODUCTS = [
    product("TD-17", manual_url="/td17.pdf", price=1399.0, related=[{"id": "td-27", "type": "upgrade", "label": "Bigger"}]),
    product("TD-27", manual_url="/missing.pdf"),
    product("TD-50", specs={"pads": 9}),
    product("TD-02", manual_url="/broken.pdf"),
    product("TD-07", manual_url="/slow.pdf"),
]


class Stack:
    """The running product. Processes may be stopped, killed and added by a test."""

    def __init__(
        self,
        environment: dict[str, str],
        make_backend: Callable[[dict[str, str]], Backend],
        folder: Path,
        state: RedisServer,
        cache: RedisServer,
        manuals: ThreadingHTTPServer,
        engine: Engine,
    ) -> None:
        self.environment, self.make_backend, self.folder = environment, make_backend, folder
        self.state, self.cache, self.manuals, self.engine = state, cache, manuals, engine
        self.metrics: dict[str, int] = {}
        self.processes: list[Process] = []
        celery = self._launch("celery", "-m", "celery", "-A", "app.core.tasks", "worker", "-Q", "fetch,maintenance", "-E", "-c", "1")
        self.answerers = [self._launch("answer", "-m", "app.core.answers")]
        self.backend = make_backend(environment)
        for process in (celery, *self.answerers):
            self._wait(process)

    def start_answerer(self) -> Process:
        process = self._launch("answer", "-m", "app.core.answers")
        self._wait(process)
        self.answerers.append(process)
        return process

    def _launch(self, name: str, *arguments: str) -> Process:
        port, number = free_port(), len(self.processes)
        environment = {**self.environment, "HSC_METRICS_PORT": str(port), "HSC_POD": f"{name}-{number}"}
        process = Process(list(arguments), environment, self.folder / f"{name}-{number}.log").start()
        self.metrics[name] = port
        self.processes.append(process)
        return process

    def _wait(self, process: Process) -> None:
        port = process.environment["HSC_METRICS_PORT"]
        process.wait_until(lambda: _get(f"http://127.0.0.1:{port}/metrics"), "its metrics", 40)

    def scrape(self, name: str) -> str:
        """The metrics of the newest process of that name."""
        return _get(f"http://127.0.0.1:{self.metrics[name]}/metrics")

    def stop(self) -> None:
        alive = [process for process in self.processes if process.handle and process.handle.poll() is None]
        for process in alive:
            process.handle.send_signal(signal.SIGCONT)
            process.handle.send_signal(signal.SIGTERM)
        for process in alive:
            process.stop()


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=2) as answer:
        return answer.read().decode()


@contextmanager
def running_stack(folder: Path, postgres_port: int) -> Iterator[Stack]:
    """Start everything, end everything."""
    state = RedisServer(
        free_port(), folder / "state", ["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"]
    )
    cache = RedisServer(free_port(), folder / "cache", ["--appendonly", "no", "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lfu"])
    answers = {
        "/td17.pdf": (200, {}, MANUAL),
        "/broken.pdf": (200, {}, b"%PDF-1.4 nonsense"),
        "/slow.pdf": (200, {"X-Seconds": "3"}, MANUAL),
    }
    for server in (state, cache):
        server.directory.mkdir()
        server.start()
    with own_database(postgres_port) as url, manuals_server(answers) as manuals, backends(folder) as make_backend:
        engine = database.engine(config.from_env({"HSC_DATABASE_URL": url}).database_url)
        migrate.upgrade(engine)
        with engine.begin() as connection:
            catalog.import_rows(connection, *catalog.rows_from_data([BRAND], PRODUCTS))
        host = f"127.0.0.1:{manuals.server_port}"
        environment = service_environment(url, state.url, cache.url, HSC_MANUAL_HOSTS=host, HSC_MANUAL_BASE_URL=f"http://{host}")
        stack = Stack(environment, make_backend, folder, state, cache, manuals, engine)
        try:
            yield stack
        finally:
            stack.stop()
            engine.dispose()
    state.kill()
    cache.kill()


def ask(ws: ClientConnection, product_id: str, question: str, cmd: str | None = None, seconds: float = 40) -> list[dict]:
    """Ask and collect messages up to the final answer."""
    ws.send(json.dumps({"type": "query", "product_id": product_id, "query": question, **({"cmd": cmd} if cmd else {})}))
    return collect(ws, seconds)


def collect(ws: ClientConnection, seconds: float = 40) -> list[dict]:
    messages: list[dict] = []
    deadline = time.monotonic() + seconds
    while not messages or messages[-1]["type"] != "final_answer":
        messages.append(json.loads(ws.recv(max(0.1, deadline - time.monotonic()))))
    return messages


def kinds(messages: list[dict]) -> list[str]:
    return [message["type"] for message in messages]


def assert_whole(messages: list[dict]) -> None:
    """Contiguous seq from the first, one final, and the chunks after the last reset are the final's text."""
    durable = [message for message in messages if "seq" in message]
    assert [message["seq"] for message in durable] == list(range(durable[0]["seq"], durable[0]["seq"] + len(durable)))
    assert kinds(durable).count("final_answer") == 1
    resets = [place for place, message in enumerate(durable) if message["type"] == "answer_reset"]
    chunks = [message["content"] for message in durable[resets[-1] + 1 if resets else 0 :] if message["type"] == "answer_chunk"]
    assert "\n\n".join(chunks) == durable[-1]["content"]
