"""Sessions, jobs and answers in Redis: what makes an answer survive any process.

Per session a hash `session:<id>` {epoch, seq, answer: seq where the last answer's end begins} and a stream `session:<id>:log` whose
entry ids are `<seq>-0`, so that reading from an offset is one XRANGE. Per command a hash `job:<session>:<cmd>` {state, attempt, statuses,
since} and a list of the chunks already shown.
Jobs wait in the stream `jobs:answers`, taken by the consumer group `answers`. Writing happens only in six Lua scripts:
SUBMIT, TAKE, BEAT, APPEND, FINISH, BURY; an append by an attempt that no longer owns its job is refused (fenced).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis

JOBS = "jobs:answers"
DEAD = "jobs:answers:dead"
GROUP = "answers"
SESSION_TTL_SECONDS = 3600
LOG_LENGTH = 5000
DEAD_LENGTH = 1000
BACKLOG = 2000
PAGE = 100

SUBMIT = """
local session, job, jobs = KEYS[1], KEYS[2], KEYS[3]
local epoch, ttl, backlog = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local held = redis.call('HGET', session, 'epoch')
if held and held ~= epoch then return 'epoch' end
if redis.call('EXISTS', job) == 1 then return 'dup' end
if redis.call('XLEN', jobs) >= backlog then return 'busy' end
redis.call('HSETNX', session, 'epoch', epoch)
redis.call('HSETNX', session, 'seq', 0)
redis.call('HSET', job, 'state', 'queued', 'attempt', 0, 'statuses', 0)
redis.call('EXPIRE', session, ttl)
redis.call('EXPIRE', session .. ':log', ttl)
redis.call('EXPIRE', job, ttl)
redis.call('XADD', jobs, '*', 'job', ARGV[4])
return 'new'
"""

# Every delivery of a job to a worker is a new attempt; older attempts are fenced from here on.
TAKE = """
local job = KEYS[1]
local state = redis.call('HGET', job, 'state')
if not state then return {'gone', 0, 0} end
if state == 'done' then return {'done', 0, 0} end
redis.call('HSET', job, 'state', 'running')
redis.call('HSETNX', job, 'since', redis.call('TIME')[1])
local attempt = redis.call('HINCRBY', job, 'attempt', 1)
return {'run', attempt, tonumber(redis.call('HGET', job, 'statuses'))}
"""

# Keep a job out of XAUTOCLAIM's reach while its owner lives; 0 tells a worker that it has lost the job.
BEAT = """
if redis.call('HGET', KEYS[1], 'attempt') ~= ARGV[1] then return 0 end
redis.call('XCLAIM', KEYS[2], ARGV[2], ARGV[3], 0, ARGV[4], 'JUSTID')
return 1
"""

_WRITE = """
local session, log, job, parts = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local epoch, attempt, ttl, length = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
if redis.call('HGET', job, 'attempt') ~= attempt or redis.call('HGET', job, 'state') == 'done' then return -1 end
if redis.call('HGET', session, 'epoch') ~= epoch then return -2 end
local function write(body)
  local seq = redis.call('HINCRBY', session, 'seq', 1)
  local text = '{"seq":' .. seq .. ',' .. string.sub(body, 2)
  redis.call('XADD', log, 'MAXLEN', '~', length, seq .. '-0', 'm', text)
  redis.call('PUBLISH', log, seq .. ' ' .. text)
  return seq
end
local function touch()
  for _, key in ipairs({session, log, job, parts}) do redis.call('EXPIRE', key, ttl) end
end
"""

APPEND = (
    _WRITE
    + """
local kind = ARGV[6]
if kind == 'status' then redis.call('HINCRBY', job, 'statuses', 1)
elseif kind == 'answer_chunk' then redis.call('RPUSH', parts, ARGV[7])
elseif kind == 'answer_reset' then redis.call('DEL', parts) end
local seq = write(ARGV[5])
touch()
return seq
"""
)

FINISH = (
    _WRITE
    + """
