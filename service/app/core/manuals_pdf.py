"""Writes the manuals of our own library as PDF: several pages each, made from the catalogue's facts and `manual_texts.json`.

Same product, same bytes. PDF 1.4 with the standard fonts, so nothing has to be embedded.
"""

from __future__ import annotations

import json
import textwrap
import zlib
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

PAGE_WIDTH, PAGE_HEIGHT, MARGIN = 595, 842, 56
BODY, HEADING, TITLE = 10.5, 15, 26
COLUMNS = 92
NOTICE = (
    "This manual was written by the Support Center for its own library. It describes the usual way to use a product of this kind; "
    "where the maker's manual says otherwise, the maker is right."
)

Section = tuple[str, list[str]]
Line = tuple[float, str, str]


@cache
def _texts() -> dict[str, Any]:
    texts: dict[str, Any] = json.loads((files("app.core") / "manual_texts.json").read_text(encoding="utf-8"))
    return texts


def sections(product: dict[str, Any], maker: str) -> list[Section]:
    """The manual's chapters, each on a page of its own: what fits every product, then what fits its kind, then its facts."""
    texts = _texts()
    kind = texts["kinds"][texts["categories"].get(product["category"], "audio")]
    title = f"{maker} {product['name']}"
    values = {"name": title, "maker": maker, **{key: words.format(name=title) for key, words in kind["words"].items()}}
    chapters = [*texts["before"], *kind["chapters"], *texts["after"]]
    made: list[Section] = [(chapter["title"], [text.format(**values) for text in chapter["text"]]) for chapter in chapters]
    facts = [f"Type: {product['category']}.", f"Made in: {product['production_country']}.", f"About: {product['description']}"]
    return [*made, ("Specifications", facts)]


def manual(product: dict[str, Any], maker: str) -> bytes:
    """The PDF for a product of `catalogue_data.load()`."""
    title = f"{maker} {product['name']}"
    chapters = sections(product, maker)
    contents = [f"{number}. {name} (page {number + 1})" for number, (name, _) in enumerate(chapters, 1)]
    pages = [[(TITLE, "F2", title), (HEADING, "F1", "Owner's manual"), *_body([NOTICE]), *_body(contents)]]
    pages += [[(HEADING, "F2", f"{number}. {name}"), *_body(paragraphs)] for number, (name, paragraphs) in enumerate(chapters, 1)]
    return _document([_content(page, number, title) for number, page in enumerate(pages, 1)], title)


def _body(paragraphs: Iterable[str]) -> list[Line]:
    lines: list[Line] = []
    for paragraph in paragraphs:
        lines += [(BODY, "F1", line) for line in textwrap.wrap(paragraph, COLUMNS)] + [(BODY, "F1", "")]
    return lines


def _content(lines: Sequence[Line], number: int, title: str) -> bytes:
    """Drawing operators of one page, with its number at the foot."""
    out, y = [b"BT"], PAGE_HEIGHT - MARGIN
    for size, font, text in lines:
        y -= int(size * 1.45)
        out.append(b"/%s %.1f Tf 1 0 0 1 %d %d Tm (%s) Tj" % (font.encode(), size, MARGIN, y, _escape(text)))
    out.append(b"/F1 8 Tf 1 0 0 1 %d 30 Tm (%s) Tj ET" % (MARGIN, _escape(f"{title}, page {number}")))
    return b"\n".join(out)


def _escape(text: str) -> bytes:
    return text.encode("cp1252", "replace").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")


def _document(contents: Sequence[bytes], title: str) -> bytes:
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /%s /Encoding /WinAnsiEncoding >>"
    kids = b" ".join(b"%d 0 R" % (6 + 2 * number) for number in range(len(contents)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /Lang (en) >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(contents)),
        font % b"Helvetica",
        font % b"Helvetica-Bold",
        b"<< /Title (%s) /Author (HSC-JIT Support Center) >>" % _escape(title),
    ]
    for number, content in enumerate(contents):
        packed = zlib.compress(content, 9)
        fonts = b"/Resources << /Font << /F1 3 0 R /F2 4 0 R >> >>"
        box = b"/MediaBox [0 0 %d %d]" % (PAGE_WIDTH, PAGE_HEIGHT)
        objects.append(b"<< /Type /Page /Parent 2 0 R %s %s /Contents %d 0 R >>" % (box, fonts, 7 + 2 * number))
        objects.append(b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed))
    return _file(objects)


def _file(objects: Sequence[bytes]) -> bytes:
    out, offsets = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"), []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer << /Size %d /Root 1 0 R /Info 5 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)
