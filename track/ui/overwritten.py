"""The endpoint for points that a later attempt of a trial logged again."""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import partial, reduce
from itertools import groupby
from math import inf
from typing import Any, NamedTuple, TypeGuard

from starlette.requests import Request
from starlette.responses import Response

from track.events.columns import Columns
from track.events.types import MetricsLogged, Recorded, TrialStarted
from track.journals.journal import Batch
from track.moment import NOW, Moment, to_moment
from track.projections.history import ends_by, until
from track.projections.projection import fold
from track.projections.trials import stream_of
from track.reading.views import attempts_in
from track.ui.answers import Parameters, answer, cut
from track.ui.store import Store

_MOST_COMPARED = 500_000
"""The most events compared one by one per trial; later ones are ignored."""

_PIECE = 4096
"""The number of events above which a piece does not grow."""

Read = Callable[[int], Iterable[Batch]]
"""Returns the events of a trial after a position."""


def get_overwritten(store: Store, request: Request) -> Response:
    """Return the points of each attempt that a later attempt overwrote."""
    known = Parameters(request.query_params, "trial", "at")
    at = known.text("at")
    with store.glance() as glance:
        trial = glance.find(known.needed("trial"))
        seen = [(one.events, one.last_at) for one in attempts_in(glance.objects, trial)]
    read = partial(store.reader.protocol.journal.read_stream, stream_of(trial.uid))

    def compare() -> dict[str, Any]:
        pieces = store.remembered(("pieces", trial.uid), None, Pieces)
        return overwritten(pieces, read, to_moment(at))

    return answer(store.remembered(("overwritten", trial.uid, at), seen, compare))


def overwritten(pieces: Pieces, read: Read, moment: Moment = NOW) -> dict[str, Any]:
    """Return how many points were overwritten, at which steps, and when they were first logged.

    Only pieces with steps that another attempt reached, too, are compared event by event.

    Parameters
    ----------
    pieces
        the pieces of the trial, which are brought up to date
    read
        reads the events of the trial
    moment
        the time or position up to which events count
    """
    contended = pieces.contended(read, inf if moment.position is None else moment.position)
    points = _Points()
    if contended:
        ends = None if moment.at_ns is None else ends_by(read(0), moment.at_ns)
        batches = until(read(contended[0].after), position=moment.position, ends=ends)
        for piece, batch in _split(batches, contended):
            if points.compared >= _MOST_COMPARED:
                return {"attempts": points.lost(), "complete": False}
            points.attempt = piece.attempt
            fold(points, [batch])
    return {"attempts": points.lost(), "complete": True}


class _Piece(NamedTuple):
    """Consecutive metrics of one attempt.

    Attributes
    ----------
    attempt
        the number of the attempt
    after, last
        the position after which they begin, and that of the last one
    events
        the number of events
    low, high
        the bounds of the steps that are numbers
    is_odd
        whether some steps are not numbers
    """

    attempt: int
    after: int
    last: int
    events: int
    low: float
    high: float
    is_odd: bool

    def joined(self, later: _Piece) -> _Piece:
        """Return this piece with a later one of the same attempt."""
        bounds = min(self.low, later.low), max(self.high, later.high)
        events, is_odd = self.events + later.events, self.is_odd or later.is_odd
        return _Piece(self.attempt, self.after, later.last, events, *bounds, is_odd)

    def meets(self, other: _Piece) -> bool:
        """Return whether two pieces may have steps in common."""
        both_odd = self.is_odd and other.is_odd
        return both_odd or (self.low <= other.high and other.low <= self.high)


