"""Match objects with queries, which are dictionaries of conditions.

A query maps dotted paths to values or to ``{operator: operand}``. The first name of a path is an
attribute of the object. The others are keys of dictionaries (``metrics.loss.3``: at step 3) or
indexes of lists (``metrics.loss.-1``: the last value), see :mod:`track.projections.paths`. A
missing value is None. A condition that does not apply to a value (``None < 3``) does not match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Protocol

from track.errors import QueryError
from track.projections.paths import hint, is_known, look_up, parse_path
from track.structure import Status
from track.utils.expressions import Expression, is_short, search

_LONGEST_SEARCH_S = 10.0
"""The time limit for searching one text in seconds."""

_MOST_CONDITIONS, _MOST_NESTED = 1000, 40
"""The limits for queries of limited size."""

Query = Mapping[str, Any] | Iterable[tuple[str, Any]] | None


def execute_query(obj: Any, query: Query) -> bool:
    """Check whether an object matches a query.

    Parameters
    ----------
    obj
        a project, a group, a trial, or anything with attributes
    query
        a dictionary, or a list of pairs; conditions are tested in order up to the first that fails.
        Operators: ``$in $nin $ne $lt $lte $gt $gte $exists $regex $not``, and ``$and $or`` in the
        place of a path, with a list of queries. None and an empty one match everything.

    Raises
    ------
    QueryError
        an attribute or an operator does not exist, or it takes too long
    """
    try:
        return _holds_all(obj, query)
    except NotSearchedYet:
        return False  # the watch repeats the query later


class NotSearchedYet(Exception):
    """A regular expression needs a long search, which is done later."""


class Watch(Protocol):
    """Limits the cost of queries."""

    def check(self) -> None:
        """Raise an error if the query has cost too much. Called for each condition."""

    def has(self, expression: Expression, text: str | bytes) -> bool:
        """Return whether an expression that may take long matches a text.

        Raises
        ------
        NotSearchedYet
            the result is not known yet, so the object does not match for now
        """


watch: ContextVar[Watch | None] = ContextVar("watch", default=None)
"""The watch over the queries of the current thread."""


def check_size(query: Query) -> None:
    """Check the size of a query.

    Raises
    ------
    QueryError
        the query has too many conditions, or is nested too deeply
    """
    waiting: list[tuple[Any, int]] = [(query, 1)]
    count = 0
    while waiting:
        part, depth = waiting.pop()
        for path, condition in _conditions(part):
            nested = [*condition] if path in ("$and", "$or") else [condition]
            if path in ("$and", "$or") or _is_operators(condition):
                waiting += [(inner, depth + 1) for inner in nested]
            count += len(nested)
        if count > _MOST_CONDITIONS or depth > _MOST_NESTED:
            raise QueryError(
                f"the query has over {_MOST_CONDITIONS} conditions, or is nested over "
                f"{_MOST_NESTED} deep: use $in for many values of one path, or ask several times"
            )


def _conditions(query: Query) -> Iterable[tuple[str, Any]]:
    if isinstance(query, Mapping):
        return query.items()
    if isinstance(query, str):
        raise QueryError(
            f"a query is a dictionary, such as {{'parameters.lr': 0.1}}, not {query!r}"
        )
    return query or ()


def _holds_all(obj: Any, query: Query) -> bool:
    return all(_matches(obj, path, condition) for path, condition in _conditions(query))


def check_paths(query: Query, kind: str, items: Collection[Any]) -> None:
    """Check that each path of a query exists in some object.

    This catches misspelt names for interactive users; programs get no match instead. Paths with
    ``{"$exists": False}`` may be missing, and steps may not have been reached yet.

    Raises
    ------
    QueryError
        a path does not exist; the message suggests others
    """
    for path, condition in _conditions(query):
        if path in ("$and", "$or"):
            for part in condition:
                check_paths(part, kind, items)
        elif not (isinstance(condition, Mapping) and condition.get("$exists") is False):
            name = parse_path(path)[0].text
            if any(not hasattr(item, "uid" if name == "_uid" else name) for item in items):
                raise QueryError(f"unknown field {name!r} of a {kind}: {hint(path, items)}")
            check_path(path, f"no {kind} in this store has {path!r}", items)


def check_path(path: str, what: str, items: Collection[Any]) -> None:
    """Check that a path exists in some object.

    Parameters
    ----------
    path
        a path below an attribute of all objects
    what
        the beginning of the error message
    items
        the objects; without any, every path is accepted

    Raises
    ------
    QueryError
        the path does not exist
    """
    if len(parse_path(path)) > 1 and items and not is_known(path, items):
        raise QueryError(f"{what}: {hint(path, items)}")


def _matches(obj: Any, path: str, condition: Any) -> bool:
    watching = watch.get()
    if watching is not None:
        watching.check()
    if path == "$and":
        return all(_holds_all(obj, part) for part in condition)
    if path == "$or":
        return any(_holds_all(obj, part) for part in condition)
    if path.startswith("$"):
        raise _unknown_operator(path)
    if path == "_uid" and condition is None:
        return False
    found, value = _look_up(obj, path)
    return _holds(value, found, condition)


def _look_up(obj: Any, path: str) -> tuple[bool, Any]:
    """Return whether a path exists, and its value."""
    first, *keys = parse_path(path)
    name = "uid" if first.text == "_uid" else first.text
    try:
        value = getattr(obj, name)
    except AttributeError:
        known = ", ".join(sorted({key for key in _attributes(obj) if key[0] != "_"}))
        raise QueryError(
            f"unknown field '{name}' of a {type(obj).__name__}: use one of {known}"
        ) from None
    return look_up(value, keys)


def _attributes(obj: Any) -> Iterator[str]:
    yield from vars(obj)
    for kind in type(obj).__mro__:
        yield from (name for name, value in vars(kind).items() if isinstance(value, property))


def _holds(value: Any, found: bool, condition: Any) -> bool:
    if not _is_operators(condition):
        return _is(value, condition)
    for name, operand in condition.items():
        if name == "$exists":
            holds = found is bool(operand)
        elif name == "$not":
            holds = not _holds(value, found, operand)
        else:
            holds = _apply(name, value, operand)
        if not holds:
            return False
    return True


def _is_operators(condition: Any) -> bool:
    return isinstance(condition, Mapping) and any(
        isinstance(key, str) and key.startswith("$") for key in condition
    )


def _apply(name: str, value: Any, operand: Any) -> bool:
    operator = _OPERATORS.get(name)
    if operator is None:
        raise _unknown_operator(name)
    try:
        return bool(operator(value, operand))
    except TypeError:
        return False


def _is(value: Any, wanted: Any) -> bool:
    # A custom status is already equal to its name.
    by_name = isinstance(value, Status) and isinstance(wanted, str) and str(value) == wanted
    return by_name or bool(value == wanted)


def _is_in(value: Any, operand: Iterable[Any]) -> bool:
    text = None
    for item in operand:
        if value == item:
            return True
        if isinstance(item, str):
            text = str(value) if text is None else text  # slow for a large value, so done once
            if text == item:
                return True
    return False


def _has(value: Any, pattern: Any) -> bool:
    if isinstance(pattern, re.Pattern):
        pattern = Expression(pattern.pattern, pattern.flags)
    elif not isinstance(pattern, Expression):
        pattern = Expression(pattern)
    if not isinstance(value, (str, bytes)) or not isinstance(pattern.pattern, (str, bytes)):
        raise TypeError("regular expressions apply to text only")
    watching = watch.get()
    if watching is not None and not is_short(pattern, value):
        return watching.has(pattern, value)
    return search_within(pattern, value, _LONGEST_SEARCH_S)


def search_within(expression: Expression, text: str | bytes, seconds: float) -> bool:
    """Return whether an expression matches anywhere in a text.

    Raises
    ------
    QueryError
        the search takes too long, or the expression is invalid
    """
    try:
        return search(expression, text, seconds)
    except ValueError as error:
        raise QueryError(
            f"{expression.pattern!r} is not a valid regular expression: {error}"
        ) from error
    except TimeoutError as error:
        raise QueryError(
            f"the regular expression {expression.pattern!r:.200} takes too long: more than "
            f"{seconds:.2g} s for a text of {len(text)} characters. Write it without repetitions "
            "in repetitions, such as (a+)+, and without choices between the same, such as (a|a)*"
        ) from error


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "$in": _is_in,
    "$nin": lambda value, operand: not _is_in(value, operand),
    "$ne": lambda value, operand: not _is(value, operand),
    "$lt": lambda value, operand: value < operand,
    "$lte": lambda value, operand: value <= operand,
    "$gt": lambda value, operand: value > operand,
    "$gte": lambda value, operand: value >= operand,
    "$regex": _has,
}


def _unknown_operator(name: str) -> QueryError:
    known = " ".join([*_OPERATORS, "$exists", "$not", "$and", "$or"])
    return QueryError(f"'{name}' is not a query operator: use one of {known}")
