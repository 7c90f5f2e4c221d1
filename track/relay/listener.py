"""Listen for clients, and accept their connections as streams."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Callable

from track.relay.limits import QUEUE

logger = logging.getLogger(__name__)

_LIMIT = 2**16
_PAUSE_S = 1.0


class Listener:
    """Listening sockets, one for each address of a host.

    Parameters
    ----------
    sockets
        the sockets
    accepted
        called with each connection as soon as it is accepted
    """

    def __init__(
        self, sockets: list[socket.socket], accepted: Callable[[socket.socket], object]
    ) -> None:
        self.sockets = sockets
        self.port: int = sockets[0].getsockname()[1]
        self._accepted = accepted
        self._loop = asyncio.get_running_loop()
        self._resuming: asyncio.TimerHandle | None = None
        self._resume()

    @classmethod
    async def open(
        cls, host: str, port: int, accepted: Callable[[socket.socket], object]
    ) -> Listener:
        """Start to listen.

        Raises
        ------
        OSError
            the address cannot be listened on
        """
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(asyncio.Protocol, host, port, start_serving=False)
        except OSError as error:
            is_name = isinstance(error, socket.gaierror)
            reason = error.strerror if is_name else os.strerror(error.errno or 0)
            address = f"{host}:{port}"
            raise OSError(error.errno, f"cannot listen: {reason}", address) from error
        sockets = [sock.dup() for sock in server.sockets]
        server.close()
        for sock in sockets:
            sock.settimeout(0)
            sock.listen(QUEUE)
        return cls(sockets, accepted)

    def _resume(self) -> None:
        for sock in self.sockets:
            self._loop.add_reader(sock, self._accept, sock)

    def _pause(self) -> None:
        for sock in self.sockets:
            self._loop.remove_reader(sock)

    def _accept(self, listening: socket.socket) -> None:
        try:
            connection, _ = listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # the client is gone
        except OSError as error:
            logger.warning("no connections can be accepted at the moment: %s", error)
            self._pause()
            self._resuming = self._loop.call_later(_PAUSE_S, self._resume)
            return
        connection.settimeout(0)
        self._accepted(connection)

    def close(self) -> None:
        """Stop listening."""
        if self._resuming is not None:
            self._resuming.cancel()
        self._pause()
        for sock in self.sockets:
            sock.close()


async def to_streams(
    connection: socket.socket, tls: ssl.SSLContext | None, within_s: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return the streams of an accepted connection, with TLS after its handshake.

    Raises
    ------
    OSError
        the client disconnected, or did not shake hands in time
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(_LIMIT)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(
        lambda: protocol,
        connection,
        ssl=tls,
        ssl_handshake_timeout=None if tls is None else within_s,
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
