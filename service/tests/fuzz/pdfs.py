"""Hostile PDFs, read in a child as in production: it may refuse them, and neither die nor take for ever."""

from __future__ import annotations

import json
import random
import resource
import select
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.core.manuals import PASSAGE_CHARS, Refused, cut, read_pages

from .mutate import mutated

# The task's soft limit, which ends the child's work in production.
SECONDS = 60.0
CHILD_BYTES = 2 * 1024**3
PDF_WORDS = [
    *(b" obj\n", b"endobj", b"stream\n", b"endstream", b"/Length 99999999", b"/Kids [2 0 R]", b"/Count -1", b"/Count 2147483647"),
    *(
        b"/Filter /FlateDecode",
        b"/Filter [/ASCIIHexDecode /LZWDecode]",
        b"/Parent 2 0 R",
        b"/Encrypt 1 0 R",
        b"xref\n",
        b"trailer",
        b"%%EOF",
    ),
    *(b"<<", b">>", b"[", b"]", b"(", b")", b"startxref\n", b"/Prev 0", b"/Type /ObjStm", b"BT", b"ET", b"Tj", b"/Contents 2 0 R"),
]


class Pdfs:
    """`read_pages` and `cut`."""

    name = "pdfs"

    def pid(self) -> int:
        return self._child.pid

    def make(self, rng: random.Random, pool: list[bytes]) -> bytes:
        return mutated(rng, pool, PDF_WORDS)

    @contextmanager
    def opened(self) -> Iterator[Callable[[bytes], str]]:
        self._start()
        try:
            yield self._take
        finally:
            self._end()

    def _start(self) -> None:
        command = [sys.executable, "-c", "from tests.fuzz.pdfs import child; child()"]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def _end(self) -> None:
        self._child.kill()
        self._child.communicate()

    def _take(self, data: bytes) -> str:
        assert self._child.stdin and self._child.stdout
        try:
            self._child.stdin.write(struct.pack("!I", len(data)) + data)
            ready, _, _ = select.select([self._child.stdout], [], [], SECONDS)
            answer = self._child.stdout.readline().decode() if ready else ""
        except BrokenPipeError:
            answer = ""
        if not answer:
            status = self._child.poll()
            self._end()
            self._start()
            raise AssertionError(f"the child took more than {SECONDS:g} s" if status is None else f"the child died: {status}")
        outcome = str(json.loads(answer))
        assert not outcome.startswith("!"), outcome
        return outcome


def child() -> None:
    """Read PDFs from stdin, each behind its length; say what came of each in a line."""
    resource.setrlimit(resource.RLIMIT_AS, (CHILD_BYTES, CHILD_BYTES))
    while head := sys.stdin.buffer.read(4):
        data = sys.stdin.buffer.read(struct.unpack("!I", head)[0])
        print(json.dumps(_outcome(data)), flush=True)


def _outcome(data: bytes) -> str:
    try:
        chunks = cut(read_pages(data))
        json.dumps(chunks, ensure_ascii=False).encode()
        assert all(len(str(chunk["text"])) <= 2 * PASSAGE_CHARS for chunk in chunks)
    except Refused as problem:
        return problem.code
    except Exception as problem:
        return f"!{type(problem).__name__}: {problem}"
    return f"{max(int(chunk['page']) for chunk in chunks)} pages" if chunks else "no chunks"
