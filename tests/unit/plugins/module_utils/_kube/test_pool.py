"""Requests over connections that are kept, against a server whose bytes are written here."""

import socket
import threading
from types import SimpleNamespace

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._kube.pool import Pool

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: now\r\n\r\nok"
LAST = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
PARTS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
END = b""  # the server closes the connection


@pytest.fixture
def server():
    """answers: what each connection says, request after request; asked: what was read, by connection. pool: leads to it."""
    door = socket.create_server(("127.0.0.1", 0))
    told = SimpleNamespace(answers=[], asked=[], ended=threading.Event())

    def serve():
        while True:
            try:
                link, _ = door.accept()
            except OSError:
                return
            answers = told.answers[len(told.asked)]
            told.asked.append([])
            with link:
                for answer in answers:
                    if answer is not END and (block := link.recv(1 << 20)):
                        told.asked[-1].append(block)
                        link.sendall(answer)
                if answers[-1] is not END:
                    link.recv(1)  # until the client ends it
            told.ended.set()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    told.pool = Pool(lambda seconds: socket.create_connection(door.getsockname(), seconds), "k:6443", 2)
    yield told
    told.pool.clear()
    door.shutdown(socket.SHUT_RDWR)
    door.close()
    thread.join(10)


def get(pool, target="/x", **more):
    return pool.request("GET", target, None, {"Accept": "a"}, 10, **more)


def test_a_connection_is_kept_and_a_request_is_one_write(server):
    server.answers = [[GOOD, GOOD]]
    assert get(server.pool).data == b"ok"
    answer = server.pool.request("PATCH", "/y?z=1", b"{}", {"Accept": "a"}, 10)
    assert (answer.status, answer.data, answer.headers.get("date")) == (200, b"ok", "now")
    head = b"Host: k:6443\r\nAccept: a\r\n"
    assert server.asked == [[b"GET /x HTTP/1.1\r\n" + head + b"\r\n", b"PATCH /y?z=1 HTTP/1.1\r\n" + head + b"Content-Length: 2\r\n\r\n{}"]]


@pytest.mark.parametrize("first", [[LAST, END], [GOOD, END]])
def test_one_that_the_server_ended_is_not_used_again(server, first):
    """Whether it was announced or not."""
    server.answers = [first, [GOOD]]
    get(server.pool)
    assert server.ended.wait(10)
    assert get(server.pool).data == b"ok"
    assert [len(asked) for asked in server.asked] == [1, 1]


@pytest.mark.parametrize("half", [END, GOOD[:-1], GOOD[:20], PARTS[:-8], b"SSH-2.0-OpenSSH\r\n"])
def test_half_an_answer_is_none(server, half):
    server.answers = [[half, END], [GOOD]]
    with pytest.raises(ConnectionError):
        get(server.pool)
    assert get(server.pool).data == b"ok", "the broken connection is not used again"


def test_an_answer_that_comes_in_parts_is_read_as_it_comes(server):
    server.answers = [[PARTS], [GOOD]]
    answer = get(server.pool, whole=False)
    assert next(answer.parts()) == b"one"
    answer.close()
    assert server.ended.wait(10), "its connection is closed, not kept"
    assert get(server.pool).data == b"ok"


def test_parts_that_end_too_soon_are_told(server):
    server.answers = [[PARTS[:-8], END]]
    answer = get(server.pool, whole=False)
    with pytest.raises(ConnectionError):
        list(answer.parts())
    answer.close()


def test_a_body_may_last_as_long_as_its_connection_where_that_is_said(server):
    server.answers = [[b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok", END]]
    assert get(server.pool).data == b"ok"


def test_a_refusal_is_read_whole_even_where_parts_were_wanted(server):
    server.answers = [[GOOD.replace(b"200 OK", b"410 Gone"), GOOD]]
    answer = get(server.pool, whole=False)
    assert (answer.data, list(answer.parts())) == (b"ok", [b"ok"])
    answer.close()
    assert get(server.pool).status == 200
    assert len(server.asked) == 1, "its connection was kept"


def test_silence_ends(server):
    server.answers = [[b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhalf"]]
    with pytest.raises(TimeoutError):
        server.pool.request("GET", "/x", None, {}, 0.3)


def test_nothing_of_a_request_can_end_its_line(server):
    server.answers = [[GOOD]]
    with pytest.raises(ValueError, match="Authorization holds the end of a line"):
        server.pool.request("GET", "/x", None, {"Authorization": "Bearer t\r\nX-Other: 1"}, 10)
    get(server.pool, "/configmaps/a b\r\nX: ö#%41?n=1")
    assert server.asked[0][0].startswith(b"GET /configmaps/a%20b%0D%0AX:%20%C3%B6%23%41?n=1 HTTP/1.1\r\n")
