"""Refuse values that a replay could not use, before they are recorded."""

from __future__ import annotations

from typing import Any

from track.aggregators.aggregator import Aggregator, build, describe
from track.errors import EncodingError
from track.events.types import TrialCreated
from track.projections.copies import to_plain
from track.projections.trials import UPDATE_COUNT, trial_of
from track.serialization import to_json
from track.structure import AnyStatus, Trial


def aggregator_for(factory: Any, values: dict[str, Any]) -> list[Any]:
    """Return the name and the parameters of an aggregator that can take some values.

    Raises
    ------
    TypeError
        the factory does not make a known aggregator
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
    """Check that a value can be the key of a dictionary.

    Raises
    ------
    EncodingError
        the value cannot be a key
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
        the name is not text, or the value is not an integer
    """
    name, value = getattr(status, "name", None), getattr(status, "value", None)
    if not isinstance(name, str) or not isinstance(value, int):
        raise EncodingError(
            f"a status needs a text as name and an integer as value, not {status!r}: use one of "
            "track.Status, or CustomStatus(name, value) of track.structure"
        )
    return name, value


def check_uid(kind: str, uid: Any) -> str:
    """Return the uid of a project or a group.

    Raises
    ------
    EncodingError
        the uid is not text
    """
    if not isinstance(uid, str):
        raise EncodingError(f"the name, or the uid, of a {kind} must be a text, not {uid!r}")
    return uid


def check_dictionaries(kind: str, obj: Any, *names: str) -> None:
    """Check that some attributes of a project, group or trial are dictionaries.

    Raises
    ------
    EncodingError
        an attribute is not a dictionary
    """
    for name in names:
        value = getattr(obj, name)
        if not isinstance(value, dict):
            raise EncodingError(
                f"the {name} of a {kind} must be a dictionary, not {type(value).__name__}"
            )


def trial_created(trial: Trial, digest: str, revision: int | str) -> TrialCreated:
    """Return the event of inserting a trial, under the given hash and revision."""
    check_dictionaries("trial", trial, "parameters", "metadata", "metrics", "chronos")
    status = None if trial.status is None else check_status(trial.status)
    event = TrialCreated(
        digest,
        revision,  # type: ignore[arg-type]  # revisions of users may be of other types
        trial.name,
        trial.description,
        trial.tags,
        trial.version,
        trial.group_id,
        trial.project_id,
        trial.parameters,
        {**to_plain(trial.metadata), UPDATE_COUNT: 0},
        to_plain(trial.metrics),
        {name: to_json(chrono) for name, chrono in trial.chronos.items()},
        None if status is None else [*status],
        [str(error) for error in trial.errors],
        trial.failure,
    )
    try:
        hash((event.group_id, event.project_id, trial_of(event)))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise EncodingError(f"this trial could not be read back: {error!r}") from error
    return event
