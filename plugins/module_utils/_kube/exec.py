# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Commands in containers: the exec protocol v5, bytes in and bytes out.

A command that is given input must keep its output open while it reads: containerd closes the input as soon as an output ends. ``dd of=``
puts its file in the place of its output, and a backup arrived cut or empty, with exit code 0 (``kubectl exec -i`` the same: 6 of 25).

One thread reads and writes. A TLS connection must not be used by two at once, and the ready-made client does that: of 300 commands in
6 threads 6 waited for ever for a handshake that had long been answered.
"""

from __future__ import annotations

import contextlib
import io
import json
import select
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import quote, urlencode

from .._errors import ApiError, ExecTimeoutError
from .pool import Pool

_OPEN_SECONDS = 30.0
_BLOCK = 1 << 20
_DATA = (0, 1, 2)  # opcodes of a message's frames: the rest of it, text, binary
_LATER = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)  # nothing to read, or no room to write, just now


class ExecConnection(Protocol):
    """The part of ``client.Cluster`` that a command needs."""

    server: str
    pool: Pool

    @property
    def authorize(self) -> Callable[[], dict[str, str]]: ...

    @property
    def renew(self) -> Callable[[Mapping[str, str]], dict[str, str]]: ...

    def namespaced(self, plural: str, api: str = "/api/v1", namespace: str | None = None) -> str: ...


@dataclass
class ExecResult:
    """What a command in a container left: exit code, stdout as bytes (empty if it was sent to a file), stderr as text."""

    returncode: int
    stdout: bytes
    stderr: str


def execute(
    cluster: ExecConnection,
    pod: str,
    container: str,
    argv: Sequence[str],
    stdin: bytes | Path,
    stdout: Path | None,
    namespace: str,
    timeout_seconds: float,
) -> ExecResult:
    """Run it to its end over the exec protocol v5, the one in which stdin can be closed.

    ApiError: the command was refused, or the connection broke. ExecTimeoutError: it did not end in time.
    """
    query = [("command", word) for word in argv] + [("container", container), ("stdout", "1"), ("stderr", "1")]
    if stdin:
        query.append(("stdin", "1"))
    path = f"{cluster.namespaced('pods', namespace=namespace)}/{quote(pod)}/exec?{urlencode(query)}"
    deadline = time.monotonic() + timeout_seconds
    try:
        link = _open(cluster, path)
    except OSError as error:
        raise ApiError(0, "Unreachable", f"exec into {namespace}/{pod} failed: {error}") from error
    try:
        return _converse(link, stdin, stdout, deadline, f"{namespace}/{pod}: {' '.join(argv)[:80]}")
    except TimeoutError as error:
        step = f"Look at the pod (kubectl -n {namespace} describe pod {pod}; kubectl -n {namespace} logs {pod}), then run again."
        raise ExecTimeoutError(f"Pod {namespace}/{pod}: command {argv[0]} did not end within {timeout_seconds:.0f} s.", step) from error
    except OSError as error:
        raise ApiError(0, "Unreachable", f"exec into {namespace}/{pod} failed: {error}") from error
    finally:
        link.socket.close()


def _open(cluster: ExecConnection, path: str) -> _Link:
    """The connection of a command. A refused token is renewed once."""
    credentials = cluster.authorize()
    try:
        return _Link(cluster, path, credentials)
    except ApiError as error:
        if error.status != 401:
            raise
    return _Link(cluster, path, cluster.renew(credentials))


class _Link:
    """A WebSocket to the API server: ``exchange`` sends what waits and returns what came."""

    def __init__(self, cluster: ExecConnection, path: str, credentials: Mapping[str, str]) -> None:
        # deferred: pure users of this collection need no client
        from .websockets import ClientProtocol, Subprotocol, parse_uri

        uri = parse_uri(cluster.server.replace("http", "ws", 1) + path)
        self.socket = cluster.pool.open_socket(_OPEN_SECONDS)
        self.socket.setblocking(False)
        self.protocol = ClientProtocol(uri, subprotocols=[Subprotocol("v5.channel.k8s.io")], max_size=None)
        request = self.protocol.connect()
        request.headers.update(credentials)
        self.protocol.send_request(request)
        self._unsent = bytearray()
        self._early: list[Any] = []  # frames that came in one piece with the answer to the upgrade
        self._ended = False
        try:
            self._await_upgrade(time.monotonic() + _OPEN_SECONDS)
        except BaseException:
            self.socket.close()
            raise

    def _await_upgrade(self, deadline: float) -> None:
        from .websockets import State

        while self.protocol.state is State.CONNECTING:
            events = self.exchange(deadline)
            refused = next((event for event in events if getattr(event, "status_code", 101) != 101), None)
            if refused is not None:
                raise ApiError.of_answer(refused.status_code, bytes(refused.body or b""))
            self._early += [event for event in events if hasattr(event, "opcode")]
            if self.protocol.handshake_exc is not None:
                raise ConnectionError(str(self.protocol.handshake_exc))

    @property
    def closing(self) -> bool:
        """The server has said that nothing more comes."""
        return self.protocol.close_rcvd is not None or self._ended

    @property
    def busy(self) -> bool:
        """Bytes still wait to be sent."""
        self._unsent += b"".join(self.protocol.data_to_send())
        return bool(self._unsent)

    def exchange(self, deadline: float) -> list[Any]:
        """Events of the protocol after the socket moved once. TimeoutError: it did not until the deadline."""
        if self._early:
            early, self._early = self._early, []
            return early
        if self._ended:
            raise ConnectionError("the API server ended the connection")
        left = deadline - time.monotonic()
        writable = [self.socket] if self.busy else []
        pending = isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()
        if left <= 0 or not (pending or any(select.select([self.socket], writable, [], left))):
            raise TimeoutError("no answer in time")
        with contextlib.suppress(*_LATER):
            del self._unsent[: self.socket.send(self._unsent) if self._unsent else 0]
        try:
            data = self.socket.recv(_BLOCK)
        except _LATER:
            return []
        if data:
            self.protocol.receive_data(data)
        else:
            self.protocol.receive_eof()
            self._ended = True
        return self.protocol.events_received()


def _converse(link: _Link, stdin: bytes | Path, stdout: Path | None, deadline: float, what: str) -> ExecResult:
    """Send stdin block by block while the output is read, so that neither side can block the other."""
    errors, status = bytearray(), bytearray()
    source: BinaryIO | None = (stdin.open("rb") if isinstance(stdin, Path) else io.BytesIO(stdin)) if stdin else None
    try:
        with stdout.open("wb") if stdout else io.BytesIO() as sink:
            channels: dict[int, Callable[[bytes], Any]] = {1: sink.write, 2: errors.extend, 3: status.extend}
            message = bytearray()
            # The status may overtake the last of the output, so the end is where the server closes.
            while not (status and link.closing):
                if source is not None and not link.closing and not link.busy:
                    source = _feed(link, source)
                for frame in link.exchange(deadline):
                    if frame.opcode in _DATA:
                        message += frame.data
                        if frame.fin and message:
                            channels.get(message[0], errors.extend)(bytes(message[1:]))
                            message.clear()
            output = sink.getvalue() if isinstance(sink, io.BytesIO) else b""
    finally:
        if source is not None:
            source.close()
    return _result(json.loads(bytes(status)), output, errors, what)


def _feed(link: _Link, source: BinaryIO) -> BinaryIO | None:
    """Give the next block to the protocol; after the last one close channel 0 (v5), so that the command sees the end of its input."""
    block = source.read(_BLOCK)
    link.protocol.send_binary(b"\x00" + block if block else b"\xff\x00")
    if block:
        return source
    source.close()
    return None


def _result(answer: dict[str, Any], output: bytes, errors: bytearray, what: str) -> ExecResult:
    if answer.get("status") != "Success" and answer.get("reason") != "NonZeroExitCode":
        raise ApiError(500, answer.get("reason", ""), f"{what}: {answer.get('message', 'exec failed')}")
    codes = [cause["message"] for cause in (answer.get("details") or {}).get("causes", []) if cause.get("reason") == "ExitCode"]
    return ExecResult(int(codes[0]) if codes else 0, output, errors.decode("utf-8", "replace"))
