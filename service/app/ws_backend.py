"""What the connections of `/ws` need from the rest of the process; `wiring` fills it in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.config import Config
from app.core.catalog import Product
from app.core.hub import Hub
from app.core.predict import Index
from app.core.stream import Streams
from app.health import Health


@dataclass
class Backend:
    """Parts that all connections share, and their settings."""

    index: Callable[[], Index]
    streams: Streams
    hub: Hub
    health: Health
    token_key: bytes
    allowed_origins: frozenset[str]
    keep_images: bool = False
    prefetch: Callable[[Product], None] = lambda product: None
    ping_seconds: float = Config.ping_seconds
    connection_seconds: float = Config.connection_seconds
