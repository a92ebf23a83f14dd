# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""PostgreSQL: a dump becomes a second database beside the live one, is looked at there, and takes its place by name in one transaction."""

from __future__ import annotations

from operator import not_
from pathlib import Path

from .._backup.pod_files import checked
from .._backup.postgres import LOCAL, NO_LIMITS, PSQL
from .._errors import BackupError
from .._kube.client import Cluster
from .._poll import CLOCK, Clock, poll

NEW, OLD = "hsc_restore", "hsc_replaced"
_SESSIONS_SECONDS = 5.0  # sessions end a moment after they were terminated
_DROP = "DROP DATABASE IF EXISTS {0} WITH (FORCE);\n"
_CREATE = """
SELECT format('CREATE DATABASE {0} TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L',
  pg_encoding_to_char(encoding), datcollate, datctype) FROM pg_database WHERE datname = 'hsc' \\gexec
"""
# What belongs to the database itself is in no dump: settings, connection limit, rights, comment. Values of these settings are lists, stored
# with their quotes; all other values are text.
_COPY_SETTINGS = """
SELECT format('ALTER DATABASE hsc_restore CONNECTION LIMIT %s', datconnlimit) FROM pg_database WHERE datname = 'hsc' \\gexec
SELECT format('COMMENT ON DATABASE hsc_restore IS %L', shobj_description(oid, 'pg_database')) FROM pg_database
WHERE datname = 'hsc' AND shobj_description(oid, 'pg_database') IS NOT NULL \\gexec
SELECT format('ALTER %s SET %I TO %s',
  CASE s.setrole WHEN 0 THEN 'DATABASE hsc_restore' ELSE format('ROLE %s IN DATABASE hsc_restore', s.setrole::regrole) END,
  split_part(one, '=', 1),
  CASE WHEN split_part(one, '=', 1) IN ('search_path', 'local_preload_libraries', 'session_preload_libraries',
  'shared_preload_libraries', 'temp_tablespaces') THEN substr(one, strpos(one, '=') + 1)
  ELSE quote_literal(substr(one, strpos(one, '=') + 1)) END)
FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) one WHERE d.datname = 'hsc' \\gexec
SELECT 'REVOKE ALL ON DATABASE hsc_restore FROM PUBLIC' FROM pg_database WHERE datname = 'hsc' AND datacl IS NOT NULL \\gexec
SELECT format('GRANT %s ON DATABASE hsc_restore TO %s%s', a.privilege_type,
  CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = 'hsc' \\gexec
"""
_SWAP = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname IN ('hsc', 'hsc_restore') AND pid <> pg_backend_pid();
BEGIN;
ALTER DATABASE hsc RENAME TO hsc_replaced;
ALTER DATABASE hsc_restore RENAME TO hsc;
COMMIT;
"""


def load(cluster: Cluster, pod: str, container: str, source: Path) -> None:
    """The dump into database ``NEW``, with the settings of the live one, which is not touched. What a killed run left of NEW is dropped."""
    _sql(cluster, pod, container, _DROP.format(NEW) + _CREATE.format(NEW))
    command = ["pg_restore", *LOCAL, "-d", NEW, "--exit-on-error", "--no-owner"]
    checked(cluster.exec(pod, container, command, stdin=source), f"{pod}: pg_restore")
    _sql(cluster, pod, container, _COPY_SETTINGS)


def swap(cluster: Cluster, pod: str, container: str, clock: Clock = CLOCK) -> None:
    """``NEW`` is the live database from here on, and the one that was is ``OLD``: both or neither."""
    _sql(cluster, pod, container, _DROP.format(OLD))

    def error_of_swap() -> BackupError | None:
        try:
            _sql(cluster, pod, container, _SWAP)
        except BackupError as error:
            return error
        return None

    if error := poll(error_of_swap, _SESSIONS_SECONDS, until=not_, every=0.5, clock=clock):
        raise error


def clean_up(cluster: Cluster, pod: str, container: str) -> None:
    _sql(cluster, pod, container, _DROP.format(OLD) + _DROP.format(NEW))


def _sql(cluster: Cluster, pod: str, container: str, script: str) -> None:
    result = cluster.exec(pod, container, [*PSQL, *LOCAL, "-d", "postgres", "--file=-"], stdin=(NO_LIMITS + script).encode())
    checked(result, f"{pod}: {script.strip().split(maxsplit=2)[0]} DATABASE")
