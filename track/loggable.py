"""Convert values of any library to what can be logged: numbers, tensors, settings.

Nothing is imported to recognise a value: what it can do, and what its type is called, is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from track.configuration import choose
from track.errors import EncodingError, NotRecordedWarning, warn

Sink = Callable[[Any, Any, dict[str, Any]], None]
"""Takes step, aggregator and a dictionary of values."""

PLAIN = frozenset((bool, bytes, float, int, str, type(None)))
"""Types of values that are taken as they are."""

_MAX_DEPTH = 50
"""How deep values may nest; one that contains itself has no end."""


class Loggable(NamedTuple):
    """Values that can be logged, and those that cannot.

    Attributes
    ----------
    taken
        name and plain value of each that can
    refused
        name of each that cannot, and why
    """

    taken: dict[str, Any]
    refused: dict[str, str]


def loggable(
    values: Mapping[Any, Any],
    *,
    separator: str | None = "/",
    otherwise: Callable[[Any], Any] | None = None,
) -> Loggable:
    """Return what can be logged of some values, one by one.

    Numbers of NumPy, PyTorch, JAX and pandas, and their arrays of one element, are taken as the
    number they hold; decimals and fractions as floats, durations as seconds, members of an Enum as
    their value, paths as text, sets as sorted lists; dataclasses, named tuples and namespaces as
    mappings. Values are never changed.

    Parameters
    ----------
    values
        name and value of each; names that are no text become text
    separator
        joins the names of mappings in mappings (``{"loss": {"train": 1}}`` is ``loss/train``);
        None leaves them nested
    otherwise
        what to log of a value that cannot be logged; by default it is refused
    """
    found = Loggable({}, {})
    for name, value in _items(values, separator):
        if name in found.taken or name in found.refused:
            found.refused[name] = "the name is given twice; the first value is logged"
            continue
        try:
            found.taken[name] = _plain(value, otherwise, 0)
        except Exception as error:  # noqa: BLE001 - a value may fail in a way of its own
            found.refused[name] = str(error) or type(error).__name__
    return found


def is_plain(values: Any) -> bool:
    """Return whether values need no :func:`loggable`: their names are text, and no value is odd."""
    return (
        type(values) is dict
        and PLAIN.issuperset(map(type, values.values()))
        and {str}.issuperset(map(type, values))
    )


def log_each(sink: Sink, values: Mapping[Any, Any], step: Any, aggregator: Any) -> None:
    """Log all values that can be logged; then raise, or warn, if there are others.

    Parameters
    ----------
    sink
        takes step, aggregator and a dictionary of values; it takes all of them or, with an
        EncodingError, none
    values, step, aggregator
        as of :meth:`track.logger.TrialLogger.log`

    Raises
    ------
    EncodingError
        some values cannot be logged; all others were
    """
    known, refused = loggable(values) if not is_plain(values) else (dict(values), {})
    if type(step) not in PLAIN:
        step = plain(step)
    if known:
        try:
            sink(step, aggregator, known)
        except EncodingError:
            refused = {**_log_one_by_one(sink, known, step, aggregator), **refused}
    if refused:
        _tell(refused)


def _log_one_by_one(sink: Sink, values: Mapping[Any, Any], step: Any, how: Any) -> dict[str, str]:
    """Log values one at a time, and return which could not be logged, and why."""
    refused = {}
    for name, value in values.items():
        try:
            sink(step, how, {name: value})
        except EncodingError as error:  # noqa: PERF203 - each value is judged by itself
            refused[name] = str(error)
    return refused


def _tell(refused: Mapping[str, str]) -> None:
    error = refusal(refused)
    if choose("log.on_error", "raise", "warn") == "raise":
        raise error
    warn(str(error), NotRecordedWarning)


def plain(value: Any) -> Any:
    """Return a value as it can be logged.

    Raises
    ------
    TypeError
        it cannot; or whatever the value raises when it is asked for its content
    """
    return _plain(value, None, 0)


def refusal(refused: Mapping[str, str]) -> EncodingError:
    """Return an error that names what was refused."""
    told = "; ".join(f"{name!r}: {why}" for name, why in refused.items())
    return EncodingError(f"cannot log {told}. Everything else was logged")


def _items(values: Any, separator: str | None, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of a mapping, and of those in it under joined names."""
    for name in values:
        try:
            value = values[name]
            inner = None if separator is None else _mapping(value)
        except Exception as error:  # noqa: BLE001 - as of omegaconf, where a value is missing
            value, inner = _Unreadable(error), None
        if inner is None or depth >= _MAX_DEPTH:
            yield str(name), value
        else:
            for below, item in _items(inner, separator, depth + 1):
                yield f"{name}{separator}{below}", item


class _Unreadable:
    """Stands for a value that could not even be looked at."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _mapping(value: object) -> Mapping[Any, Any] | None:
    """Return what holds named values as a mapping; None for what does not."""
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
    """Return whether a value is a list in all but name: of omegaconf, a deque, a range."""
    from collections.abc import Sequence

    if isinstance(value, (str, bytes, bytearray, memoryview)) or hasattr(value, "shape"):
        return False
    return isinstance(value, (Sequence, type({}.keys()), type({}.values())))


def _scalar(value: Any, otherwise: Callable[[Any], Any] | None, depth: int) -> Any:
    """Return the plain value that another one stands for."""
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
    """Return the one element of an array or a tensor."""
    sizes = [int(size) for size in shape]
    if any(size != 1 for size in sizes):
        raise TypeError(
            f"it is an array of shape {tuple(sizes)}, not one number; log its mean, or what you "
            "want to see of it"
        )
    if type(value).__name__ in ("datetime64", "timedelta64"):
        kind = type(value).__name__
        return plain(value.astype(f"{kind}[us]").item())
    item = value.item() if hasattr(value, "item") else value.numpy().item()
    return item if type(item) in PLAIN else _scalar_of_item(item)


def _scalar_of_item(item: Any) -> Any:
    if getattr(item, "shape", None) == () and hasattr(type(item), "__float__"):
        return float(item)  # of a number format that Python has not, as bfloat16
    return plain(item)


_table: list[tuple[Any, Callable[[Any], Any]]] = []


def _conversions() -> list[tuple[Any, Callable[[Any], Any]]]:
    """Return how to take values of the standard library; the first match wins."""
    if _table:
        return _table
    # Few programs log such values, and `import track` is faster without these modules.
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
