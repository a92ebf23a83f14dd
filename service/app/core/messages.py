"""What clients may say, checked. Pure: text in, a value or a BadMessage out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

TYPING_CHARS = 1000
QUERY_CHARS = 2000
PRODUCT_ID_CHARS = 200
IMAGE_CHARS = 4 * 1024 * 1024
CMD_CHARS = 64


class BadMessage(ValueError):
    """A message that can't be used: `code` for programs, the text for people. The socket stays open."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Typing:
    """Someone types; `rid` is echoed so that the client can match the prediction."""

    content: str
    rid: int | str | None = None


@dataclass(frozen=True)
class Query:
    """A question about a product. `cmd` makes it idempotent; None for old clients."""

    product_id: str
    query: str
    cmd: str | None = None
    image: str = ""


@dataclass(frozen=True)
class Seen:
    """The client has everything up to `seq`."""

    seq: int


def parse(text: str) -> Typing | Query | Seen:
    """The message in `text`. Raises BadMessage."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise BadMessage("bad_json", "The message is not valid JSON.") from None
    if not isinstance(data, dict):
        raise BadMessage("bad_json", "The message is not a JSON object.")
    kind = data.get("type")
    if kind == "typing":
        return Typing(_string(data, "content", TYPING_CHARS, empty=True), _rid(data.get("rid")))
    if kind in ("query", "lock_and_query"):
        return _query(data)
    if kind == "seen":
        seq = data.get("seq")
        if isinstance(seq, bool) or not isinstance(seq, int) or not 0 <= seq < 2**53:
            raise BadMessage("bad_field", "seq must be a whole number ≥ 0.")
        return Seen(seq)
    raise BadMessage("unknown_type", "type must be typing, query, lock_and_query or seen.")


def _query(data: dict[str, Any]) -> Query:
    name = "query" if data.get("query") is not None else "content"
    image = data.get("image") or ""
    if image and not (isinstance(image, str) and image.startswith("data:image/")):
        raise BadMessage("bad_field", "image must be a data:image/… URL.")
    if len(image) > IMAGE_CHARS:
        raise BadMessage("too_large", f"image is longer than {IMAGE_CHARS} characters.")
    if not image.isascii() or "\x00" in image:
        raise BadMessage("bad_field", "image must be a data: URL, which is ASCII without NUL.")
    cmd = data.get("cmd")
    if cmd is not None and not (isinstance(cmd, str) and 0 < len(cmd) <= CMD_CHARS and cmd.isascii() and cmd.replace("-", "").isalnum()):
        raise BadMessage("bad_field", f"cmd must be a UUID, at most {CMD_CHARS} letters, digits and dashes.")
    return Query(_string(data, "product_id", PRODUCT_ID_CHARS), _string(data, name, QUERY_CHARS), cmd, image)


def _string(data: dict[str, Any], name: str, limit: int, *, empty: bool = False) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not (empty or value.strip()):
        raise BadMessage("missing_field", f"{name} must be {'' if empty else 'non-empty '}text.")
    if len(value) > limit:
        raise BadMessage("too_large", f"{name} is longer than {limit} characters.")
    if "\x00" in value and not empty:
        raise BadMessage("bad_field", f"{name} has a NUL in it, which PostgreSQL does not take.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadMessage("bad_field", f"{name} has half a character in it.") from None
    return value


def _rid(value: Any) -> int | str | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, str) and len(value) <= 64):
        return value
    raise BadMessage("bad_field", "rid must be a number or a short text.")
