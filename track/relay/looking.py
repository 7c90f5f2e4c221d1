"""Answer readers at a server: trials without their series, and points of series."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from track.containers.points import Points
from track.containers.series import StepSeries
from track.errors import ItemNotFound, MalformedMessage
from track.persistence.local_repository import LocalRepository
from track.projections.finding import find_trial
from track.projections.objects import Objects
from track.projections.series import Series
from track.projections.trials import stream_of
from track.provenance.liveness import derive_status
from track.relay.messages import Answer
from track.relay.rows_codec import (
    LONGEST_WANTED,
    MOST_POINTS,
    MOST_SUMMARIES,
    MOST_WANTED,
    pack_found,
    pack_points,
    pack_summaries,
    pack_summaries_of,
)
from track.structure import LOST


class Looking:
    """Answers readers from the objects and the cache of a store. Any thread may call it.

    Parameters
    ----------
    repository
        the repository of the store
    most_summaries
        the most chunks of a series that one answer describes
    """

    def __init__(self, repository: LocalRepository, most_summaries: int = MOST_SUMMARIES) -> None:
        self._repository = repository
        self._most_summaries = most_summaries

    def calls(self) -> dict[str, Callable[..., Answer]]:
        """Return the calls by name."""
        return {
            "chunks": self._chunks,
            "look_up": self._look_up,
            "points": self._points,
            "rows": self._rows,
            "sample": self._sample,
        }

    def _rows(self) -> Answer:
        with self._repository.read_state() as objects:
            return [], pack_summaries_of(objects, self.lost_among(objects))

    def _look_up(self, wanted: list[str]) -> Answer:
        if not isinstance(wanted, list) or len(wanted) > MOST_WANTED:
            raise MalformedMessage(f"a request may look up to {MOST_WANTED} trials up")
        if not all(isinstance(text, str) and len(text) <= LONGEST_WANTED for text in wanted):
            raise ValueError(f"a trial is looked up by a text of up to {LONGEST_WANTED} characters")
        with self._repository.read_state() as objects:
            found = [find_trial(objects, text) for text in wanted]
            trials = [each.trial for each in found]
            status_in = self._repository.status_in
            lost = [trial.uid for trial in trials if status_in(objects, trial) is LOST]
            return [], pack_found(objects, found, lost)

    def lost_among(self, objects: Objects) -> list[str]:
        """Return the uids of lost trials, since only the server knows which processes are alive."""
        known = objects.known_trials()
        return [each.trial.uid for each in known if derive_status(*each[:2]) is LOST]

    # Series

    def _sample(self, owner: list[Any], n: int, first: Any, last: Any) -> Answer:
        if type(n) is not int or not 2 <= n <= MOST_POINTS // 2:  # noqa: PLR2004 - the two ends
            raise ValueError(f"a sample has from 2 to {MOST_POINTS // 2} points")
        if not all(end is None or isinstance(end, (int, float)) for end in (first, last)):
            raise MalformedMessage("steps must be numbers")
        return [], pack_points(self._series(owner).sample(n, first=first, last=last).points())

    def _chunks(self, owner: list[Any], after: int) -> Answer:
        if type(after) is not int or after < 0:
            raise MalformedMessage("invalid number of chunks")
        chunks = self._series(owner).chunks() or ()
        wanted = chunks[after : after + self._most_summaries]
        return [], pack_summaries([chunk.summary for chunk in wanted])

    def _points(self, owner: list[Any], start: int, stop: int) -> Answer:
        _check_range(start, stop)
        if stop - start > MOST_POINTS:
            raise ValueError(f"a request may fetch up to {MOST_POINTS} points")
        found, place = Points.empty(), 0
        for chunk in self._series(owner).chunks() or ():
            end = place + chunk.summary.length
            if place < stop and start < end:
                found.add(chunk.points().part(max(0, start - place), stop - place))
            place = end
        return [], pack_points(found)

    def _series(self, owner: list[Any]) -> Series:
        """Return a series in the state that a client knows.

        Raises
        ------
        ItemNotFound
            the series never had this state, or no longer exists
        """
        uid, name, count, step, value, position = owner if _is_of_six(owner) else [None] * 6
        if not isinstance(uid, str) or not isinstance(name, str):
            raise MalformedMessage("the request does not name a series")
        if not isinstance(count, int) or not isinstance(position, int):
            raise MalformedMessage("the request does not say how much of a series it means")
        with self._repository.read_state() as objects:
            trial = objects.trials.get(uid) or objects.parts.get(stream_of(uid))
            metric = None if trial is None else trial.metrics.get(name)
            series = Series.of(metric) if isinstance(metric, StepSeries) else None
        if series is not None and series.chunks() is not None and len(series) >= count:
            series = series if len(series) == count else series.begins(count)
            chunks = series.chunks() or ()
            is_older = all(chunk.summary.last_position <= position for chunk in chunks)
            if _end_of(series) == (step, repr(value)) and is_older:
                return series
        raise ItemNotFound(f"the metric {name!r} of the trial {uid} has changed: read it again")


def _is_of_six(values: Any) -> bool:
    return isinstance(values, list) and len(values) == 6  # noqa: PLR2004 - see where they are named


def _end_of(series: Series) -> tuple[int, str] | None:
    """Return the last step and value of a series in a form in which NaN equals itself."""
    chunks = series.chunks()
    if not chunks:
        return None
    last = chunks[-1].summary.last
    return last.step, repr(last.value)


def _check_range(start: Any, stop: Any) -> None:
    if type(start) is not int or type(stop) is not int or not 0 <= start < stop:
        raise MalformedMessage("invalid range of points")
