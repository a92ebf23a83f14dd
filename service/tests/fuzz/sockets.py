"""Clients' bytes against the protocol layer in process, and against a real server."""

from __future__ import annotations

import json
import socket
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from peer import CLOSE, handshake, worker_pid
from servers import Backend, RedisServer, free_port, service_environment
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side

from app import ws_session, ws_wire
from app.core import catalog
from app.core.predict import Index
from app.core.stream import Job
from app.health import Health
from app.ws_backend import Backend as Parts
from app.ws_connection import Connection

MAKER = catalog.Brand("roland", "Roland", "Town", "https://example.com", "/static/assets/brands/roland.svg", ())
PRODUCT = catalog.Product("td-17", "roland", "TD-17", "c", "d", "x", "/static/assets/products/td-17.svg", aliases=())
ANSWERS = {"prediction", "error", "ack", "final_answer", "hello"}


def said(data: bytes) -> str:
    """What a server said, as kinds and codes; asserts that it is frames which a client understands and messages that clients know."""
    client = Protocol(Side.CLIENT, max_size=None)
    client.receive_data(data)
    assert client.parser_exc is None, client.parser_exc
    kinds = set()
    for event in client.events_received():
        assert isinstance(event, Frame)
        if event.opcode is Opcode.TEXT:
            message = json.loads(bytes(event.data).decode())
            assert message["type"] in ANSWERS and message.get("code") != "internal", message
            kinds.add(f"{message['type']} {message.get('code', '')}".strip())
        elif event.opcode == CLOSE:
            kinds.add(f"close {int.from_bytes(bytes(event.data[:2]), 'big')}")
        else:
            kinds.add(event.opcode.name.lower())
    return ", ".join(sorted(kinds)) or "nothing"


class Scripted:
    """A socket whose peer has said everything beforehand, in parts of `size`, and takes everything."""

    def __init__(self, data: bytes, size: int) -> None:
        self.data, self.size, self.sent = data, size, bytearray()

    def recv(self, limit: int) -> bytes:
        part, self.data = self.data[: min(limit, self.size)], self.data[min(limit, self.size) :]
        return part

    def send(self, data: memoryview) -> int:
        self.sent += data
        return len(data)

    def setsockopt(self, *_: object) -> None: ...
    def shutdown(self, _: int) -> None: ...


class Asked:
    """Stands for hub and streams: accepts every question."""

    def attach(self, client: object) -> None: ...
    def detach(self, client: object) -> None: ...
    def nudge(self) -> None: ...
    def trim(self, session: str, seq: int) -> None: ...

    def submit(self, job: Job) -> str:
        assert Job.load(job.dump()) == job
        return "new"


class InProcess:
    """A Connection on a scripted socket, everything in this thread."""

    def pid(self) -> str:
        return "self"

    @contextmanager
    def opened(self) -> Iterator[Callable[[bytes], str]]:
        asked, index = Asked(), Index(catalog.Catalogue([MAKER], [PRODUCT]))
        self._parts = Parts(lambda: index, asked, asked, Health(9), b"k", frozenset())  # type: ignore[arg-type]
        timeless = types.SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: None)
        at_once = {"spawn": lambda work, *arguments: work(*arguments)}
        with patch.multiple(ws_wire, time=timeless, **at_once), patch.multiple(ws_session, **at_once):
            yield self._take

    def _take(self, data: bytes) -> str:
        outcomes = [said(self._read(data, size)) for size in (8192, 1 + len(data) % 7)]
        if not any("close" in outcome or "rate" in outcome for outcome in outcomes):
            assert outcomes[0] == outcomes[1], "bytes mean the same, however they are cut"
        return outcomes[0]

    def _read(self, data: bytes, size: int) -> bytes:
        sock = Scripted(data, size)
        connection = Connection(sock, self._parts, {})  # type: ignore[arg-type]
        connection.read()
        connection.end()
        assert connection.wire.over and connection.wire.idle
        return bytes(sock.sent)


class RealServer:
    """A gunicorn without catalogue and answers; what is asked it accepts."""

    def pid(self) -> int:
        return self._worker

    @contextmanager
    def opened(self) -> Iterator[Callable[[bytes], str]]:
        with tempfile.TemporaryDirectory(prefix="hsc-fuzz-") as name:
            redis = RedisServer(free_port(), Path(name))
            redis.start()
            port = free_port()
            environment = service_environment("postgresql://hsc@127.0.0.1:1/none", redis.url, HSC_BIND=f"127.0.0.1:{port}")
            command = ["-m", "gunicorn", "-c", "app/gunicorn.conf.py", "app.wiring:create_app()"]
            self._server = Backend(command, environment, Path(name) / "log", port=port)
            self._server.start()
            try:
                self._server.wait_until(lambda: self._server.get("/health")[0] == 200, "the server", 60)
                self._worker = worker_pid(self._server.handle.pid)
                yield self._take
            finally:
                self._server.stop()
                redis.kill()

    def _take(self, data: bytes) -> str:
        with handshake(self._server.port) as raw:
            answer = self._talk(raw, data)
        assert worker_pid(self._server.handle.pid) == self._worker, "the worker died"
        log = self._server.log.read_text()
        assert '"level": "error"' not in log and '"level":"error"' not in log, log[-2000:]
        return said(answer)

    def _talk(self, raw: socket.socket, data: bytes) -> bytes:
        answer = b""
        try:
            raw.sendall(data)
            raw.shutdown(socket.SHUT_WR)
            while part := raw.recv(65536):
                answer += part
        except TimeoutError:
            raise
        except OSError:
            # A server may hang up on bytes it has not read; half a frame of its answer is then lost.
            return b""
        return answer
