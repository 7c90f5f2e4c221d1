"""Represent a client at its server."""

from __future__ import annotations

import asyncio

from track.relay.messages import LENGTH, MAX_STRANGER, Message, body_length, from_frame, to_frame
from track.utils.handshake import Channel


class Peer:
    """A client of a server.

    Parameters
    ----------
    reader, writer
        its connection
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.username: str | None = None
        """The name of the user after the login."""
        self.limit = MAX_STRANGER
        self.channel: Channel
        self.transcript = b""
        name = writer.get_extra_info("peername")
        self.address = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "?"

    async def receive_size(self) -> int:
        """Return the size of the next message, once it begins."""
        return body_length(await self.reader.readexactly(LENGTH.size), self.limit)

    async def receive(self, size: int | None = None) -> Message:
        """Return the next message, or the rest of one whose size was received."""
        if size is None:
            size = await self.receive_size()
        return from_frame(await self.reader.readexactly(size), self.channel)

    async def send(self, message: Message, within_s: float) -> None:
        """Send a message, and wait until its memory is free."""
        self.writer.write(to_frame(message, self.channel))
        await asyncio.wait_for(self.writer.drain(), within_s)
