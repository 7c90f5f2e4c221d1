"""Limit what a server takes at once: connections, open files and memory."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple
from weakref import WeakValueDictionary

logger = logging.getLogger(__name__)

_SMALL_FRAME = 2**16
"""Frames up to this size need no leave to be taken in."""

QUEUE = 1024
"""Connections that wait to be accepted. Others try again after a second."""

_OTHER_FILES = 600
"""What is kept for those, and for all that is no connection: journals, reports, snapshots."""


def room_for(connections: int) -> int:
    """Return how many connections there may be, after asking the system for so many.

    Without room, neither the backend could open its files, nor could anybody be refused.
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
            "there will be %d connections at most, in place of %d: raise the limit of open files "
            "of this process, which is %d",
            room,
            connections,
            soft,
        )
    return min(room, connections)


class Limits(NamedTuple):
    """What a server grants its clients."""

    connections: int = 4096
    """How many at once."""
    strangers: int = 512
    """How many of these, not logged in yet, are listened to at once. Others wait."""
    handshake_s: float = 10.0
    """Until a client is logged in."""
    idle_s: float = 600.0
    """Without a request; clients come back when they have one."""
    frame_s: float = 60.0
    """From the first byte of a request to its last, or until an answer is taken."""
    memory: int = 2**28
    """Bytes of requests at once, of all clients together; as many of answers on their way."""
    query_s: float = 5.0
    """How long the queries of one request may take together."""


class Turns:
    """Leave for each user to have some things done at once, whoever else has any done.

    Parameters
    ----------
    each
        how many
    """

    def __init__(self, each: int) -> None:
        self._each = each
        self._of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def of(self, name: str) -> asyncio.Semaphore:
        """Return what a user takes turns with."""
        found = self._of.get(name)
        if found is None:
            found = self._of[name] = asyncio.Semaphore(self._each)
        return found


class MemoryBudget:
    """Leave to take bytes in, given in turn."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._size = size
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        """Take memory for the length of a block."""
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
