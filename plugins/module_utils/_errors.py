# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What an operator is told when something cannot be done. Imports nothing of the collection."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


class Problem(Exception):
    """What cannot be done, and what the operator does now. Raised before anything changed, or after it was put back."""

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message, self.next_step = message, next_step


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

    @classmethod
    def of_answer(cls, status: int, body: bytes) -> ApiProblem:
        """From an HTTP status and the server's Status object; its message stays as it is, because it names the field."""
        try:
            answer = json.loads(body)
            return cls(status, answer.get("reason", ""), answer.get("message", ""), (answer.get("details") or {}).get("causes"))
        except (ValueError, AttributeError):
            return cls(status, "", body[:500].decode("utf-8", "replace") or f"HTTP {status}")
