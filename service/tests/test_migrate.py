"""Schema and import against a real PostgreSQL."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from servers import stop, wait_until
from sqlalchemy import event, inspect, text

from app import config, migrate
from app.core import catalog, database


@pytest.fixture
def engine(database_url: str):
    made = database.engine(config.from_env({"HSC_DATABASE_URL": database_url}).database_url)
    yield made
    made.dispose()


@pytest.fixture
def migrations(tmp_path, monkeypatch):
    """The product's migrations in a folder of this test, and a function that adds one: its steps are lines of upgrade()."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrate.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(migrate, "MIGRATIONS", folder)

    def add(revision: str, after: str, *steps: str, more: str = "") -> None:
        body = "\n    ".join(steps)
        lines = [f'"""Step {revision}."""', "import sqlalchemy as sa", "from alembic import op", more]
        lines += [f"revision, down_revision = {revision!r}, {after!r}", "def upgrade():", f"    {body}"]
        text = "\n".join([*lines, "def downgrade():", "    op.execute('SELECT 1')", ""])
        (folder / "versions" / f"{revision}.py").write_text(text)

    return add


RENAME = 'op.alter_column("products", "name", new_column_name="title")'
INDEX = 'op.create_index("products_name", "products", ["name"])'


def plan(engine, since: str = "") -> dict:
    with engine.connect() as connection:
        return migrate.plan(connection, since)


def test_the_plan_names_every_pending_migration_and_what_it_does_to_the_code_before(engine) -> None:
    state = plan(engine)
    assert state["current"] is None
    assert state["head"] == state["pending"][-1]
    assert [step["revision"] for step in state["steps"]] == state["pending"]
    assert {step["class"] for step in state["steps"]} == {"expand"}
    assert state["steps"][0]["title"].startswith("Brands")


def test_the_way_back_counts_what_a_killed_run_has_applied(engine, migrations) -> None:
    migrations("x1", "0002", RENAME)
    migrations("x2", "x1", INDEX.replace('"name"', '"title"'))
    with engine.connect() as connection:
        command.upgrade(migrate._alembic(connection=connection), "x1")
    state = plan(engine, since="0002")
    assert (state["current"], state["pending"]) == ("x1", ["x2"])
    assert [(step["revision"], step["applied"], step["class"]) for step in state["steps"]] == [
        ("x1", True, "contract"),
        ("x2", False, "expand"),
    ]


def test_two_heads_are_refused_by_their_names_and_nothing_is_touched(engine, migrations, database_url, monkeypatch, capsys) -> None:
    migrations("x1", "0002", INDEX)
    migrations("y1", "0002", RENAME)
    monkeypatch.setenv("HSC_DATABASE_URL", database_url)
    for arguments in (["--current"], ["--preview"], []):
        assert migrate.main(arguments) == 3
        assert "2 heads, x1 and y1" in json.loads(capsys.readouterr().out.splitlines()[-1])["refused"]
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == []


