"""What a migration does to the code that ran before it, told from its own SQL. Pure: no database, no files.

expand        the code before runs on the new schema as it did on the old one
contract      it does not: something that it reads or relies on is gone, renamed, of another type, or stricter
irreversible  data that only the Snapshot still has are gone, there is no downgrade, or the SQL cannot be read
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import sqlglot
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlglot import exp
from sqlglot.errors import SqlglotError

CLASSES = ("expand", "contract", "irreversible")  # from harmless to worst
_REASON_WORDS = 4  # fewer are no justification
Effect = tuple[str, str]

# Statements that the parser hands back as text.
_AS_TEXT = [
    (r"CREATE EXTENSION|REFRESH MATERIALIZED VIEW|VACUUM|REINDEX", "expand", "nothing that was there changes"),
    (r"ALTER TABLE .* VALIDATE CONSTRAINT", "expand", "the constraint held for new rows already"),
    (r"ALTER TYPE .* ADD VALUE", "contract", "the code before does not know the new value"),
    (r"ALTER TABLE .* SET SCHEMA|REVOKE", "contract", "the code before does not reach it any more"),
]
# What is not named here has its data in other places (indexes) or none (views, functions, constraints).
_HOLD_DATA = ("TABLE", "COLUMN", "SCHEMA", "SEQUENCE", "DATABASE")

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # statements it hands back as text are judged here


@dataclass
class Made:
    """What the migration itself made so far: the code before does not know of it, so nearly anything may be done to it."""

    tables: set[str] = field(default_factory=set)
    columns: set[tuple[str, str]] = field(default_factory=set)
    defaults: set[tuple[str, str]] = field(default_factory=set)


def assess(module: Any) -> dict[str, Any]:
    """{"class", "reasons", "declared", "transactional", "sql"} of a migration's module.

    ``declared``: a person's word instead of ours. ``transactional``: whether a failure leaves nothing of it in the database.

    Raises ValueError: the module says a class (``hsc_class``) that does not exist, or does not say why (``hsc_reason``).
    """
    effects: list[Effect] = []
    statements: list[str] = []
    transactional = False
    try:
        statements = record(module.upgrade)
        transactional = one_transaction(module.upgrade)
        effects = classify(statements)
    except Exception as problem:  # a migration is a program: it may look at the database, which is not there
        effects = [("irreversible", f"upgrade() cannot be read without a database ({type(problem).__name__}: {problem})")]
    effects += _without_downgrade(module, statements)
    kind = max((one for one, _ in effects), key=CLASSES.index, default="expand")
    reasons = list(dict.fromkeys(reason for one, reason in effects if one == kind and (kind != "expand" or reason)))
    told: dict[str, Any] = {
        "class": kind,
        "reasons": reasons,
        "declared": False,
        "transactional": transactional,
        "sql": "\n".join(f"{one};" for one in statements),
    }
    if (declared := getattr(module, "hsc_class", None)) is None:
        return told
    reason = str(getattr(module, "hsc_reason", "")).strip()
    if declared not in CLASSES:
        raise ValueError(f"hsc_class is {declared!r}. Set it to one of {', '.join(CLASSES)}, or leave it out.")
    if len(reason.split()) < _REASON_WORDS:
        raise ValueError(f"hsc_class says {declared} where its SQL says {kind}, without saying why. Write hsc_reason = '...' beside it.")
    return {**told, "class": declared, "reasons": [reason], "declared": True}


def record(step: Callable[[], Any]) -> list[str]:
    """The statements that ``step`` (an upgrade or downgrade) would send, each without its semicolon."""
    return [text for text in _written(step) if text not in ("BEGIN", "COMMIT")]


def one_transaction(step: Callable[[], Any]) -> bool:
    """Whether ``step`` runs in one transaction: it has no autocommit block, no COMMIT of its own and nothing CONCURRENTLY."""
    written = [text.upper() for text in _written(step)]
    return written.count("COMMIT") <= 1 and not any(
        "CONCURRENTLY" in text or re.search(r"(^|;)\s*(COMMIT|END)\s*(;|$)", text) for text in written[:-1]
    )


def _written(step: Callable[[], Any]) -> list[str]:
    output = _Statements()
    options = {"as_sql": True, "output_buffer": output, "literal_binds": True}
    context = MigrationContext.configure(dialect_name="postgresql", opts=options)
    with context.begin_transaction(), Operations.context(context):
        step()
    return output.written


class _Statements:
    """The file that Alembic writes its offline SQL to: one statement at a time."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, text: str) -> None:
        if stripped := text.strip().rstrip(";").strip():
            self.written.append(stripped)

    def flush(self) -> None:
        """Nothing is held back."""


