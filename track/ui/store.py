"""Access of the endpoints to the store, one request at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from track.errors import TrackError, TrialDoesNotExist
from track.moment import Moment, When, to_moment
from track.persistence.protocol import Protocol
from track.persistence.utils import without_password
from track.projections.finding import find_trial
from track.projections.objects import Objects
from track.projections.streams import Subjects
from track.projections.timeline import Timeline
from track.reader import Reader
from track.reading.overview import Glance
from track.stores.readonly import ReadProtocol
from track.structure import Trial
from track.ui.naming import store_name
from track.ui.requests import Requests

_Found = TypeVar("_Found")

_MOST_HANDED_OUT = 4096
_MOST_REMEMBERED = 32
_REST_S = 0.05
_PAUSE_S = 0.002
"""How long the lock stays free between parts, because waiting threads need a moment to take it."""


class Store:
    """A store that serves one request at a time.

    Parameters
    ----------
    reader
        the reader of the store
    is_writable
        whether trials may be archived and restored
    is_closing
        returns whether the server is shutting down
    """

    def __init__(
        self,
        reader: Reader,
        *,
        is_writable: bool = False,
        is_closing: Callable[[], bool] = lambda: False,
    ) -> None:
        self.reader = reader
        self.is_writable = is_writable
        self.is_closing = is_closing
        self.uri = without_password(reader.protocol.uri or "memory:")
        self.streams = 0
        """The number of open live streams."""
        self.requests = Requests()
        self.subjects = Subjects()
        self._remembered: dict[object, tuple[object, Any]] = {}
        """Answers with what they depend on, by question."""
        self._remembering = threading.Lock()
        self._turn = threading.Lock()
        self._writer: Protocol | None = None
        self._handed_out: dict[int, None] = {}
        """Positions of events that were sent to browsers."""
        self._preparing: threading.Thread | None = None

    @property
    def name(self) -> str:
        """Return what people call the store."""
        return store_name(self.uri)

    @contextmanager
    def glance(self, at: When = None) -> Iterator[Glance]:
        """Wait for this thread's turn, then yield the state now or at a moment."""
        if to_moment(at) != Moment():
            self._let_others(self.reader.overview.prepare())
        with self._turn, self.reader.overview.glance(at) as glance:
            yield glance

    @contextmanager
    def timeline(self, *, makes_way: bool = False) -> Iterator[tuple[Timeline, Objects]]:
        """Wait for this thread's turn, then yield the timeline and the current state.

        Parameters
        ----------
        makes_way
            prepare the timeline while no other request is running
        """
        parts = self.reader.overview.prepare_timeline()
        if makes_way:
            with self.requests.one_less():
                for _ in parts:
                    self.requests.make_way()
        else:
            self._let_others(parts)
        with self._turn, self.reader.overview.timeline() as found:
            yield found

    @staticmethod
    def _let_others(parts: Iterator[None]) -> None:
        """Run a long task in parts, letting other requests have their turn in between."""
        for _ in parts:
            time.sleep(_PAUSE_S)

    def find(self, objects: Objects, which: str) -> Trial:
        """Return the trial that is meant, or raise if it was erased."""
        trial = find_trial(objects, which).trial
        if objects.is_erased(trial.uid):
            raise TrialDoesNotExist(f"trial {trial.uid} was erased")
        return trial

    def writer(self, open_uri: Callable[[str], Protocol]) -> Protocol:
        """Return a backend that can change the store, reusing the reader's own if that can.

        Parameters
        ----------
        open_uri
            opens a backend
        """
        with self._turn:
            if self._writer is None:
                protocol = self.reader.protocol
                can = not isinstance(protocol, ReadProtocol)
                self._writer = protocol if can else open_uri(protocol.uri or "")
            return self._writer

    def close(self) -> None:
        """Close the backend that was opened to change the store."""
        if self._writer is not None and self._writer is not self.reader.protocol:
            self._writer.close()

    def remembered(self, asked: object, seen: object, make: Callable[[], _Found]) -> _Found:
        """Return an answer that is computed again only when what it depends on has changed.

        Parameters
        ----------
        asked
            identifies the question
        seen
            what the answer depends on
        make
            computes the answer
        """
        with self._remembering:
            kept = self._remembered.get(asked)
        if kept is None or kept[0] != seen:
            kept = seen, make()
        with self._remembering:
            self._remembered.pop(asked, None)
            self._remembered[asked] = kept  # the last used one comes last
            while len(self._remembered) > _MOST_REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
        found: _Found = kept[1]
        return found

    # Positions

    def handed_out(self, position: int) -> None:
        """Remember that a browser has a position, after which it may ask for more."""
        self._handed_out.pop(position, None)
        self._handed_out[position] = None
        while len(self._handed_out) > _MOST_HANDED_OUT:
            del self._handed_out[next(iter(self._handed_out))]

    def place_before(self, position: int) -> int:
        """Return the last position, at most a given one, after which events can be read.

        A journal may mistake any other position for damage.
        """
        if position in self._handed_out:
            return position
        with self.timeline() as (timeline, _):
            return timeline.before(position)

    def warm(self, longest_s: float) -> None:
        """Read in the background what the first page asks for, and wait for it, but not for long.

        Parameters
        ----------
        longest_s
            the longest time to wait, in seconds
        """
        reading = threading.Thread(target=self._warm, name="track-ui-first", daemon=True)
        reading.start()
        reading.join(longest_s)

    def _warm(self) -> None:
        # Requests report errors of the store themselves.
        with suppress(TrackError, OSError), self.glance() as glance:
            glance.trials()

    # The past

    def prepare(self) -> None:
        """Prepare views of the past in the background."""
        if self._preparing is None:
            self._preparing = threading.Thread(
                target=self._prepare, name="track-ui-past", daemon=True
            )
            self._preparing.start()

    def _prepare(self) -> None:
        # Requests report errors of the store themselves.
        with suppress(TrackError, OSError):
            for _ in self.reader.overview.prepare():
                if self.is_closing():
                    break
                time.sleep(_REST_S)
                self.requests.make_way()
