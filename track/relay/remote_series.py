"""Give series at a server, whose points are requested when they are touched."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from track.containers.points import Chunk, LoadedChunk, Points, Stored, Summary
from track.containers.series import StepSeries
from track.errors import ItemNotFound
from track.relay.series_codec import MOST_POINTS, unpack_points, unpack_summaries
from track.structure import Trial

logger = logging.getLogger(__name__)

_FEW = 2**12
"""So many points are fetched at once: to ask for summaries of them first would take longer."""

Ask = Callable[..., bytes]
"""Asks a server for something, given its name and arguments, and returns the attachment."""


class Source:
    """What the series of one answer of a server have in common.

    Parameters
    ----------
    ask
        asks the server
    replay
        returns a trial as it stood at a position, from its events, None where there is none
    """

    def __init__(self, ask: Ask, replay: Callable[[str, int], Trial | None]) -> None:
        self.ask = ask
        self.replay = replay
        self.position = 0
        """Up to where the server had read its journal."""

    def find(self, owner: tuple[str, str], values: list[Any]) -> RelayedSeries:
        """Return the series of a metric of a trial, given what a row says of it."""
        _, count, step, value, _, _, low, high = values
        return RelayedSeries(self, owner, (count, step, value), (low, high))


class RelayedSeries(Stored):
    """The points of a series at a server.

    Parameters
    ----------
    source
        asks the server
    owner
        uid of the trial, and name of the metric
    end
        how many there are, and the step and value of the last one
    extremes
        the least and the largest value, None if all are NaN
    """

    def __init__(
        self,
        source: Source,
        owner: tuple[str, str],
        end: tuple[int, int, float],
        extremes: tuple[float | None, float | None],
    ) -> None:
        self._source = source
        self._owner = owner
        self.count, self.last_step, self.last_value = end
        self.low, self.high = extremes
        self._block: tuple[int, Points] = (0, Points.empty())
        """What was fetched last, and where it begins."""
        self._replayed: Points | None = None

    def _ask(self, name: str, *arguments: Any) -> bytes:
        which = [*self._owner, self.count, self.last_step, self.last_value]
        return self._source.ask(name, which, *arguments)

    def chunks(self) -> list[Chunk]:
        if 0 < self.count <= _FEW:
            return [LoadedChunk(self.read(0, self.count))]
        summaries: list[Summary] = []
        left = self.count
        try:
            while left > 0:
                found = unpack_summaries(self._ask("chunks", len(summaries)))
                summaries += found
                left -= sum(summary.length for summary in found)
                if not found:
                    break
        except (ItemNotFound, AttributeError) as error:
            return [LoadedChunk(self._replay(error))]
        chunks: list[Chunk] = []
        start = 0
        for summary in summaries:
            chunks.append(RelayedChunk(self, summary, start))
            start += summary.length
        return chunks

    def sample(self, n: int, first: Any, last: Any) -> Points | None:
        if n > MOST_POINTS // 2 or self._replayed is not None:
            return None
        try:
            return unpack_points(self._ask("sample", n, first, last))
        except (ItemNotFound, AttributeError):
            return None

    def read(self, start: int, stop: int) -> Points:
        """Return some of the points; whoever reads on gets more and more of them at once."""
        if self._replayed is not None:
            return self._replayed.part(start, stop)
        begin, block = self._block
        end = begin + len(block.steps)
        if not (begin <= start and stop <= end):
            ahead = 2 * len(block.steps) if start == end else 0
            until = min(self.count, max(stop, start + min(ahead, MOST_POINTS)))
            try:
                block = self._fetch(start, until)
            except (ItemNotFound, AttributeError) as error:
                return self._replay(error).part(start, stop)
            begin = start
            self._block = begin, block
        return block.part(start - begin, stop - begin)

    def _fetch(self, start: int, stop: int) -> Points:
        points = Points.empty()
        for begin in range(start, stop, MOST_POINTS):
            end = min(stop, begin + MOST_POINTS)
            points.add(unpack_points(self._ask("points", begin, end)))
        if len(points.steps) != stop - start:
            raise ItemNotFound(f"the server does not have all points of {self._owner[1]!r}")
        return points

    def _replay(self, error: Exception) -> Points:
        """Return the points as the events of the trial tell them, since the server has others."""
        logger.info("a series is read from the events of its trial: %s", error)
        trial = self._source.replay(self._owner[0], self._source.position)
        series = None if trial is None else trial.metrics.get(self._owner[1])
        points = series.points() if isinstance(series, StepSeries) else None
        if points is None or len(points.steps) != self.count:
            raise error
        self._replayed = points
        return points


class RelayedChunk(Chunk):
    """Consecutive points of such a series."""

    def __init__(self, series: RelayedSeries, summary: Summary, start: int) -> None:
        self._series = series
        self._summary = summary
        self._start = start

    @property
    def summary(self) -> Summary:
        return self._summary

    def points(self) -> Points:
        return self._series.read(self._start, self._start + self._summary.length)

    def values(self) -> Any:
        return self.points().values
