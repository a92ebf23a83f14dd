# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What every check of the checklist has in common."""

from __future__ import annotations

from ._errors import ApiError
from ._finding import Finding


def not_looked_at(row: str, problem: ApiError) -> Finding:
    """What a row says that was not let in: a missing right is no error of the check, and no pass either."""
    evidence, message = {"http_status": problem.status, "reason": problem.reason}, f"Not looked at: {problem.message.rstrip('.')}."
    if problem.status == 403:
        step = "Give the deployer the right that the message names, if this row is to be looked at."
        return Finding(row, "skipped", message, evidence, step)
    return Finding(row, "error", message, evidence, "Run again when the API server answers.")
