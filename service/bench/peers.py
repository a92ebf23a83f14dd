"""What bench.connections compares with: Flask-SocketIO as its documentation sets it up, and a bare ASGI echo. Imported only by the peers'
own Python (bench/peers.txt), never by the service."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any


def socketio_app() -> Any:
    """Flask-SocketIO that sends each `typing` back as a `prediction`."""
    from flask import Flask
    from flask_socketio import SocketIO

    app = Flask("peer")
    sockets = SocketIO(app, async_mode="gevent", cors_allowed_origins="*")

    @sockets.on("typing")
    def typing(message: dict[str, Any]) -> None:
        from flask_socketio import emit

        emit("prediction", {"rid": message["rid"], "data": []})

    return app


async def echo(scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], send: Callable[[Any], Awaitable[None]]) -> None:
    """ASGI: each text is parsed and answered, nothing else."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        answer = {"type": "prediction", "rid": json.loads(event["text"])["rid"], "data": []}
        await send({"type": "websocket.send", "text": json.dumps(answer)})
