"""The durable side of one client: its questions become jobs, their answers come through the hub, and a reconnect goes on where it was."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from dataclasses import replace
from typing import Any

import redis

from app.core import stream
from app.core.background import spawn
from app.core.hub import Unavailable
from app.core.messages import BadMessage, Query, Seen
from app.core.stream import Job
from app.metrics import REDIS_ERRORS, RESUMES, WS_ERRORS
from app.ws_backend import Backend
from app.ws_wire import Wire

log = logging.getLogger(__name__)

RESUME_RETRY_SECONDS = 1.0
QUESTIONS_AT_ONCE = 8
RESTART, OVERLOADED = 1012, 1013
# Verdicts on a question that is not accepted: code and text for the client.
_REFUSALS = {
    "away": ("retry", "The question could not be saved just now. Please ask again in a moment."),
    "busy": ("busy", "Too many questions are waiting. Please try again in a moment."),
    "epoch": ("retry", "The session was renewed. Please reconnect and ask again."),
}


class Session:
    """What the hub serves (`session`, `epoch`, `position`, `lagging`, `deliver`, `lost`), and what asks in a client's name."""

    def __init__(self, wire: Wire, backend: Backend, parameters: dict[str, str]) -> None:
        self.wire, self.backend, self.parameters = wire, backend, parameters
        self.session, self.epoch, self.position, self.lagging = stream.new_id(), stream.new_id(), 0, False
        self.attached = False
        # Durable messages wait until the client has been greeted; old clients get no greeting.
        self._greeted = parameters.get("proto") != "1"
        self._ended = False
        self._lock = threading.Lock()
        self._questions: list[Query] = []
        self._asking = False
        # Commands whose final has not come, and whether the last durable message was one: a resumed client asked elsewhere.
        self._owed: list[str] = []
        self._answered = True
        self._seen_at = 0.0
        wire.drained = self._catch_up

    def begin(self) -> None:
        """Greet clients that know the protocol; old ones see nothing before their first message is answered."""
        if self.parameters.get("proto") == "1":
            if self.parameters.get("session"):
                spawn(self._resume)
            else:
                self._hello(recovered=False, reason=None)

    def end(self) -> None:
        """Leave the hub."""
        self._ended = True
        if self.attached:
            self.backend.hub.detach(self)

    @property
    def answering(self) -> bool:
        """An answer is being streamed to this client, or will be."""
        return bool(self._owed or self._asking or self.lagging) or not self._answered

    def say(self, message: dict[str, Any]) -> None:
        """Send a message that is not part of the session's history. Waits for the socket: not for the hub's use."""
        self.wire.put(json.dumps(message, ensure_ascii=False, separators=(",", ":")))
        self.wire.flush()

    # ── questions ────────────────────────────────────────────────────────────────────────────────

    def ask(self, message: Query) -> None:
        """Hand over to a thread: while Redis is slow or away, this client goes on typing. Raises BadMessage."""
        if not self.backend.keep_images:
            message = replace(message, image="")
        with self._lock:
            if len(self._questions) >= QUESTIONS_AT_ONCE:
                raise BadMessage("busy", "Too many questions at once. Please wait for an answer.")
            self._questions.append(message)
            if self._asking:
                return
            self._asking = True
        spawn(self._submit_all)

    def _submit_all(self) -> None:
        while True:
            with self._lock:
                if not self._questions:
                    self._asking = False
                    return
                message = self._questions.pop(0)
            try:
                self._submit(message)
            except Exception:
                log.exception("question failed")
                self._unanswered(message, "retry", "Something went wrong on our side. Please ask again.")

    def _submit(self, message: Query) -> None:
        """Make the question a durable job; say so to clients that gave it a `cmd`."""
        cmd = message.cmd or stream.new_id()
        job = Job(self.session, self.epoch, cmd, message.product_id, message.query, message.image)
        # Before it is submitted: the answer may be there before the verdict.
        self._owed.append(cmd)
        verdict = "away"
        try:
            self._attach()
            verdict = self.backend.streams.submit(job)
        except (redis.RedisError, OSError, Unavailable) as problem:
            REDIS_ERRORS.labels("state").inc()
            log.warning("question not accepted", extra={"reason": str(problem), "session": self.session})
        finally:
            if verdict != "new":
                self._settle(cmd)
        if verdict in _REFUSALS:
            self._unanswered(message, *_REFUSALS[verdict])
        elif message.cmd is not None:
            self.say({"type": "ack", "cmd": cmd, "dup": verdict == "dup"})

    def _unanswered(self, message: Query, code: str, text: str) -> None:
        """An error for everyone, and the final that old clients wait for on every path."""
        WS_ERRORS.labels(code).inc()
        self.say({"type": "error", "message": text, "code": code, **({"cmd": message.cmd} if message.cmd else {})})
        if message.cmd is None:
            self.say({"type": "final_answer", "content": text})

    def seen(self, message: Seen) -> None:
        """The client has what came up to there: forget it, at most once a second."""
        now = time.monotonic()
        if not self.attached or now - self._seen_at < 1 or message.seq > self.position:
            return
        self._seen_at = now
        spawn(self._trim, message.seq)

    def _trim(self, seq: int) -> None:
        try:
            self.backend.streams.trim(self.session, seq)
        except (redis.RedisError, OSError):
            REDIS_ERRORS.labels("state").inc()

    # ── answers ──────────────────────────────────────────────────────────────────────────────────

    def deliver(self, text: str) -> bool:
        """Queue a durable message without waiting; False when it has to be asked for again later."""
        if not self._greeted or not self.wire.has_room:
            return False
        self._answered = '"type":"final_answer"' in text[:64]
        if self._answered and self._owed:
            self._settle(json.loads(text).get("cmd"))
        self.wire.put(text)
        self.wire.flush_soon()
        return True

    def _settle(self, cmd: str) -> None:
        with contextlib.suppress(ValueError):
            self._owed.remove(cmd)

    def _catch_up(self) -> None:
        if self.lagging:
            self.backend.hub.nudge()

    def lost(self) -> None:
        """Redis forgot the session. The client must not wait for ever: it comes back, learns that, and asks again."""
        log.warning("session lost", extra={"session": self.session})
        self.position = 0
        self.wire.close(RESTART)

    # ── coming back ──────────────────────────────────────────────────────────────────────────────

    def _attach(self) -> None:
        if not self.attached:
            self.backend.hub.attach(self)
            self.attached = True
            if self._ended:
                self.backend.hub.detach(self)

    def _hello(self, *, recovered: bool, reason: str | None) -> None:
        token = stream.sign(self.session, self.backend.token_key)
        place = {"session": self.session, "token": token, "epoch": self.epoch, "offset": self.position}
        self.say({"type": "hello", "proto": 1, **place, "recovered": recovered, "reason": reason})
        self._greeted = True

    def _resume(self) -> None:
        """Go on where the client was. While Redis is away the greeting waits; typing does not."""
        session, offset = self.parameters.get("session", ""), self.parameters.get("offset", "0")
        if not (
            stream.verify(session, self.parameters.get("token", ""), self.backend.token_key) and offset.isdecimal() and len(offset) < 16
        ):
            RESUMES.labels("unknown").inc()
            self._hello(recovered=False, reason="unknown")
            return
        fresh = (self.session, self.epoch)
        self.session, self.epoch = session, self.parameters.get("epoch", "")[:64]
        self.position, self.lagging = int(offset), True
        while not self._ended:
            try:
                self._attach()
                history = self.backend.streams.history(session, self.position, 1)
                break
            except (redis.RedisError, OSError, Unavailable) as problem:
                REDIS_ERRORS.labels("state").inc()
                log.warning("resume waits for Redis", extra={"reason": str(problem), "session": session})
                time.sleep(RESUME_RETRY_SECONDS)
        else:
            return
        self._take_up(history, fresh)

    def _take_up(self, history: stream.History, fresh: tuple[str, str]) -> None:
        """Greet with the truth about what can be had, then replay it."""
        reason = resume_reason(history, self.epoch, self.position)
        if reason in ("epoch", "unknown"):
            self.backend.hub.detach(self)
            self.attached = False
            self.session, self.epoch = fresh
            self.position, self.lagging = 0, False
        elif not history.epoch:
            # Nothing was asked yet: there is nothing to replay, and what will be asked is answered live.
            self.lagging = False
        elif reason == "trimmed":
            self.position = history.messages[0][0] - 1 if history.messages else history.top
        RESUMES.labels(reason or "recovered").inc()
        self._hello(recovered=reason is None, reason=reason)
        if self.attached:
            try:
                self.backend.hub.repair(self, resuming=True)
            except (redis.RedisError, OSError):
                self.backend.hub.nudge()


def resume_reason(history: stream.History, epoch: str, offset: int) -> str | None:
    """Why a client can't have everything after `offset`; None when it can."""
    if not history.epoch:
        # Nothing was ever asked in this session, or it has expired.
        return None if offset == 0 and epoch else "unknown"
    if history.epoch != epoch:
        return "epoch"
    if offset > history.top:
        return "unknown"
    if offset < history.top and (not history.messages or history.messages[0][0] != offset + 1):
        return "trimmed"
    return None
