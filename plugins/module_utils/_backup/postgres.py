# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""PostgreSQL: a dump out of the running server, what is in it, and a restore into a scratch server.

The password stays in the container's environment (PGPASSWORD), where the clients read it by themselves.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .._errors import BackupError
from .._kube.client import Cluster
from .._process import has_ended, process_mark, split
from .pod_files import checked, copy_in, first_bytes
from .snapshot import Facts

LOCAL = ("-h", "127.0.0.1", "-U", "hsc")
_LIVE = (*LOCAL, "-d", "hsc")
_SCRATCH = ("-h", "/tmp", "-U", "hsc")  # noqa: S108 (the socket of a scratch server in its own pod)
PSQL = ("psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--field-separator=\t", "--set=ON_ERROR_STOP=1")
_DONE = "pg_dump ended with "
DUMP_SECONDS = 600  # after that nobody listens any more
_SESSION = "hsc.jit-backup"
_SESSIONS = """
SELECT pid, application_name, extract(epoch FROM now() - backend_start)::int
FROM pg_stat_activity WHERE application_name LIKE 'hsc.jit-backup%' AND usename = current_user
"""
_REVISION = """
SELECT 'revision', coalesce((xpath('//version_num/text()',
  query_to_xml('SELECT version_num FROM public.alembic_version', false, false, '')))[1]::text, '')
WHERE to_regclass('public.alembic_version') IS NOT NULL;
"""
# A product's own limits are for its sessions. Ours holds the snapshot while pg_dump works, and does nothing meanwhile.
NO_LIMITS = """
SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('statement_timeout', 'lock_timeout', 'transaction_timeout',
  'idle_in_transaction_session_timeout', 'idle_session_timeout') \\g /dev/null
"""
# The text of a value must not depend on settings of the role or the database. With row_security off a policy that hides rows is an error.
_PINNED = """
SET LOCAL timezone TO 'UTC'; SET LOCAL datestyle TO 'ISO, YMD'; SET LOCAL intervalstyle TO 'postgres'; SET LOCAL bytea_output TO 'hex';
SET LOCAL extra_float_digits TO 1; SET LOCAL lc_monetary TO 'C'; SET LOCAL search_path TO pg_catalog;
SET LOCAL quote_all_identifiers TO off; SET LOCAL xmlbinary TO 'base64'; SET LOCAL row_security TO off;
"""
# Rows of each table and the sum of all their hashes, whatever their order; how many relations of each kind; the schema's revision.
# Temporary tables belong to other sessions and are in no dump.
_CENSUS = """
SELECT format('%I.%I', n.nspname, c.relname), (xpath('/row/n/text()', x))[1], coalesce((xpath('/row/d/text()', x))[1]::text, '0')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
LATERAL query_to_xml(format(
  'SELECT count(*) AS n, sum((''x'' || left(md5(ROW(t.*)::text), 15))::bit(60)::bigint) AS d FROM ONLY %I.%I t', n.nspname, c.relname
), false, true, '') AS x
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
AND n.nspname NOT LIKE 'pg_toast%' ORDER BY 1;
SELECT format('relations.%s', c.relkind), count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_toast%'
GROUP BY 1 ORDER BY 1;
"""
_CENSUS = _PINNED + _CENSUS + _REVISION
# One transaction sees one moment. pg_dump is let into that very moment, so that the dump holds exactly what was counted, however busy
# the server is. The census goes to the errors' channel, because the dump has the output; so does pg_dump's exit code, which psql drops.
_DUMP = f"""
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT pg_export_snapshot() AS moment \\gset
\\setenv HSC_MOMENT :moment
\\o |cat >&2
{_CENSUS}
\\o
\\! timeout {DUMP_SECONDS} pg_dump {" ".join(_LIVE)} --format=custom --no-owner --snapshot="$HSC_MOMENT"; echo "{_DONE}$?" >&2
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


def facts(cluster: Cluster, pod: str, container: str, *, scratch: bool = False, database: str = "hsc") -> Facts:
    """What is in a database at one moment, see ``parse_census``."""
    where = [*(_SCRATCH if scratch else LOCAL), "-d", database]
    script = f"{NO_LIMITS}BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\n{_CENSUS}\nCOMMIT;\n"
    command = [*PSQL, *where, "--file=-"]
    return parse_census(checked(cluster.exec(pod, container, command, stdin=script.encode()), f"{pod}: counting rows").decode())


def revision(cluster: Cluster, pod: str, container: str) -> str:
    """The schema's, of the live database; empty if it has none. Without counting the rest."""
    command = [*PSQL, *_LIVE, "--command", _REVISION]
    return str(parse_census(checked(cluster.exec(pod, container, command), f"{pod}: revision").decode()).get("revision", ""))


