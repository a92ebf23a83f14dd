# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""PostgreSQL: a dump out of the running server, what is in it, and a restore into a scratch server.

The password stays in the container's environment (PGPASSWORD), where the clients read it by themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.hsc.jit.plugins.module_utils._redis_backup import BackupProblem, checked, copy_in, first_bytes
from ansible_collections.hsc.jit.plugins.module_utils._target import Cluster

LOCAL = ("-h", "127.0.0.1", "-U", "hsc")
_LIVE = (*LOCAL, "-d", "hsc")
_SCRATCH = ("-h", "/tmp", "-U", "hsc")  # noqa: S108 (the socket of a scratch server in its own pod)
PSQL = ("psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--field-separator=\t", "--set=ON_ERROR_STOP=1")
_DONE = "pg_dump ended with "
_REVISION = """
SELECT 'revision', coalesce((xpath('//version_num/text()',
  query_to_xml('SELECT version_num FROM public.alembic_version', false, false, '')))[1]::text, '')
WHERE to_regclass('public.alembic_version') IS NOT NULL;
"""
# Rows of each table and the sum of all their hashes, whatever their order; how many relations of each kind; the schema's revision.
_CENSUS = """
SET LOCAL timezone TO 'UTC'; SET LOCAL datestyle TO 'ISO, YMD'; SET LOCAL intervalstyle TO 'postgres'; SET LOCAL bytea_output TO 'hex';
SELECT format('%I.%I', n.nspname, c.relname), (xpath('/row/n/text()', x))[1], coalesce((xpath('/row/d/text()', x))[1]::text, '0')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
LATERAL query_to_xml(format(
  'SELECT count(*) AS n, sum((''x'' || left(md5(t::text), 15))::bit(60)::bigint) AS d FROM ONLY %I.%I t', n.nspname, c.relname
), false, true, '') AS x
WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_toast%'
ORDER BY 1;
SELECT format('relations.%s', c.relkind), count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_toast%' GROUP BY 1 ORDER BY 1;
"""
_CENSUS += _REVISION
# One transaction sees one moment. pg_dump is let into that very moment, so that the dump holds exactly what was counted, however busy
# the server is. The census goes to the errors' channel, because the dump has the output; so does pg_dump's exit code, which psql drops.
_DUMP = f"""
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT pg_export_snapshot() AS moment \\gset
\\setenv HSC_MOMENT :moment
\\o |cat >&2
{_CENSUS}
\\o
\\! pg_dump {" ".join(_LIVE)} --format=custom --no-owner --snapshot="$HSC_MOMENT"; echo "{_DONE}$?" >&2
COMMIT;
"""


def parse_census(text: str) -> dict[str, Any]:
    """{rows.<schema>.<table>: count, sum.<schema>.<table>: text, relations.<kind>: count, revision: text}; other lines are left alone."""
    found: dict[str, Any] = {}
    for line in text.splitlines():
        match line.split("\t"):
            case [table, count, total]:
                found[f"rows.{table}"], found[f"sum.{table}"] = int(count), total
            case ["revision", revision]:
                found["revision"] = revision
            case [kind, count] if kind.startswith("relations."):
                found[kind] = int(count)
    return found


def facts(cluster: Cluster, pod: str, container: str, *, scratch: bool = False, database: str = "hsc") -> dict[str, Any]:
    """What is in a database at one moment, see ``parse_census``."""
    where = [*(_SCRATCH if scratch else LOCAL), "-d", database]
    script = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\n{_CENSUS}\nCOMMIT;\n"
    command = [*PSQL, *where, "--file=-"]
    return parse_census(checked(cluster.exec(pod, container, command, stdin=script.encode()), f"{pod}: counting rows").decode())


def revision(cluster: Cluster, pod: str, container: str) -> str:
    """The schema's, of the live database; empty if it has none. Without counting the rest."""
    command = [*PSQL, *_LIVE, "--command", _REVISION]
    return str(parse_census(checked(cluster.exec(pod, container, command), f"{pod}: revision").decode()).get("revision", ""))


def dump(cluster: Cluster, pod: str, container: str, target: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Answers the facts of the very moment that the dump holds, twice: nothing lies between before and after."""
    result = cluster.exec(pod, container, [*PSQL, *_LIVE, "--file=-"], stdin=_DUMP.encode(), stdout=target)
    checked(result, f"{pod}: counting rows")
    ended = next((line for line in result.stderr.splitlines() if line.startswith(_DONE)), f"{_DONE}nothing")
    if ended != f"{_DONE}0":
        said = [line for line in result.stderr.splitlines() if line.startswith("pg_dump:")]
        raise BackupProblem(f"{pod}: {ended}: {' '.join(said)[-500:]}")
    if first_bytes(target) != b"PGDMP":
        raise BackupProblem(f"{pod}: what pg_dump sent is not a dump ({target.stat().st_size} bytes).")
    counted = parse_census(result.stderr)
    return counted, counted


def restore(cluster: Cluster, pod: str, container: str, source: Path) -> None:
    """Into a scratch server that nobody else reaches; any error of pg_restore is the end."""
    server = ["pg_ctl", "start", "--wait", "--pgdata=/data/pg", "--log=/tmp/postgres.log"]
    options = "-c listen_addresses='' -c unix_socket_directories=/tmp -c fsync=off -c jit=off"
    initialise = ["initdb", "--pgdata=/data/pg", "--username=hsc", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    checked(cluster.exec(pod, container, initialise), f"{pod}: initdb")
    checked(cluster.exec(pod, container, [*server, f"--options={options}"]), f"{pod}: pg_ctl start")
    checked(cluster.exec(pod, container, ["createdb", *_SCRATCH, "hsc"]), f"{pod}: createdb")
    copy_in(cluster, pod, container, source, "/data/dump")
    command = ["pg_restore", *_SCRATCH, "-d", "hsc", "--exit-on-error", "--no-owner", "/data/dump"]
    checked(cluster.exec(pod, container, command), f"{pod}: pg_restore")
