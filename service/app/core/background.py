"""Start work beside the caller: a greenlet where gevent has patched threads (the web process), a thread elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import gevent
from gevent import monkey


def spawn(work: Callable[..., object], *arguments: Any) -> None:
    """Begin `work(*arguments)` without waiting, not even for its start. Safe in signal handlers under gevent."""
    if monkey.is_module_patched("threading"):
        gevent.spawn(work, *arguments)
    else:
        threading.Thread(target=work, args=arguments, name=getattr(work, "__name__", ""), daemon=True).start()
