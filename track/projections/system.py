"""Fold system metrics into columns."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from math import nan
from typing import NamedTuple

from track.events.codec import stream_id
from track.events.types import Recorded, SystemSampled


class SystemMetrics(NamedTuple):
    """Holds what one process measured of its machine while it ran a trial.

    Attributes
    ----------
    host, pid
        the process
    rank
        the number of the process in a distributed training, None without one
    times
        the times of the samples in nanoseconds since 1970-01-01 UTC, ascending: int64
    values
        the values of each metric at these times, float64; NaN where it could not be measured
    """

    host: str
    pid: int
    rank: int | None
    times: array[int]
    values: dict[str, array[float]]


def system_stream(uid: str) -> int:
    """Return the stream of the system metrics of a trial."""
    return stream_id("system", uid)


def system_metrics(events: Iterable[Recorded]) -> list[SystemMetrics]:
    """Return the samples by process, in the order of their first samples."""
    found: dict[tuple[str, int, int | None], SystemMetrics] = {}
    for recorded in events:
        event = recorded.event
        if not isinstance(event, SystemSampled):
            continue  # it was redacted
        source = event.host, event.pid, event.rank
        metrics = found.setdefault(source, SystemMetrics(*source, array("q"), {}))
        samples = len(metrics.times)
        metrics.times.append(max(recorded.at, metrics.times[-1]) if samples else recorded.at)
        for column in metrics.values.values():
            column.append(nan)
        for name, value in event.values.items():
            if not isinstance(value, float):
                continue  # no version of Track wrote this
            column = metrics.values.setdefault(name, array("d", [nan]) * (samples + 1))
            column[-1] = value
    return [*found.values()]
