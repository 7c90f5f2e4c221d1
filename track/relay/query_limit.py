"""Limit the time of queries by clients, without blocking the store."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from track.errors import QueryError
from track.projections.query import NotSearchedYet, search_within, watch
from track.utils.expressions import Expression

_Locked = TypeVar("_Locked")
_Result = TypeVar("_Result")


class QueryLimit:
    """Limits the time of the queries of one request, and the time they block others.

    Parameters
    ----------
    within_s
        the time limit for all answers
    """

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._deadline = time.monotonic() + within_s
        self._found: dict[tuple[Expression, str | bytes], bool] = {}
        self._missing: list[tuple[Expression, str | bytes]] = []

    def ask(
        self, lock: Callable[[], AbstractContextManager[_Locked]], ask: Callable[[_Locked], _Result]
    ) -> _Result:
        """Return the results of queries, all from one state.

        Long searches run without the lock, and all queries are repeated after them.

        Parameters
        ----------
        lock
            a context that locks the objects and gives them
        ask
            runs queries on the objects; it may change something after :meth:`settle`
        """
        while True:
            token = watch.set(self)
            began = time.monotonic()
            try:
                with lock() as locked:
                    self._deadline += time.monotonic() - began  # waiting for others does not count
                    result = ask(locked)
                    self.settle()
                    return result
            except Exception:
                if not self._missing:
                    raise
            finally:
                watch.reset(token)
            while self._missing:
                pair = self._missing.pop()
                if pair not in self._found:
                    self._found[pair] = search_within(*pair, self._left_s())

    def settle(self) -> None:
        """Make :meth:`ask` repeat all queries, unless all answers are known."""
        if self._missing:
            raise NotSearchedYet

    def check(self) -> None:
        self._left_s()

    def has(self, expression: Expression, text: str | bytes) -> bool:
        found = self._found.get((expression, text))
        if found is None:
            self._missing.append((expression, text))
            raise NotSearchedYet
        return found

    def _left_s(self) -> float:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise QueryError(
                f"the query took over {self._within_s:g} s, the limit of the server: put "
                "conditions that few trials fulfil first, simplify regular expressions, or fetch "
                "what the first conditions find and filter it yourself"
            )
        return left_s
