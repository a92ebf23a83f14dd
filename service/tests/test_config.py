from __future__ import annotations

import json
import logging
import sys

import pytest

from app.config import ConfigProblem, from_env, with_password
from app.health import Health
from app.logs import JsonFormatter


@pytest.mark.parametrize(
    ("url", "password", "expected"),
    [
        ("redis://h:6379/0", "s/e cret", "redis://:s%2Fe%20cret@h:6379/0"),
        ("redis://:own@h:6379/0", "other", "redis://:own@h:6379/0"),
        ("redis://user@h/0", "pw", "redis://user:pw@h/0"),
        ("redis://h/0", "", "redis://h/0"),
        ("redis://[::1]:6379/0", "p", "redis://:p@[::1]:6379/0"),
    ],
)
def test_password_is_merged_only_where_there_is_none(url, password, expected) -> None:
    assert with_password(url, password) == expected


def test_settings_and_no_secret_in_repr() -> None:
    env = {
        "HSC_REDIS_PASSWORD": "pw1",
        "HSC_DATABASE_URL": "postgresql://hsc@db:5432/hsc",
        "HSC_DATABASE_PASSWORD": "pw2",
        "HSC_TOKEN_KEY": "pw3",
    }
    settings = from_env({**env, "HSC_CACHE_URL": "redis://c:6379/0", "HSC_ALLOWED_ORIGINS": "https://A.example/, http://b"})
    assert settings.redis_url == "redis://:pw1@127.0.0.1:6379/0"
    assert settings.cache_url == "redis://:pw1@c:6379/0"
    assert settings.database_url == "postgresql+psycopg://hsc:pw2@db:5432/hsc"
    assert settings.allowed_origins == {"https://a.example", "http://b"}
    assert settings.manual_hosts == {"127.0.0.1:8080"}
    assert (settings.ping_seconds, settings.connection_seconds) == (25, 3600)
    changed = from_env({**env, "HSC_PING_SECONDS": "0.5", "HSC_CONNECTION_SECONDS": "0"})
    assert (changed.ping_seconds, changed.connection_seconds) == (0.5, 0)
    assert not any(secret in repr(settings) for secret in ("pw1", "pw2", "pw3"))


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({"HSC_REDIS_URL": "http://x"}, "HSC_REDIS_URL"),
        ({"HSC_DATABASE_URL": "mysql://x"}, "HSC_DATABASE_URL"),
        ({"HSC_LLM_PROVIDER": "oracle"}, "HSC_LLM_PROVIDER"),
        ({"HSC_LLM_PROVIDER": "gemini"}, "HSC_GEMINI_KEY"),
        ({"HSC_DRAIN_SECONDS": "soon"}, "HSC_DRAIN_SECONDS"),
        ({"HSC_PING_SECONDS": "0"}, "HSC_PING_SECONDS"),
        ({"HSC_CONNECTION_SECONDS": "-1"}, "HSC_CONNECTION_SECONDS"),
    ],
)
def test_bad_settings_are_named(env, name) -> None:
    with pytest.raises(ConfigProblem, match=name):
        from_env(env)


def test_health_by_a_clock_of_our_own() -> None:
    now = [0.0]
    health = Health(2, clock=lambda: now[0])

    def late(_: float) -> None:
        now[0] += 1.0

    health.tick(late)
    assert health.alive()[0]
    now[0] += 11
    assert not health.alive()[0]
    assert not health.ready()[0]
    health.index_ready, health.redis_seen = True, now[0]
    assert health.ready()[0]
    now[0] += 9
    assert health.ready()[0], "Redis away for 9 s does not unready the fleet"
    now[0] += 2
    assert health.ready()[1]["checks"]["redis_seen"] is False
    health.redis_seen, health.connections = now[0], 2
    assert health.ready()[1]["checks"]["below_connection_cap"] is False


def test_log_lines_are_json_with_extras() -> None:
    record = logging.LogRecord("app", logging.WARNING, "f", 1, "no %s", ("luck",), None)
    record.session = "s1"
    line = json.loads(JsonFormatter("pod-1").format(record))
    assert (line["level"], line["message"], line["pod"], line["session"]) == ("warning", "no luck", "pod-1", "s1")
    try:
        raise ValueError("x")
    except ValueError:
        record.exc_info = sys.exc_info()
    assert "ValueError" in json.loads(JsonFormatter("p").format(record))["exception"]
