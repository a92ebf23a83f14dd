# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Redis: a dump out of the running server, what is in it, and a restore into a scratch server.

The password stays in the container's environment (REDISCLI_AUTH), where redis-cli reads it by itself.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from pathlib import Path
from typing import Any

from .._errors import BackupError
from .._kube.client import Cluster
from .._poll import poll
from .pod_files import checked, copy_in, first_bytes
from .snapshot import Facts

_LOG = "/tmp/redis.log"  # noqa: S108 (in the scratch pod, which nobody shares)
_PORT = "6400"  # of the scratch server, on its pod's loopback
_END_MARK_BYTES = 40
_SHORT_TTL_MILLISECONDS = 300_000
_LOAD_SECONDS = 60.0  # in which a scratch server loads a dump
_MARK, _MARK_SECONDS = "hsc:backup:mark", "3600"
# One step over the keys: how many of each type, how many elements, how many expire, a digest of a sample of the strings.
_CENSUS = """
local cursor, counts, sums = ARGV[1], {}, {}
local page = redis.call('SCAN', cursor, 'COUNT', 10000)
local function add(name, by) counts[name] = (counts[name] or 0) + by end
for _, key in ipairs(page[2]) do
  local kind = redis.call('TYPE', key)['ok']
  local ttl = redis.call('PTTL', key)
  if kind ~= 'none' and (ttl < 0 or ttl > tonumber(ARGV[2])) then
    add('keys.' .. kind, 1)
    if ttl >= 0 then add('expiring', 1) end
    local size = {string='STRLEN', list='LLEN', set='SCARD', zset='ZCARD', hash='HLEN', stream='XLEN'}
    if size[kind] then add('elements.' .. kind, redis.call(size[kind], key)) end
    local mark = redis.sha1hex(key)
    if kind == 'string' and string.sub(mark, 1, 1) == '0' then
      table.insert(sums, mark .. redis.sha1hex(redis.call('GET', key)))
    end
  end
end
local answer = {page[1]}
for name, count in pairs(counts) do table.insert(answer, name) table.insert(answer, tostring(count)) end
table.insert(answer, 'sample')
table.sort(sums)
table.insert(answer, table.concat(sums, ''))
return answer
"""


def facts(cluster: Cluster, pod: str, container: str, *, scratch: bool = False) -> Facts:
    """{keys.<type>, elements.<type>, expiring: counts; sample: digest; mark: word of the last dump; writes: since the server started}.

    Keys that expire within five minutes are left out. In steps of ten thousand keys, so that a large server is never held for long.
    """
    port = ["-p", _PORT] if scratch else []
    total: dict[str, Any] = {}
    samples: set[str] = set()
    cursor = "0"
    while True:
        command = ["redis-cli", *port, "--raw", "EVAL", _CENSUS, "0", cursor, str(_SHORT_TTL_MILLISECONDS)]
        output = checked(cluster.exec(pod, container, command), f"{pod}: counting keys").decode("utf-8", "replace")
        lines = output.rstrip("\n").split("\n")
        if not lines[0].isdigit():
            raise BackupError(f"{pod}: counting keys: {output.strip()[:300]}")
        values = dict(zip(lines[1::2], lines[2::2], strict=False))
        sample = values.pop("sample", "")
        samples.update(sample[start : start + 80] for start in range(0, len(sample), 80))
        for name, count in values.items():
            total[name] = total.get(name, 0) + int(count)
        cursor = lines[0]
        if cursor == "0":
            break
    mark_now = checked(cluster.exec(pod, container, ["redis-cli", *port, "GET", _MARK]), f"{pod}: GET {_MARK}").decode().strip()
    digest = hashlib.sha256("".join(sorted(samples)).encode()).hexdigest()
    return {**total, "sample": digest, "mark": mark_now, "writes": _writes(cluster, pod, container, port)}


