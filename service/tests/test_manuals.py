from __future__ import annotations

import pytest
from manuals import MANUAL, manuals_server, pdf

from app.core import manuals
from app.core.manuals import Refused, check, cut, fetch, read_pages

ALLOWED = frozenset({"manuals.example.com", "hsc-jit-manuals:8080", "10.0.0.9", "localhost:1"})


def at(*addresses: str):
    return lambda host, port: addresses


@pytest.mark.parametrize(
    ("url", "addresses", "code"),
    [
        ("ftp://manuals.example.com/x", ["93.184.216.34"], "bad_url"),
        ("http://user:pw@manuals.example.com/x", ["93.184.216.34"], "bad_url"),
        ("http://manuals.example.com:port/", ["93.184.216.34"], "bad_url"),
        ("http://manuals.example.com/a b", ["93.184.216.34"], "bad_url"),
        ("http://other.example.com/x", ["93.184.216.34"], "host"),
        ("http://hsc-jit-manuals:9000/x", ["10.0.0.1"], "host"),
        ("http://manuals.example.com/x", ["10.0.0.1"], "address"),
        ("http://manuals.example.com/x", ["93.184.216.34", "127.0.0.1"], "address"),
        ("http://manuals.example.com/x", ["169.254.169.254"], "address"),
        ("http://manuals.example.com/x", ["::ffff:10.0.0.1"], "address"),
        ("http://manuals.example.com/x", ["fd00::1"], "address"),
        ("http://hsc-jit-manuals:8080/x", ["169.254.169.254"], "address"),
        ("http://hsc-jit-manuals:8080/x", ["127.0.0.1"], "address"),
        ("http://hsc-jit-manuals:8080/x", ["0.0.0.0"], "address"),
        ("http://manuals.example.com/x", [], "dns"),
    ],
)
def test_refused(url, addresses, code) -> None:
    with pytest.raises(Refused) as problem:
        check(url, ALLOWED, at(*addresses))
    assert problem.value.code == code


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://manuals.example.com/a.pdf?x=1", "93.184.216.34"),
        ("http://hsc-jit-manuals:8080/x", "10.97.3.4"),
        ("http://10.0.0.9/x", "10.0.0.9"),
    ],
)
def test_allowed(url, address) -> None:
    assert check(url, ALLOWED, at(address)).address == address


def served(answers, path="/m.pdf", **more):
    with manuals_server(answers) as server:
        host = f"127.0.0.1:{server.server_port}"
        return fetch(f"http://{host}{path}", frozenset({host, *more.get("also", ())}))


def test_fetch_really_fetches_and_follows_a_redirect() -> None:
    answers = {"/m.pdf": (200, {}, MANUAL), "/old.pdf": (302, {"Location": "/m.pdf"}, b"")}
    assert served(answers) == MANUAL
    assert served(answers, "/old.pdf") == MANUAL


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((404, {}, b"no"), "http_404"),
        ((500, {}, b"no"), "http_500"),
        ((200, {}, b"<html>hello</html>"), "not_pdf"),
        ((302, {"Location": "/m.pdf"}, b""), "redirects"),
        ((302, {"Location": "http://169.254.169.254/latest"}, b""), "host"),
        ((302, {"Location": "file:///etc/passwd"}, b""), "bad_url"),
    ],
)
def test_fetch_refuses(answer, code) -> None:
    with pytest.raises(Refused) as problem:
        served({"/m.pdf": answer})
    assert problem.value.code == code


def test_fetch_stops_at_the_size_limit(monkeypatch) -> None:
    monkeypatch.setattr(manuals, "MAX_BYTES", 1000)
    with pytest.raises(Refused) as problem:
        served({"/m.pdf": (200, {}, b"%PDF-" + b"x" * 300_000)})
    assert problem.value.code == "too_large"


def test_fetch_stops_at_the_time_limit() -> None:
    ticks = iter(range(0, 10_000, 20))
    with manuals_server({"/m.pdf": (200, {}, b"%PDF-" + b"x" * 300_000)}) as server, pytest.raises(Refused) as problem:
        host = f"127.0.0.1:{server.server_port}"
        fetch(f"http://{host}/m.pdf", frozenset({host}), clock=lambda: next(ticks))
    assert problem.value.code == "slow"


def test_nobody_there() -> None:
    with pytest.raises(Refused) as problem:
        fetch("http://127.0.0.1:1/x", frozenset({"127.0.0.1:1"}))
    assert problem.value.code == "network"


def test_pages_and_passages_keep_their_page() -> None:
    pages = read_pages(MANUAL)
    assert len(pages) == 3
    chunks = cut(pages)
    [reset] = [chunk for chunk in chunks if "ENTER" in str(chunk["text"])]
    assert reset["page"] == 3


@pytest.mark.parametrize(("data", "code"), [(b"%PDF-1.4 nonsense", "broken"), (b"", "broken"), (pdf([""]), "no_text")])
def test_bad_pdfs(data, code) -> None:
    with pytest.raises(Refused) as problem:
        read_pages(data)
    assert problem.value.code == code


def test_cut_bounds_passages() -> None:
    chunks = cut(["Word word. " * 500, "x" * 5000])
    assert max(len(str(chunk["text"])) for chunk in chunks) <= manuals.PASSAGE_CHARS + 20
    assert {chunk["page"] for chunk in chunks} == {1, 2}
