"""Convert trials to data frames of pandas (the extra ``pandas``)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from track.exchange.optional import load
from track.exchange.tables import (
    METRIC_COLUMNS,
    TIMES,
    LoggedMetric,
    MetricRow,
    TimesByUid,
    logged_metrics,
    trial_rows,
)
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
    """Return a ``pandas.DataFrame`` with a row per value, without creating objects for series."""
    numpy, pandas = load("numpy", "pandas"), load("pandas", "pandas")
    pieces = [
        (metric, [*metric.rows()] if metric.chunks() is None else None)
        for metric in logged_metrics(trials, groups, times)
    ]
    pieces = [(metric, rows) for metric, rows in pieces if rows != []]
    others = [row for _, rows in pieces for row in rows or ()]
    # pandas chooses types that can hold all values.
    known = pandas.DataFrame(others, columns=METRIC_COLUMNS)
    has_series = any(rows is None for _, rows in pieces)
    if has_series and known["step"].isna().all():
        known["step"] = known["step"].astype("float64")  # so that None becomes NaN
    has_indexes = bool(known["index"].notna().any())
    columns: dict[str, list[Any]] = {name: [] for name in METRIC_COLUMNS}
    done = 0
    for metric, rows in pieces:
        if rows is None:
            found = _columns_of_series(metric, has_indexes=has_indexes)
        else:
            found = _columns_of_rows(known.iloc[done : done + len(rows)], rows)
            done += len(rows)
        for name, column in found.items():
            columns[name].append(column)
    if not pieces:
        return _with_times(known, [], ("time",))
    frame = pandas.DataFrame({name: numpy.concatenate(parts) for name, parts in columns.items()})
    frame["time"] = _stamps(frame["time"].to_numpy())
    return frame.infer_objects()


def _columns_of_series(metric: LoggedMetric, *, has_indexes: bool) -> dict[str, Any]:
    numpy, series, count = load("numpy", "pandas"), metric.values, len(metric.values)
    columns = {
        name: numpy.full(count, label, dtype=object)
        for name, label in zip(METRIC_COLUMNS, metric.labels, strict=False)
    }
    columns["step"] = numpy.frombuffer(series.steps, dtype="int64")
    columns["index"] = numpy.full(count, numpy.nan if has_indexes else None)
    columns["value"] = numpy.asarray(series.values)
    columns["time"] = numpy.frombuffer(series.times, dtype="int64")
    return columns


def _columns_of_rows(known: Any, rows: list[MetricRow]) -> dict[str, Any]:
    numpy = load("numpy", "pandas")
    columns = {name: known[name].to_numpy() for name in METRIC_COLUMNS}
    at = [_NO_TIME if row.time is None else row.time for row in rows]
    return {**columns, "time": numpy.array(at, dtype="int64")}


def _stamps(times: Any) -> Any:
    """Convert integers to pandas timestamps."""
    pandas = load("pandas", "pandas")
    return pandas.DatetimeIndex(times.view("datetime64[ns]")).tz_localize("UTC")


def _with_times(frame: Any, rows: list[dict[str, Any]], columns: Iterable[str]) -> Any:
    """Convert columns to times exact to the nanosecond, without passing through floats."""
    numpy = load("numpy", "pandas")
    for name in columns:
        ints = [_NO_TIME if row[name] is None else row[name] for row in rows]
        frame[name] = _stamps(numpy.array(ints, dtype="int64"))
    return frame
