"""One client of `/ws`: reads its messages, answers what can be answered here in process, and hands questions to its session."""

from __future__ import annotations

import json
import logging
import random
import socket
import time

from app.allowance import Allowance
from app.core.answers import ATTEMPTS, DEADLINE_SECONDS
from app.core.catalog import Product
from app.core.messages import BadMessage, Query, Typing, parse
from app.metrics import SEARCHES, WS_ERRORS, WS_LATENCY, WS_MESSAGES
from app.ws_backend import Backend
from app.ws_session import RESTART, Session
from app.ws_wire import Wire

log = logging.getLogger(__name__)

TYPING_PER_SECOND = 20.0
# No answer takes longer, so a connection that is old enough to be renewed waits no longer for its end.
POSTPONED_SECONDS = ATTEMPTS * DEADLINE_SECONDS
# Connections that began together, after a rollout, must not all come back together.
AGE_JITTER = 0.1


class Connection:
    """One client from its first byte to its last."""

    def __init__(self, sock: socket.socket, backend: Backend, parameters: dict[str, str]) -> None:
        self.backend = backend
        self.wire = Wire(sock, backend.ping_seconds)
        self.session = Session(self.wire, backend, parameters)
        now = time.monotonic()
        self._typing = Allowance(TYPING_PER_SECOND, 2 * TYPING_PER_SECOND, now)
        self._renew_at = renewal(now, backend.connection_seconds)
        self._guess: Product | None = None

    def read(self) -> None:
        """Read until the peer or we close. A peer that does not take what it asked for is not read meanwhile."""
        self.wire.flush()
        while not self.wire.over:
            for message in self.wire.receive():
                self._on_message(message)
                if self.wire.congested:
                    self.wire.flush(wait=True)
            self.wire.flush(wait=self.wire.congested)

    def keep_alive(self, now: float) -> None:
        """Ping a quiet peer, give up on a dead one, send one that has been here long enough elsewhere. Never waits."""
        reason = self.wire.check(now)
        if reason:
            WS_ERRORS.labels(reason).inc()
            self.wire.cut()
        elif now > self._renew_at:
            between = not self.session.answering and self.wire.idle
            if between or now > self._renew_at + POSTPONED_SECONDS:
                self.wire.close(RESTART)

    def close(self, code: int) -> None:
        """Begin the closing handshake; a peer that does not take part is cut off by keep_alive."""
        self.wire.close(code)

    def end(self) -> None:
        """Leave the hub and the socket."""
        self.session.end()
        self.wire.end()

    # ── what clients say ─────────────────────────────────────────────────────────────────────────

    def _on_message(self, text: str | bytes) -> None:
        started = time.perf_counter()
        try:
            if isinstance(text, bytes):
                raise BadMessage("not_text", "Only text frames are understood here.")
            message = parse(text)
            if isinstance(message, Typing):
                self._on_typing(message)
            elif isinstance(message, Query):
                self.session.ask(message)
            else:
                self.session.seen(message)
            kind = type(message).__name__.lower()
            WS_MESSAGES.labels(kind).inc()
            WS_LATENCY.labels(kind).observe(time.perf_counter() - started)
        except BadMessage as problem:
            self._refuse(problem)
        except Exception:
            log.exception("message failed")
            self._refuse(BadMessage("internal", "Something went wrong on our side. Please try again."))

    def _refuse(self, problem: BadMessage) -> None:
        WS_ERRORS.labels(problem.code).inc()
        self.wire.put(json.dumps({"type": "error", "message": str(problem), "code": problem.code}, ensure_ascii=False))

    def _on_typing(self, message: Typing) -> None:
        if not self._typing.take(time.monotonic()):
            raise BadMessage("rate", f"More than {TYPING_PER_SECOND:g} typing messages a second.")
        index = self.backend.index()
        SEARCHES.labels("typing").inc()
        rid = "" if message.rid is None else f'"rid":{json.dumps(message.rid)},'
        prediction = index.predict(message.content)
        self.wire.put(f'{{"type":"prediction",{rid}"data":{prediction.data}}}')
        if prediction.sure is not None and prediction.sure is self._guess:
            self.backend.prefetch(prediction.sure)
        self._guess = prediction.sure


def renewal(now: float, seconds: float) -> float:
    """When a connection of today is old enough to be closed between answers; never with 0."""
    return now + seconds * random.uniform(1 - AGE_JITTER, 1 + AGE_JITTER) if seconds else float("inf")  # noqa: S311  spreads load, hides nothing
