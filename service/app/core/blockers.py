"""Who makes a statement wait: PostgreSQL says afterwards only that the time was over, so it is asked while the statement waits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

_ASK_SECONDS = 0.1
_ASK = text(
    "SELECT pid, application_name, state, round(extract(epoch FROM now() - xact_start)) AS age FROM pg_stat_activity "
    "WHERE pid = ANY(pg_blocking_pids(:pid)) ORDER BY xact_start"
)


class Blockers:
    """Sessions that were in the way last, in words: process id, application, state, and how long their transaction has been open."""

    def __init__(self) -> None:
        self.words: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "; ".join(self.words)


@contextmanager
def blockers_of(engine: Engine, connection: Connection) -> Iterator[Blockers]:
    """Look, from another connection, at what `connection` waits for as long as the block runs."""
    pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    connection.commit()
    found, done = Blockers(), threading.Event()
    thread = threading.Thread(target=_look, args=(engine, pid, found, done), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join(timeout=10)


def _look(engine: Engine, pid: int, found: Blockers, done: threading.Event) -> None:
    try:
        with engine.connect() as other:
            while not done.wait(_ASK_SECONDS):
                rows = other.execute(_ASK, {"pid": pid}).all()
                other.rollback()
                if rows:
                    found.words = tuple(_told(*row) for row in rows)
    except SQLAlchemyError:
        return  # the migration meets the same fault, and says it


def _told(pid: int, application: str | None, state: str | None, age: float | None) -> str:
    since = "" if age is None else f", its transaction open for {age:.0f} s"
    return f"pid {pid} ({application or 'without a name'}, {state or 'state hidden'}{since})"
