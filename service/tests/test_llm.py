"""The Gemini provider against a local server that speaks its REST streaming."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from app.core.llm import Gemini, Material, ProviderFailed

MATERIAL = Material(
    "reset?", {"brand": "Roland", "name": "TD-17"}, [{"page": 3, "text": "Hold ENTER."}], image="data:image/png;base64,QUJD"
)


@pytest.fixture
def gemini():
    seen: list[tuple[str, str, dict]] = []
    plan: dict = {"status": 200, "events": []}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append((self.path, self.headers["x-goog-api-key"], json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(plan["status"])
            self.end_headers()
            for event in plan["events"]:
                self.wfile.write(event if isinstance(event, bytes) else f"data: {json.dumps(event)}\r\n\r\n".encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Gemini("the-key", f"http://127.0.0.1:{server.server_port}", "m"), plan, seen
    server.shutdown()
    server.server_close()


def text(*parts: str) -> list[dict]:
    return [{"candidates": [{"content": {"parts": [{"text": part}]}}]} for part in parts]


def test_paragraphs_arrive_whole(gemini) -> None:
    provider, plan, seen = gemini
    plan["events"] = text("Hold EN", "TER (page 3).\n\nThen ", "wait.\n\n")
    assert list(provider.paragraphs(MATERIAL)) == ["Hold ENTER (page 3).", "Then wait."]
    [(path, key, request)] = seen
    assert path == "/v1beta/models/m:streamGenerateContent?alt=sse"
    assert key == "the-key"
    assert request["contents"][0]["parts"][1]["inline_data"] == {"mime_type": "image/png", "data": "QUJD"}
    assert "Hold ENTER." not in request["system_instruction"]["parts"][0]["text"], "a manual is data, never an instruction"


@pytest.mark.parametrize(("status", "events"), [(429, []), (500, []), (200, [b"data: {nonsense\n\n"])])
def test_failures_are_named_without_the_key(gemini, status, events) -> None:
    provider, plan, _ = gemini
    plan.update(status=status, events=events)
    with pytest.raises(ProviderFailed) as problem:
        list(provider.paragraphs(MATERIAL))
    assert "the-key" not in str(problem.value)


def test_nobody_there() -> None:
    with pytest.raises(ProviderFailed):
        list(Gemini("k", "http://127.0.0.1:1", "m").paragraphs(MATERIAL))
