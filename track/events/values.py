"""Values users log <-> msgpack, such that decoding gives back exactly what was encoded.

msgpack has no tuple, no integer beyond 64 bits, no lone surrogate, no date and no UUID: those
travel as extension types (``docs/format.md`` lists them). NumPy and torch scalars are taken as
numbers, subclasses of plain types as the plain type. Everything else is refused, by name.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from enum import Enum
from functools import lru_cache, partial
from typing import Any

import msgpack

from track.errors import EncodingError

EXT_TUPLE = 1
EXT_INTEGER = 2
EXT_STRING = 3
EXT_DATETIME = 4
EXT_UUID = 5

MAX_TUPLE_DEPTH = 32
"""How deep tuples may nest: each is a msgpack document in itself, decoded recursively."""

MAX_EXPLAINED_DEPTH = 600
"""Where the search for a culprit stops; msgpack itself gives up at 511."""


def extension(value: Any, depth: int = 0) -> Any:
    """Say how msgpack shall write a value it does not know.

    Raises
    ------
    TypeError
        there is no way to write it
    """
    if isinstance(value, tuple):
        if depth >= MAX_TUPLE_DEPTH:
            raise TypeError(f"tuples are nested more than {MAX_TUPLE_DEPTH} deep")
        return msgpack.ExtType(EXT_TUPLE, _pack_nested(list(value), depth + 1))
    for kinds, write in _writers():
        if isinstance(value, kinds):
            return write(value)
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return _array_scalar(value)
    raise TypeError(f"{type(value).__name__} is not a value that can be logged")


def _plain_scalar(value: float | str) -> Any:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        return float(value)
    integer = int(value)
    if -(2**63) <= integer < 2**64:
        return integer
    size = integer.bit_length() // 8 + 1
    return msgpack.ExtType(EXT_INTEGER, integer.to_bytes(size, "big", signed=True))


@lru_cache
def _writers() -> list[tuple[Any, Callable[[Any], Any]]]:
    """Return how to write the kinds of values msgpack does not know; the first match wins."""
    # Few programs log such values, and `import track` is faster without these modules.
    from pathlib import PurePath
    from uuid import UUID

    return [
        (Enum, lambda value: value.value),
        ((float, int, str), _plain_scalar),
        (dict, dict),
        (list, list),
        ((bytearray, memoryview), bytes),
        (date, lambda value: msgpack.ExtType(EXT_DATETIME, value.isoformat().encode())),
        (UUID, lambda value: msgpack.ExtType(EXT_UUID, value.bytes)),
        (PurePath, str),
    ]


def _array_scalar(value: Any) -> Any:
    """Take a NumPy or torch scalar as the Python number it stands for."""
    number = value.item()
    if type(number) in (bool, int, float, str, bytes, datetime, date):
        return number
    raise TypeError(f"a {type(value).__name__} of {type(number).__name__} cannot be logged")


def _pack_nested(values: list[Any], depth: int = 0) -> bytes:
    # A Packer cannot be entered twice, and this is called from inside one.
    inner = partial(extension, depth=depth)
    packed: bytes = msgpack.Packer(strict_types=True, default=inner).pack(values)
    return packed


def revive(code: int, data: bytes) -> Any:
    """Turn an extension back into the value it stands for; an unknown one stays as it is."""
    if code == EXT_TUPLE:
        return tuple(unpack(data))
    if code == EXT_INTEGER:
        return int.from_bytes(data, "big", signed=True)
    if code == EXT_STRING:
        return data.decode("utf-8", "surrogatepass")
    if code == EXT_DATETIME:
        text = data.decode()
        return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)
    if code == EXT_UUID:
        from uuid import UUID

        return UUID(bytes=data)
    return msgpack.ExtType(code, data)


def unpack(data: bytes) -> Any:
    """Decode one msgpack value.

    Raises
    ------
    ValueError
        the bytes are not one msgpack value of ours
    """
    return msgpack.unpackb(data, strict_map_key=False, ext_hook=revive)


def new_packer() -> msgpack.Packer:
    """Return a packer of values, to be reused by one thread at a time."""
    return msgpack.Packer(strict_types=True, default=extension, buf_size=4096)


def pack_values(values: list[Any], names: tuple[str, ...]) -> bytes:
    """Pack values that may be odd, or not loggable at all.

    Parameters
    ----------
    values
        what to pack
    names
        what each is called

    Raises
    ------
    EncodingError
        a value cannot be logged; the message names its key
    """
    try:
        try:
            return _pack_nested(values)
        except UnicodeEncodeError:
            return _pack_nested([_tag_surrogates(value) for value in values])
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _explain(dict(zip(names, values, strict=False)), error) from error


def _tag_surrogates(value: Any) -> Any:
    """Replace strings that UTF-8 cannot hold by an extension that can."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return msgpack.ExtType(EXT_STRING, value.encode("utf-8", "surrogatepass"))
        return value
    if isinstance(value, dict):
        return {_tag_surrogates(k): _tag_surrogates(v) for k, v in value.items()}
    if isinstance(value, tuple) and not isinstance(value, msgpack.ExtType):
        return tuple(_tag_surrogates(item) for item in value)
    if isinstance(value, list):
        return [_tag_surrogates(item) for item in value]
    return value


def _explain(fields: dict[str, Any], cause: Exception) -> EncodingError:
    """Find which key msgpack choked on and say so in an error."""
    values = fields.pop("values", {})
    culprit = _find_culprit({**fields, **values}, "", 0)
    if culprit is None:
        return EncodingError(f"the values cannot be logged: {cause}")
    path, value, why = culprit
    return EncodingError(
        f"cannot log '{path}': {why} (got {type(value).__name__}); log numbers, strings, bytes, "
        "dates, or lists, tuples and dicts of them"
    )


def _find_culprit(value: Any, path: str, depth: int) -> tuple[str, Any, str] | None:
    if depth > MAX_EXPLAINED_DEPTH:
        return path[:80] + "…", value, "it is nested too deeply, or contains itself"
    children: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        for key, item in value.items():
            inner = f"{path}.{key}" if path else str(key)
            if (bad := _find_culprit(key, inner, depth + 1)) is not None:
                return bad
            children.append((inner, item))
    elif isinstance(value, (list, tuple)):
        children = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    else:
        try:
            _pack_nested([value])
        except UnicodeEncodeError:
            return None
        except (TypeError, ValueError, OverflowError) as error:
            return path, value, str(error)
    for inner, item in children:
        if (found := _find_culprit(item, inner, depth + 1)) is not None:
            return found
    return None
