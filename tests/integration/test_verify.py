"""VF-01 to VF-03 against a small product of its own, through real sockets and a real Chromium; faults are switched on in it."""

import contextlib
import json
import os
import threading
import time
from http import HTTPStatus
from pathlib import Path

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._verify import browser as verify_browser
from ansible_collections.hsc.jit.plugins.module_utils._verify import load_generator, page
from ansible_collections.hsc.jit.plugins.module_utils._verify.latency import Load, check_latency
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response
from websockets.sync.server import serve

ROOT = Path(__file__).parents[2]
PAGE = """<!doctype html><title>Support Center</title><link rel="icon" href="data:,">
<input id="search"><ul id="results"></ul><script>
const socket = new WebSocket(location.origin.replace("http", "ws") + "/ws");
const opened = new Promise((resolve) => { socket.onopen = resolve; });
document.querySelector("#search").addEventListener("input",
  ({target}) => opened.then(() => socket.send(JSON.stringify({type: "typing", content: target.value}))));
socket.onmessage = (event) => document.querySelector("#results").replaceChildren(...JSON.parse(event.data).data.map(({product}) => {
  const row = document.createElement("li");
  row.dataset.productId = product.id;
  row.textContent = `${product.brand}\n ${product.name}`;
  return row;
}));
%s</script>"""
PRODUCT = {"id": "roland-td-17", "name": "TD-17", "brand": "Roland"}


class Product:
    """What the product's door does; tests change it."""

    script = ""
    delay = 0.0
    fail_each = 0
    count = 0

    def answer(self, connection, request):
        path = request.path.partition("?")[0]
        if path == "/ws":
            return None
        self.count += 1
        time.sleep(self.delay)
        if self.fail_each and path.startswith("/api") and self.count % self.fail_each == 0:
            return Response(503, "Service Unavailable", Headers({"Content-Length": "0", "Connection": "close"}), b"")
        found = {"/": PAGE % self.script, "/api/search": json.dumps({"results": [{"product": PRODUCT}]}), "/health": "{}", "/ready": "{}"}
        body = found.get(path, "{}" if path.startswith("/api/") else None)
        status = HTTPStatus.OK if body is not None else HTTPStatus.NOT_FOUND
        kind = "text/html" if path == "/" else "application/json"
        content = (body or "").encode()
        headers = Headers({"Content-Type": kind, "Content-Length": str(len(content)), "Connection": "close"})
        return Response(status.value, status.phrase, headers, content)

    def talk(self, connection):
        with contextlib.suppress(ConnectionClosed):
            for message in connection:
                asked = json.loads(message)
                data = [{"product": PRODUCT}] if asked["content"] else []
                connection.send(json.dumps({"type": "prediction", "rid": asked.get("rid"), "data": data}))


@pytest.fixture
def product():
    one = Product()
    with serve(one.talk, "127.0.0.1", 0, process_request=one.answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        one.url = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        yield one
        server.shutdown()


@pytest.fixture(scope="session")
def chromium():
    return verify_browser.find() or pytest.fail("There is no Chromium to test with: apt-get install chromium")


def test_chromium_types_and_sees_the_product(product, chromium, tmp_path):
    finding = page.check_page(chromium, product.url, "td17", "Roland TD-17", tmp_path / "page.png")
    assert finding.verdict == "pass", finding
    assert (tmp_path / "page.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("console.error('broken widget')", "broken widget"),
        ("setTimeout(() => { throw new Error('late') })", "late"),
        ("document.body.append(Object.assign(new Image(), {src: '/gone.png'}))", "404"),
        (
            "document.head.insertAdjacentHTML('beforeend', `<meta http-equiv=Content-Security-Policy content=\"img-src 'none'\">`);"
            "document.body.append(Object.assign(new Image(), {src: '/x.png'}))",
            "Content Security Policy",
        ),
    ],
)
def test_what_the_page_complains_about_is_a_failure(product, chromium, script, said):
    product.script = script
    finding = page.check_page(chromium, product.url, "td17", "Roland TD-17", None)
    assert (finding.verdict, said in finding.message) == ("fail", True), finding


def test_another_product_first_is_a_failure(product, chromium):
    finding = page.check_page(chromium, product.url, "td17", "Moog Minitaur", None)
    assert finding.verdict == "fail"
    assert 'shows "roland td-17" first' in finding.message


def test_a_page_that_does_not_load_is_a_failure(chromium):
    finding = page.check_page(chromium, "http://127.0.0.1:9", "td17", "Roland TD-17", None)
    assert (finding.verdict, "does not load" in finding.message) == ("fail", True)


def test_the_browser_leaves_nothing_behind(chromium):
    with verify_browser.Browser(chromium) as browser:
        group, folder = browser._process, browser.folder
        assert list(folder.iterdir())
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


def test_the_socket_is_tried_without_a_browser(product):
    assert page.check_socket(product.url, "td17", "Roland TD-17").verdict == "pass"
    assert page.check_socket(product.url, "td17", "Moog").verdict == "fail"
    assert page.check_socket("http://127.0.0.1:9", "td17", "Moog").verdict == "fail"


def load_of(product, **changes):
    load = Load(**{"rate": 50, "seconds": 3, "sockets": 0, "p95_milliseconds": 200, "error_share": 0.01, **changes})
    return check_latency(product.url, load, lambda said: None)


def test_a_healthy_product_passes(product):
    found = load_of(product, sockets=30, seconds=4)
    assert [finding.verdict for finding in found] == ["pass", "pass"], found
    assert found[0].evidence["requests"] == 200
    assert found[1].evidence["requests"] == 120


def test_five_percent_errors_are_seen(product):
    product.fail_each = 20
    (finding,) = load_of(product, seconds=10)
    assert finding.verdict == "fail"
    assert "HTTP 503" in finding.message


def test_a_slow_product_is_seen(product):
    product.delay = 0.25
    (finding,) = load_of(product)
    assert (finding.verdict, "too slow" in finding.message) == ("fail", True)
    assert 250 <= finding.evidence["p95_ms"] < 400


def test_too_few_requests_do_not_tell(product):
    (finding,) = load_of(product, rate=5, seconds=1)
    assert (finding.verdict, finding.evidence["requests"]) == ("skipped", 10)


def test_a_stall_counts_for_every_request_that_waited(product):
    """Open loop: one second's stall makes the 100 requests late that were due in it, although at most 32 were in flight."""
    server, numbers = threading.Lock(), iter(range(300))

    def attempt(door):
        with server:
            time.sleep(1.0 if next(numbers) == 100 else 0.0)
        return ""

    samples = load_generator.run_load([("x", attempt)] * 300, lambda: load_generator.Door(product.url), 100)
    late = [sample for sample in samples.all if sample.latency > 0.1]
    assert 80 <= len(late) <= 110
