"""Keep all objects as of some positions, so that other moments are reached quickly.

A replay folds all events before a moment. Instead, checkpoints hold the objects at some positions
as rows (:mod:`track.projections.rows`), each only those that changed since the one before, and only
the events after the nearest checkpoint are folded. Points are not stored again, since a series at
an earlier time is the beginning of the current one.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from math import inf
from operator import itemgetter
from typing import Any, NamedTuple

from track.containers.points import Chunk, LoadedChunk, Points, Stored, Unusable
from track.containers.series import StepSeries, are_growing
from track.journals.journal import Batch, Journal
from track.moment import Moment
from track.projections.history import between, ends_by, until
from track.projections.objects import Objects
from track.projections.projection import fold
from track.projections.rows import Entry, Owner, Row, RowWriter
from track.projections.stored import Directory, StoredObjects
from track.projections.timeline import Timeline
from track.projections.trials import stream_of

EVERY = 4096
"""The least number of events between two checkpoints."""

MOST = 256
"""The number of checkpoints above which every second one is dropped."""

MOST_BYTES = 2**26
"""The total size of rows above which every second checkpoint is dropped."""

_MOST_STATES = 4
"""The number of states in memory from which folds continue."""

_MOST_RECOVERED = 64

Present = Callable[[Owner], Any]
"""Returns the current metric of a trial, None without one."""


class _Checkpoint(NamedTuple):
    """The state at a position besides the rows."""

    position: int
    events: int
    failed_events: list[int]
    unbound: list[tuple[int, list[Any]]]


class _Version(NamedTuple):
    """A row, its directory entry, and the position of its checkpoint."""

    position: int
    row: Row
    entry: Entry


class _RowsThere:
    """The rows as of a checkpoint, see :class:`track.projections.stored.Rows`."""

    def __init__(self, versions: Iterable[_Version]) -> None:
        self.directory = Directory()
        self._rows: list[Row] = []
        for number, (_, row, entry) in enumerate(versions, 1):
            self.directory.put(number, entry)
            self._rows.append(row)

    def read(self, numbers: Iterable[int]) -> Iterator[Row]:
        return (self._rows[number - 1] for number in numbers)


class Checkpoints:
    """Gives the objects of a journal at any moment.

    Parameters
    ----------
    journal
        the journal
    present
        finds the current metrics
    every, most_bytes
        replace the constants of this module
    """

    def __init__(
        self,
        journal: Journal,
        present: Present,
        *,
        every: int = EVERY,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.timeline = Timeline()
        self._journal = journal
        self._present = present
        self._every = every
        self._most_bytes = most_bytes
        self._front = Objects()
        """The objects up to which everything was folded."""
        self._kept: list[_Checkpoint] = [_Checkpoint(0, 0, [], [])]
        self._rows: list[list[_Version]] = []
        """The rows of each subject, in the order of creation."""
        self._numbers: dict[int, int] = {}
        """The number of each subject, from 1 on, by its name."""
        self._bytes = 0
        self._states: dict[int, Objects] = {}
        """States in memory by position, the last used one last."""
        self._recovered: dict[tuple[Owner, int, int], Points] = {}
        self._recovering = threading.Lock()
        """Held while points are recovered, since views of series are read in any thread."""

    def catch_up(self, last: int) -> None:
        """Process new events, up to a position that :data:`Present` has reached, too."""
        for _ in self.catching_up(last):
            pass

    def reach(self, last: int, moment: Moment) -> None:
        """Do only the part of :meth:`catch_up` that :meth:`at` needs for a moment."""
        end = last if moment.position is None else min(moment.position, last)
        if moment.at_ns is not None:
            self._finish_timeline(last)
            _, end = self.timeline.up_to(moment.at_ns)
        self.catch_up(end)
        self._finish_timeline(last)

    def catching_up(self, last: int) -> Iterator[None]:
        """Do the work of :meth:`catch_up` in steps, and yield after each."""
        for positions, payloads in between(self._journal, self._front.position, last):
            step = self._every  # it may grow meanwhile
            for start in range(0, len(payloads), step):
                part = positions[start : start + step], payloads[start : start + step]
                self._extend_timeline(part)
                fold(self._front, [part])
                if self._front.events - self._kept[-1].events >= self._every:
                    self._keep()
                yield

    def _finish_timeline(self, last: int) -> None:
        for _ in self.extending_timeline(last):
            pass

    def _extend_timeline(self, part: Batch) -> None:
        """Add the events that the timeline lacks. It is never behind the front."""
        positions, payloads = part
        known = bisect_right(positions, self.timeline.position)
        if known < len(payloads):
            self.timeline.add((positions[known:], payloads[known:]))

    def extending_timeline(self, last: int) -> Iterator[None]:
        """Extend only the timeline in steps, and yield after each."""
        for batch in between(self._journal, self.timeline.position, last):
            self.timeline.add(batch)
            yield

    def at(self, moment: Moment) -> Objects:
        """Return all objects as of a moment, after :meth:`catch_up` or :meth:`reach`.

        They equal the result of :func:`track.projections.history.as_of`, valid until the next call.
        """
        if moment.at_ns is None:
            position = moment.position
            end = self.timeline.position
            return self._at_position(end if position is None else min(position, end))
        whole, some = self.timeline.up_to(moment.at_ns)
        ends = ends_by(between(self._journal, whole, some), moment.at_ns)
        by_then = [*until(between(self._journal, whole, some), ends=ends)]
        places = [place for positions, _ in by_then for place in positions]
        if not places:
            return self._at_position(whole)
        count = sum(
            bisect_right(positions, places[-1])
            for positions, _ in between(self._journal, whole, places[-1])
        )
        if count == len(places):  # the clocks agree, so the time is also a position
            return self._at_position(places[-1])
        objects = self._near(whole)
        fold(objects, between(self._journal, objects.position, whole))
        fold(objects, by_then)
        return self._without_erased(objects)

    def _at_position(self, position: int) -> Objects:
        known = [place for place in self._states if place <= position]
        base = self._kept[self._index(position)].position
        if known and max(known) >= base:
            objects = self._states.pop(max(known))
        else:
            objects = self._near(position)
        fold(objects, between(self._journal, objects.position, position))
        objects.changed = {}
        self._states[position] = self._without_erased(objects)
        while len(self._states) > _MOST_STATES:
            del self._states[next(iter(self._states))]
        return objects

    def _without_erased(self, objects: Objects) -> Objects:
        """Hide trials that were erased later, since their content is gone."""
        for stream in self.timeline.erased & {*objects.by_stream, *objects.parts}:
            trial = objects.trial_on(stream)
            if not objects.is_erased(trial.uid):
                objects.archive(trial, erased=True)
        return objects

    # Checkpoints

    def _index(self, position: int) -> int:
        return bisect_right(self._kept, position, key=itemgetter(0)) - 1

    def _near(self, position: int) -> Objects:
        """Return the objects of the last checkpoint at or before a position."""
        checkpoint = self._kept[self._index(position)]
        rows = _RowsThere(self._versions_at(checkpoint.position))
        objects = StoredObjects(rows, self._find, _refuse)
        for stream, known in checkpoint.unbound:
            objects.know(stream, known)
            objects.unbound.add(stream)
        objects.position, objects.events = checkpoint.position, checkpoint.events
        objects.failed_events = [*checkpoint.failed_events]
        return objects

    def _versions_at(self, position: int) -> Iterator[_Version]:
        for versions in self._rows:
            index = bisect_right(versions, position, key=itemgetter(0))
            if not index:  # it was created later, like those after it
                return
            yield versions[index - 1]

    def _keep(self) -> None:
        """Make a checkpoint of the current front."""
        front, stored = self._front, list[tuple[StepSeries, Stored]]()

        def store(owner: Owner, series: StepSeries) -> list[Any] | None:
            parts, last = series.unstored(), series.last_item()
            if parts is None or last is None:
                return None
            values = [front.position, len(series), *last, series.is_rewritten, *series.extremes()]
            # While steps are logged again, the next one may be earlier than those in memory.
            if are_growing(parts[1].positions):
                stored.append((series, self._find(owner, values)))
            return values

        writer = RowWriter(front, store)
        for subject in front.changed.values():
            entry, parts = writer.row(subject)
            number = self._numbers.setdefault(entry.name, len(self._numbers) + 1)
            if number > len(self._rows):
                self._rows.append([])
            version = _Version(front.position, Row(number, *parts), entry)
            self._rows[number - 1].append(version)
            self._bytes += _size(version.row)
        for series, kept in stored:
            series.keep_stored(kept)
        front.changed = {}
        unbound = [(stream, writer.known_of(stream)) for stream in sorted(front.unbound)]
        self._kept.append(
            _Checkpoint(front.position, front.events, [*front.failed_events], unbound)
        )
        while len(self._kept) > MOST or (self._bytes > self._most_bytes and len(self._kept) > 2):  # noqa: PLR2004 - the first one, of nothing, and the last
            self._thin()

    def _thin(self) -> None:
        """Drop every second checkpoint except the last one, and double their distance."""
        self._every *= 2
        left = [*self._kept[:0:-2]][::-1]
        self._kept = [self._kept[0], *left]
        places = [one.position for one in left]
        self._bytes = 0
        for index, versions in enumerate(self._rows):
            ends = [*(version.position for version in versions[1:]), inf]
            self._rows[index] = [
                version
                for version, end in zip(versions, ends, strict=True)
                if places[bisect_left(places, version.position)] < end
            ]
            self._bytes += sum(_size(version.row) for version in self._rows[index])

    # Points

    def _find(self, owner: Owner, values: list[Any]) -> Stored:
        return _Beginning(self, owner, *values)

    def points_of(self, owner: Owner, count: int, position: int) -> list[Chunk]:
        """Return the first points of a series as of a position."""
        series = self._present(owner)
        if isinstance(series, StepSeries) and len(series) >= count:
            chunks = _first(series.chunks() or (), count, position)
            if chunks:
                return chunks
        with self._recovering:
            if (owner, count, position) not in self._recovered:
                self._recover(owner[0], position)
            points = self._recovered.get((owner, count, position))
        return [] if points is None else [LoadedChunk(points)]  # the points were erased meanwhile

    def _recover(self, uid: str, position: int) -> None:
        """Replay a trial whose current series do not continue the earlier ones."""
        objects = Objects()
        fold(objects, until(self._journal.read_stream(stream_of(uid)), position=position))
        trial = objects.trials.get(uid) or objects.parts[stream_of(uid)]
        while len(self._recovered) > _MOST_RECOVERED:
            del self._recovered[next(iter(self._recovered))]
        for name, series in trial.metrics.items():
            points = series.points() if isinstance(series, StepSeries) else None
            if points is not None:
                self._recovered[(uid, name), len(points.steps), position] = points


class _Beginning(Stored):
    """The first points of a series that may have grown since.

    Parameters
    ----------
    checkpoints, owner
        the checkpoints and the trial and metric of the series
    position
        the position of the state
    count, last_step, last_value, is_rewritten, low, high
        the number of points, the last point, whether a step was logged again, and the extremes
    """

    def __init__(  # noqa: PLR0917 - the values that are kept of it, in their order
        self,
        checkpoints: Checkpoints,
        owner: Owner,
        position: int,
        count: int,
        last_step: int,
        last_value: float,
        is_rewritten: bool,
        low: float | None,
        high: float | None,
    ) -> None:
        self._checkpoints, self._owner, self._position = checkpoints, owner, position
        self.count, self.last_step, self.last_value = count, last_step, last_value
        self.is_rewritten = is_rewritten
        self._extremes = low, high

    def extremes(self) -> tuple[float | None, float | None]:
        return self._extremes

    def chunks(self) -> list[Chunk]:
        return self._checkpoints.points_of(self._owner, self.count, self._position)


def _first(chunks: Iterable[Chunk], count: int, position: int) -> list[Chunk]:
    """Return chunks of the first points, none if they were added after a position."""
    found: list[Chunk] = []
    for chunk in chunks:
        length = chunk.summary.length
        if length > count:
            points = chunk.points().part(0, count)
            return [*found, LoadedChunk(points)] if max(points.positions) <= position else []
        if chunk.summary.last_position > position:
            return []
        found.append(chunk)
        count -= length
        if not count:
            return found
    return []


def _size(row: Row) -> int:
    return len(row.head) + len(row.metrics) + len(row.body)


def _refuse(objects: Objects, error: Unusable) -> Objects:
    """Raise the error: rows in memory cannot be unusable."""
    raise error
