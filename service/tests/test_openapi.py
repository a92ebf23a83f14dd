"""The OpenAPI document names every route of the API, and a real backend keeps to it whatever it is asked."""

from __future__ import annotations

import json
import re

import schemathesis
from flask import Flask
from hypothesis import HealthCheck, settings
from servers import Backend

from app import http
from app.health import Health


def test_document_and_routes_are_the_same() -> None:
    app = Flask("app", static_folder=None)
    http.register(app, Health(1), lambda: None, frozenset())
    rules = {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(rule)) for rule in app.url_map.iter_rules()}
    public = {rule for rule in rules if rule.startswith(("/api/", "/health", "/ready", "/metrics", "/openapi.json"))}
    document = json.loads(http.OPENAPI)
    assert set(document["paths"]) == public
    assert all(set(operations) == {"get"} for operations in document["paths"].values())


def test_document_is_served(backend: Backend) -> None:
    status, headers, body = backend.get("/openapi.json")
    assert (status, headers["content-type"], body.decode()) == (200, "application/json", http.OPENAPI)


document = schemathesis.openapi.from_path(http.ROOT / "app" / "openapi.json")
# gunicorn refuses a request line above 4094 bytes, which 1000 characters outside ASCII have: a right answer to too long
# a query, and the one documented to a right query that is too long once encoded.
for check in (document.config.checks.negative_data_rejection, document.config.checks.positive_data_acceptance):
    check.expected_statuses = [*check.expected_statuses, "414"]  # a new list: the old one is shared by all schemas


@document.parametrize()
@settings(max_examples=80, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
def test_backend_keeps_to_the_document(backend: Backend, case: schemathesis.Case) -> None:
    """Examples, boundary values, and random data both right and wrong, the same in every run.

    Numbers just out of range are sent, but schemathesis excuses their acceptance in a query: test_http.py looks at those.
    """
    case.call_and_validate(base_url=backend.url, timeout=10)
