"""The position up to which a store was pushed, so that only trials with new events are checked.

This is only a hint: the other tool itself reports which rows it has of each trial. If the position
is lost, the only cost is the time to check every trial.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from track.errors import PushFailed
from track.journals.journal import CacheSource, Journal
from track.utils.caches import cache_of_user
from track.utils.files import flock_within, fresh_path


class Place:
    """The position up to which a journal was pushed, in a file of this user's cache.

    Parameters
    ----------
    journal
        the journal
    name
        identifies what is pushed and where to; only one process at a time may hold it

    Raises
    ------
    PushFailed
        another process holds it
    """

    def __init__(self, journal: Journal, name: str) -> None:
        self._source: CacheSource | None = journal.cache_source()
        self._path = cache_of_user(f"push {name}")
        self._lock: int | None = None
        self.position = 0
        self.running: set[str] = set()
        """The trials to look at again: those that were refused, and those that had not ended, since
        no event records that the process of one died."""
        if self._path is not None:
            self._lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            if not flock_within(self._lock, 0):
                self.close()
                raise PushFailed("another process is pushing the same trials: wait for it to end")
            self._load(self._path)

    def _load(self, path: str) -> None:
        try:
            with open(path, encoding="utf-8") as file:
                said = json.load(file)
            position, mark, running = said["position"], said["mark"], said["running"]
        except (OSError, ValueError, KeyError, TypeError):
            return
        if type(position) is int and mark and mark == self._mark(position):
            self.position, self.running = position, {*map(str, running)}

    def _mark(self, position: int) -> str | None:
        """Return what identifies the event at a position, None if this journal cannot tell."""
        if self._source is None or position <= 0:
            return None
        mark = self._source.fingerprint(position)
        return None if mark is None else mark.hex()

    def move(self, position: int, running: Iterable[str]) -> None:
        """Save that everything up to a position was pushed."""
        self.position, self.running = position, {*running}
        said: dict[str, Any] = {"position": position, "running": sorted(self.running)}
        said["mark"] = self._mark(position)
        if self._path is None or said["mark"] is None:
            return
        with fresh_path(self._path) as fresh:
            with open(fresh, "x", encoding="utf-8") as file:
                json.dump(said, file)
            os.replace(fresh, self._path)

    def close(self) -> None:
        """Release it to other processes."""
        if self._lock is not None:
            with suppress(OSError):
                os.close(self._lock)
            self._lock = None
