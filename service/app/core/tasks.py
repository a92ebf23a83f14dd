"""Background tasks: fetch and index a manual; keep cache and database tidy. `celery -A app.core.tasks …` finds `app` here.

Tuned for lost workers: a task is acknowledged when it is done, handed out again when its worker dies, and safe to run twice.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import resource
import threading
from collections.abc import Iterable
from functools import partial
from typing import Any

import redis
from celery import Celery, signals
from celery.schedules import crontab
from celery.worker.request import Request
from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy import Connection, text

from app import config, logs
from app.core import answers, catalog, database, manuals, worker_http
from app.core.cache import VERSION, Cache
from app.core.library import Document, Library
from app.core.predict import Index
from app.core.stream import Streams
from app.metrics import DOCUMENTS_INDEXED, PDF_SECONDS, SLOW, TASKS_ACTIVE

log = logging.getLogger(__name__)

METRICS_PORT = 9808
VISIBILITY_SECONDS = 120
RESTORE_SECONDS = 2
CHILD_BYTES = 2 * 1024**3
RETENTION_DAYS = 90
PROBE_SECONDS = 60
# One request for a manual at a time, whoever asks.
FETCH_ONCE_SECONDS = 60
# A fetch whose worker was killed comes back after VISIBILITY_SECONDS; it must not have expired by then.
FETCH_EXPIRES = 2 * VISIBILITY_SECONDS + FETCH_ONCE_SECONDS
# What beat sends: when, and for how many seconds a tick is good. That is at most half of the time to the next one, so that `once` can
# refuse a second beat's tick for just as long and never refuses the next tick.
TICKS = {
    "bury_orphans": (crontab(minute="*/5"), 150),
    "clean_cache": (crontab(minute="*/15"), 450),
    "warm_manuals": (crontab(minute="7,37"), 900),
    "optimise_indexes": (crontab(minute=40, hour=3), 3600),
}

settings = config.from_env()
app = Celery("hsc", broker=settings.redis_url)
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": VISIBILITY_SECONDS,
        "unacked_restore_interval": RESTORE_SECONDS,
        "unacked_restore_throttle": 1,
        "socket_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "max_retries": 3,
    },
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_track_started=True,
    task_soft_time_limit=60,
    task_time_limit=90,
    task_default_queue="maintenance",
    task_routes={"app.core.tasks.fetch_manual": {"queue": "fetch"}},
    task_serializer="json",
    accept_content=["json"],
    worker_prefetch_multiplier=1,
    worker_max_tasks_per_child=200,
    worker_max_memory_per_child=600_000,
    # With REMAP_SIGTERM=SIGQUIT in its environment a worker that must go has this long for what it has begun, then hands it back.
    worker_soft_shutdown_timeout=15,
    worker_send_task_events=True,
    worker_hijack_root_logger=False,
    # A manual that is being read when the broker goes away is still wanted; running it again later is harmless.
    worker_cancel_long_running_tasks_on_connection_loss=False,
    timezone="UTC",
    beat_schedule_filename="/tmp/celerybeat-schedule",  # noqa: S108  the container's only writable directory
    beat_schedule={
        name.replace("_", "-"): {"task": f"app.core.tasks.{name}", "schedule": when, "options": {"expires": seconds}}
        for name, (when, seconds) in TICKS.items()
    },
)

# The names celery-exporter uses, so that published dashboards and alerts fit.
RECEIVED = Counter("celery_task_received_total", "Tasks received", ["name"])
SUCCEEDED = Counter("celery_task_succeeded_total", "Tasks succeeded", ["name"])
FAILED = Counter("celery_task_failed_total", "Tasks failed", ["name", "exception"])
RUNTIME = Histogram("celery_task_runtime", "Seconds a task ran", ["name"], buckets=SLOW)
ACTIVE = Gauge("celery_worker_tasks_active", "Tasks running in this worker")
UP = Gauge("celery_worker_up", "1 while the worker is ready")
QUEUE_LENGTH = Gauge("celery_queue_length", "Tasks that wait", ["queue_name"])


class MeasuredRequest(Request):
    """Counts in the worker's parent process, which is the one that is scraped; tasks run in its children.

    Celery derives a class of its own from this one and replaces on_success, but every outcome still passes send_event.
    """

    def send_event(self, type: str, **fields: Any) -> Any:  # noqa: A002  Celery's name
        if type == "task-started":
            ACTIVE.inc()
            TASKS_ACTIVE.inc()
        elif type in ("task-succeeded", "task-failed", "task-retried"):
            ACTIVE.dec()
            TASKS_ACTIVE.dec()
        if type == "task-succeeded":
            _observe_success(self.name, str(fields["result"]).strip("'\""), fields["runtime"])
        elif type == "task-failed":
            FAILED.labels(self.name, str(fields["exception"]).partition("(")[0]).inc()
        return super().send_event(type, **fields)


def _observe_success(name: str, outcome: str, runtime: float) -> None:
    SUCCEEDED.labels(name).inc()
    RUNTIME.labels(name).observe(runtime)
    if name == fetch_manual.name:
        PDF_SECONDS.labels(outcome).observe(runtime)
        if outcome == "indexed":
            DOCUMENTS_INDEXED.inc()


@signals.task_received.connect
def _count_received(request: Any = None, **_: Any) -> None:
    RECEIVED.labels(request.name).inc()


@signals.setup_logging.connect
def _log_json(**_: Any) -> None:
    logs.configure(settings.log_level, settings.pod)


def not_consumed(consumer: Any, queues: Iterable[str]) -> list[str]:
    """Which of the queues the worker does not consume. None while the broker is away: Celery connects again by itself."""
    tasks = consumer.task_consumer
    return [] if tasks is None else sorted(queue for queue in queues if not tasks.consuming_from(queue))


@signals.worker_ready.connect
def _serve_http(sender: Any, **_: Any) -> None:
    for queue in ("fetch", "maintenance"):
        QUEUE_LENGTH.labels(queue).set_function(partial(_waiting, queue))
    for name in app.tasks:
        if name.startswith(__name__):  # from the start: none that succeeded is 0, and not "no data"
            SUCCEEDED.labels(name)
    queues = [queue.name for queue in sender.task_consumer.queues]
    worker_http.serve(int(os.environ.get("HSC_METRICS_PORT", METRICS_PORT)), partial(not_consumed, sender, queues))
    UP.set(1)


def _waiting(queue: str) -> float:
    """Asked at each scrape; NaN while Redis is away, so that the worker's other figures still come."""
    try:
        with state_client() as client:
            return float(client.llen(queue))
    except redis.RedisError:
        return math.nan


