"""Find out when trials started and ended, and when each value was logged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from track.events.columns import Columns, by_stream
from track.events.types import (
    MetricsLogged,
    Recorded,
    TrialCreated,
    TrialFinished,
    TrialStarted,
)
from track.journals.journal import Journal
from track.projections.metrics import add_column, add_values
from track.projections.objects import Objects
from track.projections.projection import fold
from track.projections.series import Series
from track.projections.trials import measured_at, stream_of
from track.structure import Trial

_FEW = 16
"""The number of trials from which reading all events is faster than finding those of each."""


class TrialTimes:
    """Times of one trial, all in nanoseconds since 1970-01-01 UTC.

    Attributes
    ----------
    started_at
        the first start, None without one
    finished_at
        the last end, None without one since the last start
    metrics
        the times of values by name of the metric, by step or in a list like the values; for an
        aggregated metric, the times of all values that it received
    """

    def __init__(self) -> None:
        self.started_at: int | None = None
        self.finished_at: int | None = None
        self.metrics: dict[str, Any] = {}
        self._aggregated: set[str] = set()

    def apply(self, recorded: Recorded) -> None:
        """Apply one event of the trial."""
        event, at = recorded.event, recorded.at
        if isinstance(event, MetricsLogged):
            at = measured_at(recorded, event)
            for name in event.values:
                self._log(name, event.step, at, is_aggregated=event.aggregator is not None)
        elif isinstance(event, TrialCreated):
            self.metrics.update((name, _all_at(at, each)) for name, each in event.metrics.items())
        elif isinstance(event, TrialStarted):
            self.started_at = at if self.started_at is None else self.started_at
            self.finished_at = None
        elif isinstance(event, TrialFinished):
            self.finished_at = at

    def apply_columns(self, rows: Columns) -> None:
        """Apply many events that logged the same metrics, each with a step."""
        for name in rows.metrics:
            if name in self._aggregated:
                self.metrics[name].extend(rows.times)
            else:
                add_column(self.metrics, name, rows.steps, rows.times, (rows.times, rows.times))

    def _log(self, name: str, step: Any, at: int, *, is_aggregated: bool) -> None:
        if is_aggregated and name not in self._aggregated:
            self._aggregated.add(name)
            earlier = self.metrics.get(name, [])
            self.metrics[name] = earlier if isinstance(earlier, list) else [*earlier.values()]
        if name in self._aggregated:
            self.metrics[name].append(at)
        else:
            add_values(self.metrics, step, {name: at})

    def along(self, metric: str, points: Sequence[tuple[Any, int | None, Any]]) -> list[int | None]:
        """Return the time at which each value of a metric was logged, None if unknown.

        Parameters
        ----------
        metric
            the name of the metric
        points
            step, index in a list, and value of each; for a statistic, both step and index are
            None, and the last time counts
        """
        times = self.metrics.get(metric)
        if not isinstance(times, list):
            by_step = dict(times or {})
            return [by_step.get(place if step is None else step) for step, place, _ in points]
        # An aggregator may have kept only the last values.
        first = max(0, len(times) - len(points)) if metric in self._aggregated else 0
        known = dict(enumerate(times[first:]))
        last = times[-1] if times else None
        return [last if place is None else known.get(place) for _, place, _ in points]


class Times:
    """The times of trials by stream."""

    def __init__(self) -> None:
        self.position = 0
        self.by_stream: dict[int, TrialTimes] = {}

    def apply(self, recorded: Recorded) -> None:
        """Apply one event."""
        self.position = recorded.position
        self._of(recorded.stream).apply(recorded)

    def apply_columns(self, columns: Columns, positions: Sequence[int]) -> None:
        """Apply many events at once."""
        self.position = positions[-1]
        for stream, rows, _ in by_stream(columns, positions):
            self._of(stream).apply_columns(rows)

    def _of(self, stream: int) -> TrialTimes:
        return self.by_stream.setdefault(stream, TrialTimes())


def times_of(journal: Journal, uids: Iterable[str]) -> dict[str, TrialTimes]:
    """Return the times of the trials that have events in the journal, by uid."""
    streams = {uid: stream_of(uid) for uid in uids}
    times = Times()
    if len(streams) > _FEW:
        fold(times, journal.read_batches())
    else:
        for stream in streams.values():
            fold(times, journal.read_stream(stream))
    found = times.by_stream
    return {uid: found[stream] for uid, stream in streams.items() if stream in found}


def times_in(objects: Objects, trial: Trial) -> TrialTimes:
    """Return the start and end of a trial from its attempts."""
    times, attempts = TrialTimes(), objects.attempts.get(stream_of(trial.uid))
    if attempts is not None and attempts.found:
        times.started_at = attempts.found[0].started_at
        times.finished_at = attempts.found[-1].finished_at
    return times


def has_all_times(trial: Trial) -> bool:
    """Return whether all metrics of a trial are series, which hold the times of their values."""
    return all(isinstance(metric, Series) for metric in trial.metrics.values())


def _all_at(at: int, values: Any) -> Any:
    if isinstance(values, dict):
        return dict.fromkeys(values, at)
    return [at] * (len(values) if isinstance(values, list) else 1)
