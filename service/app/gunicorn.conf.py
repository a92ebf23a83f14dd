"""gunicorn: one worker a pod (more pods, not more workers: a session's socket and its metrics stay in one place).

HSC_WORKER=gthread runs the same code on threads instead of gevent.
"""

# ruff: noqa: N999  gunicorn looks for a file of this name
import os
from typing import Any

bind = os.environ.get("HSC_BIND", "0.0.0.0:8000")
workers = 1
worker_class = os.environ.get("HSC_WORKER") or "gevent"
if worker_class not in ("gevent", "gthread"):
    raise ValueError(f"HSC_WORKER: {worker_class!r} is unknown. Use gevent or gthread.")
if worker_class == "gthread":
    # Each WebSocket holds a thread; the others are for HTTP, and for telling those above the cap so.
    threads = int(float(os.environ.get("HSC_MAX_CONNECTIONS") or 5000)) + 64
worker_connections = 10000
backlog = 2048
keepalive = 75
timeout = 60
graceful_timeout = 25
worker_tmp_dir = "/tmp"  # noqa: S108  the only writable directory of the container
control_socket_disable = True
accesslog = None
errorlog = "-"
loglevel = os.environ.get("HSC_LOG_LEVEL", "info").lower()
logconfig_dict: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "app.logs.JsonFormatter", "pod": os.environ.get("HSC_POD", "")}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
    "root": {"level": loglevel.upper(), "handlers": ["stderr"]},
    "loggers": {"gunicorn.error": {"propagate": True, "handlers": []}, "gunicorn.access": {"propagate": False, "handlers": []}},
}


def post_worker_init(worker: Any) -> None:
    """Put our drain in front of gunicorn's own SIGTERM."""
    from app.wiring import drain_on_sigterm

    drain_on_sigterm(worker)
