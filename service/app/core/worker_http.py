"""The worker's HTTP port: /metrics for Prometheus, /live for the kubelet.

A worker is alive while it consumes its queues. One whose consumers were cancelled still answers `inspect`, and its tasks wait for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from app.metrics import registry


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = 10  # seconds; a client that says nothing must not hold a thread

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  the library's name
        """Scrapes and probes are not logged."""


def serve(port: int, not_consumed: Callable[[], list[str]]) -> _Server:
    """Answer on all addresses, in a thread of its own. not_consumed: names of the queues that the worker should consume and does not."""
    metrics: Any = make_wsgi_app(registry)

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/live":
            return metrics(environ, start_response)  # type: ignore[no-any-return]
        queues = not_consumed()
        body = (f"not consumed: {', '.join(queues)}" if queues else "ok").encode()
        status = "503 Service Unavailable" if queues else "200 OK"
        start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    server = make_server("", port, answer, server_class=_Server, handler_class=_Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    return server
