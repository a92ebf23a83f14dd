"""What migrations do to the code before them: each row is a migration as people write them, run through Alembic as it is."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from alembic import op

from app.core import way_back


def migration(*steps, downgrade=lambda: op.execute("SELECT 1"), **attributes):
    """A migration's module. A step is SQL, or a function as in a migration file."""

    def upgrade() -> None:
        for step in steps:
            step() if callable(step) else op.execute(step)

    return SimpleNamespace(upgrade=upgrade, downgrade=downgrade, **attributes)


def column(name="c", kind=sa.Text, **options):
    return lambda: op.add_column("products", sa.Column(name, kind, **options))


def _concurrently() -> None:
    with op.get_context().autocommit_block():
        op.create_index("i", "products", ["name"], postgresql_concurrently=True)


def _batch() -> None:
    with op.batch_alter_table("products") as batch:
        batch.add_column(sa.Column("c", sa.Text))
        batch.alter_column("name", new_column_name="title")


EXPAND = {
    "a table": lambda: op.create_table("t", sa.Column("id", sa.BigInteger, primary_key=True), sa.Column("n", sa.Text, unique=True)),
    "a nullable column": column(),
    "a NOT NULL column with a default": column(nullable=False, server_default=""),
    "an identity column": lambda: op.add_column("products", sa.Column("n", sa.BigInteger, sa.Identity(), nullable=False)),
    "a column with a reference": lambda: op.add_column("products", sa.Column("maker", sa.Text, sa.ForeignKey("brands.id"))),
    "an index": lambda: op.create_index("i", "products", ["name"]),
    "an index built concurrently": _concurrently,
    "a default": lambda: op.alter_column("products", "name", server_default="x"),
    "rows": lambda: op.bulk_insert(sa.table("brands", sa.column("id", sa.Text)), [{"id": "a"}, {"id": "b"}]),
    "rows that may be there": "INSERT INTO brands (id) VALUES ('a') ON CONFLICT (id) DO NOTHING",
    "an extension": "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "a comment": "COMMENT ON TABLE products IS 'what we help with'",
    "a validated constraint": "ALTER TABLE products VALIDATE CONSTRAINT c",
    "an enumeration": "CREATE TYPE mood AS ENUM ('a', 'b')",
}
CONTRACT = {
    "a NOT NULL column without a default": column(nullable=False),
    "SET NOT NULL": lambda: op.alter_column("products", "price", nullable=False),
    "DROP NOT NULL": lambda: op.alter_column("products", "name", nullable=True, existing_type=sa.Text),
    "another type": lambda: op.alter_column("products", "price", type_=sa.Text, existing_type=sa.Numeric),
    "another name of a column": lambda: op.alter_column("products", "name", new_column_name="title"),
    "another name of a table": lambda: op.rename_table("products", "items"),
    "a unique constraint": lambda: op.create_unique_constraint("u", "products", ["name"]),
    "a unique index": lambda: op.create_index("i", "products", ["name"], unique=True),
    "a check": lambda: op.create_check_constraint("c", "products", "price > 0"),
    "a foreign key": lambda: op.create_foreign_key("f", "documents", "products", ["url"], ["id"]),
    "a constraint dropped": lambda: op.drop_constraint("transcripts_session_cmd", "transcripts"),
    "an index dropped": lambda: op.drop_index("products_brand_id", "products"),
    "a default dropped": lambda: op.alter_column("documents", "error", server_default=None),
    "a view replaced": "CREATE OR REPLACE VIEW v AS SELECT 1 AS a",
    "a view dropped": "DROP VIEW v",
    "a trigger": "CREATE TRIGGER t BEFORE INSERT ON products FOR EACH ROW EXECUTE FUNCTION f()",
    "a value of an enumeration": "ALTER TYPE mood ADD VALUE 'c'",
    "the harmless and the other in one statement": "ALTER TABLE products ADD COLUMN a TEXT, RENAME COLUMN name TO title",
    "a batch": _batch,
}
IRREVERSIBLE = {
    "a column dropped": lambda: op.drop_column("products", "price"),
    "a table dropped": lambda: op.drop_table("transcripts"),
    "two tables dropped": "DROP TABLE documents, transcripts",
    "rows deleted": "DELETE FROM transcripts WHERE created_at < now()",
    "rows deleted inside of an INSERT": "WITH d AS (DELETE FROM documents RETURNING *) INSERT INTO brands (id) SELECT url FROM d",
    "a table emptied": "TRUNCATE documents",
    "values overwritten": "UPDATE products SET name = lower(name)",
    "values overwritten by an upsert": "INSERT INTO brands (id, name) VALUES ('a', 'b') ON CONFLICT (id) DO UPDATE SET name = 'b'",
    "a merge": "MERGE INTO products p USING brands b ON p.brand_id = b.id WHEN MATCHED THEN DELETE",
    "a block of PL/pgSQL": "DO $$ BEGIN DELETE FROM products; END $$",
    "a function's call": "SELECT tidy_up()",
    "no SQL at all": "this is ( none",
    "a look at the database": lambda: op.get_bind().execute(sa.text("SELECT 1")).scalar(),
}


