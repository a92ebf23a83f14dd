"""The deployed product's data stores, as a test reads and writes them: with the stores' own programs, in their pods."""

from ansible_collections.hsc.jit.plugins.module_utils import _redis_backup
from ansible_collections.hsc.jit.plugins.module_utils._target import Cluster

PODS = {"redis": "hsc-jit-redis-0", "postgres": "hsc-jit-postgres-0"}


def redis(product: Cluster, *argv: str) -> str:
    """What redis-cli answers to one command."""
    return _redis_backup.checked(product.exec(PODS["redis"], "redis", ["redis-cli", *argv]), "redis-cli").decode().strip()


def sql(product: Cluster, text: str) -> str:
    """Rows as psql prints them, fields separated by |."""
    command = ["psql", "-h", "127.0.0.1", "-U", "hsc", "-d", "hsc", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", text]
    return _redis_backup.checked(product.exec(PODS["postgres"], "postgres", command), "psql").decode().strip()
