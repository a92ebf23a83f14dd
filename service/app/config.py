"""Every setting of the service, read from the environment in this one place.

HSC_REDIS_URL          state Redis (streams, jobs, broker), default redis://127.0.0.1:6379/0
HSC_REDIS_PASSWORD     merged into both Redis URLs when they carry no password
HSC_CACHE_URL          cache Redis (L2), default: none, then L2 is off and every miss goes to the loader
HSC_DATABASE_URL       PostgreSQL without password, default postgresql://hsc@127.0.0.1:5432/hsc
HSC_DATABASE_PASSWORD  its password
HSC_TOKEN_KEY          key that signs resume tokens; all pods share it. Without it each process makes its own,
                       and a session then resumes only on the pod that began it
HSC_ALLOWED_ORIGINS    comma-separated origins that may open /ws and read the API from a browser
HSC_LLM_PROVIDER       extractive (default, offline) | gemini
HSC_GEMINI_KEY         key for gemini
HSC_GEMINI_URL         Gemini's REST endpoint (tests put a local one here)
HSC_GEMINI_MODEL       model name, default gemini-2.5-flash
HSC_MANUAL_HOSTS       comma-separated host[:port] that manuals may be fetched from; these may be private addresses
HSC_MANUAL_BASE_URL    where relative manual URLs of the catalogue live, default http://127.0.0.1:8080
HSC_LOG_LEVEL          default INFO
HSC_POD                this pod's name, default the host name
HSC_DRAIN_SECONDS      how long /ready says 503 before the listener closes, default 2
HSC_CLOSE_JITTER_SECONDS  window over which sockets are sent 1012 at shutdown, default 5
HSC_MAX_CONNECTIONS    WebSockets a pod takes before 1013, default 5000
HSC_PING_SECONDS       a WebSocket's peer that says nothing for so long is pinged, default 25; one that for 2.4 times as long
                       says nothing, or takes nothing of what is sent to it, is dropped
HSC_CONNECTION_SECONDS age (± 10 %) at which a WebSocket is closed between two answers with 1012, so that its client comes back to
                       whichever pods there are now, default 3600. 0 = never
HSC_WORKER             gunicorn's worker: gevent (default) | gthread, a thread for each WebSocket: for finding out whether gevent is
                       to blame. Read by gunicorn.conf.py
HSC_BIND               address gunicorn listens at, default 0.0.0.0:8000. Read by gunicorn.conf.py
HSC_REQUESTS_PER_SECOND  requests to /api that a pod takes from one client address before 429, default 200; twice as
                       many at once after a quiet second or two. 0 = no limit
HSC_TRUSTED_PROXIES    proxies in front of the service that append to X-Forwarded-For, default 0: the header is not
                       read then and a client is its remote address. Anyone can send the header, so with too great a
                       number each client names itself; with too small a one all clients behind the proxy share a limit
"""

from __future__ import annotations

import math
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit, urlunsplit


class ConfigProblem(ValueError):
    """A setting that can't be used; the message names it and says what to write instead."""


@dataclass(frozen=True)
class Config:
    """Settings of one process. Passwords are inside the URLs here: never log this object (they are left out of repr)."""

    redis_url: str = field(repr=False, default="redis://127.0.0.1:6379/0")
    cache_url: str = field(repr=False, default="")
    database_url: str = field(repr=False, default="postgresql+psycopg://hsc@127.0.0.1:5432/hsc")
    token_key: bytes = field(repr=False, default=b"")
    allowed_origins: frozenset[str] = frozenset()
    llm_provider: str = "extractive"
    gemini_key: str = field(repr=False, default="")
    gemini_url: str = "https://generativelanguage.googleapis.com"
    gemini_model: str = "gemini-2.5-flash"
    manual_hosts: frozenset[str] = frozenset()
    manual_base_url: str = "http://127.0.0.1:8080"
    log_level: str = "INFO"
    pod: str = "local"
    drain_seconds: float = 2.0
    close_jitter_seconds: float = 5.0
    max_connections: int = 5000
    ping_seconds: float = 25.0
    connection_seconds: float = 3600.0
    requests_per_second: float = 200.0
    trusted_proxies: int = 0


def with_password(url: str, password: str) -> str:
    """`url` with `password`, unless it has one already or there is none to give."""
    parts = urlsplit(url)
    if not password or parts.password is not None or not parts.hostname:
        return url
    user = quote(parts.username, safe="") if parts.username else ""
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}"))


