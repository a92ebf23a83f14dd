"""Manuals: fetched over HTTP from allowed hosts only, read by pdfium, cut into passages that know their page.

Addresses are resolved once and the connection goes to the address that was checked, so a name that changes its mind in between
(DNS rebinding) gains nothing. Every redirect is checked again.
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import SplitResult, quote, urljoin, urlsplit

MAX_BYTES = 50 * 1024 * 1024
MAX_PAGES = 2000
MAX_CHARS = 8_000_000
FETCH_SECONDS = 30.0
CONNECT_SECONDS = 5.0
REDIRECTS = 3
PASSAGE_CHARS = 900
_INTERNAL_ENDINGS = (".svc", ".svc.cluster.local", ".local", ".internal")

# Mapped, compatible, translated and NAT64: an IPv6 address of these is an IPv4 address in other clothes.
_CARRIES_IPV4 = [ipaddress.ip_network(text) for text in ("::ffff:0:0/96", "::/96", "::ffff:0:0:0/96", "64:ff9b::/96")]

Chunk = dict[str, int | str]
Resolver = Callable[[str, int], Sequence[str]]


class Refused(Exception):
    """A manual that can't be had. `code` is short and stable (metrics, documents.error); the text says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Target:
    """A checked place to fetch from: connect to `address`, ask as `host`."""

    scheme: str
    host: str
    port: int
    address: str
    path: str


