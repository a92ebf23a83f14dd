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
_CONTENT_ELEMENTS = 2000  # of one key; of larger ones only the number is compared
# One step over the keys. Of each: type, elements, whether it expires. Of every sixteenth: a digest of its content, with the expiry of hash
# fields. Of each stream: its groups' names, and how far the stream and its groups are.
_CENSUS = """
local cursor, counts, sums, groups, streams = ARGV[1], {}, {}, {}, {}
local page = redis.call('SCAN', cursor, 'COUNT', 10000)
local size = {string='STRLEN', list='LLEN', set='SCARD', zset='ZCARD', hash='HLEN', stream='XLEN'}
local function add(name, by) counts[name] = (counts[name] or 0) + by end
local function sorted(list) table.sort(list) return list end
local function joined(list)
  local parts = {}
  for _, item in ipairs(list) do local text = tostring(item) table.insert(parts, #text .. ':' .. text) end
  return table.concat(parts)
end
local function hash(key)
  local flat, parts, fields = redis.call('HGETALL', key), {}, {}
  for at = 1, #flat, 2 do table.insert(fields, flat[at]) end
  local expiry = #fields > 0 and redis.pcall('HPEXPIRETIME', key, 'FIELDS', #fields, unpack(fields)) or {}
  for at, field in ipairs(fields) do table.insert(parts, joined({field, flat[2 * at], expiry[at] or -1})) end
  return joined(sorted(parts))
end
local content = {
  string = function(key) return redis.call('GET', key) end,
  list = function(key) return joined(redis.call('LRANGE', key, 0, -1)) end,
  set = function(key) return joined(sorted(redis.call('SMEMBERS', key))) end,
  zset = function(key) return joined(redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')) end,
  hash = hash,
}
local function pairs_of(list) local found = {} for at = 1, #list, 2 do found[list[at]] = list[at + 1] end return found end
local function stream(key, mark)
  local whole = pairs_of(redis.call('XINFO', 'STREAM', key))
  local names, states = {}, {whole['last-generated-id'], whole['max-deleted-entry-id'] or '', whole['entries-added'] or ''}
  for _, entry in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    local group = pairs_of(entry)
    table.insert(names, group['name'])
    table.insert(states, joined({group['name'], group['last-delivered-id'], group['pending'], group['consumers']}))
  end
  table.insert(groups, mark .. redis.sha1hex(joined(names)))
  table.insert(streams, mark .. redis.sha1hex(joined(states)))
end
for _, key in ipairs(page[2]) do
  local kind = redis.call('TYPE', key)['ok']
  local ttl = redis.call('PTTL', key)
  if kind ~= 'none' and (ttl < 0 or ttl > tonumber(ARGV[2])) then
    add('keys.' .. kind, 1)
    if ttl >= 0 then add('expiring', 1) end
    local elements = size[kind] and redis.call(size[kind], key) or 0
    if size[kind] then add('elements.' .. kind, elements) end
    local mark = redis.sha1hex(key)
    if kind == 'stream' then stream(key, mark) end
    if content[kind] and string.sub(mark, 1, 1) == '0' and (kind == 'string' or elements <= tonumber(ARGV[3])) then
      table.insert(sums, mark .. redis.sha1hex(content[kind](key)))
    end
  end
end
local answer = {page[1]}
for name, count in pairs(counts) do table.insert(answer, name) table.insert(answer, tostring(count)) end
for name, list in pairs({sample = sums, groups = groups, streams = streams}) do
  table.insert(answer, name)
  table.insert(answer, table.concat(sorted(list)))
end
return answer
"""
_DIGESTS = ("sample", "groups", "streams")
_DIGEST_LENGTH = 80  # two SHA-1 in hexadecimal


def facts(cluster: Cluster, pod: str, container: str, *, scratch: bool = False) -> Facts:
    """What is in all databases of a server. Of database 3 the names begin with ``db3.``, of database 0 with nothing.

    {keys.<type>, elements.<type>, expiring: counts; sample: digest of some contents; groups: digest of the streams' consumer groups;
    streams: digest of how far streams and groups are; functions: digest of the libraries; mark: word of the last dump; writes: since the
    server started}. Keys that expire within five minutes are left out. ACL users are no data: they are in the server's configuration.
    """
    port = ["-p", _PORT] if scratch else []
    keyspace = checked(cluster.exec(pod, container, ["redis-cli", *port, "INFO", "keyspace"]), f"{pod}: INFO keyspace").decode()
    total: dict[str, Any] = {}
    for number in sorted({0, *(int(found) for found in re.findall(r"^db(\d+):", keyspace, re.MULTILINE))}):
        prefix = f"db{number}." if number else ""
        total |= {f"{prefix}{name}": value for name, value in _of_database(cluster, pod, container, [*port, "-n", str(number)]).items()}
    mark_now = checked(cluster.exec(pod, container, ["redis-cli", *port, "GET", _MARK]), f"{pod}: GET {_MARK}").decode().strip()
    libraries = checked(cluster.exec(pod, container, ["redis-cli", *port, "FUNCTION", "LIST", "WITHCODE"]), f"{pod}: FUNCTION LIST")
    functions = hashlib.sha256(libraries).hexdigest() if libraries.strip() else ""
    return {**total, "functions": functions, "mark": mark_now, "writes": _writes(cluster, pod, container, port)}


def _of_database(cluster: Cluster, pod: str, container: str, options: list[str]) -> dict[str, Any]:
    """The facts of one database, in steps of ten thousand keys, so that a large server is never held for long."""
    total: dict[str, Any] = {}
    digests: dict[str, set[str]] = {name: set() for name in _DIGESTS}
    cursor = "0"
    while True:
        command = ["redis-cli", *options, "--raw", "EVAL", _CENSUS, "0", cursor, str(_SHORT_TTL_MILLISECONDS), str(_CONTENT_ELEMENTS)]
        output = checked(cluster.exec(pod, container, command), f"{pod}: counting keys").decode("utf-8", "replace")
        lines = output.rstrip("\n").split("\n")
        if not lines[0].isdigit():
            raise BackupError(f"{pod}: counting keys: {output.strip()[:300]}")
        for name, value in zip(lines[1::2], [*lines[2::2], ""], strict=False):
            if name in digests:
                digests[name].update(value[start : start + _DIGEST_LENGTH] for start in range(0, len(value), _DIGEST_LENGTH))
            else:
                total[name] = total.get(name, 0) + int(value)
        cursor = lines[0]
        if cursor == "0":
            break
    return {**total, **{name: hashlib.sha256("".join(sorted(found)).encode()).hexdigest() for name, found in digests.items() if found}}


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
