"""How many connections the system lets a server have: each is an open file."""

from __future__ import annotations

import logging
import os
import resource

logger = logging.getLogger(__name__)

BACKLOG = 256
"""Connections that are accepted at once, before any of them can be refused."""

_OTHER_FILES = 512
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
