"""Convert queries and exceptions to values in headers of messages, and back."""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgpack

from track import errors
from track.errors import RPCCallFailure
from track.events.values import MAX_DEPTH, unpack
from track.persistence.protocol import Query
from track.structure import CustomStatus, Status, get_status
from track.utils.expressions import Expression

_EXT_STATUS = 16
_EXT_PATTERN = 17


def to_values(query: Query) -> Any:
    """Return a query as values, converting statuses and patterns."""
    return _to_values(query if isinstance(query, Mapping) or query is None else list(query), 0)


def _to_values(part: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        return part  # sending it will raise the error for nesting too deeply
    if isinstance(part, (Status, CustomStatus)):
        return msgpack.ExtType(_EXT_STATUS, msgpack.packb([part.name, part.value]))
    if isinstance(part, re.Pattern):
        return msgpack.ExtType(_EXT_PATTERN, msgpack.packb([part.pattern, part.flags & ~re.DEBUG]))
    if isinstance(part, Mapping):
        return {key: _to_values(item, depth + 1) for key, item in part.items()}
    if isinstance(part, tuple) and not isinstance(part, msgpack.ExtType):
        return tuple(_to_values(item, depth + 1) for item in part)
    if isinstance(part, (list, set, frozenset)):
        return [_to_values(item, depth + 1) for item in part]
    return part


def from_values(values: Any) -> Any:
    """Return a query from values."""
    if isinstance(values, msgpack.ExtType):
        return _revive(values)
    if isinstance(values, dict):
        return {key: from_values(item) for key, item in values.items()}
    if isinstance(values, (list, tuple)):
        items: Iterable[Any] = map(from_values, values)
        return tuple(items) if isinstance(values, tuple) else list(items)
    return values


def _revive(value: msgpack.ExtType) -> Any:
    if value.code == _EXT_STATUS:
        return get_status(*unpack(value.data))
    if value.code == _EXT_PATTERN:
        pattern, flags = unpack(value.data)
        return Expression(pattern, flags)  # compiled later, since that may take long
    return value


# Exceptions, which have the same class on both sides

_LONGEST_MESSAGE, _LONGEST_NAME = 2**14, 80

_BUILTIN = frozenset(
    {"AssertionError", "AttributeError", "IndexError", "KeyError", "OverflowError"}
    | {"NotImplementedError", "RecursionError", "RuntimeError", "TypeError", "ValueError"}
)


def describe(error: BaseException) -> list[Any]:
    """Return the class name of an error, its message, and its number if any."""
    kind = next(
        (cls for cls in type(error).__mro__ if _class_of(cls.__name__) is cls), RPCCallFailure
    )
    number = error.errno if isinstance(error, OSError) else None
    text = error.strerror if isinstance(error, OSError) and number is not None else str(error)
    if isinstance(error, KeyError) and len(error.args) == 1:
        text = error.args[0]  # str() would quote it again on each side
    if kind is RPCCallFailure and not isinstance(error, RPCCallFailure):
        text = f"{type(error).__name__}: {text}"
    return [kind.__name__, str(text)[:_LONGEST_MESSAGE], number]


def revive(description: list[Any]) -> Exception:
    """Return the error that a server described; by default an :class:`RPCCallFailure`."""
    name, text, number = (*description, None, None, None)[:3]
    if not isinstance(name, str) or not isinstance(text, str):
        return RPCCallFailure("the server failed without a message")
    text = text[:_LONGEST_MESSAGE]
    kind = _class_of(name)
    if kind is None:
        return RPCCallFailure(f"the server failed: {name[:_LONGEST_NAME]}: {text}")
    if issubclass(kind, OSError) and isinstance(number, int):
        return kind(number, text)
    return kind(text)


def _class_of(name: str) -> type[Exception] | None:
    """Return the exception class with a name, None if it may not be sent."""
    found = getattr(builtins if name in _BUILTIN else errors, name, None)
    if isinstance(found, type) and issubclass(found, Exception) and not issubclass(found, Warning):
        return found
    return None
