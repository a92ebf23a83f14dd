"""The HTTP API of a real gunicorn: answers, problems, headers, metrics."""

from __future__ import annotations

import json
import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from servers import Backend
from websockets.sync.client import connect

from app import http, metrics
from app.config import Config, ConfigProblem, from_env
from app.health import Health


def test_probes(backend: Backend) -> None:
    status, _, body = backend.get("/health")
    assert (status, json.loads(body)["status"]) == (200, "ok")
    status, _, body = backend.get("/ready")
    assert status == 200
    assert all(json.loads(body)["checks"].values())


def test_search_product_and_price(backend: Backend) -> None:
    status, headers, body = backend.get("/api/search?q=td17&limit=3")
    found = json.loads(body)
    assert (status, headers["content-type"], found["query"]) == (200, "application/json", "td17")
    assert 1 <= len(found["results"]) <= 3
    first = found["results"][0]["product"]
    status, _, body = backend.get(f"/api/products/{first['id']}")
    assert (status, json.loads(body)["product"]) == (200, first)
    priced = json.loads(backend.get("/api/price/td17")[2])
    assert priced["currency"] == "USD"
    assert priced["price"] > 0


@pytest.mark.parametrize("query", ["", "?q=", "?q=%20", f"?q={'a' * 1001}"])
def test_bad_searches_are_problems(backend: Backend, query) -> None:
    assert_problem(backend, f"/api/search{query}", 400)


@pytest.mark.parametrize("limit", ["0", "21", "-1", "x", "01", "%D9%A3", "000199999", f"0001{'9' * 3000}"])
def test_bad_limits_are_problems(backend: Backend, limit) -> None:
    assert_problem(backend, f"/api/search?q=a&limit={limit}", 400)


@pytest.mark.parametrize(
    "path",
    [
        "/api/products/no-such-thing",
        "/api/price/%20",
        "/api/price/%2F",
        "/api//search?q=a",
        "/nowhere",
        "/static/../app/config.py",
        "/static/ui/../../app/config.py",
    ],
)
def test_what_is_not_there_is_a_problem(backend: Backend, path) -> None:
    assert_problem(backend, path, 404)


def assert_problem(backend: Backend, path: str, status: int) -> None:
    got, headers, body = backend.get(path)
    problem = json.loads(body)
    assert (got, headers["content-type"]) == (status, "application/problem+json")
    assert (problem["status"], problem["request_id"]) == (status, headers["x-request-id"])
    assert problem["detail"]


def test_wrong_method_says_which_are_right(backend: Backend) -> None:
    from http.client import HTTPConnection

    connection = HTTPConnection("127.0.0.1", backend.port, timeout=5)
    connection.request("DELETE", "/api/search")
    answer = connection.getresponse()
    assert answer.status == 405
    assert "GET" in answer.headers["Allow"]
    connection.close()


def test_security_headers_and_no_unsafe_inline(backend: Backend) -> None:
    status, headers, page = backend.get("/")
    assert status == 200
    policy = headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert b"<script>" not in page
    assert b"style=" not in page
    for path in re.findall(rb'(?:src|href)="(/[^"]+)"', page):
        assert backend.get(path.decode())[0] == 200, path


def test_cors_only_for_allowed_origins(backend: Backend) -> None:
    assert backend.get("/health", Origin="http://localhost:5173")[1]["access-control-allow-origin"] == "http://localhost:5173"
    assert "access-control-allow-origin" not in backend.get("/health", Origin="https://evil.example")[1]


def test_request_id_is_kept_when_sane_and_replaced_when_not(backend: Backend) -> None:
    assert backend.get("/health", **{"X-Request-ID": "abc-1"})[1]["x-request-id"] == "abc-1"
    assert backend.get("/health", **{"X-Request-ID": "a b\tc"})[1]["x-request-id"] != "a b\tc"


def test_metrics_keep_the_products_names(backend: Backend) -> None:
    backend.get("/api/search?q=moog")
    with connect(backend.ws_url) as ws:
        for _ in range(2):
            ws.send('{"type":"typing","content":"metrics of moog"}')
            ws.recv(5)
        text = backend.get("/metrics")[2].decode()
    assert "websocket_active_connections 1.0" in text
    for name in (
        "http_requests_total",
        'messages_processed_total{type="typing"}',
        'websocket_message_latency_seconds_count{type="typing"}',
        'cache_hits_total{layer="l1",namespace="prediction"}',
        'cache_misses_total{layer="l1",namespace="prediction"}',
        "http_request_duration_seconds_bucket",
        "websocket_active_connections",
        "prediction_latency_seconds_bucket",
        "products_searched_total",
        "loop_lag_seconds",
    ):
        assert re.search(rf"^{re.escape(name)}", text, re.M), name
    assert not re.search(r"^prediction_latency_seconds_count 0.0", text, re.M)
    assert 'http_requests_total{endpoint="/api/search",method="GET",status="200"}' in text
    assert 0.001 in metrics.FAST
    assert 0.2 in metrics.FAST


