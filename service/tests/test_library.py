"""The manuals of our own library: written, served over HTTP, fetched and read back; the pictures; the packaged catalogue."""

from __future__ import annotations

import threading
from http.server import ThreadingHTTPServer
from xml.etree import ElementTree

import pytest

from app import manuals_server
from app.core import artwork, catalogue_data, manuals, manuals_pdf
from app.core.catalog import Brand, Product
from app.core.retrieval import best


def test_the_catalogue_is_as_large_as_promised_and_whole() -> None:
    brands, products = catalogue_data.load()
    assert len(brands) >= 90
    assert len(products) >= 340
    assert len({product["id"] for product in products}) == len(products)
    assert all(product["related"] for product in products)
    assert sum(product["manual_url"] is not None for product in products) >= 20


@pytest.fixture(scope="module")
def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), manuals_server.Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()


def test_every_manual_is_fetched_and_read(server: str) -> None:
    for path in manuals_server.paths():
        pages = manuals.read_pages(manuals.fetch(f"http://{server}{path}", frozenset({server})))
        assert len(pages) >= 8, path
        assert "{" not in "".join(pages), path


def test_questions_find_the_right_page(server: str) -> None:
    pages = manuals.read_pages(manuals.fetch(f"http://{server}/manuals/roland-td-17.pdf", frozenset({server})))
    chunks = manuals.cut(pages)
    for question, words in (
        ("How do I do a factory reset?", "KIT and ENTER"),
        ("striking one pad sounds another", "Crosstalk Cancel"),
        ("connect my phone with bluetooth", "BLUETOOTH button"),
        ("where does the trigger cable go", "K to the kick"),
    ):
        assert any(words in str(chunk["text"]).replace("\n", " ") for chunk in best(question, chunks)), question


def test_no_line_leaves_the_page() -> None:
    brands, products = catalogue_data.load()
    names = {brand["id"]: brand["name"] for brand in brands}
    for product in products:
        if product["manual_url"]:
            for title, paragraphs in manuals_pdf.sections(product, names[product["brand_id"]]):
                height = sum(15 * (len(text) // 85 + 2) for text in paragraphs)
                assert height < 760, (product["id"], title)


def test_same_product_same_bytes() -> None:
    assert manuals_server.pdf("roland-td-17") == manuals_server.pdf.__wrapped__("roland-td-17")


def test_what_is_not_there_is_404(server: str) -> None:
    with pytest.raises(manuals.Refused) as problem:
        manuals.fetch(f"http://{server}/manuals/../etc/passwd", frozenset({server}))
    assert problem.value.code == "http_404"


def test_pictures_are_well_formed_also_with_odd_names() -> None:
    maker = Brand("x", "A & <B>", "h", "w", "l")
    for svg in (artwork.brand(maker), artwork.product(Product("p", "x", '"Q" & <R>', "Synthesizer", "d", "c", "i"), maker)):
        assert ElementTree.fromstring(svg).tag.endswith("svg")
        assert "script" not in svg
