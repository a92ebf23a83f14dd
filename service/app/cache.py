"""`python -m app.cache`: empty the cache of manuals, or fill it with those that people ask about.

flush NAMESPACE | flush --all   remove values from the cache Redis, and with that from the memory of every process
warm                            bring the most asked about manuals into the cache, and have those fetched that nobody has fetched yet

Exit status: 0 done, 1 a server is away, 2 called wrongly.
"""

from __future__ import annotations

import argparse
import sys

import redis
from kombu.exceptions import OperationalError
from sqlalchemy.exc import SQLAlchemyError

from app import config
from app.core import database
from app.core.library import NAMESPACE
from app.wiring import library


def flush(namespace: str | None, settings: config.Config) -> str:
    """Flush one namespace, all of ours if None; returns what to tell. Raises ValueError when there is nothing of that name."""
    if not settings.cache_url:
        raise ValueError("HSC_CACHE_URL is not set: there is no cache Redis to flush")
    cache = library(settings, database.engine(settings.database_url)).cache
    # Known is also what another release left there.
    known = sorted({NAMESPACE, *cache.namespaces()})
    if namespace is not None and namespace not in known:
        raise ValueError(f"there is no namespace {namespace!r}. Known: {', '.join(known)}")
    return f"{cache.flush(namespace)} removed"


def warm(settings: config.Config) -> str:
    """Warm; returns what to tell."""
    ready, asked = library(settings, database.engine(settings.database_url)).warm()
    return f"{ready} in the cache, {asked} being fetched"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m app.cache", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = made.add_subparsers(dest="command", required=True, metavar="flush | warm")
    what = commands.add_parser("flush", help="remove values from the cache").add_mutually_exclusive_group(required=True)
    what.add_argument("namespace", nargs="?", help=f"the one to empty, such as '{NAMESPACE}'")
    what.add_argument("--all", action="store_true", help="every namespace of this service; other keys stay")
    commands.add_parser("warm", help="fill the cache with the most asked about manuals")
    return made


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    chosen = parser().parse_args(arguments)
    try:
        settings = config.from_env()
        done = warm(settings) if chosen.command == "warm" else flush(chosen.namespace, settings)
    except ValueError as problem:
        sys.stderr.write(f"cache: {problem}.\n")
        return 2
    except (redis.RedisError, OSError, SQLAlchemyError, OperationalError) as problem:
        cause = getattr(problem, "orig", None) or problem
        sys.stderr.write(
            f"cache: {type(cause).__name__}: {str(cause).strip()}. Nothing is broken by that; run it again when it is mended.\n"
        )
        return 1
    sys.stdout.write(f"{done}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
