"""Append the requests of several clients together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from track.errors import EncodingError
from track.events.record import Record

_GROUP_BYTES = 2**23
"""The largest size of a group in bytes, unless one request is larger."""


class _Request(NamedTuple):
    """Records waiting to be appended."""

    records: list[Record]
    size: int
    done: asyncio.Future[None]


class GroupedAppends:
    """Appends in a thread; requests that arrive during an append are appended together.

    It must be created in a running event loop.

    Parameters
    ----------
    append
        appends records, all or none; it may block
    appended
        called in the event loop after each group
    """

    def __init__(
        self, append: Callable[[list[Record]], None], appended: Callable[[], None]
    ) -> None:
        self._append = append
        self._appended = appended
        self._thread = ThreadPoolExecutor(1, "track relay append")
        self._waiting: list[_Request] = []
        self._wanted = asyncio.Event()
        self._working = asyncio.ensure_future(self._append_all())

    async def append(self, records: list[Record], size: int) -> None:
        """Append records of a total size, and return when they are in the journal."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(_Request(records, size, done))
        self._wanted.set()
        await done

    async def close(self) -> None:
        """Wait for the current group, and begin no further one."""
        self._working.cancel()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    async def _append_all(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._waiting:
                await self._append_group(self._take_group())

    def _take_group(self) -> list[_Request]:
        total = count = 0
        for request in self._waiting:
            total += request.size
            if count and total > _GROUP_BYTES:
                break
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group

    async def _append_group(self, group: list[_Request]) -> None:
        records = [record for request in group for record in request.records]
        error: Exception | None = None
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._append, records)
        except Exception as raised:  # noqa: BLE001 - it is raised in all waiting requests
            error = raised
        if isinstance(error, EncodingError) and len(group) > 1:
            # An invalid request must not make those of other clients fail.
            for request in group:
                await self._append_group([request])
            return
        self._appended()
        for request in group:
            if request.done.done():
                continue
            if error is None:
                request.done.set_result(None)
            else:
                request.done.set_exception(error)
