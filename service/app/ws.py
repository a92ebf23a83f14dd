"""`/ws`: how a request becomes a WebSocket under gunicorn, and all connections of the process.

A Flask route answers 101 on the raw socket and serves it to its end: one client is a Connection (`ws_connection`), its bytes are a Wire
(`ws_wire`), its questions and answers a Session (`ws_session`). The same code runs on gunicorn's gevent and gthread workers.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import random
import socket
import threading
from collections.abc import Callable
from typing import Any

from flask import Flask, Request, Response, request

from app.metrics import WS_CONNECTIONS, WS_ERRORS
from app.ws_backend import Backend
from app.ws_connection import Connection
from app.ws_session import OVERLOADED, RESTART

log = logging.getLogger(__name__)

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEEP_ALIVE_SECONDS = 2.0


class Upgrade(Response):
    """Answers 101 on the raw socket, serves it to its end, then tells gunicorn that nothing is left to send."""

    def __init__(self, accept: str, serve: Callable[[socket.socket], None]) -> None:
        super().__init__(status=101)
        self.accept, self.serve = accept, serve

    def __call__(self, environ: Any, start_response: Any) -> Any:
        sock: socket.socket = environ["gunicorn.socket"]
        head = (
            f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {self.accept}\r\n\r\n"
        )
        try:
            sock.sendall(head.encode())
            self.serve(sock)
        except Exception:
            # After the 101 nothing may reach WSGI: gunicorn would write an HTTP error into the middle of a WebSocket.
            log.exception("websocket ended by an error")
        raise StopIteration  # gunicorn's own word for "this connection is finished"


def refusal(req: Request, allowed_origins: frozenset[str]) -> tuple[int, str] | None:
    """Why this request can't become a WebSocket (status, reason), or None."""
    if "websocket" not in req.headers.get("Upgrade", "").lower() or "upgrade" not in req.headers.get("Connection", "").lower():
        return 426, "This address speaks WebSocket: send Upgrade: websocket and Connection: Upgrade."
    if req.headers.get("Sec-WebSocket-Version") != "13":
        return 426, "Only WebSocket version 13 is spoken here."
    try:
        valid = len(base64.b64decode(req.headers.get("Sec-WebSocket-Key", ""), validate=True)) == 16
    except ValueError:
        valid = False
    if not valid:
        return 400, "Sec-WebSocket-Key must be 16 bytes in base64."
    origin = req.headers.get("Origin")
    if origin is not None and origin.lower() not in allowed_origins:
        return 403, "This origin is not in HSC_ALLOWED_ORIGINS."
    return None


class Sockets:
    """All connections of the process: the route, keep-alive, and the farewell at shutdown."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.open: set[Connection] = set()
        self._lock = threading.Lock()

    def register(self, app: Flask) -> None:
        def ws() -> Response | tuple[dict[str, Any], int, dict[str, str]]:
            problem = refusal(request, self.backend.allowed_origins)
            if problem is not None:
                status, reason = problem
                WS_ERRORS.labels(f"handshake_{status}").inc()
                headers = {
                    "Content-Type": "application/problem+json",
                    **({"Upgrade": "websocket", "Sec-WebSocket-Version": "13"} if status == 426 else {}),
                }
                return {"type": "about:blank", "title": "Not a WebSocket here", "status": status, "detail": reason}, status, headers
            accept = base64.b64encode(hashlib.sha1((request.headers["Sec-WebSocket-Key"] + GUID).encode()).digest()).decode()  # noqa: S324  RFC 6455 says SHA-1
            parameters = request.args.to_dict()
            return Upgrade(accept, lambda sock: self.serve(sock, parameters))

        # Werkzeug keeps rules for upgrades and for plain requests apart; the plain one explains what is wrong.
        app.add_url_rule("/ws", "ws", ws, websocket=True)
        app.add_url_rule("/ws", "ws_plain", ws)

    def serve(self, sock: socket.socket, parameters: dict[str, str]) -> None:
        """Own `sock` until it ends."""
        health = self.backend.health
        connection = Connection(sock, self.backend, parameters)
        with self._lock:
            full = health.connections >= health.max_connections
            self.open.add(connection)
            health.connections += 1
        WS_CONNECTIONS.inc()
        try:
            if full or health.draining:
                WS_ERRORS.labels("overloaded" if full else "draining").inc()
                connection.close(OVERLOADED if full else RESTART)
            else:
                connection.session.begin()
            connection.read()
        finally:
            with self._lock:
                self.open.discard(connection)
                health.connections -= 1
            WS_CONNECTIONS.dec()
            connection.end()

    def _all(self) -> list[Connection]:
        with self._lock:
            return list(self.open)

    @property
    def keep_alive_seconds(self) -> float:
        """How often to call `keep_alive`: often enough for the shortest of the times it watches."""
        shortest = min(self.backend.ping_seconds, self.backend.connection_seconds or KEEP_ALIVE_SECONDS)
        return min(KEEP_ALIVE_SECONDS, shortest / 4)

    def keep_alive(self, now: float) -> None:
        """Ping the quiet, drop the dead, renew the old. Called every `keep_alive_seconds`."""
        for connection in self._all():
            connection.keep_alive(now)

    def drain(self, window_seconds: float, sleep: Callable[[float], object]) -> None:
        """Tell every client to come back elsewhere (1012), spread over the window so that they don't all come at once."""
        waiting = self._all()
        random.shuffle(waiting)
        for number, connection in enumerate(waiting):
            connection.close(RESTART)
            if number + 1 < len(waiting):
                sleep(window_seconds / len(waiting))
