# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Where progress lines and the final table go: to stdout for a person, to stderr where a program reads what the callback writes."""

from __future__ import annotations

from ansible import constants

_FOR_PEOPLE = frozenset({"debug", "default", "dense", "minimal", "oneline", "selective", "unixy", "yaml"})


def to_stderr() -> bool:
    """Whether stdout belongs to the callback alone, as with the callbacks json and jsonl."""
    return str(constants.DEFAULT_STDOUT_CALLBACK).rpartition(".")[2] not in _FOR_PEOPLE