local seq = 0
redis.call('HSET', session, 'answer', redis.call('HGET', session, 'seq') + 1)
for i = 8, #ARGV do seq = write(ARGV[i]) end
redis.call('HSET', job, 'state', 'done')
redis.call('DEL', parts)
redis.call('XACK', KEYS[5], ARGV[5], ARGV[6])
redis.call('XDEL', KEYS[5], ARGV[6])
if ARGV[7] ~= '' then redis.call('XADD', KEYS[6], 'MAXLEN', '~', 1000, '*', 'dead', ARGV[7]) end
touch()
return seq
"""
)


# Only while the session is gone: one that came back in the meantime is owed its answer.
BURY = """
if redis.call('HGET', KEYS[1], 'epoch') == ARGV[1] then return 0 end
redis.call('XACK', KEYS[2], ARGV[2], ARGV[3])
if redis.call('XDEL', KEYS[2], ARGV[3]) == 0 then return 0 end
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 1000, '*', 'dead', ARGV[4])
return 1
"""


@dataclass(frozen=True)
class Job:
    """A question to answer, as it lies on the jobs stream."""

    session: str
    epoch: str
    cmd: str
    product_id: str
    query: str
    image: str = ""

    def dump(self) -> str:
        return json.dumps(self.__dict__, ensure_ascii=False)

    @staticmethod
    def load(text: str) -> Job:
        return Job(**json.loads(text))

    @property
    def key(self) -> str:
        return f"job:{self.session}:{self.cmd}"


@dataclass(frozen=True)
class Open:
    """A job on the stream as the orphan check sees it: whether its session lives, and for how many seconds workers have had it."""

    entry: str
    job: Job
    session_lives: bool
    seconds: float


@dataclass(frozen=True)
class Taken:
    """A job that this process may work on: its stream entry, the attempt that fences others, and what clients saw already."""

    job: Job
    entry: str
    attempt: int
    statuses: int
    parts: tuple[str, ...]


@dataclass(frozen=True)
class History:
    """What a reconnecting client can have: the session's epoch and top seq ("" and 0 if unknown), and messages after its offset."""

    epoch: str
    top: int
    messages: tuple[tuple[int, str], ...]


class Fenced(Exception):
    """Another attempt owns the job, or the session is gone: stop working on it."""


def body(kind: str, cmd: str, attempt: int, **fields: Any) -> str:
    """A durable message without its seq, which Redis gives."""
    return json.dumps({"type": kind, **fields, "cmd": cmd, "attempt": attempt}, ensure_ascii=False, separators=(",", ":"))


def session_key(session: str) -> str:
    return f"session:{session}"


def log_key(session: str) -> str:
    return f"session:{session}:log"


