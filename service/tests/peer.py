"""A WebSocket peer that does what no honest client does, and what its server looks like from outside."""

from __future__ import annotations

import os
import re
import socket
import struct
from pathlib import Path

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    """A client's frame; `mask` b"" leaves it unmasked, which is forbidden."""
    size = len(payload)
    flag = 0x80 if mask else 0
    head = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        head += bytes([flag | size])
    elif size < 65536:
        head += bytes([flag | 126]) + struct.pack("!H", size)
    else:
        head += bytes([flag | 127]) + struct.pack("!Q", size)
    if mask:
        payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return head + mask + payload


def handshake(port: int, path: str = "/ws", receive_bytes: int = 0) -> socket.socket:
    """A socket that has just become a WebSocket; the kernel takes at most about `receive_bytes` that it does not read."""
    raw = socket.socket()
    if receive_bytes:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    raw.settimeout(10)
    raw.connect(("127.0.0.1", port))
    raw.sendall(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = raw.recv(1)
        assert byte, f"no handshake: {head!r}"
        head += byte
    assert b" 101 " in head.partition(b"\r\n")[0], head
    return raw


def worker_pid(master: int) -> int:
    """gunicorn's only worker."""
    [pid] = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return int(pid)


def private_bytes(pid: int) -> int:
    """What a process adds to the machine's memory: its proportional set size."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.M)
    assert found, text
    return int(found[1]) * 1024


def resident_bytes(pid: int | str = "self") -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
