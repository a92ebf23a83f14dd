"""What a migration that failed has left in the database: its own SQL says what it makes, the catalogue says what is there.

A revision that ends its transaction (an autocommit block, CONCURRENTLY) may leave a part of itself. Alembic then knows nothing of it, and
the next run fails because the part exists.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlglot
from sqlalchemy import Connection, text
from sqlglot import exp
from sqlglot.errors import SqlglotError

_COLUMN = text("SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass(:table) AND attname = :column AND NOT attisdropped")
_RELATION = text("SELECT count(*) FROM pg_class WHERE oid = to_regclass(:name)")
_INVALID = text("SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid")
_CONSTRAINT = text("SELECT count(*) FROM pg_constraint WHERE conrelid = to_regclass(:table) AND conname = :name")


def remains(connection: Connection, sql: str) -> list[tuple[str, str]]:
    """(what exists, the statement that removes it) of what the SQL of a revision makes. The revision is not applied."""
    made: set[str] = set()
    found = []
    for statement in _parsed(sql):
        for what, undo in _remains_of(connection, statement, made):
            found.append((what, undo))
    return found


def _parsed(sql: str) -> Iterator[exp.Expr]:
    for one in sql.split(";\n"):
        try:
            yield from (statement for statement in sqlglot.parse(one, dialect="postgres") if statement is not None)
        except SqlglotError:
            continue  # what cannot be read cannot be looked for


def _remains_of(connection: Connection, statement: exp.Expr, made: set[str]) -> Iterator[tuple[str, str]]:
    table = _quoted(statement.find(exp.Table))
    if isinstance(statement, exp.Create) and str(statement.args["kind"]).upper() == "TABLE":
        made.add(table)
        if _there(connection, _RELATION, name=table):
            yield f"table {table}", f"DROP TABLE {table}"
    elif isinstance(statement, exp.Create) and str(statement.args["kind"]).upper() == "INDEX":
        name = _identifier(statement.find(exp.Index))
        if name and _there(connection, _RELATION, name=name):
            broken = " (invalid)" if _there(connection, _INVALID, name=name) else ""
            yield f"index {name}{broken}", f"DROP INDEX {name}"
    elif isinstance(statement, exp.Alter) and table not in made:
        for action in statement.args.get("actions") or []:
            if isinstance(action, exp.ColumnDef) and _there(connection, _COLUMN, table=table, column=action.name):
                yield f"column {table}.{action.name}", f'ALTER TABLE {table} DROP COLUMN "{action.name}"'
            elif isinstance(action, exp.AddConstraint):
                for constraint in action.find_all(exp.Constraint):
                    if _there(connection, _CONSTRAINT, table=table, name=constraint.name):
                        yield f"constraint {constraint.name} of {table}", f'ALTER TABLE {table} DROP CONSTRAINT "{constraint.name}"'


def _there(connection: Connection, query: object, **names: str) -> bool:
    return bool(connection.execute(query, names).scalar())  # type: ignore[call-overload]


def _identifier(index: exp.Expr | None) -> str:
    return str(index.this.sql(dialect="postgres")) if index is not None and index.this is not None else ""


def _quoted(table: exp.Expr | None) -> str:
    """As SQL writes it, without an alias."""
    return ".".join(part.sql(dialect="postgres") for part in table.parts) if isinstance(table, exp.Table) else ""