def _redis_url(env: Mapping[str, str], name: str, default: str) -> str:
    url = env.get(name, "") or default
    if url and urlsplit(url).scheme not in ("redis", "rediss", "unix"):
        raise ConfigProblem(f"{name}: scheme of {url.split('@')[-1]!r} is not redis, rediss or unix. Write redis://host:6379/0.")
    return with_password(url, env.get("HSC_REDIS_PASSWORD", ""))


def _database_url(env: Mapping[str, str]) -> str:
    url = env.get("HSC_DATABASE_URL", "") or "postgresql://hsc@127.0.0.1:5432/hsc"
    scheme, _, rest = url.partition("://")
    if scheme.partition("+")[0] not in ("postgresql", "postgres"):
        raise ConfigProblem(f"HSC_DATABASE_URL: scheme {scheme!r} is not postgresql. Write postgresql://user@host:5432/name.")
    return with_password(f"postgresql+psycopg://{rest}", env.get("HSC_DATABASE_PASSWORD", ""))


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1
    # A range, not `value < 0`: "nan" is a float, and greater and smaller than nothing.
    if not 0 <= value < math.inf:
        raise ConfigProblem(f"{name}: {text!r} is not a number ≥ 0. Leave it out for {default:g}.")
    return value


def _positive(env: Mapping[str, str], name: str, default: float) -> float:
    value = _number(env, name, default)
    if not value:
        raise ConfigProblem(f"{name}: must be more than 0. Leave it out for {default:g}.")
    return value


def _whole_number(env: Mapping[str, str], name: str, default: int) -> int:
    value = _number(env, name, default)
    if not float(value).is_integer():
        raise ConfigProblem(f"{name}: {value:g} is not a whole number. Leave it out for {default}.")
    return int(value)


def _names(env: Mapping[str, str], name: str, default: str = "") -> frozenset[str]:
    return frozenset(part.strip().lower().rstrip("/") for part in (env.get(name) or default).split(",") if part.strip())


def from_env(env: Mapping[str, str] = os.environ) -> Config:
    """The settings of this process.

    Raises ConfigProblem: a value is unusable; nothing has been opened yet.
    """
    provider = env.get("HSC_LLM_PROVIDER", "") or "extractive"
    if provider not in ("extractive", "gemini"):
        raise ConfigProblem(f"HSC_LLM_PROVIDER: {provider!r} is unknown. Use extractive or gemini.")
    if provider == "gemini" and not env.get("HSC_GEMINI_KEY"):
        raise ConfigProblem("HSC_GEMINI_KEY: empty, but HSC_LLM_PROVIDER is gemini. Give the key or use extractive.")
    base = (env.get("HSC_MANUAL_BASE_URL") or "http://127.0.0.1:8080").rstrip("/")
    return Config(
        redis_url=_redis_url(env, "HSC_REDIS_URL", "redis://127.0.0.1:6379/0"),
        cache_url=_redis_url(env, "HSC_CACHE_URL", ""),
        database_url=_database_url(env),
        token_key=env.get("HSC_TOKEN_KEY", "").encode() or secrets.token_bytes(32),
        allowed_origins=_names(
            env, "HSC_ALLOWED_ORIGINS", "http://127.0.0.1:8000,http://localhost:8000,http://127.0.0.1:5173,http://localhost:5173"
        ),
        llm_provider=provider,
        gemini_key=env.get("HSC_GEMINI_KEY", ""),
        gemini_url=(env.get("HSC_GEMINI_URL") or Config.gemini_url).rstrip("/"),
        gemini_model=env.get("HSC_GEMINI_MODEL") or Config.gemini_model,
        manual_hosts=_names(env, "HSC_MANUAL_HOSTS", urlsplit(base).netloc),
        manual_base_url=base,
        log_level=(env.get("HSC_LOG_LEVEL") or "INFO").upper(),
        pod=env.get("HSC_POD") or socket.gethostname(),
        drain_seconds=_number(env, "HSC_DRAIN_SECONDS", 2.0),
        close_jitter_seconds=_number(env, "HSC_CLOSE_JITTER_SECONDS", 5.0),
        max_connections=int(_number(env, "HSC_MAX_CONNECTIONS", 5000)),
        ping_seconds=_positive(env, "HSC_PING_SECONDS", Config.ping_seconds),
        connection_seconds=_number(env, "HSC_CONNECTION_SECONDS", Config.connection_seconds),
        requests_per_second=_number(env, "HSC_REQUESTS_PER_SECOND", Config.requests_per_second),
        trusted_proxies=_whole_number(env, "HSC_TRUSTED_PROXIES", Config.trusted_proxies),
    )
