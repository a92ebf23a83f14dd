"""The HTTP API and the page: translate, delegate, answer. Errors are RFC 9457 problem details."""

from __future__ import annotations

import json
import logging
import math
import re
import secrets
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from cachetools import LRUCache
from flask import Flask, Response, g, request, send_from_directory
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from werkzeug.exceptions import HTTPException, abort
from werkzeug.middleware.proxy_fix import ProxyFix

from app.allowance import Allowance
from app.config import Config
from app.core import artwork
from app.core.predict import Index
from app.health import Health
from app.metrics import HTTP_REQUESTS, HTTP_SECONDS, SEARCHES, registry

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[1]
OPENAPI = (ROOT / "app" / "openapi.json").read_text(encoding="utf-8")
LIMIT = 20
CURRENCY = "USD"
REMEMBERED_CLIENTS = 10_000
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
# As JSON writes a whole number, of two digits: int() alone takes "٣" and "0_3", and fails on thousands of digits.
_LIMIT = re.compile(r"[1-9][0-9]?")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RateLimit:
    """An allowance for each client: `burst` requests at once, `per_second` in the long run.

    In memory of one pod, on purpose: a limit across pods would put Redis in the way of every request, and what is
    protected is this pod's CPU. Of more than `clients` clients the longest unheard is forgotten, which only gives it a full
    bucket again.
    """

    def __init__(self, per_second: float, burst: float, clients: int = REMEMBERED_CLIENTS) -> None:
        self.per_second, self.burst = per_second, burst
        self._buckets: LRUCache[str, Allowance] = LRUCache(clients)
        self._lock = threading.Lock()

    def wait(self, client: str, now: float) -> float:
        """Take a token at `now`, in seconds of any steady clock: 0, or the seconds until there will be one."""
        with self._lock:
            bucket = self._buckets.get(client)
            if bucket is None:
                bucket = self._buckets[client] = Allowance(self.per_second, self.burst, now)
            return 0.0 if bucket.take(now) else bucket.missing(now)


def register(
    app: Flask,
    health: Health,
    index: Callable[[], Index | None],
    allowed_origins: frozenset[str],
    *,
    requests_per_second: float = Config.requests_per_second,
    trusted_proxies: int = Config.trusted_proxies,
) -> None:
    """Add routes, problem details, headers, metrics and the rate limit to `app`."""
    # "/api/price//" is a query that finds nothing, not a page that has moved.
    app.url_map.merge_slashes = False
    _register_probes(app, health)
    _register_api(app, index)
    _register_pictures(app, index)
    _register_files(app)
    _register_surroundings(app, allowed_origins)
    _register_rate_limit(app, requests_per_second, trusted_proxies)


def _json(body: Any, status: int = 200, mimetype: str = "application/json") -> Response:
    return Response(body if isinstance(body, str) else json.dumps(body, ensure_ascii=False), status, mimetype=mimetype)


