"""Limit the connections, open files and memory of a server."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

logger = logging.getLogger(__name__)

_SMALL_FRAME = 2**16
"""Frames up to this size are read without reserving memory."""

QUEUE = 1024
"""The length of the queue of new connections. Others try again after a second."""

_OTHER_FILES = 600
"""The open files reserved for the queue, journals, reports and others."""


def room_for(connections: int) -> int:
    """Return the possible number of connections, after raising the limit of open files for them.

    Beyond it, the backend could not open its files, and connections could not even be refused.
    """
    opened = len(os.listdir("/proc/self/fd"))
    wanted = connections + opened + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < wanted:
        soft = wanted if hard < 0 else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    room = connections if soft < 0 else max(1, soft - opened - min(_OTHER_FILES, soft // 2))
    if room < connections:
        logger.warning(
            "there will be at most %d connections instead of %d: raise the limit of open files "
            "of this process, which is %d",
            room,
            connections,
            soft,
        )
    return min(room, connections)


LARGEST_CONTENT = 2**36
"""The default of :attr:`Limits.content`."""


class Limits(NamedTuple):
    """The limits for the clients of a server."""

    connections: int = 4096
    """The number of connections."""
    strangers: int = 512
    """The number of clients that log in at the same time. Others wait."""
    handshake_s: float = 10.0
    """The time limit for logging in."""
    penalty_s: float = 1.0
    """The delay of the answer to a failed login."""
    idle_s: float = 600.0
    """The time without a request after which clients are disconnected; they reconnect later."""
    frame_s: float = 60.0
    """The time limit for receiving a request or sending an answer."""
    memory: int = 2**28
    """The bytes of requests of all clients together, and those of answers being sent."""
    query_s: float = 5.0
    """The time limit for all queries of one request."""
    content: int = LARGEST_CONTENT
    """The bytes of the content of one logged file."""


class MemoryBudget:
    """Limits the memory of requests, and grants it in turn."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._size = size
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        """Reserve memory for the duration of a block."""
        size = min(size, self._size) if size > _SMALL_FRAME else 0
        if size:
            async with self._changed:
                await self._changed.wait_for(lambda: self._free >= size)
                self._free -= size
        try:
            yield
        finally:
            if size:
                async with self._changed:
                    self._free += size
                    self._changed.notify_all()
