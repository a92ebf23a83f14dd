"""`python -m app.migrate`: bring the schema to head and import the catalogue, under a lock, one transaction each.

--current       prints what `plan` returns, as one line of JSON, and changes nothing
--since NAME    with --current: the way back to the release that was made for this revision, which may be older than the schema
--preview       prints the SQL of the pending migrations and changes nothing
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionError
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from app import config
from app.core import catalog, catalogue_data, database, way_back
from app.core.blockers import blockers_of
from app.core.remains import remains as remains_of

LOCK_KEY = 4_837_001  # any constant: one migration at a time, whoever starts it
LOCK_TIMEOUT_SECONDS = 15.0
# Who waits for a table makes everybody wait who comes after: each try is short, and between two the readers have their turn.
TRY_SECONDS, PAUSE_SECONDS = 0.5, 2.0
MIGRATIONS = Path(__file__).parents[1] / "migrations"


class Refused(ValueError):
    """The migrations cannot be carried out as they are written; nothing was touched. The message says what to mend."""


class Ahead(Refused):
    """The database has a revision that this image does not know, because a newer release made it."""

    def __init__(self, revision: str, head: str) -> None:
        step = "Deploy an image that has it, or put a recorded release back (playbooks/rollback.yml)."
        told = f"This image (newest revision {head}) does not know revision {revision}, which the database has: a newer release made it."
        super().__init__(f"{told} {step}")
        self.revision, self.head = revision, head


class Blocked(Exception):
    """A lock that others held all the time. The message says who."""


def _alembic(**attributes: Any) -> AlembicConfig:
    settings = AlembicConfig()
    settings.set_main_option("script_location", str(MIGRATIONS))
    settings.attributes.update(attributes)
    return settings


def plan(connection: Connection, since: str = "") -> dict[str, Any]:
    """Where the schema is, where it goes, and what that does to the code before.

    {"current", "head", "pending": [revision], "since", "steps": [{"revision", "title", "applied", "class", "reasons", "declared",
    "transactional", "sql"}]}

    steps: all revisions after ``since`` (the schema that the release before was made for; empty: the schema as it is now), oldest
    first, those too that a run which was killed has applied already. Raises Refused.
    """
    script = ScriptDirectory.from_config(_alembic())
    heads = sorted(script.get_heads())
    if len(heads) > 1:
        step = f"Merge them (alembic merge {' '.join(heads)}), or let one follow the other (down_revision)."
        raise Refused(f"There are {len(heads)} heads, {' and '.join(heads)}: which comes first is not said. {step}")
    at = MigrationContext.configure(connection).get_current_heads()
    if len(at) > 1:
        raise Refused(f"The database is at {' and '.join(sorted(at))} at once. Correct its table alembic_version.")
    current, head = (at[0] if at else None), heads[0]
    since = since or current or ""
    pending = _after(script, head, current)
    steps = [_step(one, applied=one not in pending) for one in _after(script, head, since or None)]
    return {"current": current, "head": head, "pending": [one.revision for one in pending], "since": since, "steps": steps}


def _after(script: ScriptDirectory, head: str, revision: str | None) -> list[Script]:
    try:
        return list(reversed(list(script.iterate_revisions(head, revision or "base"))))
    except RevisionError as problem:
        raise Ahead(str(revision), head) from problem


def _step(script: Script, *, applied: bool) -> dict[str, Any]:
    try:
        assessed = way_back.assess(script.module)
    except ValueError as problem:
        raise Refused(f"Migration {script.revision}: {problem}") from problem
    return {"revision": script.revision, "title": script.doc or "", "applied": applied, **assessed}


def remains(engine: Engine) -> str:
    """One sentence: what a failed migration has left, and the statements that remove it; or that nothing is half applied."""
    try:
        with engine.connect() as connection:
            found = plan(connection)
            pending = next((step for step in found["steps"] if not step["applied"]), None)
            left = remains_of(connection, pending["sql"]) if pending else []
    except (SQLAlchemyError, Refused):
        return "Whether something is half applied is not known: the database could not be asked."
    if not left or pending is None:
        return "Nothing half applied."
    undo = "; ".join(statement for _, statement in left)
    there = ", ".join(what for what, _ in left)
    return (
        f"Half applied: {there} of revision {pending['revision']} exists, and the schema is at {found['current'] or 'no revision'}. "
        f"Remove it (psql: {undo}), or make the revision skip what exists; then run it again."
    )


def preview(connection: Connection) -> str:
    """The SQL that `upgrade` would run; empty when nothing is pending."""
    steps = [step for step in plan(connection)["steps"] if not step["applied"]]
    return "\n\n".join(f"-- {step['revision']}: {step['class']}\n{step['sql']}" for step in steps)


def upgrade(engine: Engine, *, lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS, statement_timeout_seconds: float = 0) -> dict[str, Any]:
    """Migrate, then import; each is whole or not at all. Doing it again changes nothing.

    lock_timeout_seconds: how long this migration's turn is waited for, and then the tables' locks, in short tries. Raises Blocked.
    statement_timeout_seconds: for each statement; 0 is none.
    """
    with engine.connect() as connection:
        try:
            connection.execute(text(f"SET statement_timeout = {round(statement_timeout_seconds * 1000)}"))
            # A statement whose process was killed ends too, instead of holding its locks to the end.
            connection.execute(text("SET client_connection_check_interval = '1s'"))
            with _locks(engine, connection, lock_timeout_seconds, "its turn: another migration is at work"):
                connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK_KEY})
            before = plan(connection)
            connection.rollback()
            # A concurrent build waits for old transactions without blocking anybody, and one that is cut off leaves a broken index.
            concurrent = any("CONCURRENTLY" in step["sql"].upper() for step in before["steps"] if not step["applied"])
            each = lock_timeout_seconds if concurrent else min(TRY_SECONDS, lock_timeout_seconds)
            imported = _in_tries(engine, connection, lock_timeout_seconds, each, lambda: _migrate_and_import(connection))
        finally:
            # Closed, not given back to the pool: the lock and these settings last exactly as long as the connection.
            connection.invalidate()
    return {"from": before["current"], "to": before["head"], "migrated": before["pending"], "catalogue": imported}


def _migrate_and_import(connection: Connection) -> dict[str, Any]:
    command.upgrade(_alembic(connection=connection), "head")
    with connection.begin():
        return catalog.import_rows(connection, *catalog.rows_from_data(*catalogue_data.load()))


@contextmanager
def _locks(engine: Engine, connection: Connection, seconds: float, what: str) -> Iterator[None]:
    """Within it a lock is waited for so long; Blocked says who holds it. Commits."""
    connection.execute(text(f"SET lock_timeout = {round(seconds * 1000)}"))
    connection.commit()
    with blockers_of(engine, connection) as blockers:
        try:
            yield
        except OperationalError as problem:
            connection.rollback()
            if getattr(problem.orig, "sqlstate", "") != "55P03":
                raise
            raise Blocked(f"lock timeout after {seconds:g} s, waiting for {what}. In the way: {blockers or 'nobody any more'}") from problem
    connection.commit()


def _in_tries(engine: Engine, connection: Connection, seconds: float, each: float, work: Callable[[], Any]) -> Any:
    """What `work` returns; tried again for `seconds` while a lock is not to be had within `each`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with _locks(engine, connection, each, "a table"):
                return work()
        except Blocked as problem:
            if time.monotonic() + PAUSE_SECONDS > deadline:
                raise
            sys.stderr.write(f"migrate: {problem}; again in {PAUSE_SECONDS:g} s\n")
            time.sleep(PAUSE_SECONDS)


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m app.migrate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--current", action="store_true")
    mode.add_argument("--preview", action="store_true")
    parser.add_argument("--since", default="", metavar="NAME")
    parser.add_argument("--lock-timeout-seconds", type=float, default=LOCK_TIMEOUT_SECONDS, metavar="N")
    parser.add_argument("--statement-timeout-seconds", type=float, default=0, metavar="N", help="0 (default) is none")
    return parser.parse_args(arguments)


