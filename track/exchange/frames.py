"""Convert trials to data frames of pandas (the extra ``pandas``)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from track.exchange.optional import load
from track.exchange.tables import METRIC_COLUMNS, TIMES, TimesByUid, metric_rows, trial_rows
from track.structure import Trial, TrialGroup

_NO_TIME = -(2**63)


def trials_frame(
    trials: Iterable[Trial], groups: Iterable[TrialGroup], times: TimesByUid | None = None
) -> Any:
    """Return a ``pandas.DataFrame`` with a row for each trial."""
    pandas = load("pandas", "pandas")
    names, rows = trial_rows(trials, groups, times)
    return _with_times(pandas.DataFrame(rows, columns=names, dtype=None), rows, TIMES)


def metrics_frame(
    trials: Iterable[Trial], groups: Iterable[TrialGroup], times: TimesByUid | None = None
) -> Any:
    """Return a ``pandas.DataFrame`` with a row for each value."""
    pandas = load("pandas", "pandas")
    rows = [*metric_rows(trials, groups, times)]
    frame = pandas.DataFrame(rows, columns=METRIC_COLUMNS)
    return _with_times(frame, [{"time": row.time} for row in rows], ("time",))


def _with_times(frame: Any, rows: list[dict[str, Any]], columns: Iterable[str]) -> Any:
    """Convert columns to times exact to the nanosecond, without passing through floats."""
    numpy, pandas = load("numpy", "pandas"), load("pandas", "pandas")
    for name in columns:
        ints = [_NO_TIME if row[name] is None else row[name] for row in rows]
        stamps = numpy.array(ints, dtype="int64").view("datetime64[ns]")
        frame[name] = pandas.DatetimeIndex(stamps).tz_localize("UTC")
    return frame