@signals.worker_process_init.connect
def _limit_child(**_: Any) -> None:
    """A hostile PDF may eat this much memory and no more."""
    resource.setrlimit(resource.RLIMIT_AS, (CHILD_BYTES, CHILD_BYTES))


def cache_client() -> redis.Redis | None:
    """The cache Redis, if one is configured."""
    return redis.Redis.from_url(settings.cache_url, protocol=2, socket_timeout=1, socket_connect_timeout=1) if settings.cache_url else None


class _Parts:
    """What a task needs, opened in the child that uses it and kept."""

    _library: Library | None = None
    _lock = threading.Lock()

    @classmethod
    def library(cls) -> Library:
        with cls._lock:
            if cls._library is None:
                engine = database.engine(settings.database_url, pool_size=1)
                cls._library = Library(Cache(cache_client(), l1_bytes=0), engine, settings.manual_base_url, request_fetch)
            return cls._library


def request_fetch(url: str) -> None:
    """Have `url` fetched in the background, once however many ask. Raises what the broker raises when it is away."""
    with state_client() as client:
        if client.set(f"fetch:{hashlib.sha256(url.encode()).hexdigest()}", 1, nx=True, ex=FETCH_ONCE_SECONDS):
            fetch_manual.apply_async((url,), expires=FETCH_EXPIRES, retry=False)


@app.task(name="app.core.tasks.fetch_manual", Request=MeasuredRequest)
def fetch_manual(url: str) -> str:
    """Fetch, read and index the manual at `url`. Running it twice is harmless.

    Returns "indexed", "unchanged", or the code of why it can't be had; that reason is kept so that nobody waits for it.
    """
    library = _Parts.library()
    document: Document = {"url": url, "sha256": "", "bytes": 0, "pages": 0, "chunks": [], "error": ""}
    try:
        known = library.find(url)
        pdf = manuals.fetch(url, settings.manual_hosts)
        document |= {"sha256": hashlib.sha256(pdf).hexdigest(), "bytes": len(pdf)}
        if known and not known["error"] and known["sha256"] == document["sha256"]:
            library.save(known)
            return "unchanged"
        pages = manuals.read_pages(pdf)
        document |= {"pages": len(pages), "chunks": manuals.cut(pages)}
    except (manuals.Refused, MemoryError) as problem:
        document["error"] = getattr(problem, "code", "memory")
        log.warning("manual not indexed", extra={"url": url, "code": document["error"], "reason": str(problem)})
    library.save(document)
    return document["error"] or "indexed"


