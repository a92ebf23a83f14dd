# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What is used of the websockets library. Imported where it is needed, and never but from here.

The library's modules import each other in a circle. Of two threads that begin at different ones each waits for the other, and Python
ends one of them with "deadlock detected by _ModuleLock"; here the second waits until the first has them all.
"""

from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.protocol import State
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol
from websockets.uri import parse_uri

__all__ = ["ClientProtocol", "Origin", "State", "Subprotocol", "WebSocketException", "connect", "parse_uri"]
