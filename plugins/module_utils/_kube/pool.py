# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""HTTP/1.1 to one server over connections that are kept open: each request is one write, and http.client reads the answer.

A release of a thousand objects is two thousand small requests; urllib3 takes 1.15 to 1.28 times as long (docs/decisions/0001-house.md).
"""

from __future__ import annotations

import select
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from urllib.parse import quote

_AS_IT_IS = "!$%&'()*+,/:;=?@~"  # in a target; everything else beyond letters, digits and "-._" is escaped


class Pool:
    """Connections to one server. A thread has one to itself until it has read its answer.

    open_socket: (seconds) -> a new connection, TLS and proxy included; OSError. host: what the Host header says. most: kept open at a time.
    """

    def __init__(self, open_socket: Callable[[float], socket.socket], host: str, most: int) -> None:
        self.open_socket, self._host, self._most = open_socket, host, most
        self._idle: deque[socket.socket] = deque()  # append and pop are atomic

    def request(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str], seconds: float, *, whole: bool = True
    ) -> Answer:
        """Send, and read the answer: whole, or of one that is no refusal its head alone. seconds: between two signs of life.

        OSError: no answer, or half of one. ValueError: a header that holds the end of its line.
        """
        message = _message(method, target, self._host, headers, body)
        link = self._taken(seconds)
        try:
            with suppress(BrokenPipeError):  # who reads no further has said why
                link.sendall(message)
            response = HTTPResponse(link, method=method)
            response.begin()
            _must_end(response)
            if not whole and response.status < 400:
                return Answer(response, None, link)
            data = response.read()
        except HTTPException as error:
            link.close()
            raise _broken(error) from error
        except BaseException:
            link.close()
            raise
        if response.will_close or len(self._idle) >= self._most:
            link.close()
        else:
            self._idle.append(link)
        return Answer(response, data)

    def _taken(self, seconds: float) -> socket.socket:
        """One that was kept and is still open, or a new one."""
        while self._idle:
            try:
                link = self._idle.pop()
            except IndexError:  # another thread was quicker
                break
            if not _speaks(link):
                link.settimeout(seconds)
                return link
            link.close()
        link = self.open_socket(seconds)
        link.settimeout(seconds)
        return link

    def clear(self) -> None:
        """Close what is kept; later requests open anew."""
        while self._idle:
            self._idle.pop().close()


class Answer:
    """status, headers (of any case) and data: the whole body; empty where it comes in parts, over ``link``, which is then this answer's."""

    def __init__(self, response: HTTPResponse, data: bytes | None, link: socket.socket | None = None) -> None:
        self.status, self.headers, self.data = response.status, response.headers, data or b""
        self._response, self._link = response, link

    def parts(self) -> Iterator[bytes]:
        """The body as it comes. OSError: it broke."""
        if self._link is None:
            yield self.data
            return
        try:
            while part := self._response.read1(65536):
                yield part
        except HTTPException as error:
            raise _broken(error) from error

    def close(self) -> None:
        """End a body that comes in parts; half a stream cannot be used again."""
        if self._link is not None:
            self._response.close()
            self._link.close()


def _message(method: str, target: str, host: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
    length = {} if body is None else {"Content-Length": str(len(body))}
    lines = [f"{name}: {value}" for name, value in {"Host": host, **headers, **length}.items()]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError(f"one of the headers {', '.join(headers)} holds the end of a line")
    head = "\r\n".join([f"{method} {quote(target, safe=_AS_IT_IS)} HTTP/1.1", *lines, "", ""])
    return head.encode("latin-1") + (body or b"")


def _must_end(response: HTTPResponse) -> None:
    """http.client takes a head that was cut for a whole one, whose body then seems to last as long as the connection."""
    announced = "close" in (response.headers.get("Connection") or "").lower()
    if response.version == 11 and response.length is None and not response.chunked and not announced:
        raise ConnectionError("its answer says neither its length nor that the connection ends; its head was cut")


def _broken(error: HTTPException) -> ConnectionError:
    return ConnectionError(f"no whole answer: {error!r}")


def _speaks(link: socket.socket) -> bool:
    """Whether the server has said something unasked: it ended the connection."""
    look = select.poll()
    look.register(link, select.POLLIN)
    return bool(look.poll(0))