def dump(cluster: Cluster, pod: str, container: str, target: Path) -> tuple[Facts, Facts]:
    """Answers the facts of the very moment that the dump holds, twice: nothing lies between before and after."""
    name = session_name(process_mark(os.getpid()))
    script = f"SET application_name TO '{name}';\n\\setenv PGAPPNAME '{name}'\n{NO_LIMITS}{_DUMP}"
    result = cluster.exec(pod, container, [*PSQL, *_LIVE, "--file=-"], stdin=script.encode(), stdout=target, timeout_seconds=DUMP_SECONDS)
    checked(result, f"{pod}: counting rows")
    ended = next((line for line in result.stderr.splitlines() if line.startswith(_DONE)), f"{_DONE}nothing")
    if ended != f"{_DONE}0":
        said = [line for line in result.stderr.splitlines() if line.startswith("pg_dump:")]
        raise BackupError(f"{pod}: {ended}: {' '.join(said)[-500:]}")
    if first_bytes(target) != b"PGDMP":
        raise BackupError(f"{pod}: what pg_dump sent is not a dump ({target.stat().st_size} bytes).")
    counted = parse_census(result.stderr)
    return counted, counted


def session_name(mark: str) -> str:
    """What our sessions are called in the server: by it a later run knows whether the process that asked for the dump still lives."""
    machine, process, started = split(mark)
    return f"{_SESSION} {_short(machine)} {process} {started}" if machine else _SESSION


def is_left_over(name: str, age_seconds: int, mine: str, has_ended: Callable[[str], bool]) -> bool:
    """Whether nobody waits for that session's dump. mine: this process' mark; another machine's is believed until its time is over."""
    machine, _, _ = split(mine)
    match name.split():
        case [_, where, process, started] if machine and where == _short(machine):
            return has_ended(f"{machine}/{process}/{started}")
    return age_seconds > DUMP_SECONDS


def leftovers(cluster: Cluster, pod: str, container: str) -> dict[int, str]:
    """``{pid: "pid 123, 40 s old"}`` of the dumps of runs that were killed: their transactions stand in every migration's way.

    Such a dump waits for ever for somebody to read it: a container's command does not end with the connection that asked for it.
    """
    rows = checked(cluster.exec(pod, container, [*PSQL, *_LIVE, "--command", _SESSIONS]), f"{pod}: sessions").decode().splitlines()
    sessions = [(int(pid), name, int(age)) for pid, name, age in (row.split("\t") for row in rows)]
    mine = process_mark(os.getpid())
    return {pid: f"pid {pid}, {age} s old" for pid, name, age in sessions if is_left_over(name, age, mine, has_ended)}


def end_sessions(cluster: Cluster, pod: str, container: str, pids: Iterable[int]) -> None:
    end = "; ".join(f"SELECT pg_terminate_backend({pid})" for pid in pids)
    checked(cluster.exec(pod, container, [*PSQL, *_LIVE, "--command", end]), f"{pod}: ending sessions")


def _short(machine: str) -> str:
    return hashlib.sha256(machine.encode()).hexdigest()[:12]


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