def test_pictures_of_the_catalogue_are_served(backend: Backend) -> None:
    entry = json.loads(backend.get("/api/search?q=td17&limit=1")[2])["results"][0]
    for path in (entry["product"]["images"]["main"], entry["brand"]["logo_url"]):
        status, headers, _ = backend.get(path)
        assert (status, headers["content-type"].partition(";")[0]) == (200, "image/svg+xml"), path


def test_bucket_takes_the_burst_then_the_rate() -> None:
    limit = http.RateLimit(per_second=10, burst=3)
    assert [limit.wait("a", 100.0) for _ in range(3)] == [0, 0, 0]
    assert limit.wait("a", 100.0) == pytest.approx(0.1)
    assert limit.wait("a", 100.05) == pytest.approx(0.05), "a refused request costs nothing"
    assert limit.wait("b", 100.05) == 0, "another client has its own bucket"
    assert limit.wait("a", 100.11) == 0
    assert limit.wait("a", 100.11) > 0
    assert [limit.wait("a", 999.0) > 0 for _ in range(4)] == [False, False, False, True], "a long rest fills no more than the burst"


def test_a_hundred_a_second_from_one_client_are_never_refused() -> None:
    limit = http.RateLimit(Config.requests_per_second, 2 * Config.requests_per_second)
    assert not any(limit.wait("load", second + number / 1000) for second in range(60) for number in range(100))


def test_bucket_remembers_a_bounded_number_of_clients() -> None:
    limit = http.RateLimit(per_second=1, burst=1, clients=2)
    assert [limit.wait(client, 0.0) for client in ("a", "b", "b", "a", "c", "b")] == [0, 0, 1, 1, 0, 0]
    assert len(limit._buckets) == 2


def limited(**settings: float) -> FlaskClient:
    app = Flask("app", static_folder=None)
    http.register(app, Health(1), lambda: None, frozenset(), **settings)
    return app.test_client()


def statuses(client: FlaskClient, *forwarded: str) -> list[int]:
    return [client.get("/api/nothing", headers={"X-Forwarded-For": value}).status_code for value in forwarded]


def test_too_many_requests_are_a_problem_and_counted() -> None:
    client = limited(requests_per_second=0.1)
    counted = metrics.HTTP_REQUESTS.labels("GET", "/api/search", "429")
    before = counted._value.get()
    assert client.get("/api/search?q=a").status_code == 503, "no catalogue here"
    answer = client.get("/api/search?q=a")
    assert (answer.status_code, answer.mimetype, answer.headers["Retry-After"]) == (429, "application/problem+json", "10")
    assert answer.get_json()["request_id"] == answer.headers["X-Request-ID"] != ""
    assert counted._value.get() == before + 1
    assert [client.get(path).status_code for path in ("/health", "/metrics", "/openapi.json", "/")] == [200] * 4


def test_limit_of_zero_is_none() -> None:
    assert set(statuses(limited(requests_per_second=0), *["x"] * 1000)) == {404}


def test_forwarded_for_counts_only_from_trusted_proxies() -> None:
    assert statuses(limited(requests_per_second=0.1), "10.0.0.1", "10.0.0.2") == [404, 429]
    one = limited(requests_per_second=0.1, trusted_proxies=1)
    assert statuses(one, "10.0.0.1", "10.0.0.2", "made-up, 10.0.0.1") == [404, 404, 429]
    two = limited(requests_per_second=0.1, trusted_proxies=2)
    assert statuses(two, "made-up, 10.0.0.1, 10.1.0.1", "other, 10.0.0.1, 10.1.0.2") == [404, 429]


def test_settings_of_the_limit() -> None:
    assert (from_env({}).requests_per_second, from_env({}).trusted_proxies) == (200, 0)
    settings = from_env({"HSC_REQUESTS_PER_SECOND": "0.5", "HSC_TRUSTED_PROXIES": "2"})
    assert (settings.requests_per_second, settings.trusted_proxies) == (0.5, 2)


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "many"])
@pytest.mark.parametrize("name", ["HSC_REQUESTS_PER_SECOND", "HSC_TRUSTED_PROXIES"])
def test_bad_settings_of_the_limit_are_named(name, value) -> None:
    with pytest.raises(ConfigProblem, match=name):
        from_env({name: value})


def test_half_a_proxy_is_refused() -> None:
    with pytest.raises(ConfigProblem, match="HSC_TRUSTED_PROXIES"):
        from_env({"HSC_TRUSTED_PROXIES": "1.5"})
