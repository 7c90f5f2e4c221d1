"""Push trials to another tool: everything it lacks, and nothing twice."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from track.attachments.logged_files import LoggedFile, open_content
from track.attachments.media import content_of
from track.events.codec import STREAM, identify
from track.exchange.batches import batches
from track.exchange.bridges.contract import (
    Counterpart,
    Refused,
    Row,
    SentFile,
    Target,
    Unreachable,
)
from track.exchange.bridges.describing import describe
from track.exchange.bridges.place import Place
from track.exchange.bridges.rows import RowReader
from track.exchange.copying import journaled
from track.persistence.protocol import Protocol
from track.persistence.utils import without_password
from track.projections.media import LoggedMedium, media_stream
from track.projections.trials import stream_of
from track.utils.progress import Progress, no_progress

log = logging.getLogger(__name__)

_BATCH_POINTS = 500
"""The number of values that are sent together."""

_MOST_OPEN = 200
"""The number of trials that stay open between two checks: those with the latest changes."""

Wanted = Callable[[], Collection[str]]
"""A function that returns the uids of the trials to push."""


@dataclass
class Pushed:
    """The result of a push.

    Attributes
    ----------
    trials
        the number of trials of which anything was sent
    rows
        the number of log calls that were sent
    problems
        descriptions of everything that could not be sent
    """

    trials: int = 0
    rows: int = 0
    problems: list[str] = field(default_factory=list)


class _Open(NamedTuple):
    """A trial that stays open between two checks."""

    reader: RowReader
    counterpart: Counterpart


class Pusher:
    """Pushes new data of a store to another tool, each time :meth:`push` is called.

    Parameters
    ----------
    store
        an opened backend that has a journal, as all built-in ones do
    target
        the other tool
    wanted
        returns the uids of the trials to push; by default, all that are not archived
    wanted_as
        a text that identifies this selection

    Raises
    ------
    BackendError
        the store has no journal
    PushFailed
        another process is pushing the same trials

    Notes
    -----
    The rows of a trial are numbered, and the other tool stores the number of the last one with
    them. So a push may be interrupted, repeated, or run from another machine or a copy of the
    store.
    """

    def __init__(
        self,
        store: Protocol,
        target: Target,
        *,
        wanted: Wanted | None = None,
        wanted_as: str = "",
    ) -> None:
        self._store, self._target, self._wanted = journaled(store), target, wanted
        self._journal = self._store.journal
        path = getattr(store, "path", None)  # of a store on disk
        home = without_password(store.uri or "") if path is None else os.path.abspath(path)
        self._place = Place(self._journal, f"{home} {target.name} {wanted_as}")
        self._open: dict[str, _Open] = {}

    def __enter__(self) -> Pusher:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Release all open resources."""
        for uid in [*self._open]:
            self._release(uid)
        self._place.close()

    def push(self, progress: Progress = no_progress) -> Pushed:
        """Push everything in the store that has not been pushed yet.

        Parameters
        ----------
        progress
            called after each trial

        Raises
        ------
        PushFailed
            the other tool cannot be reached; call this again to resume
        JournalError
            the store cannot be read
        """
        done = Pushed()
        head = self._journal.head()
        uids = self._with_news()
        running = set[str]()
        for count, uid in enumerate(uids, 1):
            try:
                self._push_trial(uid, head, done, running)
            except Refused as error:
                self._release(uid)
                running.add(uid)  # the next push tries again: the cause may be gone by then
                self._target.miss(f"{uid}: {error}")
            except BaseException:
                self._release(uid)  # its state is unknown after an error
                raise
            progress(count, len(uids))
        self._place.move(head, running)
        done.problems = [*self._target.problems]
        self._target.problems.clear()
        return done

    def follow(self, every_s: float) -> Iterator[Pushed]:
        """Push new data repeatedly, and yield the result each time.

        While the other tool cannot be reached, this keeps trying and logs one warning.

        Parameters
        ----------
        every_s
            the time between two pushes, in seconds
        """
        is_away = False
        while True:
            try:
                yield self.push()
                is_away = False
            except Unreachable as error:
                if not is_away:
                    log.warning("%s; trying again", error)
                is_away = True
            time.sleep(every_s)

    def _with_news(self) -> list[str]:
        """Return the trials that may have changed, oldest first."""
        after = self._place.position
        streams = None if after == 0 else self._streams_after(after)
        wanted = None if self._wanted is None else {*self._wanted()}
        with self._store.read_state() as objects:
            return [
                uid
                for uid in objects.trials
                if (wanted is None or uid in wanted)
                and (
                    streams is None
                    or uid in self._place.running
                    or stream_of(uid) in streams
                    or media_stream(uid) in streams
                )
            ]

    def _streams_after(self, after: int) -> set[int]:
        found = {
            payload[STREAM]
            for _, payloads in self._journal.read_batches(after)
            for payload in payloads
            if identify(payload)
        }
        return {int.from_bytes(stream, "big") for stream in found}

    def _push_trial(self, uid: str, head: int, done: Pushed, running: set[str]) -> None:
        described = describe(self._store, uid)
        if described is None:
            return
        if not described.is_over:
            running.add(uid)
        if uid not in self._open:
            counterpart = self._target.open(described)
            self._open[uid] = _Open(RowReader(self._journal, uid), counterpart)
        reader, counterpart = self._open[uid]
        counterpart.describe(described)
        sent, left_out = 0, reader.left_out
        for batch in batches(reader.read(head), _size_of, _BATCH_POINTS):
            missing = [row for row in batch if row.number > counterpart.rows]
            if missing:
                counterpart.add(missing, self._content, self._open_file)
                sent += len(missing)
        counterpart.conclude(described)
        if reader.left_out > left_out:
            self._target.miss("values that are not numbers are left out")
        done.trials += sent > 0
        done.rows += sent
        if described.is_over:
            self._release(uid)
        elif len(self._open) > _MOST_OPEN:
            self._release(next(iter(self._open)))

    def _release(self, uid: str) -> None:
        if uid in self._open:
            self._open.pop(uid).counterpart.close()

    def _content(self, medium: LoggedMedium) -> bytes:
        return content_of(self._store.content, medium)

    def _open_file(self, file: SentFile) -> BinaryIO:
        logged = LoggedFile(file.path, file.size, file.sha256, "file")
        return open_content(self._store.content, logged)


def _size_of(row: Row) -> int:
    """Return how many values a row counts as; each medium or file is large."""
    return 1 + len(row.points) + _BATCH_POINTS * len(row.media + row.files) // 10