class Streams:
    """The operations on sessions and jobs. Raises redis.RedisError when Redis is away; callers decide what that means."""

    def __init__(self, client: redis.Redis, *, ttl_seconds: int = SESSION_TTL_SECONDS, backlog: int = BACKLOG) -> None:
        self.client = client
        self.ttl = ttl_seconds
        self.backlog = backlog
        self._submit = client.register_script(SUBMIT)
        self._take = client.register_script(TAKE)
        self._beat = client.register_script(BEAT)
        self._append = client.register_script(APPEND)
        self._finish = client.register_script(FINISH)
        self._bury = client.register_script(BURY)

    def ensure_group(self) -> None:
        """Make the jobs stream and its consumer group if they are missing."""
        try:
            self.client.xgroup_create(JOBS, GROUP, id="0", mkstream=True)
        except redis.ResponseError as problem:
            if "BUSYGROUP" not in str(problem):
                raise

    def submit(self, job: Job) -> str:
        """Accept a command durably: "new", "dup" (accepted before), "busy" (backlog full), "epoch" (session replaced)."""
        keys = [session_key(job.session), job.key, JOBS]
        return _text(self._submit(keys, [job.epoch, self.ttl, self.backlog, job.dump()]))

    def read_new(self, consumer: str, block_ms: int) -> list[tuple[str, Job | None]]:
        """The next waiting job, if any within `block_ms`; a job that can't be read is None (the caller drops it)."""
        answer: Any = self.client.xreadgroup(GROUP, consumer, {JOBS: ">"}, count=1, block=block_ms)
        return [_entry(item) for _, items in answer or [] for item in items]

    def claim_stale(self, consumer: str, idle_ms: int) -> list[tuple[str, Job | None]]:
        """Jobs whose owner has not been heard of for `idle_ms`, now ours."""
        answer: Any = self.client.xautoclaim(JOBS, GROUP, consumer, idle_ms, "0-0", count=4)
        return [_entry(item) for item in answer[1]]

    def take(self, entry: str, job: Job) -> Taken | None:
        """Begin the next attempt at a job; None if it was finished or its session forgotten, and then it is off the stream."""
        answer: Any = self._take([job.key])
        verdict, attempt, statuses = answer
        if _text(verdict) != "run":
            self.drop(entry)
            return None
        parts: Any = self.client.lrange(f"{job.key}:parts", 0, -1) if attempt > 1 else []
        return Taken(job, entry, int(attempt), int(statuses), tuple(_text(part) for part in parts))

    def beat(self, taken: Taken, consumer: str) -> bool:
        """Say that we still work on it. False: another attempt has it, stop."""
        return bool(self._beat([taken.job.key, JOBS], [taken.attempt, GROUP, consumer, taken.entry]))

    def append(self, taken: Taken, kind: str, **fields: Any) -> int:
        """Add one durable message to the session and tell the web processes; returns its seq. Raises Fenced."""
        text = body(kind, taken.job.cmd, taken.attempt, **fields)
        arguments: list[str | int] = [taken.job.epoch, taken.attempt, self.ttl, LOG_LENGTH, text, kind, str(fields.get("content", ""))]
        return self._check(self._append(self._keys(taken), arguments))

    def finish(self, taken: Taken, messages: Sequence[str], *, dead: str = "") -> int:
        """Add the last messages (exactly one final among them) and close the job, all or nothing. Raises Fenced.

        dead: why the job is given up; it then also stands on the dead-letter stream.
        """
        letter = _letter(taken.job, dead) if dead else ""
        arguments: list[str | int] = [taken.job.epoch, taken.attempt, self.ttl, LOG_LENGTH, GROUP, taken.entry, letter, *messages]
        return self._check(self._finish([*self._keys(taken), JOBS, DEAD], arguments))

    def drop(self, entry: str) -> None:
        """Take an entry off the jobs stream without an answer: nobody is owed one."""
        with self.client.pipeline(transaction=True) as pipe:
            pipe.xack(JOBS, GROUP, entry)
            pipe.xdel(JOBS, entry)
            pipe.execute()

    def open_jobs(self) -> Iterator[Open]:
        """Every job on the stream, waiting or taken, oldest first; what can't be read is left to the workers.

        Looking at a job whose session lives keeps it from expiring: it may wait longer than a session that nobody uses.
        """
        now, _ = self.client.time()
        after = "-"
        while entries := self.client.xrange(JOBS, min=after, count=PAGE):
            after = f"({_text(entries[-1][0])}"
            for entry, job in map(_entry, entries):
                if job is None:
                    continue
                epoch, since = self._state_of(job)
                yield Open(entry, job, epoch == job.epoch, now - float(since) if since else 0.0)

    def _state_of(self, job: Job) -> tuple[str, str]:
        """The epoch of the job's session and when a worker first took the job; each empty if there is none."""
        with self.client.pipeline(transaction=True) as pipe:
            pipe.hget(session_key(job.session), "epoch")
            pipe.hget(job.key, "since")
            pipe.expire(job.key, self.ttl)
            pipe.expire(f"{job.key}:parts", self.ttl)
            epoch, since, *_ = pipe.execute()
        return _text(epoch or ""), _text(since or "")

    def bury(self, entry: str, job: Job, reason: str) -> bool:
        """Move a job whose session is gone to the dead-letter stream; False if it was finished or the session is back."""
        keys = [session_key(job.session), JOBS, DEAD]
        return bool(self._bury(keys, [job.epoch, GROUP, entry, _letter(job, reason)]))

    def history(self, session: str, offset: int, count: int = 1000) -> History:
        """The session's epoch, top seq and up to `count` messages after `offset`."""
        with self.client.pipeline(transaction=True) as pipe:
            pipe.hmget(session_key(session), "epoch", "seq")
            pipe.xrange(log_key(session), f"{offset + 1}-0", "+", count=count)
            (epoch, top), entries = pipe.execute()
        return History(_text(epoch or ""), int(top or 0), tuple(_message(entry) for entry in entries))

    def tops(self, sessions: Iterable[str]) -> list[int | None]:
        """The top seq of each session, in one round trip; None for one that is gone, or in which nothing was asked yet."""
        with self.client.pipeline(transaction=False) as pipe:
            for session in sessions:
                pipe.hget(session_key(session), "seq")
            return [None if top is None else int(top) for top in pipe.execute()]

    def touch(self, sessions: Iterable[str]) -> None:
        """Keep sessions from expiring."""
        with self.client.pipeline(transaction=False) as pipe:
            for session in sessions:
                pipe.expire(session_key(session), self.ttl)
                pipe.expire(log_key(session), self.ttl)
            pipe.execute()

    def trim(self, session: str, seen: int) -> None:
        """Forget messages up to and including `seen`: the client has them. The last answer stays: whoever comes back with less than
        that can still be shown the newest state."""
        answer: Any = self.client.hget(session_key(session), "answer")
        first = min(seen + 1, int(answer)) if answer else seen + 1
        self.client.xtrim(log_key(session), minid=f"{first}-0", approximate=False)

    def _keys(self, taken: Taken) -> list[str]:
        job = taken.job
        return [session_key(job.session), log_key(job.session), job.key, f"{job.key}:parts"]

    @staticmethod
    def _check(answer: Any) -> int:
        if int(answer) < 0:
            raise Fenced("another attempt owns the job" if int(answer) == -1 else "the session is gone")
        return int(answer)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _entry(item: Any) -> tuple[str, Job | None]:
    entry, fields = item
    try:
        return _text(entry), Job.load(_text(fields[b"job"]))
    except (KeyError, TypeError, ValueError):
        return _text(entry), None


def _letter(job: Job, reason: str) -> str:
    return json.dumps({"cmd": job.cmd, "session": job.session, "product_id": job.product_id, "reason": reason})


def _message(entry: Any) -> tuple[int, str]:
    number, fields = entry
    return int(_text(number).partition("-")[0]), _text(fields[b"m"])


def new_id() -> str:
    """An unguessable id for sessions and epochs."""
    return secrets.token_urlsafe(12)


def sign(session: str, key: bytes) -> str:
    """The token that lets a client resume `session` on any pod that has the same key."""
    return hmac.new(key, session.encode(), hashlib.sha256).hexdigest()[:32]


def verify(session: str, token: str, key: bytes) -> bool:
    # As bytes: of text only ASCII may be compared.
    return hmac.compare_digest(sign(session, key).encode(), token.encode())
