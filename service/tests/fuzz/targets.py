"""What is fuzzed, and what must hold for any input."""

from __future__ import annotations

import ipaddress
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from urllib.parse import urljoin

from app.core.manuals import Refused, Target, check
from app.core.messages import CMD_CHARS, IMAGE_CHARS, PRODUCT_ID_CHARS, QUERY_CHARS, TYPING_CHARS, BadMessage, Query, Seen, Typing, parse

from .mutate import framed, mutated
from .pdfs import Pdfs
from .run import corpus
from .sockets import InProcess, RealServer

JSON_WORDS = [
    *(b'{"type":"typing","content":"', b'"rid":', b'"cmd":"', b'"image":"data:image/png;base64,', b'"seq":', b"null", b"true", b"[", b"{"),
    *(b"1e999", b"-0", b"NaN", b"9" * 400, b"\\ud800", b"\\u0000", b'"product_id":"', b'"query"', b"lock_and_query", b'"type":'),
]


class Parser:
    """Reads one input in this process. words: what inputs are made of."""

    words: list[bytes]

    def pid(self) -> str:
        return "self"

    def make(self, rng: random.Random, pool: list[bytes]) -> bytes:
        return mutated(rng, pool, self.words)

    @contextmanager
    def opened(self) -> Iterator[Callable[[bytes], str]]:
        yield self._take

    def _take(self, data: bytes) -> str:
        raise NotImplementedError


class Messages(Parser):
    """`parse`: a value within its limits, or a BadMessage; nothing else."""

    name = "messages"
    words = JSON_WORDS

    def _take(self, data: bytes) -> str:
        try:
            message = parse(data.decode(errors="replace"))
        except BadMessage as problem:
            return f"{problem.code}: {str(problem)[:20]}"
        if isinstance(message, Typing):
            assert len(message.content) <= TYPING_CHARS
            json.dumps(message.rid).encode()
            message.content.encode()
        elif isinstance(message, Query):
            for text, limit in ((message.product_id, PRODUCT_ID_CHARS), (message.query, QUERY_CHARS), (message.image, IMAGE_CHARS)):
                assert len(text) <= limit and "\x00" not in text
                text.encode()
            assert message.cmd is None or (message.cmd.isascii() and 0 < len(message.cmd) <= CMD_CHARS)
        else:
            assert isinstance(message, Seen) and 0 <= message.seq < 2**53
        return type(message).__name__


URL_WORDS = [
    *(b"http://", b"https://", b"manuals.example.com", b"hsc-jit-manuals:8080", b"10.0.0.9", b"@", b"#", b"\\", b"//", b"..", b"%2e"),
    *(
        b"169.254.169.254",
        b"127.0.0.1",
        b"0x7f.1",
        b"[::1]",
        b"[::ffff:10.0.0.1]",
        b"2130706433",
        b":80",
        b":0",
        b"\n\n",
        b"?",
        b"\xc4\xb0",
    ),
    *(b"64:ff9b::a9fe:a9fe", b"2002:7f00:1::", b"fd00::1", b"fe80::1%eth0", b"::", b"93.184.216.34", b"224.0.0.1", b"100.64.0.1"),
]
ALLOWED = frozenset({"manuals.example.com", "hsc-jit-manuals:8080", "10.0.0.9", "localhost:1"})
NEVER = [ipaddress.ip_network(text) for text in ("169.254.0.0/16", "fe80::/10", "224.0.0.0/4", "ff00::/8", "0.0.0.0/32", "::/128")]
INSIDE_ONLY = [
    ipaddress.ip_network(text) for text in ("10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "::1/128")
]
CARRIERS = [ipaddress.ip_network(text) for text in ("::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")]


class Urls(Parser):
    """The guard of manuals' URLs. An input is URL, where it redirects to, and the addresses its host has, a line each."""

    name = "urls"
    words = URL_WORDS

    def _take(self, data: bytes) -> str:
        url, location, *lines = [*data.decode(errors="replace").split("\n\n"), ""][:12]
        addresses = [text for text in " ".join(lines).split() if _is_address(text)]
        return f"{self._ask(url, addresses)}, {self._ask(self._redirected(url, location), addresses)}"

    def _redirected(self, url: str, location: str) -> str:
        try:
            return urljoin(url, location)
        except ValueError:
            return url

    def _ask(self, url: str, addresses: list[str]) -> str:
        try:
            target = check(url, ALLOWED, lambda host, port: addresses)
        except Refused as problem:
            return problem.code
        assert target.scheme in ("http", "https") and 0 < target.port < 65536
        assert target.host in ALLOWED or f"{target.host}:{target.port}" in ALLOWED
        assert target.path.startswith(("/", "?")) and target.path.isascii() and target.path.isprintable() and " " not in target.path
        for text in addresses:
            self._judge(target, ipaddress.ip_address(text.partition("%")[0]))
        return target.scheme

    def _judge(self, target: Target, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
        """An address by a reckoning of our own: nothing forbidden, and inside only for names that are inside."""
        inner = [address]
        if isinstance(address, ipaddress.IPv6Address):
            if any(address in network for network in CARRIERS):
                inner.append(ipaddress.IPv4Address(address.packed[12:]))
            if address.packed[:2] == b"\x20\x02":
                inner.append(ipaddress.IPv4Address(address.packed[2:6]))
        for one in inner:
            assert not any(one in network for network in NEVER), (target, address)
            inside = any(one in network for network in INSIDE_ONLY)
            assert not inside or target.host != "manuals.example.com", (target, address)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


@cache
def corpus_messages() -> list[bytes]:
    """The messages' corpus, read once."""
    return corpus("messages")


class Sender:
    """Makes what a WebSocket's client could send."""

    def make(self, rng: random.Random, pool: list[bytes]) -> bytes:
        return framed(rng, corpus_messages()) if rng.random() < 0.5 else mutated(rng, pool, JSON_WORDS)


class WsBytes(Sender, InProcess):
    """Bytes of a client through the protocol layer, in this process."""

    name = "ws"


class WsServer(Sender, RealServer):
    """The same against a real gunicorn."""

    name = "server"


TARGETS = {target.name: target for target in (WsBytes, WsServer, Messages, Pdfs, Urls)}