def resolve(host: str, port: int) -> Sequence[str]:
    """All addresses of `host`."""
    return list(dict.fromkeys(str(item[4][0]) for item in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


def check(url: str, allowed: frozenset[str], resolver: Resolver = resolve) -> Target:
    """Where `url` may be fetched from. Raises Refused when it may not.

    allowed: host or host:port. An entry that is an address, a single name or an internal name (.svc, .local, .internal) may be private;
    a public name must have public addresses only.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise Refused("bad_url", "no URL, or its port is not a number") from None
    host = (parts.hostname or "").lower().rstrip(".")
    if parts.scheme not in ("http", "https") or not host or parts.username is not None or any(ord(char) <= 32 for char in url):
        raise Refused("bad_url", "only plain http and https URLs without user and blanks are fetched")
    if host not in allowed and f"{host}:{port}" not in allowed:
        raise Refused("host", f"host {host}:{port} is not in HSC_MANUAL_HOSTS")
    try:
        addresses = resolver(host, port)
    except (OSError, UnicodeError):
        raise Refused("dns", f"host {host} has no address") from None
    for address in addresses:
        _check_address(host, address)
    if not addresses:
        raise Refused("dns", f"host {host} has no address")
    return Target(parts.scheme, host, port, addresses[0], _path(parts))


def _path(parts: SplitResult) -> str:
    """What is asked for, in ASCII: http.client refuses anything else with an error of its own."""
    path, query = (quote(part, safe="/?%:@!$&'()*+,;=~[]", errors="replace") for part in (parts.path or "/", parts.query))
    return path + (f"?{query}" if query else "")


def _carried(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Where packets for `address` end up: the IPv4 address inside an IPv6 one, if there is one."""
    if isinstance(address, IPv6Address) and not (address.is_loopback or address.is_unspecified):
        if any(address in network for network in _CARRIES_IPV4):
            return IPv4Address(int(address) & 0xFFFFFFFF)
        return address.sixtofour or address
    return address


def _check_address(host: str, text: str) -> None:
    outer = ipaddress.ip_address(text.partition("%")[0])
    address = _carried(outer)
    site_local = isinstance(outer, IPv6Address) and outer.is_site_local
    if address.is_multicast or address.is_unspecified or address.is_link_local or site_local:
        raise Refused("address", f"host {host} has the address {address}, which is never fetched from")
    literal = host.strip("[]") == text
    internal = literal or "." not in host or host.endswith(_INTERNAL_ENDINGS)
    if (address.is_loopback and not (literal or host == "localhost")) or not (address.is_global or internal):
        raise Refused("address", f"host {host} has the private address {address}")


def fetch(url: str, allowed: frozenset[str], *, resolver: Resolver = resolve, clock: Callable[[], float] = time.monotonic) -> bytes:
    """The PDF at `url`, at most MAX_BYTES, within FETCH_SECONDS. Raises Refused."""
    deadline = clock() + FETCH_SECONDS
    for _ in range(REDIRECTS + 1):
        target = check(url, allowed, resolver)
        try:
            answer = _get(target, deadline, clock)
        except (OSError, http.client.HTTPException) as problem:
            raise Refused("network", f"{target.host}:{target.port}: {type(problem).__name__}: {problem}") from None
        if isinstance(answer, bytes):
            if b"%PDF-" not in answer[:1024]:
                raise Refused("not_pdf", "what came is not a PDF")
            return answer
        try:
            url = urljoin(url, answer)
        except ValueError:
            raise Refused("bad_url", "a redirect to something that is no URL") from None
    raise Refused("redirects", f"more than {REDIRECTS} redirects")


def _connect(target: Target) -> http.client.HTTPConnection:
    raw = socket.create_connection((target.address, target.port), CONNECT_SECONDS)
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=target.host) if target.scheme == "https" else raw
    return connection


def _get(target: Target, deadline: float, clock: Callable[[], float]) -> bytes | str:
    """The body, or where to go instead."""
    connection = _connect(target)
    try:
        connection.request(
            "GET", target.path, headers={"Accept": "application/pdf", "User-Agent": "hsc-jit/3", "Accept-Encoding": "identity"}
        )
        answer = connection.getresponse()
        if answer.status in (301, 302, 303, 307, 308) and answer.headers.get("Location"):
            return str(answer.headers["Location"])
        if answer.status != 200:
            raise Refused(f"http_{answer.status}", f"{target.host} answered {answer.status}")
        parts, size = [], 0
        while block := answer.read1(65536):
            parts.append(block)
            size += len(block)
            if size > MAX_BYTES:
                raise Refused("too_large", f"more than {MAX_BYTES} bytes")
            if clock() > deadline:
                raise Refused("slow", f"not within {FETCH_SECONDS:g} s")
        return b"".join(parts)
    finally:
        connection.close()


def read_pages(pdf: bytes) -> list[str]:
    """The text of each page. Raises Refused for PDFs that are broken, encrypted or without text.

    pdfium is not thread-safe and reads hostile input: call this only in a prefork child with limits.
    """
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(pdf)
    except pypdfium2.PdfiumError as problem:
        raise Refused("encrypted" if "assword" in str(problem) else "broken", f"pdfium: {problem}") from None
    try:
        if len(document) > MAX_PAGES:
            raise Refused("too_many_pages", f"{len(document)} pages, at most {MAX_PAGES}")
        pages, chars = [], 0
        for page in document:
            text = page.get_textpage().get_text_bounded()
            chars += len(text)
            if chars > MAX_CHARS:
                raise Refused("too_much_text", f"more than {MAX_CHARS} characters")
            pages.append(text)
    except pypdfium2.PdfiumError as problem:
        raise Refused("broken", f"pdfium: {problem}") from None
    finally:
        document.close()
    if not any(page.strip() for page in pages):
        raise Refused("no_text", "no page has text")
    return pages


def cut(pages: Sequence[str], size: int = PASSAGE_CHARS) -> list[Chunk]:
    """Passages of about `size` characters that end with a sentence or line and never span pages: [{"page": 1…, "text"}]."""
    chunks: list[Chunk] = []
    for number, page in enumerate(pages, 1):
        passage = ""
        for piece in _pieces(page):
            if passage and len(passage) + len(piece) > size:
                chunks.append({"page": number, "text": passage.strip()})
                passage = ""
            passage += piece + " "
        if passage.strip():
            chunks.append({"page": number, "text": passage.strip()})
    return chunks


def _pieces(page: str) -> list[str]:
    """Sentences and lines of a page; a monster without either is cut by length."""
    text = page.replace("\x00", "").replace("\ufffe", "-").replace("\r\n", "\n").replace("\r", "\n")
    text = re.sub(r"[^\S\n]+", " ", text)
    sentences = [piece.strip().replace("\n", " ") for piece in re.split(r"(?<=[.!?:])\s+|\n{2,}", text)]
    return [sentence[at : at + PASSAGE_CHARS] for sentence in sentences if sentence for at in range(0, len(sentence), PASSAGE_CHARS)]