def state_client() -> redis.Redis:
    """The state Redis: ticks, jobs and sessions."""
    return redis.Redis.from_url(settings.redis_url, protocol=2, socket_timeout=2, socket_connect_timeout=1)


def once(task: Any) -> bool:
    """True for the first caller of each tick, however many beats there are, and for that one again when its task is handed out again.

    Counted from the first caller on: with fixed slices of time, two beats around the end of a slice would both be first.
    """
    name = task.name.rpartition(".")[2]
    owner = str(task.request.id).encode()
    with state_client() as client:
        return bool(client.set(f"tick:{name}", owner, nx=True, ex=TICKS[name][1])) or client.get(f"tick:{name}") == owner


@app.task(name="app.core.tasks.clean_cache", bind=True, Request=MeasuredRequest)
def clean_cache(self: Any) -> str:
    """Remove cache entries of older formats and such as would never expire. Returns how many."""
    client = cache_client()
    if client is None or not once(self):
        return "skipped"
    removed = 0
    for key in client.scan_iter(count=500):
        current = key.startswith((f"{VERSION}:".encode(), b"lock:"))
        if not current or client.ttl(key) == -1:
            removed += int(client.unlink(key))
    log.info("cache cleaned", extra={"removed": removed})
    return str(removed)


@app.task(name="app.core.tasks.optimise_indexes", bind=True, Request=MeasuredRequest)
def optimise_indexes(self: Any) -> str:
    """Forget transcripts older than RETENTION_DAYS, then VACUUM (ANALYZE) so that the planner's figures are true, then check indexes."""
    if not once(self):
        return "skipped"
    engine = _Parts.library().engine
    with engine.begin() as connection:
        old = connection.execute(
            text("DELETE FROM transcripts WHERE created_at < now() - make_interval(days => :days)"), {"days": RETENTION_DAYS}
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE)"))
        rebuilt = _rebuild_invalid_indexes(connection)
    with engine.connect() as connection:
        found = len(Index(catalog.read(connection)).products)
    if not found:
        log.error("the catalogue in PostgreSQL is empty: run python -m app.migrate")
    log.info("indexes optimised", extra={"transcripts_removed": old.rowcount, "rebuilt": rebuilt, "products": found})
    return str(old.rowcount)


def _rebuild_invalid_indexes(connection: Connection) -> list[str]:
    """PostgreSQL ignores an index that was left invalid, for one by a build that broke off, without saying so."""
    invalid = text("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")
    names = [str(name) for name in connection.scalars(invalid)]
    for name in names:
        connection.execute(text(f"REINDEX INDEX CONCURRENTLY {name}"))
    return names


@app.task(name="app.core.tasks.bury_orphans", bind=True, Request=MeasuredRequest)
def bury_orphans(self: Any) -> str:
    """Dead-letter jobs that nobody will finish. Returns how many."""
    if not once(self):
        return "skipped"
    with state_client() as client:
        buried = answers.bury_orphans(Streams(client), answers.CatalogueSource(_Parts.library().engine))
    if buried:
        log.warning("orphaned jobs buried", extra={"buried": buried})
    return str(buried)


@app.task(name="app.core.tasks.warm_manuals", bind=True, Request=MeasuredRequest)
def warm_manuals(self: Any) -> str:
    """Bring the manuals most asked about lately into the cache. Returns how many are there now."""
    if not once(self):
        return "skipped"
    ready, asked = _Parts.library().warm()
    log.info("popular manuals warmed", extra={"ready": ready, "asked": asked})
    return str(ready)


@app.task(name="app.core.tasks.probe", bind=True, Request=MeasuredRequest, ignore_result=True)
def probe(self: Any, token: str) -> str:
    """Note in the set `probe:<token>` for PROBE_SECONDS through which queue this task came. The deployment's verification sends it."""
    queue = str((self.request.delivery_info or {}).get("routing_key", ""))
    with state_client() as client, client.pipeline() as pipe:
        pipe.sadd(f"probe:{token}", queue).expire(f"probe:{token}", PROBE_SECONDS).execute()
    return queue
