# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What the API server refused, in its own words. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .._finding import Finding


class ApiProblem(Exception):
    """The API server refused, or could not be reached (status 0). ``reason`` is Kubernetes' word, e.g. NotFound."""

    def __init__(self, status: int, reason: str, message: str, causes: Sequence[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.status, self.reason, self.message, self.causes = status, reason, message, causes or []

    @property
    def transient(self) -> bool:
        """Whether waiting may help: no connection, too many requests, server error."""
        # an unknown field in a server-side apply is answered with 500, and no waiting helps it
        schema = "failed to create typed patch object" in self.message
        return not schema and (self.status in (0, 429) or self.status >= 500)


def problem_of(status: int, body: bytes) -> ApiProblem:
    """The server's Status object as an exception; its message as it is, because it names the field."""
    try:
        answer = json.loads(body)
        return ApiProblem(status, answer.get("reason", ""), answer.get("message", ""), (answer.get("details") or {}).get("causes"))
    except (ValueError, AttributeError):
        return ApiProblem(status, "", body[:500].decode("utf-8", "replace") or f"HTTP {status}")


def not_looked_at(row: str, problem: ApiProblem) -> Finding:
    """What a row says that was not let in: a missing right is no error of the check, and no pass either."""
    evidence, message = {"http_status": problem.status, "reason": problem.reason}, f"Not looked at: {problem.message.rstrip('.')}."
    if problem.status == 403:
        step = "Give the deployer the right that the message names, if this row is to be looked at."
        return Finding(row, "skipped", message, evidence, step)
    return Finding(row, "error", message, evidence, "Run again when the API server answers.")
