"""Numbers as other tools hold them: integers of 64 bits, and floats."""

from __future__ import annotations

from typing import Any

_LARGEST = 2**63


def is_int64(value: Any) -> bool:
    """Return whether a value is an integer, but not a boolean, that fits into 64 bits."""
    return type(value) is int and -_LARGEST <= value < _LARGEST


def float_of(value: Any) -> float | None:
    """Return a number as a float, None if it is too large or the value is something else."""
    try:
        return float(value) if isinstance(value, (int, float)) else None
    except OverflowError:
        return None