def _writes(cluster: Cluster, pod: str, container: str, port: list[str]) -> int:
    """How often this server has changed data since it started: calls of write commands (scripts' too), and keys that it removed itself."""
    listed = cluster.exec(pod, container, ["redis-cli", *port, "COMMAND", "LIST", "FILTERBY", "ACLCAT", "write"])
    changing = set(checked(listed, f"{pod}: COMMAND LIST").decode().split())
    output = checked(cluster.exec(pod, container, ["redis-cli", *port, "INFO", "commandstats", "stats"]), f"{pod}: INFO").decode()
    info = dict(line.split(":", 1) for line in output.split() if ":" in line)
    calls = sum(
        int(value.partition("calls=")[2].partition(",")[0])
        for name, value in info.items()
        if name.startswith("cmdstat_") and name.removeprefix("cmdstat_") in changing
    )
    return calls + int(info["expired_keys"]) + int(info["evicted_keys"])


def settings(cluster: Cluster, pod: str, container: str, *names: str) -> dict[str, str]:
    """{name: value} of a running server; what it does not know is left out."""
    lines = checked(cluster.exec(pod, container, ["redis-cli", "--raw", "CONFIG", "GET", *names]), f"{pod}: CONFIG GET")
    words = lines.decode().split("\n")
    return dict(zip(words[::2], words[1::2], strict=False))


def dump(cluster: Cluster, pod: str, container: str, target: Path) -> tuple[Facts, Facts]:
    """A point-in-time RDB, as a replica would get it: right whether or not the server keeps an append-only file.

    Answers the source's facts of just before and just after. The word that is left in the source is in no other dump: a restore
    that has it is of this server and of this very backup.
    """
    word = secrets.token_hex(16)
    checked(cluster.exec(pod, container, ["redis-cli", "SET", _MARK, word, "EX", _MARK_SECONDS]), f"{pod}: SET {_MARK}")
    before = facts(cluster, pod, container)
    sent = cluster.exec(pod, container, ["redis-cli", "--rdb", "-"], stdout=target)
    checked(sent, f"{pod}: redis-cli --rdb")
    # Without a file of its own redis-cli leaves the mark at the end by which it saw the end; Redis minds it in an append-only file.
    said = re.search(r"success after (\d+) bytes", sent.stderr)
    if said is None or target.stat().st_size - int(said[1]) not in (0, _END_MARK_BYTES):
        raise BackupError(f"{pod}: redis-cli sent {target.stat().st_size} bytes and said: {sent.stderr.strip()[-200:]}")
    os.truncate(target, int(said[1]))
    if first_bytes(target) != b"REDIS":
        raise BackupError(f"{pod}: what redis-cli sent is not a Redis dump ({target.stat().st_size} bytes).")
    return before, facts(cluster, pod, container)


def restore(cluster: Cluster, pod: str, container: str, source: Path, *, append_only: bool = False) -> None:
    """Into a scratch server. append_only must stay off: with it on, Redis reads its own empty file and ignores the dump."""
    copy_in(cluster, pod, container, source, "/data/dump.rdb")
    checked(cluster.exec(pod, container, ["redis-check-rdb", "/data/dump.rdb"]), f"{pod}: redis-check-rdb")
    options = ["--port", _PORT, "--bind", "127.0.0.1", "--dir", "/data", "--save", "", "--appendonly", "yes" if append_only else "no"]
    checked(
        cluster.exec(pod, container, ["redis-server", *options, "--daemonize", "yes", "--logfile", _LOG]),
        f"{pod}: redis-server",
    )

    def loaded() -> bool:
        return cluster.exec(pod, container, ["redis-cli", "-p", _PORT, "PING"]).stdout.strip() == b"PONG"

    if poll(loaded, _LOAD_SECONDS):
        return
    log = cluster.exec(pod, container, ["tail", "-5", _LOG]).stdout.decode("utf-8", "replace")
    raise BackupError(f"{pod}: the scratch Redis did not load the dump: {log.strip()}")
