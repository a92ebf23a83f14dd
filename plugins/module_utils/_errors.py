# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What an operator is told when something cannot be done. Imports nothing of the collection."""

from __future__ import annotations


class Problem(Exception):
    """What cannot be done, and what the operator does now. Raised before anything changed, or after it was put back."""

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message, self.next_step = message, next_step