def test_a_schema_of_a_newer_release_is_refused(engine, migrations, database_url, monkeypatch, capsys) -> None:
    migrations("x1", "0002", INDEX)
    migrate.upgrade(engine)
    (migrate.MIGRATIONS / "versions" / "x1.py").unlink()
    with pytest.raises(migrate.Refused, match="does not know revision x1"):
        migrate.upgrade(engine)
    monkeypatch.setenv("HSC_DATABASE_URL", database_url)
    assert migrate.main(["--current"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["unknown"], told["head"]) == ("x1", "0002"), "so that who knows what x1 was can decide"


def test_a_class_without_a_reason_is_refused_before_anything_runs(engine, migrations) -> None:
    migrations("x1", "0002", RENAME, more='hsc_class = "expand"')
    with pytest.raises(migrate.Refused, match=r"Migration x1: .*without saying why"):
        migrate.upgrade(engine)
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == []


def test_preview_is_the_sql_that_runs_and_changes_nothing(engine) -> None:
    sent: list[str] = []
    with engine.connect() as connection:
        sql = migrate.preview(connection)
        assert inspect(connection).get_table_names() == []
    event.listen(engine, "before_cursor_execute", lambda *arguments: sent.append(" ".join(arguments[2].split())))
    migrate.upgrade(engine)
    statements = [" ".join(one.split()) for one in re.sub("--.*", "", sql).split(";") if one.strip()]
    assert "CREATE TABLE brands" in statements[0]
    assert [one for one in statements if one not in sent] == []


def test_upgrade_twice_changes_once(engine) -> None:
    first, second = migrate.upgrade(engine), migrate.upgrade(engine)
    assert first["migrated"]
    assert first["catalogue"]["changed"] is True
    assert second["migrated"] == []
    assert second["catalogue"]["changed"] is False
    with engine.connect() as connection:
        assert migrate.plan(connection)["pending"] == []
        assert migrate.preview(connection) == ""
        read = catalog.read(connection)
    assert len(read.products) == first["catalogue"]["products"] >= 340
    assert len(read.brands) == first["catalogue"]["brands"] >= 90
    assert read.digest == first["catalogue"]["digest"]


def test_two_at_once_migrate_once(engine) -> None:
    results: list[dict] = []
    threads = [threading.Thread(target=lambda: results.append(migrate.upgrade(engine))) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join(60) for thread in threads]
    assert sorted(len(result["migrated"]) for result in results) == [0, 2]


def test_a_killed_migration_leaves_nothing_and_the_next_one_does_all_of_it(engine, migrations, database_url) -> None:
    """SIGKILL in the midst of a statement: its lock goes, nothing of it stays, and running again applies each revision once."""
    migrate.upgrade(engine)
    migrations("x1", "0002", 'op.execute("CREATE TABLE applied (n int)")', 'op.execute("INSERT INTO applied SELECT 1 FROM pg_sleep(30)")')
    program = f"from pathlib import Path; from app import migrate; migrate.MIGRATIONS = Path({str(migrate.MIGRATIONS)!r}); migrate.main([])"
    environment = {**os.environ, "HSC_DATABASE_URL": database_url}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment, cwd=Path(__file__).parents[1], stderr=subprocess.PIPE)
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'INSERT INTO applied%'"
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            wait_until(lambda: connection.execute(text(sleeping)).scalar() == 1, "the migration's statement")
            process.kill()
            wait_until(lambda: connection.execute(text(sleeping)).scalar() == 0, "the end of the statement of the killed process")
    finally:
        stop(process)
    assert b"Running upgrade 0002 -> x1, Step x1" in process.stderr.read()
    assert plan(engine)["pending"] == ["x1"]
    migrations("x1", "0002", 'op.execute("CREATE TABLE applied (n int)")', 'op.execute("INSERT INTO applied VALUES (1)")')
    assert [migrate.upgrade(engine)["migrated"] for _ in range(2)] == [["x1"], []]
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM applied")).scalar() == 1


def test_a_table_lock_that_somebody_holds_ends_the_migration_soon(engine, migrations, database_url, monkeypatch, capsys) -> None:
    migrate.upgrade(engine)
    migrations("x1", "0002", 'op.create_table("t", sa.Column("id", sa.Integer))', 'op.add_column("products", sa.Column("c", sa.Text))')
    monkeypatch.setenv("HSC_DATABASE_URL", database_url)
    with engine.begin() as holder:
        holder.execute(text("LOCK TABLE products IN SHARE MODE"))
        pid = holder.execute(text("SELECT pg_backend_pid()")).scalar_one()
        assert migrate.main(["--lock-timeout-seconds", "0.5"]) == 1
    said = capsys.readouterr().err
    assert "lock timeout after 0.5 s, waiting for a table. In the way: " in said
    assert re.search(rf"pid {pid} \(hsc-jit, idle in transaction, its transaction open for \d+ s\)", said)
    assert plan(engine)["pending"] == ["x1"]
    with engine.connect() as connection:
        assert "t" not in inspect(connection).get_table_names()


def test_a_lock_that_comes_free_in_time_is_had_and_readers_hardly_wait(engine, migrations, capsys, monkeypatch) -> None:
    """An idle transaction for three seconds: who reads meanwhile waits for one short try at most, not until it ends."""
    monkeypatch.setattr(migrate, "PAUSE_SECONDS", 1.0)
    migrate.upgrade(engine)
    migrations("x1", "0002", 'op.add_column("products", sa.Column("c", sa.Text))')
    waits, done = [], threading.Event()

    def read() -> None:
        while not done.wait(0.02):
            began = time.monotonic()
            with engine.connect() as reader:
                reader.execute(text("SELECT id FROM products LIMIT 1"))
            waits.append(time.monotonic() - began)

    with engine.connect() as holder:
        holder.execute(text("SELECT id FROM products LIMIT 1"))
        threading.Timer(3, holder.rollback).start()
        reading = threading.Thread(target=read)
        reading.start()
        assert migrate.upgrade(engine, lock_timeout_seconds=20)["migrated"] == ["x1"]
        done.set()
        reading.join()
    assert capsys.readouterr().err.count("; again in 1 s") >= 2
    assert len(waits) > 20
    assert max(waits) < 1.5


