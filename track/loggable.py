"""Convert values of other libraries to values that can be logged: numbers, tensors, settings.

Values are recognised by their methods and the names of their types, so nothing is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from track.configuration import choose
from track.errors import EncodingError, NotRecordedWarning, warn

Sink = Callable[[Any, Any, dict[str, Any]], None]
"""A function that takes step, aggregator and a dictionary of values."""

PLAIN = frozenset((bool, bytes, float, int, str, type(None)))
"""Types of values that need no conversion."""

_MAX_DEPTH = 50
"""The maximum nesting of values; values that contain themselves exceed it."""


class Loggable(NamedTuple):
    """The values that can be logged, and those that cannot.

    Attributes
    ----------
    taken
        the plain values that can be logged, by name
    refused
        the reasons why the others cannot be logged, by name
    """

    taken: dict[str, Any]
    refused: dict[str, str]


def loggable(
    values: Mapping[Any, Any],
    *,
    separator: str | None = "/",
    otherwise: Callable[[Any], Any] | None = None,
) -> Loggable:
    """Sort values into those that can be logged, as plain values, and those that cannot.

    Numbers of NumPy, PyTorch, JAX and pandas, and their arrays of one element, become plain
    numbers; decimals and fractions become floats, durations seconds, members of an Enum their
    values, paths text, sets sorted lists; dataclasses, named tuples and namespaces become
    mappings. The given values are not changed.

    Parameters
    ----------
    values
        the values by name; names are converted to text
    separator
        joins the names of nested mappings (``{"loss": {"train": 1}}`` is ``loss/train``);
        None leaves them nested
    otherwise
        returns a replacement for a value that cannot be logged; by default it is refused
    """
    found = Loggable({}, {})
    for name, value in _items(values, separator):
        if name in found.taken or name in found.refused:
            found.refused[name] = "the name occurs twice; the first value was logged"
            continue
        try:
            found.taken[name] = _plain(value, otherwise, 0)
        except Exception as error:  # noqa: BLE001 - values may raise anything
            found.refused[name] = str(error) or type(error).__name__
    return found


def is_plain(values: Any) -> bool:
    """Return whether no value and no name needs a conversion by :func:`loggable`."""
    return (
        type(values) is dict
        and PLAIN.issuperset(map(type, values.values()))
        and {str}.issuperset(map(type, values))
    )


def media_among(values: Mapping[Any, Any]) -> tuple[dict[Any, Any], Mapping[Any, Any]]:
    """Split values into those that are media or lists of media, and the others."""
    module = sys.modules.get("track.media.medium")
    if module is None:
        return {}, values  # a program that has a medium has imported its class
    media: dict[Any, Any] = {}
    others: dict[Any, Any] = {}
    for name in values:
        value = _read(values, name)
        first = value[0] if isinstance(value, (list, tuple)) and value else value
        (media if isinstance(first, module.Medium) else others)[name] = value
    return media, others


def log_each(
    sink: Sink,
    show: Callable[[dict[str, Any], Any], None],
    values: Mapping[Any, Any],
    step: Any,
    aggregator: Any,
) -> None:
    """Log all values that can be logged; then raise or warn about the others.

    Parameters
    ----------
    sink
        takes step, aggregator and a dictionary of values; it records either all of them or, with
        an EncodingError, none
    show
        takes a dictionary of media and the step, and records them likewise
    values, step, aggregator
        as for :meth:`track.logger.TrialLogger.log`

    Raises
    ------
    EncodingError
        some values cannot be logged; all others were
    """
    if type(step) not in PLAIN:
        step = plain(step)
    if is_plain(values):
        refused = _take(sink, dict(values), step, aggregator)
    else:
        media, others = media_among(values)
        known, refused = loggable(others)
        refused = {**_take(sink, known, step, aggregator), **refused}
        refused |= _take(lambda step, _, some: show(some, step), media, step, None)
    if refused:
        _tell(refused)


def _take(sink: Sink, values: dict[str, Any], step: Any, how: Any) -> dict[str, str]:
    """Log values together or, if some are refused, one at a time; return why those are, by name."""
    refused: dict[str, str] = {}
    if values:
        try:
            sink(step, how, values)
        except EncodingError as error:
            if len(values) == 1:
                return dict.fromkeys(values, str(error))
            for name, value in values.items():
                refused |= _take(sink, {name: value}, step, how)
    return refused


def _tell(refused: Mapping[str, str]) -> None:
    error = refusal(refused)
    if choose("log.on_error", "raise", "warn") == "raise":
        raise error
    warn(str(error), NotRecordedWarning)


def plain(value: Any) -> Any:
    """Convert a value to one that can be logged.

    Raises
    ------
    TypeError
        the value cannot be logged; whatever else the value raises is passed on
    """
    return _plain(value, None, 0)


def refusal(refused: Mapping[str, str]) -> EncodingError:
    """Return an error that names the refused values."""
    told = "; ".join(f"{name!r}: {why}" for name, why in refused.items())
    return EncodingError(f"cannot log {told}. Everything else was logged")


def _items(values: Any, separator: str | None, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield the items of a mapping, those of nested mappings under joined names."""
    for name in values:
        value = _read(values, name)
        try:
            inner = None if separator is None else _mapping(value)
        except Exception as error:  # noqa: BLE001 - a part of it may fail in a way of its own
            value, inner = _Unreadable(error), None
        if inner is None or depth >= _MAX_DEPTH:
            yield str(name), value
        else:
            for below, item in _items(inner, separator, depth + 1):
                yield f"{name}{separator}{below}", item


