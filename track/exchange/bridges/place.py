"""Remember up to where a store was pushed, so that only trials with news are looked at.

What the other tool has is never decided by this: it says so itself, trial by trial. So this may be
lost at any time, which costs only the time to look at every trial.
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
    """The position in a journal up to which it was pushed, in a file of this user's cache.

    Parameters
    ----------
    journal
        the journal
    name
        tells what is pushed to where from all else; only one process at a time may hold it

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
        """The trials that had not ended; one whose process dies records nothing that tells."""
        if self._path is not None:
            self._lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            if not flock_within(self._lock, 0):
                self.close()
                raise PushFailed("another process pushes the same to the same place: let it end")
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
        """Return what the event at a position is told by, None if this journal cannot say."""
        if self._source is None or position <= 0:
            return None
        mark = self._source.fingerprint(position)
        return None if mark is None else mark.hex()

    def move(self, position: int, running: Iterable[str]) -> None:
        """Remember that everything up to a position was pushed."""
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
        """Let others hold it."""
        if self._lock is not None:
            with suppress(OSError):
                os.close(self._lock)
            self._lock = None