def classify(statements: Iterable[str]) -> list[Effect]:
    """(class, reason) of everything that the statements do, in their order."""
    made, effects = Made(), []
    for text in statements:
        try:
            parsed = [one for one in sqlglot.parse(text, dialect="postgres") if one is not None]
        except SqlglotError:
            effects.append(_unread(text))
            continue
        for statement in parsed:
            effects += _effects(statement, made)
    return effects


def _without_downgrade(module: Any, upgrade: list[str]) -> list[Effect]:
    try:
        downgrade = record(module.downgrade)
    except Exception as problem:
        return [("irreversible", f"it has no downgrade() that can be carried out ({type(problem).__name__})")]
    return [("irreversible", "its downgrade() does nothing")] if upgrade and not downgrade else []


def _effects(statement: exp.Expr, made: Made) -> list[Effect]:
    if isinstance(statement, exp.Command):
        text = " ".join(statement.sql(dialect="postgres").split())
        return [next(((kind, f"{text[:80]}: {why}") for pattern, kind, why in _AS_TEXT if re.match(pattern, text, re.I)), _unread(text))]
    if isinstance(statement, exp.Create):
        return [_create(statement, made)]
    if isinstance(statement, exp.Alter):
        return [_alter(statement, action, made) for action in statement.args.get("actions") or [statement]]
    if isinstance(statement, exp.Drop):
        return [_drop(statement, _name(statement.find(exp.Table)), made)]
    if isinstance(statement, exp.Comment | exp.Set | exp.Grant | exp.Analyze):
        return [("expand", "")]
    changes = list(statement.find_all(exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.TruncateTable))
    if changes:  # in WITH too
        return [_data(change, made) for change in changes]
    if isinstance(statement, exp.Select) and not statement.find(exp.Func):
        return [("expand", "")]
    return [_unread(statement.sql(dialect="postgres"))]


def _create(statement: exp.Create, made: Made) -> Effect:
    kind = str(statement.args["kind"]).upper()
    table = _name(statement.find(exp.Table))
    if statement.args.get("replace"):
        return "contract", f"{kind} {table} is replaced, which the code before uses"
    if kind == "TABLE" and not statement.args.get("exists"):
        made.tables.add(table)
    if kind == "INDEX" and statement.args.get("unique") and table not in made.tables:
        return "contract", f"the code before may write to {table} what a new unique index refuses"
    if kind == "TRIGGER" and table not in made.tables:
        return "contract", f"a trigger acts on what the code before writes to {table}"
    return "expand", f"new {kind.lower()} {table}" if kind == "TABLE" else f"new {kind.lower()}"


def _alter(statement: exp.Alter, action: exp.Expression, made: Made) -> Effect:
    table = _name(statement.this)
    if isinstance(action, exp.Drop):
        return _drop(action, table, made)
    if table in made.tables:
        return "expand", ""
    if isinstance(action, exp.ColumnDef):
        return _add_column(table, action, made)
    if isinstance(action, exp.AlterColumn):
        return _alter_column(table, action, made)
    if isinstance(action, exp.AlterRename | exp.RenameColumn):
        return "contract", f"a name that the code before uses is taken from {table}"
    if isinstance(action, exp.AddConstraint):
        reference = action.find(exp.ForeignKey)
        columns = {(table, column.name.lower()) for column in reference.expressions} if reference else set()
        if columns and columns <= made.columns - made.defaults:
            return "expand", ""  # the code before leaves them NULL
        return "contract", f"the code before may write to {table} what a new constraint refuses"
    return _unread(statement.sql(dialect="postgres"))


