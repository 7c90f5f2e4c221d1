"""The store that a page shows: whose turn it is, and what became of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from track.moment import When
from track.overview import Glance
from track.persistence.utils import without_password
from track.reader import Reader


class Store:
    """A store that is looked at, by one request at a time.

    Parameters
    ----------
    reader
        of the store
    is_writable
        whether trials may be archived and restored
    """

    def __init__(self, reader: Reader, *, is_writable: bool = False) -> None:
        self.reader = reader
        self.is_writable = is_writable
        self.uri = without_password(reader.protocol.uri or "memory:")
        self._turn = threading.Lock()

    @property
    def name(self) -> str:
        """Return the name of the store: the last part of its address."""
        path = self.uri.partition("?")[0].partition(":")[2].rstrip("/")
        return os.path.basename(path).removesuffix(".json") or self.uri

    @contextmanager
    def turn(self) -> Iterator[Reader]:
        """Wait for the turn of this thread, and give the reader."""
        with self._turn:
            yield self.reader

    @contextmanager
    def glance(self, at: When = None) -> Iterator[Glance]:
        """Wait for the turn of this thread, and give all there is now, or at a moment."""
        with self._turn, self.reader.overview.glance(at) as glance:
            yield glance
