"""The deployed product's data stores, as a test reads and writes them: with the stores' own programs, in their pods."""

from collections.abc import Iterator
from contextlib import contextmanager

from ansible_collections.hsc.jit.plugins.module_utils._backup import pod_files
from ansible_collections.hsc.jit.plugins.module_utils._kube.client import Cluster

PODS = {"redis": "hsc-jit-redis-0", "postgres": "hsc-jit-postgres-0"}
DUMPS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'hsc.jit-backup%'"


def redis(product: Cluster, *argv: str) -> str:
    """What redis-cli answers to one command."""
    return pod_files.checked(product.exec(PODS["redis"], "redis", ["redis-cli", *argv]), "redis-cli").decode().strip()


def sql(product: Cluster, text: str) -> str:
    """Rows as psql prints them, fields separated by |."""
    command = ["psql", "-h", "127.0.0.1", "-U", "hsc", "-d", "hsc", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", text]
    return pod_files.checked(product.exec(PODS["postgres"], "postgres", command), "psql").decode().strip()


@contextmanager
def much_in_postgres(product: Cluster) -> Iterator[None]:
    """160 MB that do not shrink: their dump takes seconds."""
    sql(product, "CREATE TABLE test_much AS SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 5000000) n GROUP BY n % 999")
    try:
        yield
    finally:
        sql(product, "DROP TABLE test_much")
