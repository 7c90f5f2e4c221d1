"""Define the types of numbers that a container can hold."""

from __future__ import annotations

from typing import Final

NUMPY_NAMES: Final = {
    "float32": "f",
    "float64": "d",
    "int8": "b",
    "int16": "h",
    "int32": "i",
    "int64": "q",
    "uint8": "B",
    "uint16": "H",
    "uint32": "I",
    "uint64": "Q",
}
"""The names users know, and the type codes of :mod:`array` they stand for."""

TYPECODES: Final = frozenset("bBhHiIlLqQfd")
"""Every type code of :mod:`array` that holds numbers."""


def typecode(dtype: str) -> str:
    """Return the type code of a kind of number.

    Raises
    ------
    ValueError
        there is no such kind
    """
    code = NUMPY_NAMES.get(dtype, dtype)
    if code not in TYPECODES:
        raise ValueError(
            f"{dtype!r} is not a kind of number: give one of {', '.join(NUMPY_NAMES)}, "
            f"or a type code among {' '.join(sorted(TYPECODES))}"
        )
    return code
