# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What goes into each image. Pure data: change an image here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SUITE = "bookworm"
# Bookworm's Prometheus cannot find pods by the API. These programs are Go, link glibc alone, and run over the base of all.
MONITORING_SUITE = "trixie"
BASE_PACKAGES = ("ca-certificates", "libstdc++6", "python3", "tzdata")
USER = 10001

# What Debian's dependencies bring for init scripts, documentation or a JIT compiler: no program here needs it.
NOT_NEEDED = frozenset(
    [
        "adduser",
        "fonts-glyphicons-halflings",
        "javascript-common",
        "libc-l10n",
        "libjs-bootstrap",
        "libjs-bootstrap4",
        "libjs-d3",
        "libjs-eonasdan-bootstrap-datetimepicker",
        "libjs-jquery",
        "libjs-jquery-hotkeys",
        "libjs-moment",
        "libjs-moment-timezone",
        "libjs-mustache",
        "libjs-popper.js",
        "libjs-rickshaw",
        "libjson-perl",
        "libllvm14",
        "libsemanage-common",
        "libsemanage2",
        "libsepol2",
        "libz3-4",
        "locales",
        "netbase",
        "passwd",
        "postgresql-client-common",
        "postgresql-common",
        "sensible-utils",
        "ssl-cert",
        "ucf",
    ]
)


@dataclass(frozen=True)
class Recipe:
    """packages: Debian packages over the base. proof: a command that must run in the image before it is used.

    suite: the Debian that the packages are of. service: the product's code and Python dependencies go in.
    """

    packages: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    proof: tuple[str, ...] = ()
    path: str = "/usr/local/bin:/usr/bin:/bin"
    environment: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = "/"
    stop_signal: str = "SIGTERM"
    files: tuple[str, ...] = ()  # of the role's files/, installed as programs in /usr/local/bin
    suite: str = SUITE
    service: bool = False


RECIPES: Mapping[str, Recipe] = {
    "service": Recipe(
        command=("gunicorn", "-c", "app/gunicorn.conf.py", "app.wiring:create_app()"),
        proof=("/usr/bin/python3", "-c", "import flask, gevent, celery, psycopg, numpy, pypdfium2"),
        environment={"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"},
        working_dir="/srv/app",
        service=True,
    ),
    "redis": Recipe(("redis-server",), ("redis-server",), ("/usr/bin/redis-server", "--version"), working_dir="/tmp"),  # noqa: S108
    "postgres": Recipe(
        ("postgresql-15",),
        ("postgres-entrypoint",),
        ("/usr/lib/postgresql/15/bin/postgres", "--version"),
        path="/usr/local/bin:/usr/lib/postgresql/15/bin:/usr/bin:/bin",
        environment={"PGDATA": "/var/lib/postgresql/data/pgdata"},
        stop_signal="SIGINT",  # fast shutdown: at SIGTERM PostgreSQL waits until every client has gone
        files=("postgres-entrypoint",),
    ),
    "prometheus": Recipe(("prometheus", "promtool"), ("prometheus",), ("/usr/bin/prometheus", "--version"), suite=MONITORING_SUITE),
    "alertmanager": Recipe(
        ("prometheus-alertmanager",),
        ("prometheus-alertmanager",),
        ("/usr/bin/prometheus-alertmanager", "--version"),
        files=("alertmanager",),
        suite=MONITORING_SUITE,
    ),
    "redis_exporter": Recipe(
        ("prometheus-redis-exporter",),
        ("prometheus-redis-exporter",),
        ("/usr/bin/prometheus-redis-exporter", "--version"),
        suite=MONITORING_SUITE,
    ),
    "postgres_exporter": Recipe(
        ("prometheus-postgres-exporter",),
        ("prometheus-postgres-exporter",),
        ("/usr/bin/prometheus-postgres-exporter", "--version"),
        suite=MONITORING_SUITE,
    ),
}


def image_name(name: str) -> str:
    return f"hsc-jit-{name.replace('_', '-')}"
