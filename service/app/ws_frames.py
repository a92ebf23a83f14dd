"""Frames of one WebSocket without any I/O: bytes in, messages out; messages in, bytes out. On `websockets`' sans-IO protocol.

Nothing here grows as a peer likes: what it asks for is counted, and whoever reads the socket stops reading while there is too much.
"""

from __future__ import annotations

import logging

from websockets.frames import Frame, Opcode
from websockets.protocol import SEND_EOF, Protocol, Side, State

# An image may have 4 MiB; the rest of its message is small.
MAX_MESSAGE_BYTES = 4 * 1024 * 1024 + 64 * 1024
# From here on the peer is not read until it has taken what waits for it.
CONGESTED_BYTES, CONGESTED_FRAMES = 64 * 1024, 64
# From here on durable messages are left on the stream, which keeps them anyway.
QUEUE_BYTES, QUEUE_MESSAGES = 128 * 1024, 128
BLOCK_BYTES = 16 * 1024

_SILENT = logging.getLogger("app.ws.frames")
_SILENT.setLevel(logging.WARNING)


class Frames:
    """One connection's protocol and what waits for its peer. Not safe for threads: `ws_wire` locks around it."""

    def __init__(self) -> None:
        self._protocol = Protocol(Side.SERVER, max_size=MAX_MESSAGE_BYTES, logger=_SILENT)
        # A list: it is short, and an empty deque takes 700 bytes a connection.
        self._outbox: list[bytes] = []
        self._outbox_bytes = 0
        self._message, self._is_text = bytearray(), True

    # ── in ───────────────────────────────────────────────────────────────────────────────────────

    def feed(self, data: bytes) -> tuple[list[str | bytes], int]:
        """What came from the peer, b"" for its end: the messages that are whole now, text as str, and how many frames came."""
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        frames = [event for event in self._protocol.events_received() if isinstance(event, Frame)]
        return self._messages(frames), len(frames)

    def _messages(self, frames: list[Frame]) -> list[str | bytes]:
        """Put fragments together; the protocol has checked their order and size and answered control frames."""
        whole: list[str | bytes] = []
        for frame in frames:
            if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
                self._is_text = frame.opcode is Opcode.TEXT
            elif frame.opcode is not Opcode.CONT:
                continue
            # One buffer, not a list of parts: a peer may send any number of parts of no or one byte.
            self._message += frame.data
            if not frame.fin:
                continue
            data, self._message = self._message, bytearray()
            try:
                whole.append(data.decode() if self._is_text else bytes(data))
            except UnicodeDecodeError:
                self._protocol.fail(1007, "text is not UTF-8")
                break
        return whole

    @property
    def open(self) -> bool:
        return self._protocol.state is State.OPEN

    @property
    def said_goodbye(self) -> bool:
        """The peer has sent its close frame, its last."""
        return self._protocol.close_rcvd is not None

    # ── out ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def congested(self) -> bool:
        """More waits for the peer than it should ask for before it has taken some."""
        return self._outbox_bytes >= CONGESTED_BYTES or max(len(self._outbox), len(self._protocol.writes)) >= CONGESTED_FRAMES

    @property
    def has_room(self) -> bool:
        """Whether one more durable message may wait here."""
        return len(self._outbox) < QUEUE_MESSAGES and self._outbox_bytes < QUEUE_BYTES

    @property
    def unsent(self) -> bool:
        return bool(self._outbox or self._protocol.writes)

    def put(self, text: str) -> None:
        """Queue a message; it is forgotten once the closing handshake has begun."""
        if self.open:
            data = text.encode()
            self._outbox.append(data)
            self._outbox_bytes += len(data)

    def ping(self) -> None:
        if self.open:
            self._protocol.send_ping(b"")

    def close(self, code: int) -> None:
        """Begin the closing handshake, after what is queued already."""
        if self.open:
            self._frame_outbox(self._outbox_bytes)
            self._protocol.send_close(code)

    def take(self) -> bytes | None:
        """Bytes to send now, b"" to send no more, None if there is nothing. Frames of the protocol (pong, close) go first."""
        writes = self._protocol.writes
        if not writes:
            self._frame_outbox(BLOCK_BYTES)
        if not writes:
            return None
        if writes[0] == SEND_EOF:
            return writes.pop(0)
        end = len(writes) - (writes[-1] == SEND_EOF)
        data = b"".join(writes[:end])
        del writes[:end]
        return data

    def _frame_outbox(self, limit: int) -> None:
        """Make frames of the queued messages, about `limit` bytes of them."""
        until = max(0, self._outbox_bytes - limit)
        while self._outbox and self._outbox_bytes >= until:
            data = self._outbox.pop(0)
            self._outbox_bytes -= len(data)
            if self.open:
                self._protocol.send_text(data)

    def forget(self) -> None:
        """Drop what waits for a peer that is gone."""
        self._outbox.clear()
        self._outbox_bytes = 0
        self._protocol.writes.clear()