@contextmanager
def _revisions_told() -> Iterator[None]:
    """A line on stderr as each revision begins, and nothing else of what Alembic logs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("migrate: %(message)s"))
    handler.addFilter(lambda record: str(record.msg).startswith("Running"))
    logger = logging.getLogger("alembic.runtime.migration")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns the exit status: 1 the database refused, 3 the migrations as written are refused."""
    chosen = _arguments(arguments)
    engine = database.engine(config.from_env().database_url)
    try:
        if chosen.current or chosen.preview:
            with engine.connect() as connection:
                output = json.dumps(plan(connection, chosen.since)) if chosen.current else preview(connection)
        else:
            timeouts = {"lock_timeout_seconds": chosen.lock_timeout_seconds, "statement_timeout_seconds": chosen.statement_timeout_seconds}
            with _revisions_told():
                output = json.dumps(upgrade(engine, **timeouts))
    except Blocked as problem:
        sys.stderr.write(f"migrate: {problem}. {remains(engine)} End those sessions or wait for them, and run it again.\n")
        return 1
    except SQLAlchemyError as problem:
        cause = getattr(problem, "orig", None) or problem
        where = f"server {engine.url.host}, database {engine.url.database}"
        sys.stderr.write(f"migrate: {type(cause).__name__}: {str(cause).strip()} ({where}). {remains(engine)}\n")
        return 1
    except Refused as problem:
        ahead = {"unknown": problem.revision, "head": problem.head} if isinstance(problem, Ahead) else {}
        sys.stdout.write(json.dumps({"refused": str(problem), **ahead}) + "\n")
        return 3
    sys.stdout.write(output + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
