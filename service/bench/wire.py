"""A WebSocket client that costs next to nothing, so that a benchmark measures the server: text frames, whole, uncompressed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Wire(asyncio.Protocol):
    """One connection. `hear` gets each text; `next` waits for one that nobody heard yet."""

    def __init__(self) -> None:
        self.hear: Callable[[bytes], None] | None = None
        self.closed = False
        self._rest = b""
        self._open = asyncio.get_running_loop().create_future()
        self._texts: asyncio.Queue[bytes] = asyncio.Queue()

    @staticmethod
    async def open(port: int, path: str, seconds: float = 30.0) -> Wire:
        """Connect and shake hands. Raises OSError or TimeoutError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds):
            transport, wire = await loop.create_connection(Wire, "127.0.0.1", port)
            wire.transport = transport
            transport.write(HANDSHAKE.format(path=path, port=port).encode())
            await wire._open
        return wire

    def send(self, text: str) -> None:
        data = text.encode()
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
        self.transport.write(bytes([0x80 | TEXT]) + size + bytes(4) + data)  # a mask of zeros leaves the text as it is

    async def next(self, seconds: float = 30.0) -> bytes:
        return await asyncio.wait_for(self._texts.get(), seconds)

    def close(self) -> None:
        self.transport.abort()

    def connection_lost(self, _: Exception | None) -> None:
        self.closed = True
        if not self._open.done():
            self._open.set_exception(ConnectionError("closed in the handshake"))

    def data_received(self, data: bytes) -> None:
        self._rest += data
        if not self._open.done():
            head, found, rest = self._rest.partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head.split(b"\r\n")[0]:
                self._open.set_exception(ConnectionError(head.decode("latin-1")))
                return
            self._rest = rest
            self._open.set_result(None)
        while (frame := self._frame()) is not None:
            self._on_frame(*frame)

    def _frame(self) -> tuple[int, bytes] | None:
        """Opcode and payload of the next whole frame."""
        rest = self._rest
        if len(rest) < 2:
            return None
        size, start = rest[1] & 127, 2
        if size > 125:
            start = 4 if size == 126 else 10
            if len(rest) < start:
                return None
            size = int.from_bytes(rest[2:start], "big")
        if len(rest) < start + size:
            return None
        self._rest = rest[start + size :]
        return rest[0] & 15, rest[start : start + size]

    def _on_frame(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self.transport.write(bytes([0x80 | PONG, 0x80 | len(payload)]) + bytes(4) + payload)
        elif opcode == CLOSE:
            self.transport.close()
        elif self.hear is not None:
            self.hear(payload)
        else:
            self._texts.put_nowait(payload)
