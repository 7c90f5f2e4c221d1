"""What is refused before it is recorded, because no replay could make sense of it."""

from __future__ import annotations

from typing import Any

from track.aggregators.aggregator import Aggregator, build, describe
from track.errors import EncodingError
from track.structure import AnyStatus


def aggregator_for(factory: Any, values: dict[str, Any]) -> list[Any]:
    """Return the name and the parameters of an aggregator that can take some values.

    Raises
    ------
    TypeError
        the factory makes no aggregator that events can name
    EncodingError
        the aggregator does not take one of the values
    """
    name, parameters = describe(factory)
    for key, value in values.items():
        _check_value(build(name, parameters), key, value)
    return [name, parameters]


def _check_value(aggregator: Aggregator, key: str, value: Any) -> None:
    try:
        aggregator.append(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise EncodingError(
            f"cannot log {key!r}: {type(aggregator).__name__} does not take {value!r} ({error})"
        ) from error


def check_key(what: str, value: Any) -> None:
    """Make sure that a value can be the key of a dictionary.

    Raises
    ------
    EncodingError
        it cannot
    """
    try:
        hash(value)
    except TypeError as error:
        raise EncodingError(
            f"{what} must be a number, a text or a tuple of such, not {value!r}"
        ) from error


def check_status(status: AnyStatus) -> tuple[str, int]:
    """Return the name and the value of a status.

    Raises
    ------
    EncodingError
        the name is no text, or the value is no whole number
    """
    if not isinstance(status.name, str) or not isinstance(status.value, int):
        raise EncodingError(f"a status has a text as name and a whole number as value: {status!r}")
    return status.name, status.value


def check_dictionaries(kind: str, obj: Any, *names: str) -> None:
    """Make sure that some attributes of a project, group or trial are dictionaries.

    Raises
    ------
    EncodingError
        one is something else
    """
    for name in names:
        value = getattr(obj, name)
        if not isinstance(value, dict):
            raise EncodingError(
                f"the {name} of a {kind} are a dictionary, not {type(value).__name__}"
            )
