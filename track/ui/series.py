"""The endpoint for curves, which returns columns of numbers."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from math import inf, nan, nextafter
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from track.projections.rows import little_endian
from track.projections.series import Series
from track.ui.answers import BadRequest, Parameters, to_json
from track.ui.store import Store

_POINTS, _MOST_POINTS = 1000, 20_000
_MOST_SERIES = 5000
_MOST_IN_ALL = 2_000_000

_LONGEST = 200
"""The most characters of a step or a value that is a text."""


def get_series(store: Store, request: Request) -> Response:
    """Return samples of metrics of trials as columns of 64-bit floats."""
    known = Parameters(request.query_params, "trial", "metric", "n", "first", "last", "x", "at")
    trials, metrics = known.texts("trial", _MOST_SERIES), known.texts("metric", _MOST_SERIES)
    count = known.integer("n", _POINTS, least=2, most=_MOST_POINTS)
    first, last = known.number("first"), known.number("last")
    if known.text("x") not in (None, "step"):
        raise BadRequest("x must be step: times are among the columns")
    series = len(trials) * len(metrics)
    if not series:
        raise BadRequest("trial and metric select the series: give each at least once")
    if series > _MOST_SERIES or series * count > _MOST_IN_ALL:
        raise BadRequest(
            f"{len(trials)} trials, {len(metrics)} metrics and n={count} are too many at once: "
            f"up to {_MOST_SERIES} series and {_MOST_IN_ALL} points"
        )
    found: list[tuple[str, str, Any]] = []
    with store.glance(known.text("at")) as glance:
        position = glance.position
        for which in trials:
            values = glance.find(which).metrics
            found += [
                (which, name, glance.series(which, name)) for name in metrics if name in values
            ]
        wanted = Wanted(count, first, last)
        parts = [part for one in found if (part := piece(*one, wanted)) is not None]
    header = to_json({"position": position, "series": [head for head, _ in parts]})
    header += b" " * (-(len(header) + 4) % 8)
    body = [len(header).to_bytes(4, "little"), header]
    for _, columns in parts:
        body += map(little_endian, columns)
    return Response(b"".join(body), media_type="application/octet-stream")


Columns = tuple["array[float]", "array[float]", "array[float]"]


class Wanted(NamedTuple):
    """The points to return per series: about how many, and from which step to which."""

    points: int
    first: float | None
    last: float | None


def piece(
    trial: str, metric: str, values: Any, wanted: Wanted
) -> tuple[dict[str, Any], Columns] | None:
    """Return a header and columns of steps, times and values; None if it is not a series."""
    if isinstance(values, list):
        values = Series.of_list(values)
    if not isinstance(values, Series):
        return None
    whole = values
    # A single value is a result, which a chart shows without an axis.
    if len(values) > 1 and (wanted.first is not None or wanted.last is not None):
        whole = values[wanted.first : None if wanted.last is None else nextafter(wanted.last, inf)]
    sampled = whole.sample(wanted.points)
    raw_steps = sampled.steps
    steps, labels = numbers_of(raw_steps)
    times = array("d", [at / 1e6 if at else nan for at in sampled.times])
    raw_values = sampled.values
    are_floats = isinstance(raw_values, array)
    floats = raw_values if are_floats else array("d", map(number, raw_values))
    there = [value for value in floats if value == value]  # noqa: PLR0124 - false for NaN
    length = len(floats)
    head: dict[str, Any] = {
        "trial": trial,
        "metric": metric,
        "length": len(values),
        "columns": {"steps": length, "times": length, "values": length},
        "exact": len(whole) == length,
        "min": min(there, default=None),
        "max": max(there, default=None),
    }
    if labels is not None:
        head["labels"] = labels
    texts = None if are_floats else texts_of(raw_values)
    if texts is not None:
        head["texts"] = texts
    return head, (steps, times, floats)


def numbers_of(steps: Sequence[Any]) -> tuple[array[float], list[str] | None]:
    """Return steps as numbers; if some are not numeric, return indices and their labels."""
    if isinstance(steps, array):
        return array("d", steps), None
    if all(isinstance(step, (int, float)) for step in steps):
        return array("d", map(number, steps)), None
    return array("d", range(len(steps))), [str(step)[:_LONGEST] for step in steps]


def texts_of(values: Iterable[Any]) -> list[str | None] | None:
    """Return the values that are not numbers as texts, and None for numbers; None if all are."""
    texts = [
        None
        if isinstance(value, (int, float))
        else (value if isinstance(value, str) else to_json(value).decode())[:_LONGEST]
        for value in values
    ]
    return texts if any(text is not None for text in texts) else None


def number(value: Any) -> float:
    """Return a value as a float, NaN if it is not a number."""
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:
            return inf if value > 0 else -inf
    return nan
