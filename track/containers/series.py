"""Values by step, in as little memory as they need."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from itertools import islice
from operator import lt
from typing import Any


class StepSeries(MutableMapping[Any, Any]):
    """A mapping step -> value, equal to the dictionary with the same items.

    As long as steps are growing integers and values are floats (a metric, that is) it takes 16
    bytes an item instead of 100; the first item that does not fit turns it into a dictionary.
    """

    __slots__ = ("_items", "_steps", "_values")

    def __init__(self, items: Iterable[tuple[Any, Any]] = ()) -> None:
        self._steps = array("q")
        self._values = array("d")
        self._items: dict[Any, Any] | None = None
        for step, value in items:
            self[step] = value

    def __setitem__(self, step: Any, value: Any) -> None:
        if self._items is None:
            steps = self._steps
            # Exact types: True is no step, and 1 must not come back as 1.0.
            if type(step) is int and type(value) is float and (not steps or step > steps[-1]):
                try:
                    steps.append(step)
                except OverflowError:
                    pass
                else:
                    self._values.append(value)
                    return
            self._items = self.to_dict()
            self._steps, self._values = array("q"), array("d")
        self._items[step] = value

    def extend(self, steps: Sequence[Any], values: Sequence[Any]) -> None:
        """Set many items in order."""
        if self._items is None and self._fits(steps, values):
            try:
                column = steps if isinstance(steps, array) else array("q", steps)
            except OverflowError:
                pass
            else:
                self._steps.extend(column)
                self._values.extend(values)
                return
        for step, value in zip(steps, values, strict=True):
            self[step] = value

    def _fits(self, steps: Sequence[Any], values: Sequence[Any]) -> bool:
        """Whether all items are integers and floats, with steps that go on growing."""
        return (
            _are_all(int, "q", steps)
            and _are_all(float, "d", values)
            and not (self._steps and steps[0] <= self._steps[-1])
            and all(map(lt, steps, islice(steps, 1, None)))
        )

    def columns(self) -> tuple[array[int], array[float]] | None:
        """Return its own steps and values, None when they are kept in some other way."""
        return None if self._items is not None else (self._steps, self._values)

    @classmethod
    def of_columns(cls, steps: array[int], values: array[float]) -> StepSeries:
        """Return the series that keeps its items in these: growing steps (``q``), values (``d``).

        Raises
        ------
        ValueError
            they are of other kinds, or not equally long
        """
        if (steps.typecode, values.typecode) != ("q", "d") or len(steps) != len(values):
            raise ValueError("these are no columns of steps and values")
        series = cls()
        series._steps, series._values = steps, values
        return series

    def to_dict(self) -> dict[Any, Any]:
        """Return a dictionary of its own."""
        if self._items is None:
            return dict(zip(self._steps, self._values, strict=True))
        return dict(self._items)

    def copy(self) -> StepSeries:
        """Return a series of its own."""
        twin = StepSeries()
        twin._steps, twin._values = self._steps[:], self._values[:]
        twin._items = None if self._items is None else dict(self._items)
        return twin

    def _index(self, step: Any) -> int:
        """Return where a step is among the compact ones.

        Raises
        ------
        KeyError
            it is not there
        """
        try:
            index = bisect_left(self._steps, step)
        except TypeError:
            raise KeyError(step) from None
        if index < len(self._steps) and self._steps[index] == step:
            return index
        raise KeyError(step)

    def __getitem__(self, step: Any) -> Any:
        return self._values[self._index(step)] if self._items is None else self._items[step]

    def __delitem__(self, step: Any) -> None:
        if self._items is not None:
            del self._items[step]
            return
        index = self._index(step)
        del self._steps[index], self._values[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._steps if self._items is None else self._items)

    def __len__(self) -> int:
        return len(self._steps if self._items is None else self._items)

    def __repr__(self) -> str:
        return repr(self.to_dict())

    def __reduce__(self) -> tuple[Any, ...]:
        return StepSeries, (list(self.items()),)


def _are_all(kind: type, typecode: str, column: Sequence[Any]) -> bool:
    if isinstance(column, array):
        return column.typecode == typecode
    return {*map(type, column)} == {kind}