def test_statements_may_take_as_long_as_is_said(engine, migrations, database_url, monkeypatch, capsys) -> None:
    """Not the thirty seconds that a request of the service gets."""
    migrations("x1", "0002", "op.execute(\"CREATE TABLE said AS SELECT current_setting('statement_timeout') AS timeout\")")
    migrate.upgrade(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT timeout FROM said")).scalar() == "0"
    migrations("x2", "x1", "op.execute('INSERT INTO said SELECT pg_sleep(30)::text')")
    monkeypatch.setenv("HSC_DATABASE_URL", database_url)
    assert migrate.main(["--statement-timeout-seconds", "0.1"]) == 1
    assert "statement timeout" in capsys.readouterr().err


def test_an_index_built_concurrently_has_its_turn_too(engine, migrations) -> None:
    step = 'op.create_index("products_name", "products", ["name"], postgresql_concurrently=True)'
    migrations("x1", "0002", "with op.get_context().autocommit_block():", f"    {step}")
    assert migrate.upgrade(engine)["migrated"][-1] == "x1"
    with engine.connect() as connection:
        assert "products_name" in {index["name"] for index in inspect(connection).get_indexes("products")}


def test_tables_are_what_the_migrations_make(engine) -> None:
    migrate.upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, database.metadata) == []


def test_import_removes_what_is_gone_and_is_whole_or_not_at_all(engine) -> None:
    migrate.upgrade(engine)
    brand = {"id": "b", "name": "B", "hq": "X", "website": "https://b.example"}
    product = {"id": "p", "brand_id": "b", "name": "P", "category": "c", "description": "d", "production_country": "x"}
    with engine.begin() as connection:
        assert catalog.import_rows(connection, *catalog.rows_from_data([brand], [product]))["changed"]
    with engine.connect() as connection:
        assert list(catalog.read(connection).products) == ["p"]
    broken = catalog.rows_from_data([brand], [{**product, "id": "q"}])
    broken[1][0]["name"] = None
    with pytest.raises(Exception, match="null value"), engine.begin() as connection:
        catalog.import_rows(connection, *broken)
    with engine.connect() as connection:
        assert list(catalog.read(connection).products) == ["p"]


def test_dangling_relation_is_refused_by_name() -> None:
    product = {
        "id": "p",
        "brand_id": "b",
        "name": "P",
        "category": "c",
        "description": "d",
        "production_country": "x",
        "related": [{"id": "nope", "type": "t", "label": "l"}],
    }
    with pytest.raises(ValueError, match="product p is related to 'nope'"):
        catalog.rows_from_data([{"id": "b", "name": "B", "hq": "X", "website": "w"}], [product])


def test_a_held_lock_is_reported_not_waited_for_forever(engine, database_url, monkeypatch, capsys) -> None:
    monkeypatch.setenv("HSC_DATABASE_URL", database_url)
    with engine.connect() as holder:
        holder.execute(text("SELECT pg_advisory_lock(:key)"), {"key": migrate.LOCK_KEY})
        assert migrate.main(["--lock-timeout-seconds", "0.5"]) == 1
    said = capsys.readouterr().err
    assert "waiting for its turn: another migration is at work. In the way: pid " in said


def test_command_line_current_is_json(engine, database_url, monkeypatch, capsys) -> None:
    monkeypatch.setenv("HSC_DATABASE_URL", database_url)
    assert migrate.main(["--current"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"current", "head", "pending", "since", "steps"}


AUTOCOMMIT = "with op.get_context().autocommit_block():"
COLUMN = '    op.add_column("products", sa.Column("colour", sa.Text))'
FAILS = '    op.execute("SELECT 1 / 0")'


@pytest.mark.parametrize(
    ("steps", "transactional"),
    [
        ([COLUMN.strip()], True),
        ([AUTOCOMMIT, COLUMN], False),
        (['op.execute("COMMIT")'], False),
        ([AUTOCOMMIT, '    op.create_index("products_name", "products", ["name"], postgresql_concurrently=True)'], False),
    ],
)
def test_the_plan_says_which_revision_is_not_transactional(engine, migrations, steps, transactional) -> None:
    migrations("x1", "0002", *steps)
    assert plan(engine)["steps"][-1]["transactional"] is transactional


def test_what_a_failed_migration_has_left_is_named_each_time(engine, migrations, database_url, monkeypatch, capsys) -> None:
    migrations("x1", "0002", AUTOCOMMIT, COLUMN, '    op.create_index("products_colour", "products", ["colour"])', FAILS)
    monkeypatch.setenv("HSC_DATABASE_URL", database_url)
    for _ in range(2):  # the second run fails because the column exists
        assert migrate.main([]) == 1
        told = capsys.readouterr().err
        assert "Half applied: column products.colour, index products_colour of revision x1 exists" in told
        assert "the schema is at 0002" in told and 'ALTER TABLE products DROP COLUMN "colour"; DROP INDEX products_colour' in told


def test_a_transactional_migration_that_fails_leaves_nothing(engine, migrations, database_url, monkeypatch, capsys) -> None:
    migrations("x1", "0002", COLUMN.strip(), FAILS.strip())
    monkeypatch.setenv("HSC_DATABASE_URL", database_url)
    assert migrate.main([]) == 1
    assert "Nothing half applied." in capsys.readouterr().err
