"""Inputs from inputs: a seeded mutator of bytes, and one that builds WebSocket frames. Same seed, same inputs."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

from peer import frame

MOST_BYTES = 16 * 1024
INTERESTING = [b"", b"\x00", b"\x7f", b"\x80", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff\xff\xff\xff\xff", b"\r\n", b"\xed\xa0\x80"]
OPCODES = [0, 1, 1, 1, 2, 3, 8, 9, 10, 11, 15]


def mutated(rng: random.Random, pool: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """One of the pool with a few changes, perhaps grown together with another."""
    data = bytearray(rng.choice(pool))
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        place = rng.randrange(len(data) + 1)
        span = min(len(data) - place, rng.choice((1, 1, 2, 4, 16, 256)))
        change = rng.randrange(7)
        if change == 0 and span:
            data[place] ^= 1 << rng.randrange(8)
        elif change == 1:
            data[place : place + span] = b""
        elif change == 2:
            data[place:place] = data[place : place + span] * rng.choice((1, 2, 50))
        elif change == 3:
            data[place:place] = rng.choice(words)
        elif change == 4:
            data[place : place + span] = rng.choice(INTERESTING)
        elif change == 5:
            data[place:place] = rng.randbytes(span)
        else:
            other = rng.choice(pool)
            data[place:] = other[rng.randrange(len(other) + 1) :]
    return bytes(data[:MOST_BYTES])


def framed(rng: random.Random, messages: Sequence[bytes]) -> bytes:
    """Frames, most of them good, in an order that no client would choose."""
    out = b""
    for _ in range(rng.randrange(1, 9)):
        payload = rng.choice(messages)[: rng.choice((0, 1, 125, 126, 5000))]
        opcode = rng.choice(OPCODES)
        if opcode == 8 and rng.random() < 0.8:
            payload = struct.pack("!H", rng.choice((1000, 1001, 1005, 1012, 2999, 4000, 65535))) + payload[:20]
        mask = rng.randbytes(4) if rng.random() < 0.95 else b""
        one = bytearray(frame(opcode, payload, fin=rng.random() < 0.8, mask=mask))
        if rng.random() < 0.05:
            one[rng.randrange(min(10, len(one)))] ^= 1 << rng.randrange(8)
        out += one
    return out
