# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""When to look again at what takes others a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator


def moments(sleep: Callable[[float], None], seconds: float = 10.0, every: float = 0.2) -> Iterator[None]:
    """The first at once, then one every so many seconds. The default is a controller's: one that needs longer is not running."""
    yield
    for _ in range(round(seconds / every)):
        sleep(every)
        yield
