# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""VF-02: the page loads and its search works, for a browser and for a bare WebSocket."""

from __future__ import annotations

import json
import ssl
import time
from pathlib import Path
from typing import Any

from .._errors import BrowserError, BrowserStartError
from .._finding import Finding
from .browser import Browser
from .logs import redact

SEARCH, RESULTS = "#search", "#results [data-product-id]"
_FIRST = f"(document.querySelector({json.dumps(RESULTS)}) || {{}}).innerText || ''"
_STEP = "Open {url} in a browser with its console (F12), and read kubectl logs deploy/hsc-jit-backend"


def words(text: str) -> str:
    """For comparing what a person reads: lower case, single blanks."""
    return " ".join(text.lower().split())


def check_page(program: str | None, url: str, query: str, expected: str, screenshot: Path | None) -> Finding:
    """Open the page in Chromium, type the query, see the expected product first; any complaint of the page is a failure."""
    if not program:
        step = "Install it: apt-get install chromium; or set verify_install_browser: true"
        return Finding("VF-02", "skipped", "Page not looked at: no Chromium on this machine; only the WebSocket was tried.", {}, step)
    try:
        with Browser(program) as browser:
            started = time.monotonic()
            browser.open(url)
            loaded = time.monotonic() - started
            browser.type(SEARCH, query)
            typed = time.monotonic()
            wanted = json.dumps(words(expected))
            browser.wait_for(f"({_FIRST}).toLowerCase().replace(/\\s+/g, ' ').includes({wanted})", 5.0)
            first, seconds = str(browser.evaluate(_FIRST)), time.monotonic() - typed
            if screenshot:
                browser.screenshot(screenshot)
            problems = list(browser.problems)
    except BrowserStartError as problem:
        step = f"Find out why: {program} --headless=new --no-sandbox --dump-dom about:blank; then verify again: playbooks/verify.yml"
        return Finding("VF-02", "skipped", f"Page not looked at, only the WebSocket was tried: {redact(str(problem))}", {"url": url}, step)
    except (BrowserError, OSError) as problem:
        return Finding("VF-02", "fail", f"Page {url}: {redact(str(problem))}", {"url": url}, _STEP.format(url=url))
    evidence: dict[str, Any] = {
        "url": url,
        "load_seconds": round(loaded, 2),
        "search_seconds": round(seconds, 3),
        "typed": query,
        "first_result": words(first)[:200],
        "page_problems": [redact(problem)[:300] for problem in problems],
        "screenshot": screenshot.name if screenshot else None,
    }
    return judge_page(url, query, expected, evidence)


def judge_page(url: str, query: str, expected: str, evidence: dict[str, Any]) -> Finding:
    """Pure: what was seen, judged."""
    problems = evidence["page_problems"]
    if words(expected) not in evidence["first_result"]:
        seen = f'"{evidence["first_result"][:80]}"' if evidence["first_result"] else "nothing"
        message = f'Page {url}: "{query}" shows {seen} first, not "{expected}".'
    elif problems:
        message = f"Page {url} works but complains {len(problems)} times: {problems[0]}"
    else:
        seconds = f"{evidence['search_seconds'] * 1000:.0f} ms"
        message = f'Page {url}: loads in Chromium without a complaint; "{query}" shows {expected} first after {seconds}.'
        return Finding("VF-02", "pass", message, evidence)
    return Finding("VF-02", "fail", message, evidence, _STEP.format(url=url))


def socket_url(url: str) -> str:
    return "ws" + url.rstrip("/").removeprefix("http") + "/ws"


def open_socket(url: str, ca_file: str | None = None) -> Any:
    """A WebSocket to ``/ws`` as the page opens it: from the page's own origin."""
    from .._kube.websockets import Origin, connect

    context = ssl.create_default_context(cafile=ca_file) if url.startswith("https") else None
    return connect(socket_url(url), origin=Origin(url.rstrip("/")), proxy=None, ssl=context, open_timeout=5, close_timeout=1)


def check_socket(url: str, query: str, expected: str, ca_file: str | None = None) -> Finding:
    """Type over ``/ws`` and expect the product first."""
    from .._kube.websockets import WebSocketException

    address = socket_url(url)
    step = "kubectl logs deploy/hsc-jit-backend; an origin that is refused belongs into HSC_ALLOWED_ORIGINS"
    started = time.monotonic()
    try:
        with open_socket(url, ca_file) as socket:
            socket.send(json.dumps({"type": "typing", "content": query, "rid": 1}))
            answer = json.loads(socket.recv(timeout=5))
    except (WebSocketException, OSError, ValueError) as problem:
        message = f"WebSocket {address}: {type(problem).__name__}: {redact(str(problem))[:300]}"
        return Finding("VF-02", "fail", message, {"url": address}, step)
    seconds = time.monotonic() - started
    names = product_names(answer)
    evidence = {"url": address, "seconds": round(seconds, 3), "typed": query, "products": names}
    if not names or words(expected) not in words(names[0]):
        message = f'WebSocket {address}: "{query}" is answered by {names or answer.get("type")}, not by "{expected}" first.'
        return Finding("VF-02", "fail", message, evidence, step)
    return Finding("VF-02", "pass", f'WebSocket {address}: "{query}" is answered by {names[0]} in {seconds * 1000:.0f} ms.', evidence)


def product_names(answer: dict[str, Any]) -> list[str]:
    """``["Roland TD-17KVX", ...]`` of a prediction."""
    products = [entry.get("product", {}) for entry in answer.get("data") or [] if isinstance(entry, dict)]
    return [full_name(product) for product in products]


def full_name(product: dict[str, Any]) -> str:
    """Brand and name, the brand once."""
    brand, name = str(product.get("brand", "")), str(product.get("name", ""))
    return name if name.lower().startswith(brand.lower()) else f"{brand} {name}"
