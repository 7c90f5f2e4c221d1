"""Export trials as two Parquet files, through pyarrow (the extra ``parquet``)."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator
from typing import Any

from track.containers.points import Chunk, Points
from track.exchange.batches import batches
from track.exchange.numbers import float_of, is_int64
from track.exchange.optional import load
from track.exchange.tables import (
    TIMES,
    MetricRow,
    TimesByUid,
    cell,
    logged_metrics,
    trial_rows,
)
from track.projections.series import Series
from track.structure import Trial, TrialGroup

METRICS_FILE, TRIALS_FILE = "metrics.parquet", "trials.parquet"

_ROWS = 65_536
"""The number of rows in a row group, which is held in memory."""

_EXACT = 2**53
"""The largest integer up to which all integers are exact as floats."""


def export_parquet(
    trials: Iterable[Trial],
    folder: str,
    *,
    groups: Iterable[TrialGroup] = (),
    times: TimesByUid | None = None,
) -> int:
    """Write ``metrics.parquet``, with a row per value, and ``trials.parquet``, with one per trial.

    Parameters
    ----------
    trials, groups, times
        as for :func:`track.exchange.tables.metric_rows`
    folder
        the target, created if missing; existing files of these names are replaced

    Returns
    -------
    The number of values.

    Raises
    ------
    MissingPackage
        pyarrow is not installed

    Notes
    -----
    The columns are those of the CSV files. Steps and values are 64-bit floats; those that have no
    equal float (texts, lists, very large integers) are in ``step_text`` and ``value_text`` as
    :func:`track.exchange.tables.cell` writes them. ``time`` is the time at which a value was
    logged, if known from ``times`` or from the series of trials read by ``track.open``. A column
    of ``trials.parquet`` has booleans, integers or floats if all its values do, otherwise text.
    """
    arrow = load("pyarrow", "parquet")
    parquet = load("pyarrow.parquet", "parquet")
    trials, groups = [*trials], [*groups]
    os.makedirs(folder, exist_ok=True)
    parquet.write_table(trials_table(trials, groups, times), os.path.join(folder, TRIALS_FILE))
    count = 0
    schema = _metrics_schema(arrow)
    with parquet.ParquetWriter(os.path.join(folder, METRICS_FILE), schema) as writer:
        for batch in _metrics_batches(arrow, trials, groups, times):
            count += len(batch)
            writer.write_batch(batch)
    return count


def metrics_table(
    trials: Iterable[Trial], groups: Iterable[TrialGroup] = (), times: TimesByUid | None = None
) -> Any:
    """Return the values of all metrics as a ``pyarrow.Table``, a row for each value."""
    arrow = load("pyarrow", "parquet")
    batches = _metrics_batches(arrow, trials, groups, times)
    return arrow.Table.from_batches(batches, _metrics_schema(arrow))


def trials_table(
    trials: Iterable[Trial], groups: Iterable[TrialGroup] = (), times: TimesByUid | None = None
) -> Any:
    """Return a ``pyarrow.Table`` with a row for each trial."""
    arrow = load("pyarrow", "parquet")
    names, rows = trial_rows(trials, groups, times)
    columns = [_column(arrow, name, [row.get(name) for row in rows]) for name in names]
    return arrow.table(columns, names=names)


def _metrics_batches(
    arrow: Any,
    trials: Iterable[Trial],
    groups: Iterable[TrialGroup],
    times: TimesByUid | None,
) -> Iterator[Any]:
    """Yield the values of all metrics, without creating objects for those in columns."""
    schema = _metrics_schema(arrow)
    odd: list[MetricRow] = []
    for metric in logged_metrics(trials, groups, times):
        if not _has_columns(metric.values):
            odd += metric.rows()
            while len(odd) >= _ROWS:
                yield _batch(arrow, schema, odd[:_ROWS])
                del odd[:_ROWS]
            continue
        if odd:
            yield _batch(arrow, schema, odd)
            odd = []
        labels: list[Any] = []
        for chunks in batches(metric.values.chunks(), _length_of, _ROWS):
            points = [chunk.without_positions() for chunk in chunks]
            count = sum(len(point.steps) for point in points)
            if not labels or len(labels[0]) < count:
                labels = _repeated(arrow, metric.labels, count)
            columns = _columns_of(arrow, [label[:count] for label in labels], points, count)
            yield arrow.RecordBatch.from_arrays(columns, schema=schema)
    if odd:
        yield _batch(arrow, schema, odd)


def _has_columns(values: Any) -> bool:
    """Return whether a metric is a series whose steps are exact as floats."""
    if not isinstance(values, Series):
        return False
    chunks = values.chunks()
    if not chunks:
        return False
    first, last = chunks[0].summary.first, chunks[-1].summary.last
    return first.step >= -_EXACT and last.step <= _EXACT


def _length_of(chunk: Chunk) -> int:
    return chunk.summary.length


def _repeated(arrow: Any, values: Iterable[Any], count: int) -> list[Any]:
    """Return columns that have the same value everywhere."""
    places = arrow.Array.from_buffers(
        arrow.int32(), count, [None, arrow.py_buffer(bytes(4 * count))]
    )
    return [
        arrow.nulls(count, _names(arrow))
        if value is None
        else arrow.DictionaryArray.from_arrays(places, arrow.array([cell(value)], arrow.string()))
        for value in values
    ]


def _columns_of(arrow: Any, labels: list[Any], points: list[Points], count: int) -> list[Any]:
    """Return the columns of values, given those of trial, project, group and metric."""
    text, number = arrow.string(), arrow.float64()

    def column(kind: Any, parts: Iterable[array[Any]]) -> Any:
        data = b"".join(map(memoryview, parts))
        return arrow.Array.from_buffers(kind, count, [None, arrow.py_buffer(data)])

    steps, times, _, values, _ = zip(*points, strict=True)
    return [
        *labels,
        column(arrow.int64(), steps).cast(number, safe=False),  # they are exact as floats
        arrow.nulls(count, text),
        arrow.nulls(count, arrow.int64()),
        column(number, values),
        arrow.nulls(count, text),
        column(_time_type(arrow), times),
    ]


def _names(arrow: Any) -> Any:
    return arrow.dictionary(arrow.int32(), arrow.string())


def _batch(arrow: Any, schema: Any, rows: list[MetricRow]) -> Any:
    return arrow.RecordBatch.from_arrays(_columns(arrow, rows), schema=schema)


def _metrics_schema(arrow: Any) -> Any:
    text, number, name = arrow.string(), arrow.float64(), _names(arrow)
    return arrow.schema(
        [
            ("trial", name),
            ("project", name),
            ("group", name),
            ("metric", name),
            ("step", number),
            ("step_text", text),
            ("index", arrow.int64()),
            ("value", number),
            ("value_text", text),
            ("time", _time_type(arrow)),
        ]
    )


def _columns(arrow: Any, rows: list[Any]) -> list[Any]:
    trials, projects, groups, metrics, steps, indexes, values, times = zip(*rows, strict=True)
    text, number, name = arrow.string(), arrow.float64(), _names(arrow)
    step_numbers, value_numbers = [*map(_number, steps)], [*map(_number, values)]
    return [
        *(arrow.array([*map(_text, column)], name) for column in (trials, projects, groups)),
        arrow.array([*map(cell, metrics)], name),
        arrow.array(step_numbers, number),
        arrow.array([*map(_other_text, steps, step_numbers)], text),
        arrow.array(indexes, arrow.int64()),
        arrow.array(value_numbers, number),
        arrow.array([*map(_other_text, values, value_numbers)], text),
        arrow.array(times, _time_type(arrow)),
    ]


def _time_type(arrow: Any) -> Any:
    return arrow.timestamp("ns", tz="UTC")


def _column(arrow: Any, name: str, values: list[Any]) -> Any:
    is_time = name in TIMES
    return arrow.array(values, _time_type(arrow)) if is_time else _typed(arrow, values)


def _typed(arrow: Any, values: list[Any]) -> Any:
    """Return a column of the narrowest type that holds all values exactly."""
    present = [value for value in values if value is not None]
    kinds = {type(value) for value in present}
    if kinds == {bool}:
        return arrow.array(values, arrow.bool_())
    if kinds == {int} and all(map(is_int64, present)):
        return arrow.array(values, arrow.int64())
    if kinds and kinds <= {int, float} and all(_number(value) is not None for value in present):
        return arrow.array([*map(_number, values)], arrow.float64())
    return arrow.array([*map(_text, values)], arrow.string())


def _number(value: Any) -> float | None:
    """Return the float that equals a value, None if there is none."""
    number = float_of(value)
    return number if number == value or isinstance(value, float) else None


def _other_text(value: Any, number: float | None) -> str | None:
    return None if number is not None else _text(value)


def _text(value: Any) -> str | None:
    return None if value is None else cell(value)
