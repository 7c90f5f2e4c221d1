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
    """How long the queries of somebody else may take together, and keep others waiting.

    Parameters
    ----------
    within_s
        until all answers are there
    """

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._deadline = time.monotonic() + within_s
        self._found: dict[tuple[Expression, str | bytes], bool] = {}
        self._missing: list[tuple[Expression, str | bytes]] = []

    def ask(
        self, lock: Callable[[], AbstractContextManager[_Locked]], ask: Callable[[_Locked], _Result]
    ) -> _Result:
        """Return what queries find, all of them in one step.

        Long searches happen while nothing is locked, so everything is asked again after them.

        Parameters
        ----------
        lock
            keeps what is asked about as it is, and gives it
        ask
            asks queries about that; it may change something behind a :meth:`settle`
        """
        while True:
            token = watch.set(self)
            began = time.monotonic()
            try:
                with lock() as locked:
                    self._deadline += time.monotonic() - began  # others kept it waiting
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
        """Raise what makes :meth:`ask` ask again, unless all answers were right."""
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
                "conditions that few fulfil in front of others, simplify regular expressions, or "
                "fetch what the first conditions find and look through it yourself"
            )
        return left_s
