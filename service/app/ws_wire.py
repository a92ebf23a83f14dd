"""The socket of one WebSocket: one reader, one writer at a time, and the clocks that tell when its peer is gone.

Whoever has something to say leaves it to the writer of the moment; nobody waits for a socket but its reader and its writer. Safe for
threads.
"""

from __future__ import annotations

import contextlib
import math
import socket
import struct
import threading
import time
from collections.abc import Callable

from app.allowance import Allowance
from app.core.background import spawn
from app.ws_frames import Frames

READ_BYTES, SEND_BYTES = 8 * 1024, 16 * 1024
# The kernel would give a socket megabytes; the pod pays for them too.
KERNEL_BYTES = 128 * 1024
# Frames read from one peer, a block of bytes counting as one: far above what people do, and the others notice nothing.
FRAMES_PER_SECOND = 500.0
CLOSE_SECONDS = 5.0
# So many times the quiet before a ping, without a byte said or taken: the peer is gone.
PATIENCE = 2.4

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Wire:
    """A peer's socket. Closing it is left to gunicorn, which opened it."""

    def __init__(self, sock: socket.socket, ping_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._sock, self._ping_seconds, self._clock = sock, ping_seconds, clock
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, option, KERNEL_BYTES)
        self._frames = Frames()
        # The lock is for the frames and never held while the socket is waited for; the writer is.
        self._lock, self._writer = threading.Lock(), threading.Lock()
        self._writer_called = False
        self._pace = Allowance(FRAMES_PER_SECOND, 4 * FRAMES_PER_SECOND, clock())
        # Since when the peer has said nothing while listened to, and taken nothing while written to.
        self._quiet_since = self._stuck_since = math.inf
        self._pinged = False
        self._close_by = math.inf
        # Nothing more will come.
        self.over = False
        # Called when everything is sent: there is room again.
        self.drained: Callable[[], object] = lambda: None

    def receive(self) -> list[str | bytes]:
        """Wait for bytes; the messages that are whole now, text as str."""
        if wait := self._pace.spend(0, self._clock()):
            time.sleep(wait)
        if self.over:
            # Cut off meanwhile; the kernel would still hand out what it had received.
            return []
        self._quiet_since = self._clock()
        try:
            data = self._sock.recv(READ_BYTES)
        except OSError:
            data = b""
        finally:
            self._quiet_since = math.inf
        self._pinged = False
        with self._lock:
            messages, frames = self._frames.feed(data)
            self._note_closing()
            # After a failure the peer is read on, and ignored, until it has seen why: a socket closed with bytes unread takes that away.
            self.over = self.over or not data or self._frames.said_goodbye
        self._pace.spend(frames + len(data) / READ_BYTES, self._clock())
        if len(data) == READ_BYTES:
            # There is more already: under gevent nobody else would get a turn until this peer falls silent.
            time.sleep(0)
        return messages

    @property
    def congested(self) -> bool:
        """The peer should be read no further before it has taken some of what waits for it."""
        return self._frames.congested

    @property
    def has_room(self) -> bool:
        """Whether one more durable message may wait here."""
        return self._frames.has_room

    @property
    def idle(self) -> bool:
        """Nothing waits to be sent or is being sent."""
        return not self._frames.unsent and not self._writer.locked()

    def put(self, text: str) -> None:
        """Queue a message; `flush` or `flush_soon` sends it."""
        with self._lock:
            self._frames.put(text)

    def flush(self, *, wait: bool = False) -> None:
        """Send what is queued. While another writer is at it, leave it to that one, or wait for its end with `wait`."""
        # Looked at again after the writer is free: what was left to this one must not stay.
        while self._frames.unsent and self._writer.acquire(blocking=wait):
            try:
                while (data := self._take()) is not None:
                    self._send(data)
            except OSError:
                self.cut()
            finally:
                self._writer.release()
            self.drained()

    def flush_soon(self) -> None:
        """See that what is queued is sent, without waiting for it."""
        with self._lock:
            if self._writer_called or self._writer.locked():
                return
            self._writer_called = True
        spawn(self._called)

    def _called(self) -> None:
        self._writer_called = False
        self.flush()

    def _take(self) -> bytes | None:
        with self._lock:
            return self._frames.take()

    def _send(self, data: bytes) -> None:
        if not data:
            self._sock.shutdown(socket.SHUT_WR)
            return
        view = memoryview(data)
        try:
            while view:
                self._stuck_since = self._clock()
                # In small parts: a thread's send returns only when all of its part is taken.
                view = view[self._sock.send(view[:SEND_BYTES]) :]
        finally:
            self._stuck_since = math.inf

    def check(self, now: float) -> str:
        """Ping a quiet peer. "", or why it has to be cut off: it is "silent", "stalled" (takes nothing), "unclosed" (ignores a close)."""
        quiet, stuck = now - self._quiet_since, now - self._stuck_since
        if now > self._close_by:
            return "unclosed"
        if stuck > PATIENCE * self._ping_seconds:
            return "stalled"
        if quiet > PATIENCE * self._ping_seconds:
            return "silent"
        if quiet > self._ping_seconds and not self._pinged:
            self._pinged = True
            with self._lock:
                self._frames.ping()
            self.flush_soon()
        return ""

    def close(self, code: int) -> None:
        """Begin the closing handshake; `check` tells when the peer takes no part in it."""
        with self._lock:
            self._frames.close(code)
            self._note_closing()
        self.flush_soon()

    def _note_closing(self) -> None:
        if not self._frames.open and self._close_by == math.inf:
            self._close_by = self._clock() + CLOSE_SECONDS

    def cut(self) -> None:
        """End it without a word, and have the kernel forget at once what the peer has not taken."""
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.end()

    def end(self) -> None:
        """Wake everyone who waits for the socket, and forget what is queued."""
        with self._lock:
            self.over = True
            self._frames.forget()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
