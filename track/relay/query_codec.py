"""Convert queries to values that can be sent, and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgpack

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