class _Unreadable:
    """A placeholder for a value that could not be read."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _read(values: Any, name: Any) -> Any:
    try:
        return values[name]
    except Exception as error:  # noqa: BLE001 - omegaconf raises for a missing value
        return _Unreadable(error)


def _mapping(value: object) -> Mapping[Any, Any] | None:
    """Return a value as a mapping if it holds named values, else None."""
    kind = type(value)
    if kind in PLAIN:
        return None
    if isinstance(value, Mapping):
        return value
    if hasattr(kind, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in kind.__dataclass_fields__}
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return dict(zip(kind._fields, value, strict=True))
    if kind.__name__ in ("Namespace", "SimpleNamespace") and kind.__module__ in _STANDARD:
        return vars(value)
    return None


_STANDARD = ("argparse", "types")


def _plain(value: Any, otherwise: Callable[[Any], Any] | None, depth: int) -> Any:
    if type(value) in PLAIN:
        return value
    if isinstance(value, _Unreadable):
        raise value.error
    if depth > _MAX_DEPTH:
        raise TypeError(f"it is nested over {_MAX_DEPTH} deep, or contains itself")
    inner = _mapping(value)
    if inner is not None:
        return {_key(name): _plain(inner[name], otherwise, depth + 1) for name in inner}
    if isinstance(value, (list, tuple, set, frozenset)) or _is_sequence(value):
        items = [_plain(item, otherwise, depth + 1) for item in value]
        if isinstance(value, (set, frozenset)):
            return sorted(items, key=lambda item: (type(item).__name__, repr(item)))
        return tuple(items) if isinstance(value, tuple) else items
    try:
        return _scalar(value, otherwise, depth)
    except Exception:
        if otherwise is None:
            raise
        return otherwise(value)


def _key(name: Any) -> Any:
    return name if type(name) in PLAIN else str(name)


def _is_sequence(value: Any) -> bool:
    """Return whether a value is like a list: a list of omegaconf, a deque, a range."""
    from collections.abc import Sequence

    if isinstance(value, (str, bytes, bytearray, memoryview)) or hasattr(value, "shape"):
        return False
    return isinstance(value, (Sequence, type({}.keys()), type({}.values())))


def _scalar(value: Any, otherwise: Callable[[Any], Any] | None, depth: int) -> Any:
    """Convert a value that is not a container to a plain one."""
    for kinds, convert in _conversions():
        if isinstance(value, kinds):
            return convert(value)
    kind = type(value)
    home = kind.__module__.partition(".")[0]
    if kind.__name__ in ("NAType", "NaTType") and home == "pandas":
        return None
    if home == "omegaconf" and hasattr(value, "_value"):
        return _plain(value._value(), otherwise, depth + 1)  # noqa: SLF001 - its documented way
    shape = getattr(value, "shape", None)
    if shape is not None and not isinstance(value, type):
        return _single(value, shape)
    if hasattr(kind, "__index__"):
        return int(value)
    if hasattr(kind, "__float__"):
        return float(value)
    raise TypeError(
        f"a value of type {kind.__name__} cannot be logged; log numbers, text, or lists and "
        "dictionaries of them"
    )


def _single(value: Any, shape: Any) -> Any:
    """Return the only element of an array or a tensor."""
    sizes = [int(size) for size in shape]
    if any(size != 1 for size in sizes):
        raise TypeError(
            f"it is an array of shape {tuple(sizes)}, not one number; log its mean or another "
            "number computed from it"
        )
    if type(value).__name__ in ("datetime64", "timedelta64"):
        kind = type(value).__name__
        return plain(value.astype(f"{kind}[us]").item())
    item = value.item() if hasattr(value, "item") else value.numpy().item()
    return item if type(item) in PLAIN else _scalar_of_item(item)


def _scalar_of_item(item: Any) -> Any:
    if getattr(item, "shape", None) == () and hasattr(type(item), "__float__"):
        return float(item)  # of a type that Python lacks, such as bfloat16
    return plain(item)


_table: list[tuple[Any, Callable[[Any], Any]]] = []


def _conversions() -> list[tuple[Any, Callable[[Any], Any]]]:
    """Return types of the standard library and their conversions; the first match wins."""
    if _table:
        return _table
    # Imported late: few programs log such values, and `import track` is faster without them.
    from datetime import date, time, timedelta
    from decimal import Decimal
    from enum import Enum
    from fractions import Fraction
    from pathlib import PurePath
    from uuid import UUID

    _table.extend(
        (
            (Enum, lambda value: plain(value.value)),
            (str, str.__str__),
            (timedelta, timedelta.total_seconds),
            (date, _date),
            (time, time.isoformat),
            (UUID, lambda value: value),
            ((Decimal, Fraction, float), float),
            (int, int),
            (PurePath, str),
            ((bytes, bytearray, memoryview), bytes),
        )
    )
    return _table


def _date(value: Any) -> Any:
    return None if type(value).__name__ == "NaTType" else value
