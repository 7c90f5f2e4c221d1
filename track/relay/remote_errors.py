"""Convert exceptions to messages and back, with the same class on both sides."""

from __future__ import annotations

import builtins
from typing import Any

from track import errors
from track.errors import RPCCallFailure

_LONGEST_MESSAGE, _LONGEST_NAME = 2**14, 80

_BUILTIN = frozenset(
    {"AssertionError", "AttributeError", "IndexError", "KeyError", "OverflowError"}
    | {"NotImplementedError", "RecursionError", "RuntimeError", "TypeError", "ValueError"}
)


def describe(error: BaseException) -> list[Any]:
    """Return the class name of an error, its message, and its number if any."""
    kind = next((cls for cls in type(error).__mro__ if _find(cls.__name__) is cls), RPCCallFailure)
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
    kind = _find(name)
    if kind is None:
        return RPCCallFailure(f"the server failed: {name[:_LONGEST_NAME]}: {text}")
    if issubclass(kind, OSError) and isinstance(number, int):
        return kind(number, text)
    return kind(text)


def _find(name: str) -> type[Exception] | None:
    """Return the exception class with a name, None if it may not be sent."""
    found = getattr(builtins if name in _BUILTIN else errors, name, None)
    if isinstance(found, type) and issubclass(found, Exception) and not issubclass(found, Warning):
        return found
    return None
