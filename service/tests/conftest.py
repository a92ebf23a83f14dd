"""The tests' servers and databases as fixtures, ended with the test or with the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import Backend, RedisServer, backends, free_port, own_database, postgres, service_environment

from app import config, migrate
from app.core import database


@pytest.fixture
def state_redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(free_port(), tmp_path, ["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"])
    server.start()
    yield server
    server.kill()


@pytest.fixture
def cache_redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(free_port(), tmp_path, ["--appendonly", "no", "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lfu"])
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def postgres_port() -> Iterator[int]:
    with postgres() as port:
        yield port


@pytest.fixture
def database_url(postgres_port: int) -> Iterator[str]:
    """An empty database for each test."""
    with own_database(postgres_port) as url:
        yield url


@pytest.fixture(scope="session")
def catalogue_database(postgres_port: int) -> Iterator[str]:
    """A database with schema and catalogue, shared by tests that only read the catalogue."""
    with own_database(postgres_port) as url:
        engine = database.engine(config.from_env({"HSC_DATABASE_URL": url}).database_url)
        migrate.upgrade(engine)
        engine.dispose()
        yield url


@pytest.fixture
def make_backend(tmp_path: Path) -> Iterator[Callable[[dict[str, str]], Backend]]:
    with backends(tmp_path) as make:
        yield make


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory, catalogue_database: str) -> Iterator[Backend]:
    """One backend for the tests that break nothing."""
    folder = tmp_path_factory.mktemp("backend")
    server = RedisServer(free_port(), folder, ["--appendonly", "yes"])
    server.start()
    with backends(folder) as make:
        yield make(service_environment(catalogue_database, server.url))
    server.kill()
