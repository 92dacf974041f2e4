# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The WebSocket: echoes what it gets and ticks while nothing comes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect, status

router = APIRouter()


class Sockets:
    """The open sockets, so that a shutdown can say goodbye to them."""

    def __init__(self) -> None:
        self._open: set[WebSocket] = set()

    def __contains__(self, socket: WebSocket) -> bool:
        return socket in self._open

    def add(self, socket: WebSocket) -> None:
        self._open.add(socket)

    def discard(self, socket: WebSocket) -> None:
        self._open.discard(socket)

    async def goodbye(self) -> None:
        """Close them with 1001 (going away), after which well-behaved clients reconnect, to the next release."""

        async def close(socket: WebSocket) -> None:
            with suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
                async with asyncio.timeout(1):
                    await socket.close(status.WS_1001_GOING_AWAY, "restarting")

        await asyncio.gather(*(close(socket) for socket in list(self._open)))


@router.websocket("/ws")
async def live(socket: WebSocket, tick: Annotated[float, Query(ge=0.1, le=60)] = 5) -> None:
    sockets: Sockets = socket.app.state.sockets
    release = socket.app.state.settings.quayside_release
    await socket.accept()
    sockets.add(socket)
    try:
        await socket.send_json({"type": "hello", "release": release})
        while True:
            try:
                async with asyncio.timeout(tick):
                    message = await socket.receive()
            except TimeoutError:
                await socket.send_json({"type": "tick", "timestamp": datetime.now(UTC).isoformat()})
                continue
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") is None:
                await socket.close(status.WS_1003_UNSUPPORTED_DATA, "text only")
                return
            await socket.send_json({"type": "echo", "text": message["text"]})
    except (RuntimeError, WebSocketDisconnect):
        # The other side, or the shutdown, closed it between our receiving and our sending.
        return
    finally:
        sockets.discard(socket)
