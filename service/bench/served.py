"""Start a backend as in production on loopback, with Redis, PostgreSQL and the packaged catalogue, and measure typing against it.

    python -m bench.served --repeat 3 --seconds 20
    python -m bench.served --products 100000

Two loads: 100 clients with 1 and with 5 messages a second each. Prints the median and the spread of p95 over the repeats as JSON lines;
exit status 1 when a median is above its goal. The processes are the tests' own (tests/servers.py) and end with the run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVICE = Path(__file__).parents[1]
sys.path.insert(0, str(SERVICE / "tests"))

import servers  # noqa: E402

from app import config, migrate  # noqa: E402
from app.core import catalog, catalogue_data, database  # noqa: E402
from bench.predict import QUERIES, grown  # noqa: E402

# (clients, messages a second and client): p95 in milliseconds that is wanted
GOALS = {(100, 1): 5.0, (100, 5): 15.0}
LARGE_GOALS = {(100, 5): 40.0}  # with 100,000 products


def fill(url: str, size: int = 0) -> None:
    """Schema, and the packaged catalogue or bench.predict's of that size."""
    rows = catalog.rows_from_data(*catalogue_data.load()) if not size else rows_of(grown(size))
    engine = database.engine(config.from_env({"HSC_DATABASE_URL": url}).database_url)
    migrate.upgrade(engine)
    with engine.begin() as connection:
        catalog.import_rows(connection, *rows)
    engine.dispose()


def rows_of(catalogue: catalog.Catalogue) -> tuple[list[catalog.Row], list[catalog.Row]]:
    """The rows that would be read as this catalogue."""
    return tuple([_row(item) for item in items.values()] for items in (catalogue.brands, catalogue.products))  # type: ignore[return-value]


def _row(item: catalog.Brand | catalog.Product) -> catalog.Row:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(item).items()}


def one_run(url: str, clients: int, rate: int, seconds: float, *more: str) -> dict[str, float]:
    """bench.typing in a process of its own, as a browser is."""
    arguments = [url, "--clients", str(clients), "--rate", str(rate), "--seconds", str(seconds), *more]
    done = subprocess.run([sys.executable, "-m", "bench.typing", *arguments], cwd=SERVICE, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


@contextmanager
def backend_environment(size: int = 0) -> Iterator[dict[str, str]]:
    """What a backend needs: Redis, and PostgreSQL with the packaged catalogue. All end with the context."""
    with tempfile.TemporaryDirectory(prefix="hsc-bench-") as name, servers.postgres() as port, servers.own_database(port) as url:
        server = servers.RedisServer(servers.free_port(), Path(name), ["--appendonly", "yes"])
        fill(url, size)
        server.start()
        try:
            yield servers.service_environment(url, server.url)
        finally:
            server.kill()


@contextmanager
def running(size: int = 0) -> Iterator[servers.Backend]:
    """One backend that has the packaged catalogue, or bench.predict's of that size."""
    logs = tempfile.TemporaryDirectory(prefix="hsc-bench-")
    with logs as name, backend_environment(size) as environment, servers.backends(Path(name), 180) as make:
        yield make(environment)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--products", type=int, default=0, help="made-up products instead of the packaged catalogue, and few texts twice")
    chosen = parser.parse_args()
    missed = False
    more = ["--texts", str(QUERIES)] if chosen.products else []
    with running(chosen.products) as backend:
        one_run(backend.ws_url, 10, 1, 3)  # the first texts find cold code
        for (clients, rate), goal in (LARGE_GOALS if chosen.products else GOALS).items():
            runs = [one_run(backend.ws_url, clients, rate, chosen.seconds, *more) for _ in range(chosen.repeat)]
            p95 = [run["p95_ms"] for run in runs]
            middle = statistics.median(p95)
            missed |= middle > goal
            line = {"clients": clients, "rate": rate, "goal_p95_ms": goal, "median_p95_ms": middle, "p95_ms": p95, "runs": runs}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
