"""`python -m app.manuals_server`: serves the manuals of our own library over HTTP on :8080, as a maker's site would.

GET /manuals/<product id>.pdf · GET /manuals/ (a JSON list) · GET /health
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from app import logs
from app.core import catalogue_data, manuals_pdf

log = logging.getLogger(__name__)

PORT = 8080


@cache
def paths() -> dict[str, str]:
    """Product id by the path of its manual."""
    return {product["manual_url"]: product["id"] for product in catalogue_data.load()[1] if product["manual_url"]}


@cache
def pdf(product_id: str) -> bytes:
    """The manual of a product, written when it is first asked for."""
    brands, products = catalogue_data.load()
    product = next(item for item in products if item["id"] == product_id)
    return manuals_pdf.manual(product, next(brand["name"] for brand in brands if brand["id"] == product["brand_id"]))


class Handler(BaseHTTPRequestHandler):
    """Three kinds of GET; everything else is 404."""

    server_version = "hsc-manuals"
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        if self.path in paths():
            self._answer(200, "application/pdf", pdf(paths()[self.path]))
        elif self.path == "/manuals/":
            self._answer(200, "application/json", json.dumps(sorted(paths())).encode())
        elif self.path == "/health":
            self._answer(200, "application/json", b'{"status":"ok"}')
        else:
            self._answer(404, "application/json", b'{"status":404,"title":"Not Found"}')

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        log.debug(format, *args)


def main() -> None:
    """Serve until SIGTERM."""
    logs.configure(os.environ.get("HSC_LOG_LEVEL", "INFO").upper(), os.environ.get("HSC_POD", "manuals"))
    port = int(os.environ.get("HSC_MANUALS_PORT", PORT))
    server = ThreadingHTTPServer(("0.0.0.0", port), Handler)  # noqa: S104  a container's door; NetworkPolicy decides who reaches it
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    log.info("serving manuals", extra={"port": port, "manuals": len(paths())})
    server.serve_forever()


if __name__ == "__main__":
    main()
