"""Provide series at a server, whose points are fetched on demand."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Callable
from typing import Any

from track.containers.points import Chunk, LoadedChunk, Points, Stored, Summary
from track.containers.series import StepSeries
from track.errors import ItemNotFound
from track.relay.rows_codec import MOST_POINTS, unpack_points, unpack_summaries
from track.structure import Trial

logger = logging.getLogger(__name__)

_FEW = 2**12
"""The number of points up to which a series is fetched at once, without summaries."""

Ask = Callable[..., bytes]
"""Calls a server with a name and arguments, and returns the attachment."""


class Source:
    """The shared parts of the series of one answer.

    Parameters
    ----------
    ask
        calls the server
    replay
        returns a trial as of a position from its events, None without one
    """

    def __init__(self, ask: Ask, replay: Callable[[str, int], Trial | None]) -> None:
        self.ask = ask
        self.replay = replay
        self.position = 0
        """The position that the server had read up to."""

    def find(self, owner: tuple[str, str], values: list[Any]) -> RelayedSeries:
        """Return the series of a metric of a trial, given its values in a row."""
        _, count, step, value, _, _, is_rewritten, low, high = values
        series = RelayedSeries(self, owner, (count, step, value), (low, high))
        series.is_rewritten = is_rewritten
        return series


class RelayedSeries(Stored):
    """The points of a series at a server.

    Parameters
    ----------
    source
        calls the server
    owner
        the uid of the trial, and the name of the metric
    end
        the number of points, and the step and value of the last one
    extremes
        the smallest and the largest value, None if all are NaN
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
        self._extremes = extremes
        self._block: tuple[int, Points] = (0, Points.empty())
        """The points that were fetched last, and their start."""
        self._replayed: Points | None = None

    def extremes(self) -> tuple[float | None, float | None]:
        return self._extremes

    def _ask(self, name: str, *arguments: Any) -> bytes:
        which = [*self._owner, self.count, self.last_step, self.last_value, self._source.position]
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
        """Return some of the points, fetching more at once when reading continues."""
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
        """Return the points from the events of the trial, since the server's series has changed."""
        logger.info("a series is read from the events of its trial: %s", error)
        trial = self._source.replay(self._owner[0], self._source.position)
        series = None if trial is None else trial.metrics.get(self._owner[1])
        points = series.points() if isinstance(series, StepSeries) else None
        if points is None or len(points.steps) != self.count:
            raise error
        self._replayed = points
        return points


class RelayedChunk(Chunk):
    """Consecutive points of a series at a server."""

    def __init__(self, series: RelayedSeries, summary: Summary, start: int) -> None:
        self._series = series
        self._summary = summary
        self._start = start

    @property
    def summary(self) -> Summary:
        return self._summary

    def points(self) -> Points:
        return self._series.read(self._start, self._start + self._summary.length)

    def values(self) -> tuple[array[float], bytes | bytearray]:
        points = self.points()
        return points.values, points.integers
