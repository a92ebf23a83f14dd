"""Real servers on loopback for tests and benchmarks: Redis, PostgreSQL and processes of the service, and how one waits for them."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import count
from pathlib import Path

import psycopg

SERVICE = Path(__file__).parents[1]


# Below the ports that the kernel gives to the near end of a connection (32768 and up): one of those may be free when it
# is chosen and a client's when the server binds it. Each of pytest's workers has 500 of its own.
_ports = count(20_000 + 500 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")))


def free_port() -> int:
    """A loopback port nobody listens on, given once: a server of it can be ended and started again."""
    while True:
        port = next(_ports)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(
    condition: Callable[[], object],
    what: str,
    seconds: float = 20.0,
    process: subprocess.Popen[bytes] | None = None,
    log: Path | None = None,
) -> None:
    """Poll until `condition()` is true; an exception counts as not yet. The end of `process` ends it; a failure tells the log's end."""
    deadline = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < deadline:
        ended = process and process.poll() is not None  # asked first: what it did before its end still counts
        try:
            last = condition()
        except Exception as problem:
            last = problem
        else:
            if last:
                return
        if ended:
            raise AssertionError(f"{what}: the process ended with {process.returncode}, last {last!r}{_end_of(log)}")
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s, last {last!r}{_end_of(log)}")


def _end_of(log: Path | None) -> str:
    return f"\n{log}:\n{log.read_text(errors='replace')[-2000:]}" if log else ""


def accepts(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), 0.5):
        return True


def stop(process: subprocess.Popen[bytes], sig: int = signal.SIGTERM, seconds: float = 15.0) -> None:
    """End one process that a test started."""
    if process.poll() is None:
        process.send_signal(sig)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass
class RedisServer:
    """A redis-server with AOF in a directory of its own; can be killed and started again on the same data."""

    port: int
    directory: Path
    options: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        binary = shutil.which("redis-server")
        assert binary, "redis-server is missing: apt-get install redis-server"
        place = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        arguments = [binary, *place, "--save", "", "--loglevel", "warning", *self.options]
        log = self.directory / "redis-server.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(arguments, stdout=output, stderr=output)
        wait_until(lambda: accepts(self.port), "redis-server", process=self.process, log=log)

    def kill(self) -> None:
        assert self.process
        stop(self.process, signal.SIGKILL)


def _postgres_binary(name: str) -> str:
    for folder in ("/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/15/bin", "/usr/local/bin"):
        if (Path(folder) / name).exists():
            return f"{folder}/{name}"
    found = shutil.which(name)
    assert found, f"{name} is missing: apt-get install postgresql-15"
    return found


@contextmanager
def postgres() -> Iterator[int]:
    """The port of a PostgreSQL under an unprivileged user (it refuses root), without fsync: the data dies with the run."""

    folder = Path(tempfile.mkdtemp(prefix="hsc-pg-"))
    user: dict[str, int] = {}
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid}
    data, log, port = folder / "data", folder / "log", free_port()
    initdb = [_postgres_binary("initdb"), "-D", str(data), "-U", "hsc", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
    settings = ("listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "fsync=off")
    arguments = [_postgres_binary("postgres"), "-D", str(data), "-p", str(port), *(word for one in settings for word in ("-c", one))]
    try:
        with log.open("ab") as output:
            inherited = {"stdout": output, "stderr": output, "cwd": "/", **user}
            subprocess.run(initdb, check=True, **inherited)  # type: ignore[call-overload]
            process = subprocess.Popen(arguments, **inherited)  # type: ignore[call-overload]
        try:
            # It accepts connections some time before it lets anybody in.
            wait_until(lambda: _admin(port).close() is None, "postgres", process=process, log=log)
            yield port
        finally:
            stop(process, signal.SIGINT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _admin(port: int) -> psycopg.Connection:
    return psycopg.connect(host="127.0.0.1", port=port, user="hsc", dbname="postgres", autocommit=True)


@contextmanager
def own_database(port: int) -> Iterator[str]:
    """An empty database of its own on that PostgreSQL, as HSC_DATABASE_URL is written."""
    name = f"t{time.monotonic_ns()}"
    with _admin(port) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    try:
        yield f"postgresql://hsc@127.0.0.1:{port}/{name}"
    finally:
        with _admin(port) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def service_environment(database_url: str, redis_url: str, cache_url: str = "", **more: str) -> dict[str, str]:
    """The environment a process of the service gets, and nothing of ours besides PATH."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "HSC_DATABASE_URL": database_url,
        "HSC_REDIS_URL": redis_url,
        "HSC_CACHE_URL": cache_url,
        "HSC_TOKEN_KEY": "a-key-for-tests",
        "HSC_DRAIN_SECONDS": "0.3",
        "HSC_CLOSE_JITTER_SECONDS": "0.5",
        **more,
    }


@dataclass
class Process:
    """A process of the service, its log beside it."""

    arguments: list[str]
    environment: dict[str, str]
    log: Path
    handle: subprocess.Popen[bytes] | None = None

    def start(self) -> Process:
        with self.log.open("ab") as output:
            self.handle = subprocess.Popen(
                [sys.executable, *self.arguments], env=self.environment, cwd=SERVICE, stdout=output, stderr=output
            )
        return self

    def wait_until(self, condition: Callable[[], object], what: str, seconds: float) -> None:
        """As the function of that name; the end of this process ends the wait."""
        wait_until(condition, what, seconds, self.handle, self.log)

    def stop(self, sig: int = signal.SIGTERM) -> None:
        if self.handle:
            stop(self.handle, sig, 40)


@dataclass
class Backend(Process):
    """gunicorn as in production, on a free port."""

    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body

    def wait_ready(self, seconds: float = 30) -> Backend:
        self.wait_until(lambda: self.get("/ready")[0] == 200, "/ready of the backend", seconds)
        return self


@contextmanager
def backends(folder: Path, ready_seconds: float = 30) -> Iterator[Callable[[dict[str, str]], Backend]]:
    """Start backends with a given environment; all are ended at the end."""
    made: list[Backend] = []

    def make(environment: dict[str, str]) -> Backend:
        port = free_port()
        arguments = ["-m", "gunicorn", "-c", "app/gunicorn.conf.py", "app.wiring:create_app()"]
        own = {"HSC_BIND": f"127.0.0.1:{port}", "HSC_ALLOWED_ORIGINS": f"http://127.0.0.1:{port},http://localhost:5173"}
        backend = Backend(arguments, {**environment, **own}, folder / f"backend-{port}.log", port=port)
        backend.start()
        made.append(backend)
        return backend.wait_ready(ready_seconds)

    try:
        yield make
    finally:
        for backend in made:
            backend.stop()
