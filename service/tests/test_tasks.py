"""Celery workers that die or are told to go in the middle of a fetch: the task comes back, the document is indexed once."""

from __future__ import annotations

import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
import redis
from celery import Celery
from manuals import MANUAL, manuals_server
from servers import Process, RedisServer, free_port, service_environment, wait_until
from sqlalchemy import Engine, text

from app import config, migrate
from app.core import database

VISIBILITY = 3
# The real worker with shorter waits, so that the test need not last minutes; everything else is as in production.
WORKER = f"""
from app.core.tasks import app
app.conf.broker_transport_options["visibility_timeout"] = {VISIBILITY}
app.conf.worker_soft_shutdown_timeout = 1
app.worker_main(["worker", "-Q", "fetch,maintenance", "-E", "-c", "1", "--without-mingle"])
"""


@dataclass
class Fetching:
    """Celery workers with what they need, and one fetch that takes long under way."""

    state: RedisServer
    manuals: ThreadingHTTPServer
    engine: Engine
    environment: dict[str, str]
    folder: Path
    workers: list[Process] = field(default_factory=list)

    def start_worker(self) -> Process:
        log = self.folder / f"celery-{len(self.workers)}.log"
        worker = Process(["-c", WORKER], {**self.environment, "HSC_METRICS_PORT": str(free_port())}, log).start()
        self.workers.append(worker)
        return worker

    def begin(self) -> Process:
        """A worker in the middle of the fetch."""
        worker = self.start_worker()
        app = Celery(broker=self.state.url, set_as_current=False)
        app.send_task("app.core.tasks.fetch_manual", (f"{self.environment['HSC_MANUAL_BASE_URL']}/slow.pdf",), queue="fetch")
        wait_until(lambda: self.manuals.asked == ["/slow.pdf"], "the fetch begins", 30)
        self.manuals.answers["/slow.pdf"] = (200, {}, MANUAL)  # the next one is quick
        return worker

    def documents(self) -> list[str]:
        with self.engine.connect() as connection:
            return list(connection.scalars(text("SELECT error FROM documents")))

    def indexed(self, worker: Process) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{worker.environment['HSC_METRICS_PORT']}/metrics", timeout=2) as answer:
            found = re.search(r"^documents_indexed_total (\S+)", answer.read().decode(), re.M)
        return float(found.group(1)) if found else 0.0

    def assert_done_once_by(self, worker: Process) -> None:
        wait_until(lambda: self.indexed(worker) == 1, "the other worker indexes it", 30)
        assert self.documents() == [""]
        client = redis.Redis.from_url(self.state.url)
        wait_until(lambda: client.hlen("unacked") + client.llen("fetch") == 0, "acknowledged", 5)
        # Long enough for a second restoring: nothing may come back any more.
        time.sleep(VISIBILITY)
        assert self.manuals.asked == ["/slow.pdf"] * 2


@pytest.fixture
def fetching(state_redis: RedisServer, database_url: str, tmp_path: Path) -> Iterator[Fetching]:
    engine = database.engine(config.from_env({"HSC_DATABASE_URL": database_url}).database_url)
    migrate.upgrade(engine)
    with manuals_server({"/slow.pdf": (200, {"X-Seconds": "25"}, MANUAL)}) as manuals:
        host = f"127.0.0.1:{manuals.server_port}"
        environment = service_environment(database_url, state_redis.url, HSC_MANUAL_HOSTS=host, HSC_MANUAL_BASE_URL=f"http://{host}")
        made = Fetching(state_redis, manuals, engine, {**environment, "REMAP_SIGTERM": "SIGQUIT"}, tmp_path)
        yield made
        for worker in made.workers:
            worker.stop()
    engine.dispose()


def kill_whole(process: Process) -> None:
    """As the kernel ends a container: parent and children, without a word."""
    assert process.handle
    children = subprocess.run(["pgrep", "-P", str(process.handle.pid)], capture_output=True, text=True, check=True).stdout.split()
    assert children, "a prefork worker has children"
    subprocess.run(["kill", "-9", str(process.handle.pid), *children], check=True)
    process.handle.wait(5)


def test_a_fetch_whose_worker_is_killed_comes_back(fetching: Fetching) -> None:
    kill_whole(fetching.begin())
    killed = time.monotonic()
    assert fetching.documents() == []
    other = fetching.start_worker()
    wait_until(lambda: len(fetching.manuals.asked) == 2, "the task comes back", 30)
    assert time.monotonic() - killed < VISIBILITY + 8, "restored within a sweep or two of the visibility timeout"
    fetching.assert_done_once_by(other)


def test_a_worker_told_to_go_hands_its_fetch_back_at_once(fetching: Fetching) -> None:
    """With REMAP_SIGTERM=SIGQUIT, SIGTERM waits for `worker_soft_shutdown_timeout` and then gives back what is not done."""
    worker = fetching.begin()
    assert worker.handle
    worker.handle.send_signal(signal.SIGTERM)
    told = time.monotonic()
    assert worker.handle.wait(20) == 0
    assert time.monotonic() - told < 12, "it must not wait for the end of the fetch"
    client = redis.Redis.from_url(fetching.state.url)
    assert (client.hlen("unacked"), client.llen("fetch"), fetching.documents()) == (0, 1, [])
    fetching.assert_done_once_by(fetching.start_worker())


def live(worker: Process) -> tuple[int, str]:
    """The answer of the worker's liveness probe; (0, "") while its port is shut."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{worker.environment['HSC_METRICS_PORT']}/live", timeout=2) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def test_a_worker_that_consumes_nothing_is_not_alive(fetching: Fetching) -> None:
    """It answers `inspect`, so only its liveness probe tells it."""
    worker = fetching.start_worker()
    wait_until(lambda: live(worker) == (200, "ok"), "the worker is ready", 30)
    control = Celery(broker=fetching.state.url, set_as_current=False).control
    control.cancel_consumer("fetch")
    wait_until(lambda: live(worker) == (503, "not consumed: fetch"), "the cancelled consumer is seen", 15)
    control.add_consumer("fetch")
    wait_until(lambda: live(worker) == (200, "ok"), "the consumer is back", 15)
    fetching.state.kill()
    assert live(worker)[0] == 200, "without a broker no worker consumes, and a restart helps nobody"


def test_a_probe_is_noted_for_its_queue(fetching: Fetching) -> None:
    worker = fetching.start_worker()
    app = Celery(broker=fetching.state.url, set_as_current=False)
    for queue in ("fetch", "maintenance"):
        app.send_task("app.core.tasks.probe", ("token",), queue=queue)
    client = redis.Redis.from_url(fetching.state.url)
    wait_until(lambda: client.smembers("probe:token") == {b"fetch", b"maintenance"}, "both probes are done", 30)
    assert 0 < client.ttl("probe:token") <= 60
    assert live(worker)[0] == 200
