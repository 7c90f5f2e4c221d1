"""Decide whether what several processes saw could have happened one call after the other.

A history is linearizable when each call can be given one moment between its beginning and its end
such that a single object, called in the order of these moments, gives every recorded result. The
search is that of Wing and Gong: put any call first that no other call precedes, go on with the
rest, and come back where that fails. What was reached before (the same calls done, the same state)
is not tried again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Any, NamedTuple


class Operation(NamedTuple):
    """One call: who made it, from when to when, what it was, and what came back."""

    process: str
    invoked: float
    returned: float
    call: tuple[Any, ...]
    result: Any

    def __str__(self) -> str:
        name, *arguments = self.call
        call = f"{name}({', '.join(map(repr, arguments))}) -> {self.result!r}"
        if self.returned == inf:
            return f"{call} by {self.process}, from {self.invoked}, still under way"
        return f"{call} by {self.process}, from {self.invoked} to {self.returned}"


class Recorder:
    """Writes down what one thread calls.

    The clock is that of the machine, so the histories of several processes can be put together.
    """

    def __init__(self, process: str) -> None:
        self.process = process
        self.operations: list[Operation] = []

    def record(self, call: tuple[Any, ...], function: Callable[[], Any]) -> Any:
        """Call a function, note when, and return what it returned."""
        invoked = time.monotonic_ns()
        result = function()
        returned = time.monotonic_ns()
        self.operations.append(Operation(self.process, invoked, returned, call, result))
        return result


class Specification:
    """An object that is only ever called by one at a time. States are hashable and not None."""

    def __init__(self, initial: Any) -> None:
        self.initial = initial

    def step(self, state: Any, call: tuple[Any, ...], result: Any) -> Any:
        """Return the state after a call that had this result, None if it could not have had it."""
        raise NotImplementedError

    def only_looks(self, call: tuple[Any, ...], result: Any) -> bool:
        """Whether a call with this result leaves every state as it was."""
        raise NotImplementedError


class Reservations(Specification):
    """A list of trials: ``reserve`` takes the oldest free one, ``release`` frees one that is taken.

    Parameters
    ----------
    uids
        the trials, oldest first; all are free at first
    """

    def __init__(self, uids: Sequence[str]) -> None:
        super().__init__(frozenset(uids))
        self.uids = uids

    def step(self, state: frozenset[str], call: tuple[Any, ...], result: Any) -> Any:
        if call[0] == "reserve":
            oldest = next((uid for uid in self.uids if uid in state), None)
            return state - {result} if result == oldest else None
        _, uid = call
        return state | {uid} if result == (uid not in state) else None

    def only_looks(self, call: tuple[Any, ...], result: Any) -> bool:
        return result is None or result is False


class Register(Specification):
    """One value: ``swap(a, b)`` makes a b and says whether it was an a, ``read`` shows it."""

    def step(self, state: Any, call: tuple[Any, ...], result: Any) -> Any:
        if call[0] == "read":
            return state if result == state else None
        _, before, after = call
        if result != (state == before):
            return None
        return after if result else state

    def only_looks(self, call: tuple[Any, ...], result: Any) -> bool:
        return call[0] == "read" or not result


class Counter(Specification):
    """Numbers that are given out one after the other, from 0 on, by ``make``."""

    def __init__(self) -> None:
        super().__init__(0)

    def step(self, state: int, call: tuple[Any, ...], result: Any) -> Any:
        return state + 1 if result == state else None

    def only_looks(self, call: tuple[Any, ...], result: Any) -> bool:
        return False


class Claims(Specification):
    """Names that are taken once: ``claim(name)`` says whether this call is the one that took it."""

    def __init__(self) -> None:
        super().__init__(frozenset())

    def step(self, state: frozenset[str], call: tuple[Any, ...], result: Any) -> Any:
        _, name = call
        return state | {name} if result == (name not in state) else None

    def only_looks(self, call: tuple[Any, ...], result: Any) -> bool:
        return not result


SHOWN = 20
"""How many of the calls before a contradiction are printed."""


class Violation(NamedTuple):
    """Why a history is not linearizable: how far it makes sense, and what then cannot follow."""

    order: list[Operation]
    """As many operations as could be put in an order."""
    state: Any
    """What the object is like after them."""
    stuck: list[Operation]
    """Which of the others would have to come next; none of them can."""

    def __str__(self) -> str:
        lines = ["no order of these calls explains their results. The longest that does:"]
        if len(self.order) > SHOWN:
            lines.append(f"  … {len(self.order) - SHOWN} before, and then")
        lines += [f"  {operation}" for operation in self.order[-SHOWN:]] or ["  (none)"]
        lines += [f"leaves {self.state!r}. Then one of these would have to come, and cannot:"]
        return "\n".join([*lines, *(f"  {operation}" for operation in self.stuck)])


def check(history: Sequence[Operation], specification: Specification) -> Violation | None:
    """Return None if a history is linearizable, else the smallest explanation found.

    It is that of the shortest beginning of the history that makes no sense, without the calls
    that only looked and are not needed for the contradiction.
    """
    if _search(history, specification) is None:
        return None
    operations = _shortest_bad_beginning(history, specification)
    for operation in list(operations):
        if specification.only_looks(operation.call, operation.result):
            fewer = [other for other in operations if other is not operation]
            if _search(fewer, specification) is not None:
                operations = fewer
    return _search(operations, specification)


def _shortest_bad_beginning(
    history: Sequence[Operation], specification: Specification
) -> list[Operation]:
    """Return what had happened when the first contradiction was complete."""
    moments = sorted(operation.returned for operation in history)
    good, bad = -1, len(moments) - 1
    while bad - good > 1:
        middle = (good + bad) // 2
        if _search(_until(history, moments[middle]), specification) is None:
            good = middle
        else:
            bad = middle
    return _until(history, moments[bad])


def _until(history: Sequence[Operation], moment: float) -> list[Operation]:
    """Return what had begun by a moment; what had not ended by then never does."""
    return [
        operation if operation.returned <= moment else operation._replace(returned=inf)
        for operation in history
        if operation.invoked <= moment
    ]


def _search(history: Sequence[Operation], specification: Specification) -> Violation | None:
    """Put every operation that ended in an order, and as many of the others as that takes."""
    operations = sorted(history, key=lambda operation: operation.invoked)
    # Sets of operations are the bits of a number: that is quick to copy, compare and look up.
    ended = sum(1 << i for i, operation in enumerate(operations) if operation.returned < inf)
    order: list[int] = []
    longest: tuple[list[int], Any, int] = ([], specification.initial, 0)
    seen = {(0, specification.initial)}
    frames = [(0, specification.initial, iter(_possible(operations, 0)))]
    while frames:
        done, state, choices = frames[-1]
        if done & ended == ended:
            return None
        if len(order) > len(longest[0]):
            longest = (list(order), state, done)
        for index in choices:
            call, result = operations[index].call, operations[index].result
            reached = (done | 1 << index, specification.step(state, call, result))
            if reached[1] is not None and reached not in seen:
                seen.add(reached)
                order.append(index)
                frames.append((*reached, iter(_possible(operations, reached[0]))))
                break
        else:
            frames.pop()
            del order[-1:]
    order, state, done = longest
    stuck = [operations[index] for index in _possible(operations, done)]
    return Violation([operations[index] for index in order], state, stuck)


def _possible(operations: list[Operation], done: int) -> list[int]:
    """Return which operations may come next: none that is not done had ended when they began."""
    first_end = inf
    possible = []
    for index in _others(operations, done):
        if operations[index].invoked > first_end:
            break
        possible.append(index)
        first_end = min(first_end, operations[index].returned)
    possible = [index for index in possible if operations[index].invoked <= first_end]
    # What ended first most likely happened first.
    return sorted(possible, key=lambda index: operations[index].returned)


def _others(operations: list[Operation], done: int) -> Iterator[int]:
    """Yield which operations are not done, in the order in which they began."""
    first = (~done & done + 1).bit_length() - 1
    return (index for index in range(first, len(operations)) if not done >> index & 1)
