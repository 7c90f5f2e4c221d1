"""Define a list that drops its oldest numbers."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from operator import index
from typing import Any

from track.containers.types import typecode


class RingBuffer:
    """Keeps the last ``n`` numbers.

    Memory is allocated as numbers are added, so a large ``n`` costs nothing until it is used.

    Parameters
    ----------
    n
        number of elements to keep
    dtype
        the type of the numbers, by name (``float32``, ``int64``, …) or type code of :mod:`array`

    Raises
    ------
    ValueError
        ``n`` is less than 1, or the type is unknown
    """

    __slots__ = ("_next", "_values", "n")

    def __init__(self, n: int, dtype: str = "f") -> None:
        self.n = index(n)
        if self.n < 1:
            raise ValueError(f"a ring needs at least 1 element, not {n}")
        self._values: array[Any] = array(typecode(dtype))
        self._next = 0
        """The index of the next element; once the ring is full, that of the oldest one."""

    @property
    def dtype(self) -> str:
        """Return the type code of the elements in :mod:`array`."""
        return self._values.typecode

    def append(self, value: float) -> None:
        """Add a number, replacing the oldest one if the ring is full."""
        if len(self._values) < self.n:
            self._values.append(value)
        else:
            self._values[self._next] = value
        self._next = (self._next + 1) % self.n

    def last(self) -> Any:
        """Return the newest number, None when there is none."""
        # If the next index is 0, the index -1 is the end of the array, where the newest is.
        return self._values[self._next - 1] if self._values else None

    def to_list(self) -> list[Any]:
        """Return the numbers, oldest first."""
        return self._ordered().tolist()

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._ordered())

    def _ordered(self) -> array[Any]:
        # Until the ring is full, the next index is the length, so the first part is empty.
        return self._values[self._next :] + self._values[: self._next]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RingBuffer):
            return NotImplemented
        # Compare bytes, so that a ring with a NaN equals its copy.
        return self._key() == other._key()

    def _key(self) -> tuple[int, str, bytes]:
        return self.n, self.dtype, self._ordered().tobytes()

    __hash__ = None  # type: ignore[assignment]  # it changes with every element

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.to_list()}, n={self.n}, dtype={self.dtype!r})"
