from __future__ import annotations

import json

import pytest

from app.core.messages import BadMessage, Query, Seen, Typing, parse


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"type": "typing", "content": "td"}, Typing("td")),
        ({"type": "typing", "content": "", "rid": 4}, Typing("", 4)),
        ({"type": "query", "product_id": "p", "query": "q"}, Query("p", "q")),
        ({"type": "lock_and_query", "product_id": "p", "content": "q", "cmd": "ab-1"}, Query("p", "q", "ab-1")),
        (
            {"type": "query", "product_id": "p", "query": "q", "image": "data:image/png;base64,AA"},
            Query("p", "q", None, "data:image/png;base64,AA"),
        ),
        ({"type": "seen", "seq": 3}, Seen(3)),
    ],
)
def test_good(data, expected) -> None:
    assert parse(json.dumps(data)) == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "bad_json"),
        ("[]", "bad_json"),
        ("[" * 100_000, "bad_json"),
        ("null", "bad_json"),
        ('{"type":"ping"}', "unknown_type"),
        ('{"type":["typing"]}', "unknown_type"),
        ('{"type":"typing"}', "missing_field"),
        ('{"type":"typing","content":7}', "missing_field"),
        ('{"type":"typing","content":"\\ud800"}', "bad_field"),
        ('{"type":"typing","content":"x","rid":{}}', "bad_field"),
        (json.dumps({"type": "typing", "content": "x" * 1001}), "too_large"),
        ('{"type":"query","product_id":"p"}', "missing_field"),
        ('{"type":"query","product_id":" ","query":"q"}', "missing_field"),
        (json.dumps({"type": "query", "product_id": "p" * 201, "query": "q"}), "too_large"),
        (json.dumps({"type": "query", "product_id": "p", "query": "q" * 2001}), "too_large"),
        ('{"type":"query","product_id":"p","query":"q","image":"http://x"}', "bad_field"),
        ('{"type":"query","product_id":"p","query":"q","image":"data:image/png,\\u0000"}', "bad_field"),
        (json.dumps({"type": "query", "product_id": "p", "query": "q", "image": "data:image/png," + "A" * 4_200_000}), "too_large"),
        ('{"type":"query","product_id":"p","query":"q","cmd":"a b"}', "bad_field"),
        ('{"type":"seen","seq":-1}', "bad_field"),
        ('{"type":"seen","seq":true}', "bad_field"),
    ],
)
def test_bad(text, code) -> None:
    with pytest.raises(BadMessage) as problem:
        parse(text)
    assert problem.value.code == code