def _add_column(table: str, column: exp.ColumnDef, made: Made) -> Effect:
    key = (table, column.name.lower())
    kinds = [constraint.kind for constraint in column.args.get("constraints") or []]

    def has(*wanted: type[exp.Expression]) -> bool:
        return any(isinstance(kind, wanted) for kind in kinds)

    serial = column.args["kind"].sql(dialect="postgres").upper().endswith("SERIAL")
    generated = serial or has(exp.GeneratedAsIdentityColumnConstraint, exp.ComputedColumnConstraint)
    made.columns.add(key)
    if has(exp.DefaultColumnConstraint) or generated:
        made.defaults.add(key)
    elif has(exp.PrimaryKeyColumnConstraint) or any(
        isinstance(kind, exp.NotNullColumnConstraint) and not kind.args.get("allow_null") for kind in kinds
    ):
        return "contract", f"the code before does not fill the new column {'.'.join(key)}, which must not be NULL and has no default"
    if has(exp.UniqueColumnConstraint) and has(exp.DefaultColumnConstraint):
        return "contract", f"every row of the code before gets the same value in the unique column {'.'.join(key)}"
    return "expand", f"new column {'.'.join(key)}"


def _alter_column(table: str, action: exp.AlterColumn, made: Made) -> Effect:
    key, arguments = (table, action.name.lower()), action.args
    name = ".".join(key)
    if arguments.get("default"):
        made.defaults.add(key)
        return "expand", f"new default of {name}"
    if arguments.get("allow_null") is False and not (key in made.columns and key in made.defaults):
        return "contract", f"the code before may leave {name} NULL, which is refused"
    if key in made.columns:
        return "expand", ""
    if arguments.get("dtype"):
        return "contract", f"{name} gets another type"
    if arguments.get("allow_null"):
        return "contract", f"the code before may read NULL from {name}, which it does not expect"
    if arguments.get("drop"):
        return "contract", f"the code before may rely on the default of {name}"
    return _unread(action.sql(dialect="postgres"))


def _drop(action: exp.Drop, table: str, made: Made) -> Effect:
    kind = str(action.args.get("kind") or "").upper()
    names = [one.name.lower() for one in action.args.get("tables") or []]
    what = f"{kind.lower()} {', '.join(names) or table}" + (f" of {table}" if kind in ("COLUMN", "CONSTRAINT") else "")
    if kind == "TABLE" and {_name(one) for one in action.args.get("tables") or []} <= made.tables:
        return "expand", ""
    if kind in ("COLUMN", "CONSTRAINT") and (table in made.tables or all((table, name) in made.columns for name in names)):
        return "expand", ""
    if kind in _HOLD_DATA or action.args.get("materialized"):
        return "irreversible", f"the data of {what} are dropped"
    return "contract", f"{what} is dropped, on which the code before may rely"


def _data(statement: exp.Expression, made: Made) -> Effect:
    target = statement.args.get("expressions") if isinstance(statement, exp.TruncateTable) else [statement.this]
    tables = {_name(one.find(exp.Table)) for one in target or [statement]}
    names = ", ".join(sorted(tables))
    if tables <= made.tables:
        return "expand", ""
    if isinstance(statement, exp.Insert):
        conflict = statement.args.get("conflict")
        if conflict is None or not conflict.args.get("expressions"):
            return "expand", f"new rows in {names}"
        return "irreversible", f"values of {names} are overwritten"
    if isinstance(statement, exp.Update):
        written = {one.this.name.lower() for one in statement.args.get("expressions") or [] if isinstance(one, exp.EQ)}
        if written and all((names, column) in made.columns for column in written):
            return "expand", f"new columns of {names} are filled"
        return "irreversible", f"values of {names} are overwritten"
    return "irreversible", f"rows of {names} are deleted"


def _name(table: exp.Expression | None) -> str:
    """As PostgreSQL reads it; the schema public is not said."""
    if not isinstance(table, exp.Table):
        table = table.find(exp.Table) if table is not None else None
    if table is None:
        return ""
    name = table.name if table.this.args.get("quoted") else table.name.lower()
    return name if table.db in ("", "public") else f"{table.db}.{name}"


def _unread(text: str) -> Effect:
    return "irreversible", f"what `{' '.join(text.split())[:80]}` does cannot be read from it"
