"""Provide the socket backend: a client, and the server for its store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from track.errors import RPCCallFailure
from track.relay.client import SocketClient, sync

if TYPE_CHECKING:
    from track.relay.server import (
        ServerSignalHandler,
        SocketServer,
        start_track_server,
    )


def __getattr__(name: str) -> Any:
    # Clients do not need asyncio.
    if name in ("ServerSignalHandler", "SocketServer", "start_track_server"):
        from track.relay import server as socket_server

        return getattr(socket_server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "RPCCallFailure",
    "ServerSignalHandler",
    "SocketClient",
    "SocketServer",
    "start_track_server",
    "sync",
]
