"""The exec protocol v5 against a WebSocket server on loopback that answers as a kubelet does."""

import json
import socket
import threading
from contextlib import contextmanager, suppress
from http import HTTPStatus
from types import SimpleNamespace
from urllib.parse import parse_qsl, urlsplit

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError, ExecTimeoutError
from ansible_collections.hsc.jit.plugins.module_utils._kube.exec import execute
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response
from websockets.server import ServerProtocol
from websockets.sync.server import serve

SUCCESS = {"status": "Success"}


def exit_code(code):
    return {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]}}


def send(connection, channel, data):
    connection.send(bytes([channel]) + (data if isinstance(data, bytes) else json.dumps(data).encode()))


def read_stdin(connection):
    """Everything up to the message that closes channel 0."""
    data = b""
    while (message := connection.recv()) != b"\xff\x00":
        assert message[:1] == b"\x00"
        data += message[1:]
    return data


def connection(port):
    """What `execute` needs of a client."""
    return SimpleNamespace(
        server=f"http://127.0.0.1:{port}",
        pool=SimpleNamespace(open_socket=lambda seconds: socket.create_connection(("127.0.0.1", port), seconds)),
        authorize=lambda: {"Authorization": "Bearer token"},
        namespaced=lambda plural, namespace: f"/api/v1/namespaces/{namespace}/{plural}",
    )


@contextmanager
def kubelet(conversation, refuse=None):
    """(connection for `execute`, list of requested paths). conversation: what the container's side says."""
    asked = []

    def process(connection, request):
        asked.append(request.path)
        if refuse:
            body = json.dumps({"reason": "NotFound", "message": 'pods "nobody" not found'}).encode()
            return Response(refuse, HTTPStatus(refuse).phrase, Headers({"Content-Length": str(len(body))}), body)
        return None

    def handler(connection):
        with suppress(ConnectionClosed):
            conversation(connection)

    with serve(handler, "127.0.0.1", 0, subprotocols=["v5.channel.k8s.io"], process_request=process, max_size=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.socket.getsockname()[1]
        yield connection(port), asked
        server.shutdown()


def call(cluster, argv=("true",), stdin=b"", stdout=None, seconds=10.0):
    return execute(cluster, "web-1", "web", list(argv), stdin, stdout, "ns", seconds)


@pytest.mark.parametrize(("status", "code"), [(SUCCESS, 0), (exit_code(7), 7), (exit_code(137), 137)])
def test_exit_code_and_both_outputs(status, code):
    def conversation(connection):
        send(connection, 1, b"out")
        send(connection, 2, b"err")
        send(connection, 3, status)

    with kubelet(conversation) as (cluster, asked):
        result = call(cluster, ["sh", "-c", "a b"])
    assert (result.returncode, result.stdout, result.stderr) == (code, b"out", "err")
    address = urlsplit(asked[0])
    assert address.path == "/api/v1/namespaces/ns/pods/web-1/exec"
    assert parse_qsl(address.query)[:3] == [("command", "sh"), ("command", "-c"), ("command", "a b")]


def test_frames_that_come_with_the_upgrade_are_not_lost():
    """A short command may have ended before the API server's answer to the upgrade is read: all of it comes in one piece."""

    def answer(listener):
        link, _ = listener.accept()
        with link:
            protocol = ServerProtocol(subprotocols=["v5.channel.k8s.io"])
            protocol.receive_data(link.recv(65536))
            (request,) = protocol.events_received()
            protocol.send_response(protocol.accept(request))
            protocol.send_binary(b"\x01out")
            protocol.send_binary(b"\x03" + json.dumps(SUCCESS).encode())
            protocol.send_close(1000)
            link.sendall(b"".join(protocol.data_to_send()))
            link.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        server = threading.Thread(target=answer, args=(listener,))
        server.start()
        result = call(connection(port))
        server.join(10)
    assert (result.returncode, result.stdout) == (0, b"out")


def test_output_after_the_status_is_not_lost():
    def conversation(connection):
        send(connection, 3, SUCCESS)
        send(connection, 1, b"late")

    with kubelet(conversation) as (cluster, _):
        assert call(cluster).stdout == b"late"


@pytest.mark.parametrize("size", [1, (1 << 20) + 17])
def test_stdin_arrives_whole_and_is_closed(tmp_path, size):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(range(256)) * (size // 256 + 1))

    def conversation(connection):
        send(connection, 1, read_stdin(connection))
        send(connection, 3, SUCCESS)

    with kubelet(conversation) as (cluster, asked):
        result = call(cluster, ["cat"], stdin=source, stdout=target)
    assert "stdin=1" in asked[0]
    assert result.stdout == b"" and target.read_bytes() == source.read_bytes()


def test_a_refusal_has_the_servers_words():
    with kubelet(lambda connection: None, refuse=404) as (cluster, _), pytest.raises(ApiError, match='"nobody" not found') as caught:
        call(cluster)
    assert (caught.value.status, caught.value.reason) == (404, "NotFound")


def test_a_command_without_end_is_a_timeout_with_a_next_step():
    over = threading.Event()
    with kubelet(lambda connection: over.wait(10)) as (cluster, _):
        with pytest.raises(ExecTimeoutError, match="command sleep did not end within 0 s") as caught:
            call(cluster, ["sleep", "9"], seconds=0.3)
        over.set()
    assert "kubectl -n ns describe pod web-1" in caught.value.next_step


def test_a_connection_that_breaks_is_an_api_error():
    def conversation(connection):
        send(connection, 1, b"half")
        connection.socket.close()

    with kubelet(conversation) as (cluster, _), pytest.raises(ApiError, match="exec into ns/web-1 failed") as caught:
        call(cluster)
    assert caught.value.transient


def test_a_command_that_cannot_be_started_says_why():
    def conversation(connection):
        send(connection, 3, {"status": "Failure", "reason": "InternalError", "message": "no such program"})

    with kubelet(conversation) as (cluster, _), pytest.raises(ApiError, match="ns/web-1: true: no such program"):
        call(cluster)