def problem(status: int, detail: str) -> Response:
    """An RFC 9457 answer."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, "instance": request.path}
    return _json({**body, "request_id": g.get("request_id", "")}, status, "application/problem+json")


def _register_probes(app: Flask, health: Health) -> None:
    @app.get("/health")
    def health_probe() -> Response:
        ok, body = health.alive()
        return _json(body, 200 if ok else 503)

    @app.get("/ready")
    def ready_probe() -> Response:
        ok, body = health.ready()
        return _json(body, 200 if ok else 503)

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    @app.get("/openapi.json")
    def openapi() -> Response:
        return _json(OPENAPI)


def _register_api(app: Flask, index: Callable[[], Index | None]) -> None:
    def loaded() -> Index:
        found = index()
        if found is None:
            abort(503, "The catalogue is not loaded yet. Try again in a few seconds.")
        return found

    @app.get("/api/search")
    def search() -> Response:
        text, limit = request.args.get("q", ""), request.args.get("limit", "10")
        if not text.strip() or len(text) > 1000:
            abort(400, "q must be 1 to 1000 characters of text.")
        if not _LIMIT.fullmatch(limit) or int(limit) > LIMIT:
            abort(400, f"limit must be a whole number from 1 to {LIMIT}.")
        SEARCHES.labels("api").inc()
        found = loaded()
        items = ",".join(found.item(match) for match in found.matches(text, int(limit)))
        return _json(f'{{"query":{json.dumps(text)},"results":[{items}]}}')

    @app.get("/api/products/<product_id>")
    def product(product_id: str) -> Response:
        found = loaded().catalogue
        wanted = found.products.get(product_id)
        if wanted is None:
            abort(404, f"No product has the id {product_id[:200]!r}. Search at /api/search?q=…")
        return _json(found.entry(wanted))

    @app.get("/api/price/<path:query>")
    def price(query: str) -> Response:
        if len(query) > 1000:
            abort(400, "The query is longer than 1000 characters.")
        SEARCHES.labels("price").inc()
        found = loaded()
        for match in found.matches(query, LIMIT):
            wanted = found.products[match.index]
            if wanted.price is not None:
                brand = found.catalogue.brand_of(wanted).name
                card = {"id": wanted.id, "name": wanted.name, "brand": brand}
                return _json({"query": query, "product": card, "price": wanted.price, "currency": CURRENCY, "confidence": match.confidence})
        return problem(404, "No product with a known price matches. Search at /api/search?q=…")


def _register_pictures(app: Flask, index: Callable[[], Index | None]) -> None:
    def picture(svg: str) -> Response:
        answer = Response(svg, mimetype="image/svg+xml")
        answer.headers["Cache-Control"] = "public, max-age=86400"
        return answer

    @app.get("/static/assets/brands/<name>.svg")
    def brand_picture(name: str) -> Response:
        found = index()
        if found is None or name not in found.catalogue.brands:
            return problem(404, "No maker has this id.")
        return picture(artwork.brand(found.catalogue.brands[name]))

    @app.get("/static/assets/products/<name>.svg")
    def product_picture(name: str) -> Response:
        found = index()
        if found is None or name not in found.catalogue.products:
            return problem(404, "No product has this id.")
        wanted = found.catalogue.products[name]
        return picture(artwork.product(wanted, found.catalogue.brand_of(wanted)))


def _register_files(app: Flask) -> None:
    @app.get("/")
    def page() -> Response:
        return send_from_directory(ROOT / "ui", "index.html", max_age=0)

    @app.get("/static/ui/<path:name>")
    def page_part(name: str) -> Response:
        return send_from_directory(ROOT / "ui", name, max_age=0)


def _register_surroundings(app: Flask, allowed_origins: frozenset[str]) -> None:
    @app.before_request
    def begin() -> None:
        asked = request.headers.get("X-Request-ID", "")
        g.request_id = asked if _REQUEST_ID.fullmatch(asked) else secrets.token_hex(8)
        g.started = time.perf_counter()

    @app.errorhandler(HTTPException)
    def refused(failure: HTTPException) -> Response:
        answer = problem(failure.code or 500, failure.description or "")
        for name, value in failure.get_headers(request.environ):
            if name in ("Allow", "Retry-After"):
                answer.headers[name] = value
        return answer

    @app.errorhandler(Exception)
    def broken(failure: Exception) -> Response:
        log.error("request failed", exc_info=failure, extra={"request_id": g.get("request_id", ""), "endpoint": request.endpoint})
        return problem(500, "Something went wrong on our side. Quote the request_id when you report it.")

    @app.after_request
    def finish(answer: Response) -> Response:
        answer.headers["X-Request-ID"] = g.get("request_id", "")
        answer.headers.extend(SECURITY_HEADERS)
        answer.headers.add("Vary", "Origin")
        origin = request.headers.get("Origin", "")
        if origin.lower() in allowed_origins:
            answer.headers["Access-Control-Allow-Origin"] = origin
            answer.headers["Access-Control-Expose-Headers"] = "X-Request-ID, Retry-After"
        if answer.status_code != 101:
            endpoint = str(request.url_rule or "unknown")
            HTTP_REQUESTS.labels(request.method, endpoint, str(answer.status_code)).inc()
            HTTP_SECONDS.labels(request.method, endpoint).observe(time.perf_counter() - g.get("started", time.perf_counter()))
        return answer


def _register_rate_limit(app: Flask, requests_per_second: float, trusted_proxies: int) -> None:
    """429 under /api for a client that asks too often. After _register_surroundings: a refusal has a request id too."""
    if trusted_proxies:
        # Each proxy appends whom it heard from. Only what our own proxies wrote counts: the client writes the rest.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=trusted_proxies, x_proto=0, x_host=0)  # type: ignore[method-assign]
    if not requests_per_second:
        return
    limit = RateLimit(requests_per_second, burst=max(1.0, 2 * requests_per_second))

    @app.before_request
    def refuse_too_many() -> Response | None:
        if not request.path.startswith("/api/"):
            return None
        seconds = limit.wait(request.remote_addr or "", time.monotonic())
        if not seconds:
            return None
        answer = problem(429, f"More than {requests_per_second:g} requests a second. Wait as long as Retry-After says.")
        answer.headers["Retry-After"] = str(math.ceil(seconds))
        return answer
