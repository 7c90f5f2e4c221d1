"""Compare two trials, or one trial at two times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any, NamedTuple

from track.aggregators.aggregator import Aggregator
from track.projections.paths import write_path
from track.projections.trials import OWN_METADATA
from track.structure import Trial

_SECTIONS = ("name", "description", "version", "status", "tags", "parameters", "metadata", "errors")
_OWN = OWN_METADATA | {"heartbeat"}


class Difference(NamedTuple):
    """Holds a value that differs between the two sides.

    Attributes
    ----------
    path
        the path of the value, as in queries: ``parameters.lr``, ``metrics.loss``
    left, right
        the values, None if missing; for a metric, the last values
    first
        for a metric, the first step (or index in a list) at which the two differ
    """

    path: str
    left: Any
    right: Any
    first: Any = None


def differences(left: Mapping[Any, Any], right: Mapping[Any, Any]) -> Iterator[Difference]:
    """Yield the differences between two nested dictionaries."""
    for key in {**left, **right}:
        yield from _compare((key,), left.get(key), right.get(key))


def differences_of_trials(left: Trial, right: Trial) -> Iterator[Difference]:
    """Yield the differences between two trials, inputs before results."""
    for name in _SECTIONS:
        yield from _compare((name,), getattr(left, name), getattr(right, name))
    yield from _compare(("chronos",), _plain(left.chronos), _plain(right.chronos))
    for name in {**left.metrics, **right.metrics}:
        yield from _compare_metrics(name, left.metrics.get(name), right.metrics.get(name))


def _plain(chronos: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: chrono.to_json(short=True) if isinstance(chrono, Aggregator) else chrono
        for name, chrono in chronos.items()
    }


def _compare(names: tuple[Any, ...], left: Any, right: Any) -> Iterator[Difference]:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        for key in {**left, **right}:
            if not (names == ("metadata",) and key in _OWN):
                yield from _compare((*names, key), left.get(key), right.get(key))
    elif not _same(left, right):
        yield Difference(write_path(*names), left, right)


def _compare_metrics(name: str, left: Any, right: Any) -> Iterator[Difference]:
    ours, theirs = _items(left), _items(right)
    if ours is None or theirs is None:
        yield from _compare(("metrics", name), left, right)
        return
    for step, other in zip_longest(ours, theirs):
        if step != other or not _same(ours[step], theirs[other]):
            first = _smaller(step, other)
            yield Difference(write_path("metrics", name), _last(ours), _last(theirs), first)
            return


def _last(items: dict[Any, Any]) -> Any:
    return next(reversed(items.values()), None)


def _items(metric: Any) -> dict[Any, Any] | None:
    """Return a metric as a mapping of steps or indexes to values, None if it is aggregated."""
    if metric is None:
        return {}
    if isinstance(metric, list):
        return dict(enumerate(metric))
    return dict(metric.items()) if isinstance(metric, Mapping) else None


def _smaller(step: Any, other: Any) -> Any:
    if step is None or other is None:
        return other if step is None else step
    try:
        return min(step, other)
    except TypeError:
        return step


def _same(left: Any, right: Any) -> bool:
    # NaN counts as equal to NaN here.
    return type(left) is type(right) and (left == right or repr(left) == repr(right))
