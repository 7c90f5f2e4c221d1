"""Convert logged values to msgpack and back, without any loss.

msgpack has no tuples, integers beyond 64 bits, lone surrogates, dates or UUIDs: these are stored as
extension types (listed in ``docs/format.md``). NumPy and torch scalars become numbers, and
instances of subclasses become plain types. An error names the key of any other value.
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
"""The maximum nesting of tuples, each of which is a msgpack document, decoded recursively."""

MAX_DEPTH = 100
"""The maximum nesting of values. They are copied and printed recursively, and one value that cannot
be shown would hide all others."""


def extension(value: Any, depth: int = 0) -> Any:
    """Return a form that msgpack can write for a value that it does not know.

    Raises
    ------
    TypeError
        the value cannot be written
    """
    if isinstance(value, tuple):
        if depth >= MAX_TUPLE_DEPTH:
            raise TypeError(f"tuples are nested more than {MAX_TUPLE_DEPTH} deep")
        return msgpack.ExtType(EXT_TUPLE, _pack_nested(list(value), depth + 1))
    if isinstance(value, (float, int, str)) and not isinstance(value, Enum):
        return _plain_scalar(value)
    plain = _plain(value)
    return plain if type(plain) in _WRITTEN_AS_THEY_ARE else extension(plain, depth)


_WRITTEN_AS_THEY_ARE = (bytes, list, dict, msgpack.ExtType, type(None), bool)


def _plain(value: Any) -> Any:
    """Convert a value to a plain type."""
    for kinds, write in _writers():
        if isinstance(value, kinds):
            return write(value)
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return _array_scalar(value)
    raise TypeError(f"a value of type {type(value).__name__} cannot be logged")


@lru_cache
def _writers() -> list[tuple[Any, Callable[[Any], Any]]]:
    """Return types that msgpack lacks and their conversions; the first match wins."""
    # Imported late: few programs log such values, and `import track` is faster without them.
    from pathlib import PurePath
    from uuid import UUID

    return [
        (Enum, lambda value: value.value),
        (dict, dict),
        (list, list),
        ((bytes, bytearray, memoryview), bytes),
        (date, _date),
        (UUID, lambda value: msgpack.ExtType(EXT_UUID, value.bytes)),
        (PurePath, str),
    ]


def _plain_scalar(value: float | str) -> Any:
    if isinstance(value, str):
        return _tag_surrogates(str.__str__(value))
    if isinstance(value, float):
        return float(value)
    integer = int(value)
    if -(2**63) <= integer < 2**64:
        return integer
    size = integer.bit_length() // 8 + 1
    return msgpack.ExtType(EXT_INTEGER, integer.to_bytes(size, "big", signed=True))


def _date(value: date) -> msgpack.ExtType:
    # Subclasses may have another isoformat (and pandas.NaT is not a date).
    plain = date(value.year, value.month, value.day)
    if isinstance(value, datetime):
        time = datetime.timetz(value)
        plain = datetime.combine(plain, time)
    return msgpack.ExtType(EXT_DATETIME, plain.isoformat().encode())


def _array_scalar(value: Any) -> Any:
    """Convert a NumPy or torch scalar to a Python number."""
    number = value.item()
    if type(number) in (bool, int, float, str, bytes, datetime, date):
        return number
    raise TypeError(f"a {type(value).__name__} of {type(number).__name__} cannot be logged")


def _pack_nested(values: list[Any], depth: int = 0) -> bytes:
    # A Packer is not reentrant, and this is called from inside one.
    inner = partial(extension, depth=depth)
    packed: bytes = msgpack.Packer(strict_types=True, default=inner).pack(values)
    return packed


def revive(code: int, data: bytes, depth: int = 0) -> Any:
    """Convert an extension back to its value; an unknown one stays as it is.

    A tuple that is nested too deeply stays as it is, too: decoding it might overflow the stack and
    end the process.
    """
    try:
        return _revive_known(code, data, depth)
    except Exception:  # noqa: BLE001 - the content of a user's own ExtType may be anything
        return msgpack.ExtType(code, data)


def _revive_known(code: int, data: bytes, depth: int) -> Any:
    if code == EXT_TUPLE and depth < MAX_TUPLE_DEPTH:
        inner = partial(revive, depth=depth + 1)
        items = msgpack.unpackb(data, strict_map_key=False, ext_hook=inner)
        if type(items) is list:
            return tuple(items)
    if code == EXT_INTEGER and data:
        return int.from_bytes(data, "big", signed=True)
    if code == EXT_STRING:
        return data.decode("utf-8", "surrogatepass")
    if code == EXT_DATETIME:
        text = data.decode()
        found = datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)
        if found.isoformat() == text:  # later versions of Python accept other spellings
            return found
    if code == EXT_UUID:
        from uuid import UUID

        return UUID(bytes=data)
    return msgpack.ExtType(code, data)


def unpack(data: bytes) -> Any:
    """Decode one msgpack value.

    Raises
    ------
    ValueError
        the bytes are not one valid msgpack value
    """
    return msgpack.unpackb(data, strict_map_key=False, ext_hook=revive)


def new_packer() -> msgpack.Packer:
    """Return a packer of values, to be reused by one thread at a time."""
    return msgpack.Packer(strict_types=True, default=extension, buf_size=4096)


def pack_values(values: list[Any], names: tuple[str, ...]) -> bytes:
    """Pack values that may need conversion or be impossible to log.

    Parameters
    ----------
    values
        the values to pack
    names
        the name of each

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
    except Exception as error:
        try:
            explained = _explain(dict(zip(names, values, strict=False)), error)
        except RecursionError:
            explained = EncodingError("a value is nested too deeply, or contains itself")
        raise explained from error