class Pieces:
    """A projection that divides the metrics of a trial into pieces."""

    def __init__(self) -> None:
        self.position = 0
        self._turn = threading.Lock()
        self._found: list[_Piece] = []
        self._attempts = 0
        self._by_producer: dict[int, int] = {}

    def apply(self, recorded: Recorded) -> None:
        event = recorded.event
        if isinstance(event, TrialStarted):
            self._attempts += 1
            self._by_producer[recorded.producer] = self._attempts
        if _is_point(event):
            step = event.step
            # Not NaN, which is in no order.
            steps = [step] if isinstance(step, (int, float)) and step == step else []  # noqa: PLR0124
            self._add(recorded.producer, recorded.position, steps, 1)
        self.position = recorded.position

    def apply_columns(self, columns: Columns, positions: Sequence[int]) -> None:
        for producer, start, end in _runs(columns.producers):
            self._add(producer, positions[end - 1], columns.steps[start:end], end - start)
            self.position = positions[end - 1]

    def _add(self, producer: int, last: int, steps: Sequence[float], events: int) -> None:
        attempt = self._by_producer.get(producer, self._attempts)
        bounds = min(steps, default=inf), max(steps, default=-inf)
        piece = _Piece(attempt, self.position, last, events, *bounds, is_odd=not steps)
        before = self._found[-1] if self._found else None
        if before is not None and before.attempt == attempt and before.events < _PIECE:
            self._found[-1] = before.joined(piece)
        else:
            self._found.append(piece)

    def contended(self, read: Read, last: float) -> list[_Piece]:
        """Return the pieces, of events up to a position, that may have steps of another attempt."""
        with self._turn:
            fold(self, read(self.position))
            found = [piece for piece in self._found if piece.after < last]
        attempts = {piece.attempt for piece in found}
        whole = [
            reduce(_Piece.joined, (piece for piece in found if piece.attempt == attempt))
            for attempt in attempts
        ]
        return [
            piece
            for piece in found
            if any(piece.meets(one) for one in whole if one.attempt != piece.attempt)
        ]


class _Points:
    """A projection of the points of contended pieces, the latest attempt at each step known."""

    def __init__(self) -> None:
        self.position = 0
        self.attempt = 0
        """The attempt of the next events."""
        self.compared = 0
        """The number of events."""
        self._latest: dict[tuple[str, Hashable], tuple[int, int]] = {}
        """The attempt and the time of the last value of each metric at each step."""
        self._lost: dict[int, dict[str, Any]] = {}

    def lost(self) -> list[dict[str, Any]]:
        """Return what each attempt lost."""
        return [self._lost[number] for number in sorted(self._lost)]

    def apply(self, recorded: Recorded) -> None:
        event = recorded.event
        if _is_point(event):
            step = event.step if isinstance(event.step, Hashable) else str(event.step)
            self._log(step, recorded.at, event.values)
        self.position = recorded.position

    def apply_columns(self, columns: Columns, positions: Sequence[int]) -> None:
        for step, at in zip(columns.steps, columns.times, strict=True):
            self._log(step, at, columns.metrics)
        self.position = positions[-1]

    def _log(self, step: Hashable, at_ns: int, names: Iterable[str]) -> None:
        mine, latest = self.attempt, self._latest
        self.compared += 1
        for name in names:
            attempt, at = latest.get((name, step), (mine, 0))
            latest[name, step] = mine, at_ns
            if attempt == mine:
                continue
            lost = self._lost.setdefault(
                attempt,
                {"number": attempt, "by": mine, "points": 0, "first": cut(step), "from": at / 1e6},
            )
            lost |= {"by": mine, "points": lost["points"] + 1, "last": cut(step), "to": at / 1e6}


def _runs(producers: array[int]) -> Iterator[tuple[int, int, int]]:
    """Yield the producers with the bounds of the events that each recorded in a row."""
    if producers.count(producers[0]) == len(producers):
        yield producers[0], 0, len(producers)
        return
    start = 0
    for producer, same in groupby(producers):
        end = start + len([*same])
        yield producer, start, end
        start = end


def _is_point(event: Any) -> TypeGuard[MetricsLogged]:
    return isinstance(event, MetricsLogged) and event.step is not None and not event.aggregator


def _split(batches: Iterable[Batch], pieces: list[_Piece]) -> Iterator[tuple[_Piece, Batch]]:
    """Yield the events of some pieces, each batch with its piece."""
    number = 0
    for positions, payloads in batches:
        while number < len(pieces):
            piece = pieces[number]
            start, end = bisect_right(positions, piece.after), bisect_right(positions, piece.last)
            if start < end:
                yield piece, (positions[start:end], payloads[start:end])
            if piece.last > positions[-1]:
                break
            number += 1
        if number == len(pieces):
            return
