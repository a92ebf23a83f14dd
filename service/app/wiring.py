"""Puts the parts together: `create_app()` is what gunicorn loads. Tests may pass their own settings."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from typing import Any

import redis
from flask import Flask
from sqlalchemy import Engine

from app import config, http, logs
from app.core import catalog, database, tasks
from app.core.answers import Answerer, CatalogueSource, Worker
from app.core.background import spawn
from app.core.cache import Cache
from app.core.hub import Hub
from app.core.library import Library, Prefetcher
from app.core.llm import Extractive, Gemini
from app.core.predict import Index
from app.core.stream import Streams
from app.health import Health
from app.metrics import DRAIN_SECONDS
from app.ws import Sockets
from app.ws_backend import Backend

log = logging.getLogger(__name__)

CATALOGUE_CHECK_SECONDS = 5.0


def redis_client(url: str, *, connections: int = 32) -> redis.Redis:
    """A pool that gives up within a second or two: a slow Redis must not hold sockets."""
    pool = redis.BlockingConnectionPool.from_url(
        url,
        protocol=2,
        max_connections=connections,
        timeout=2,
        socket_timeout=2,
        socket_connect_timeout=1,
        socket_keepalive=True,
        health_check_interval=15,
    )
    return redis.Redis(connection_pool=pool)


class Product:
    """The running web process: index, hub, sockets, health, and the threads that keep them fresh."""

    def __init__(self, settings: config.Config) -> None:
        self.settings = settings
        self.health = Health(settings.max_connections)
        self.index: Index | None = None
        self.engine = database.engine(settings.database_url)
        streams = Streams(redis_client(settings.redis_url))
        self.library = library(settings, self.engine)
        self.hub = Hub(streams, seen=self._redis_seen)
        self.sockets = Sockets(
            Backend(
                index=self.loaded_index,
                streams=streams,
                hub=self.hub,
                health=self.health,
                token_key=settings.token_key,
                allowed_origins=settings.allowed_origins,
                keep_images=settings.llm_provider == "gemini",
                prefetch=Prefetcher(self.library),
                ping_seconds=settings.ping_seconds,
                connection_seconds=settings.connection_seconds,
            )
        )

    def loaded_index(self) -> Index:
        """The index; an empty one until the catalogue has been read (/ready says so meanwhile)."""
        return self.index or _EMPTY

    def _redis_seen(self) -> None:
        self.health.redis_seen = self.health.clock()

    def start(self) -> None:
        """Begin the loops. They end with the process."""
        self.hub.start()
        for work in (self._tick, self._follow_catalogue, self._keep_alive):
            spawn(_for_ever(work))
        follow_cache(self.library)

    def _tick(self) -> None:
        self.health.tick(time.sleep)

    def _follow_catalogue(self) -> None:
        """Build the index from PostgreSQL, again whenever the catalogue there has changed; swap it in whole."""
        index = fresh_index(self.engine, self.index)
        if index is not self.index and index is not None:
            self.index = index
            self.health.index_ready = True
            log.info("catalogue loaded", extra={"products": len(index.products), "digest": index.catalogue.digest[:12]})
        time.sleep(CATALOGUE_CHECK_SECONDS if self.index else 0.5)

    def _keep_alive(self) -> None:
        time.sleep(self.sockets.keep_alive_seconds)
        self.sockets.keep_alive(time.monotonic())

    def drain(self, stop_accepting: Callable[[], None]) -> None:
        """SIGTERM: /ready says 503 → no new connections → 1012 over a window → the process may end."""
        started = time.monotonic()
        self.health.draining = True
        time.sleep(self.settings.drain_seconds)
        stop_accepting()
        self.sockets.drain(self.settings.close_jitter_seconds, time.sleep)
        DRAIN_SECONDS.observe(time.monotonic() - started)
        log.info("drained", extra={"seconds": round(time.monotonic() - started, 2), "open": len(self.sockets.open)})


def fresh_index(engine: Engine, old: Index | None) -> Index | None:
    """The index for the catalogue in PostgreSQL: the old one when nothing changed, None when there is no catalogue yet."""
    with engine.connect() as connection:
        digest = catalog.current_digest(connection)
        if not digest or (old is not None and old.catalogue.digest == digest):
            return old
        return Index(catalog.read(connection))


def _for_ever(work: Callable[[], None]) -> Callable[[], None]:
    """Run `work` again and again; a failure never ends the loop and is logged when it begins, not at every try."""

    def loop() -> None:
        failing = False
        while True:
            try:
                work()
                failing = False
            except Exception as problem:
                if not failing:
                    log.warning("%s failed, trying until it works", work.__name__, extra={"reason": str(problem).partition("\n")[0]})
                failing = True
                time.sleep(1)

    return loop


_EMPTY = Index(catalog.Catalogue([], []))


def create_app(settings: config.Config | None = None) -> Flask:
    """The WSGI application with everything behind it running."""
    settings = settings or config.from_env()
    logs.configure(settings.log_level, settings.pod)
    product = Product(settings)
    app = Flask("app", static_folder=None)
    http.register(
        app,
        product.health,
        lambda: product.index,
        settings.allowed_origins,
        requests_per_second=settings.requests_per_second,
        trusted_proxies=settings.trusted_proxies,
    )
    product.sockets.register(app)
    app.extensions["product"] = product
    product.start()
    return app


def drain_on_sigterm(worker: Any) -> None:
    """Put our drain in front of gunicorn's own handling of SIGTERM, which only stops the worker's accept loop."""
    product: Product = worker.wsgi.extensions["product"]

    def stop_accepting() -> None:
        worker.alive = False

    def on_sigterm(_signal: int, _frame: Any) -> None:
        if not product.health.draining:
            spawn(product.drain, stop_accepting)

    signal.signal(signal.SIGTERM, on_sigterm)


def library(settings: config.Config, engine: Engine) -> Library:
    """Indexed manuals behind the two-level cache."""
    cache = Cache(redis_client(settings.cache_url) if settings.cache_url else None)
    return Library(cache, engine, settings.manual_base_url, tasks.request_fetch)


def follow_cache(manuals: Library) -> None:
    """Drop from this process's memory what others change in the cache."""
    if manuals.cache.client is not None:
        spawn(_for_ever(manuals.cache.follow_invalidations))


def answer_worker(settings: config.Config | None = None) -> Worker:
    """The answer worker with everything behind it."""
    settings = settings or config.from_env()
    logs.configure(settings.log_level, settings.pod)
    engine = database.engine(settings.database_url, pool_size=8)
    manuals = library(settings, engine)
    follow_cache(manuals)
    provider = (
        Gemini(settings.gemini_key, settings.gemini_url, settings.gemini_model) if settings.llm_provider == "gemini" else Extractive()
    )
    streams = Streams(redis_client(settings.redis_url))
    return Worker(streams, Answerer(CatalogueSource(engine), manuals, provider), engine, settings.pod)