def check_depth(values: list[Any], names: tuple[str, ...]) -> None:
    """Check that values do not nest too deeply.

    Parameters
    ----------
    values
        the fields of an event
    names
        the name of each

    Raises
    ------
    EncodingError
        a value nests too deeply; the message names its key
    """
    if is_too_deep(values):
        why = ValueError("they are nested too deeply")
        raise _explain(dict(zip(names, values, strict=False)), why)


def is_too_deep(values: list[Any]) -> bool:
    """Return whether the fields of an event nest deeper than allowed."""
    level: list[Any] = [values]
    for _ in range(MAX_DEPTH + 2):  # two more for the list of fields and the dictionary of values
        inner: list[Any] = []
        for container in level:
            items = container.values() if isinstance(container, dict) else container
            inner += [item for item in items if isinstance(item, (dict, list, tuple))]
        if not inner:
            return False
        level = inner
    return True


def _tag_surrogates(value: Any) -> Any:
    """Replace strings that UTF-8 cannot encode by an extension type."""
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
    """Return an error that names the key of the value that cannot be packed."""
    values = fields.pop("values", {})
    culprit = _find_culprit({**fields, **values}, "")
    if culprit is None:
        return EncodingError(f"the values cannot be logged: {cause}")
    path, why = culprit
    return EncodingError(
        f"cannot log '{path}': {why}; log numbers, text, bytes, dates, or lists, tuples and "
        "dictionaries of them"
    )


def _find_culprit(value: Any, path: str, depth: int = 0, tuples: int = 0) -> tuple[str, str] | None:
    """Return the path of a value that cannot be logged and the reason, or None."""
    tuples += isinstance(value, tuple)
    if depth > MAX_DEPTH or tuples > MAX_TUPLE_DEPTH:
        why = f"it is nested over {MAX_DEPTH} deep (tuples: {MAX_TUPLE_DEPTH}), or contains itself"
        return path[:80] + "…", why
    children = _children(value, path)
    if children is None:
        return _refusal(value, path)
    found = (_find_culprit(item, inner, depth + 1, tuples) for inner, item in children)
    return next((culprit for culprit in found if culprit is not None), None)


def _children(value: Any, path: str) -> list[tuple[str, Any]] | None:
    """Return the paths and items of a container, None for other values."""
    if isinstance(value, (list, tuple)):
        return [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    if isinstance(value, dict):
        paths = [f"{path}.{key}" if path else str(key) for key in value]
        return [*zip(paths, value, strict=True), *zip(paths, value.values(), strict=True)]
    return None


def _refusal(value: Any, path: str) -> tuple[str, str] | None:
    try:
        _pack_nested([value])
    except UnicodeEncodeError:
        return None  # lone surrogates are handled elsewhere
    except Exception as error:  # noqa: BLE001 - values may raise anything
        return path, str(error)
    return None
