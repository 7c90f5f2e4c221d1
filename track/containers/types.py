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
"""The type codes of :mod:`array` by the names of NumPy."""

TYPECODES: Final = frozenset("bBhHiIlLqQfd")
"""All numeric type codes of :mod:`array`."""


def typecode(dtype: str) -> str:
    """Return the type code for the name or code of a type of numbers.

    Raises
    ------
    ValueError
        the type is unknown
    """
    code = NUMPY_NAMES.get(dtype, dtype)
    if code not in TYPECODES:
        raise ValueError(
            f"{dtype!r} is not a numeric type: use one of {', '.join(NUMPY_NAMES)}, "
            f"or one of the type codes {' '.join(sorted(TYPECODES))}"
        )
    return code