ROWS = [
    (kind, what, step)
    for kind, rows in (("expand", EXPAND), ("contract", CONTRACT), ("irreversible", IRREVERSIBLE))
    for what, step in rows.items()
]


@pytest.mark.parametrize(("kind", "step"), [(kind, step) for kind, _, step in ROWS], ids=[f"{kind}: {what}" for kind, what, _ in ROWS])
def test_what_a_migration_is(kind, step) -> None:
    found = way_back.assess(migration(step))
    assert found["class"] == kind, found
    assert kind == "expand" or all(found["reasons"])
    assert found["declared"] is False


def test_the_worst_step_counts_and_its_reason_is_said() -> None:
    found = way_back.assess(migration(column(), EXPAND["an index"], CONTRACT["another name of a column"]))
    assert (found["class"], found["reasons"]) == ("contract", ["a name that the code before uses is taken from products"])
    assert "ALTER TABLE products ADD COLUMN c TEXT;" in found["sql"]


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        ([column("slug"), "UPDATE products SET slug = lower(name)"], "expand"),
        ([column("slug"), "UPDATE products SET slug = lower(name), name = 'x'"], "irreversible"),
        ([column("slug"), "UPDATE brands SET slug = lower(name)"], "irreversible"),
        ([column("slug"), "ALTER TABLE products ALTER COLUMN slug SET NOT NULL"], "contract"),
        ([column("slug", server_default=""), "ALTER TABLE products ALTER COLUMN slug SET NOT NULL"], "expand"),
        ([column("slug"), "ALTER TABLE products DROP COLUMN slug"], "expand"),
        (
            [EXPAND["a table"], "CREATE UNIQUE INDEX i ON t (n)", "DELETE FROM t", "ALTER TABLE t RENAME COLUMN n TO m", "DROP TABLE t"],
            "expand",
        ),
        ([EXPAND["a table"], "DROP TABLE t, products"], "irreversible"),
        (["CREATE TABLE IF NOT EXISTS products (id text)", "DELETE FROM products"], "irreversible"),
        (["CREATE TABLE other.products (id text)", "DELETE FROM products"], "irreversible"),
        (["CREATE TABLE public.t (id text)", "DELETE FROM T"], "expand"),
    ],
)
def test_what_the_migration_made_itself_is_its_own(steps, kind) -> None:
    found = way_back.assess(migration(*steps))
    assert found["class"] == kind, found


def _unwritten() -> None:
    raise NotImplementedError


@pytest.mark.parametrize(("downgrade", "said"), [(lambda: None, "does nothing"), (_unwritten, "NotImplementedError")])
def test_without_a_downgrade_there_is_no_way_back(downgrade, said) -> None:
    found = way_back.assess(migration(column(), downgrade=downgrade))
    assert found["class"] == "irreversible"
    assert said in found["reasons"][0]


def test_a_declared_class_needs_its_reason() -> None:
    step = CONTRACT["an index dropped"]
    reason = "No query of release 3.1 names this index or conflicts on it."
    found = way_back.assess(migration(step, hsc_class="expand", hsc_reason=reason))
    assert (found["class"], found["reasons"], found["declared"]) == ("expand", [reason], True)
    for attributes, said in [
        ({"hsc_class": "expand"}, "without saying why"),
        ({"hsc_class": "expand", "hsc_reason": "it is safe"}, "where its SQL says contract"),
        ({"hsc_class": "safe", "hsc_reason": reason}, "expand, contract, irreversible"),
    ]:
        with pytest.raises(ValueError, match=said):
            way_back.assess(migration(step, **attributes))
