"""The WebSocket of a real gunicorn, spoken to by a real client."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from servers import SERVICE, Backend, backends, service_environment, stop, wait_until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import CloseCode
from websockets.sync.client import ClientConnection, connect

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
WORKERS = ["gevent", pytest.param("gthread", marks=pytest.mark.slow)]  # gthread is for diagnosis only


@pytest.fixture(scope="module", params=WORKERS)
def backend(
    request: pytest.FixtureRequest, backend: Backend, tmp_path_factory: pytest.TempPathFactory, catalogue_database: str
) -> Iterator[Backend]:
    """The one that breaks nothing, and the same on threads."""
    if request.param == "gevent":
        yield backend
        return
    with backends(tmp_path_factory.mktemp("threads")) as make:
        yield make(service_environment(catalogue_database, backend.environment["HSC_REDIS_URL"], HSC_WORKER=request.param))


def talk(ws: ClientConnection, message: object) -> dict:
    ws.send(message if isinstance(message, str | bytes) else json.dumps(message))
    return json.loads(ws.recv(10))


def test_typing_gets_one_prediction_with_rid_and_no_greeting(backend: Backend) -> None:
    with connect(backend.ws_url) as ws:
        answer = talk(ws, {"type": "typing", "content": "td17", "rid": 7})
        assert (answer["type"], answer["rid"]) == ("prediction", 7)
        assert 1 <= len(answer["data"]) <= 3
        first = answer["data"][0]
        assert set(first) == {"product", "brand", "context", "confidence", "match_text"}
        assert {"id", "name", "brand", "category", "description", "production_country", "images", "brand_identity"} <= set(first["product"])
        assert first["context"]["related_items"] is not None
        assert talk(ws, {"type": "typing", "content": ""}) == {"type": "prediction", "data": []}


def test_the_td17_is_first(backend: Backend) -> None:
    with connect(backend.ws_url) as ws:
        first = talk(ws, {"type": "typing", "content": "td17"})["data"][0]["product"]
    assert (first["brand"], first["name"]) == ("Roland", "TD-17")


@pytest.mark.parametrize(
    "bad", ["{", "[]", '{"type":"nope"}', '{"type":"typing"}', b"\x00\x01", json.dumps({"type": "typing", "content": "x" * 1001})]
)
def test_bad_messages_are_answered_and_the_socket_stays(backend: Backend, bad) -> None:
    with connect(backend.ws_url) as ws:
        assert talk(ws, bad)["type"] == "error"
        assert talk(ws, {"type": "typing", "content": "moog"})["type"] == "prediction"


def test_fragments_with_a_ping_between(backend: Backend) -> None:
    with connect(backend.ws_url) as ws:
        ws.send(iter(['{"type":"typ', 'ing","content"', ':"korg"}']))
        assert json.loads(ws.recv(10))["type"] == "prediction"
        assert ws.ping().wait(5)


def test_invalid_utf8_closes_with_1007_and_too_long_with_1009(backend: Backend) -> None:
    with connect(backend.ws_url) as ws:
        ws.protocol.send_text(b"\xff\xfe")
        ws.socket.sendall(b"".join(ws.protocol.data_to_send()))
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(10)
        assert closed.value.rcvd.code == CloseCode.INVALID_DATA
    with connect(backend.ws_url) as ws, pytest.raises(ConnectionClosed) as closed:
        ws.send("x" * (5 * 1024 * 1024))
        ws.recv(10)
    assert closed.value.rcvd.code == CloseCode.MESSAGE_TOO_BIG, "the server reads on until the client has seen why"


def test_hello_only_for_clients_that_know_it(backend: Backend) -> None:
    with connect(f"{backend.ws_url}?proto=1") as ws:
        hello = json.loads(ws.recv(5))
        assert (hello["type"], hello["proto"], hello["offset"], hello["recovered"], hello["reason"]) == ("hello", 1, 0, False, None)
        assert hello["session"] and hello["token"] and hello["epoch"]


def handshake(backend: Backend, **changed: str | None) -> int:
    headers = {"Host": "x", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": KEY}
    headers.update({name.replace("_", "-"): value for name, value in changed.items()})
    with socket.create_connection(("127.0.0.1", backend.port), 5) as raw:
        raw.sendall(
            (
                "GET /ws HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None) + "\r\n"
            ).encode()
        )
        return int(raw.recv(100).split()[1])


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, 101),
        ({"Upgrade": None}, 426),
        ({"Sec_WebSocket_Version": "8"}, 426),
        ({"Sec_WebSocket_Key": "short"}, 400),
        ({"Sec_WebSocket_Key": None}, 400),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://localhost:5173"}, 101),
    ],
)
def test_handshake(backend: Backend, changed, status) -> None:
    assert handshake(backend, **changed) == status


def test_too_fast_typing_is_refused_not_dropped(backend: Backend) -> None:
    with connect(backend.ws_url) as ws:
        for number in range(80):
            ws.send(json.dumps({"type": "typing", "content": "td", "rid": number}))
        kinds = [json.loads(ws.recv(5)).get("code", "ok") for _ in range(80)]
    assert kinds.count("rate") > 0
    assert kinds.count("ok") >= 40


@pytest.mark.parametrize("worker", WORKERS)
def test_connection_cap_is_1013(make_backend, catalogue_database, state_redis, worker) -> None:
    backend = make_backend(service_environment(catalogue_database, state_redis.url, HSC_MAX_CONNECTIONS="1", HSC_WORKER=worker))
    with connect(backend.ws_url) as first:
        talk(first, {"type": "typing", "content": "a"})
        with connect(backend.ws_url) as second, pytest.raises(ConnectionClosed) as closed:
            second.recv(5)
        assert closed.value.rcvd.code == 1013
        assert backend.get("/ready")[0] == 503


@pytest.mark.parametrize("worker", WORKERS)
def test_sigterm_says_503_then_1012_and_exits(make_backend, catalogue_database, state_redis, worker) -> None:
    backend = make_backend(service_environment(catalogue_database, state_redis.url, HSC_DRAIN_SECONDS="1.5", HSC_WORKER=worker))
    with ExitStack() as stack:
        sockets = [stack.enter_context(connect(backend.ws_url)) for _ in range(5)]
        assert all(talk(ws, {"type": "typing", "content": "a"}) for ws in sockets)
        started = time.monotonic()
        backend.handle.send_signal(signal.SIGTERM)
        wait_until(lambda: backend.get("/ready")[0] == 503, "/ready 503", 3)
        for ws in sockets:
            with pytest.raises(ConnectionClosed) as closed:
                ws.recv(10)
            assert closed.value.rcvd.code == 1012
    assert backend.handle.wait(15) == 0
    assert time.monotonic() - started < 20


def test_health_and_typing_without_redis(make_backend, catalogue_database, state_redis) -> None:
    backend = make_backend(service_environment(catalogue_database, state_redis.url))
    with connect(backend.ws_url) as ws:
        assert talk(ws, {"type": "typing", "content": "td"})["type"] == "prediction"
        stop(state_redis.process, signal.SIGKILL)
        assert talk(ws, {"type": "typing", "content": "td1"})["type"] == "prediction"
        ws.send(json.dumps({"type": "query", "product_id": "p", "query": "q", "cmd": "c-1"}))
        answer = json.loads(ws.recv(15))
        assert (answer["type"], answer["code"], answer["cmd"]) == ("error", "retry", "c-1")
        assert backend.get("/health")[0] == 200
        assert backend.get("/ready")[0] == 200, "a short outage must not unready the fleet"
        assert talk(ws, {"type": "typing", "content": "td17"})["type"] == "prediction"


def test_many_at_once_each_get_their_own(backend: Backend) -> None:
    """What connections share must bear threads."""

    def one(number: int) -> list[int]:
        with connect(backend.ws_url) as ws:
            return [
                talk(ws, {"type": "typing", "content": "roland td"[: 1 + step % 9], "rid": 100 * number + step})["rid"]
                for step in range(30)
            ]

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(one, range(20))) == [[100 * number + step for step in range(30)] for number in range(20)]


def test_a_token_that_is_no_token_begins_a_new_session(backend: Backend) -> None:
    with connect(f"{backend.ws_url}?proto=1&session=s&token=%C3%A9&epoch=e&offset=0") as ws:
        assert json.loads(ws.recv(5))["reason"] == "unknown"


def test_a_worker_that_is_none_is_named() -> None:
    command = [sys.executable, "-m", "gunicorn", "-c", "app/gunicorn.conf.py", "app.wiring:create_app()"]
    failed = subprocess.run(command, cwd=SERVICE, env={"HSC_WORKER": "sync"}, capture_output=True, text=True, check=False, timeout=30)
    assert failed.returncode
    assert "HSC_WORKER: 'sync' is unknown. Use gevent or gthread." in failed.stderr


def test_no_origin_and_not_a_websocket_is_a_problem(backend: Backend) -> None:
    status, headers, body = backend.get("/ws")
    assert (status, headers["content-type"]) == (426, "application/problem+json")
    assert json.loads(body)["status"] == 426
    with pytest.raises(InvalidStatus):
        connect(backend.ws_url, origin="https://evil.example")
