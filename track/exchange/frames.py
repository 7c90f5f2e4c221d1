"""Convert trials to data frames of pandas (the extra ``pandas``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from track.exchange.optional import load
from track.exchange.tables import (
    METRIC_COLUMNS,
    TIMES,
    MetricRow,
    TimesByUid,
    group_names,
    metric_rows,
    trial_rows,
    with_metric,
)
from track.projections.series import Series
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
    pieces = [*_pieces(trials, [*groups], times)]
    others = [row for piece in pieces if isinstance(piece, list) for row in piece]
    # pandas chooses types that can hold all values.
    known = pandas.DataFrame(others, columns=METRIC_COLUMNS)
    has_series = any(isinstance(piece, tuple) for piece in pieces)
    if has_series and known["step"].isna().all():
        known["step"] = known["step"].astype("float64")  # so that None becomes NaN
    has_indexes = bool(known["index"].notna().any())
    columns: dict[str, list[Any]] = {name: [] for name in METRIC_COLUMNS}
    done = 0
    for piece in pieces:
        if isinstance(piece, list):
            found = _columns_of_rows(known.iloc[done : done + len(piece)], piece)
            done += len(piece)
        else:
            found = _columns_of_series(*piece, has_indexes=has_indexes)
        for name, column in found.items():
            columns[name].append(column)
    if not pieces:
        return _with_times(known, [], ("time",))
    frame = pandas.DataFrame({name: numpy.concatenate(parts) for name, parts in columns.items()})
    frame["time"] = _stamps(frame["time"].to_numpy())
    return frame.infer_objects()


def _pieces(
    trials: Iterable[Trial], groups: list[TrialGroup], times: TimesByUid | None
) -> Iterator[tuple[list[Any], Series] | list[MetricRow]]:
    """Yield the series with the common cells of their rows, and the rows of other metrics."""
    names = group_names(groups)
    for trial in trials:
        about = [trial.uid, trial.project_id, names.get(trial.group_id, trial.group_id)]
        for metric, values in trial.metrics.items():
            if isinstance(values, Series) and values.chunks() is not None:
                yield [*about, metric], values
                continue
            if rows := [*metric_rows([with_metric(trial, metric, values)], groups, times)]:
                yield rows


def _columns_of_series(labels: list[Any], series: Series, *, has_indexes: bool) -> dict[str, Any]:
    numpy, count = load("numpy", "pandas"), len(series)
    columns = {
        name: numpy.full(count, label, dtype=object)
        for name, label in zip(METRIC_COLUMNS, labels, strict=False)
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
