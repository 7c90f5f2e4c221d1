"""Convert objects to the dictionaries of the report JSON and back.

Each aspect knows one kind of object; :func:`to_json` and :func:`from_json` find the aspect.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from track.aggregators.aggregator import Aggregator
from track.chrono import ChronoContext
from track.structure import CustomStatus, Project, Status, Trial, TrialGroup, get_status
from track.utils.stat import StatStream

if TYPE_CHECKING:
    from uuid import UUID

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - naive times are stored as they are, see SerializerDatetime


def to_json(obj: Any, short: bool = False) -> Any:
    """Convert an object to its form in the report JSON.

    Parameters
    ----------
    obj
        a project, group, trial, status, time, statistic, or a dictionary of such
    short
        leave out details that only programs need

    Returns
    -------
    A dictionary with a ``dtype`` for objects of Track, a dictionary with string keys for a
    dictionary. Lists and values without an aspect are returned unchanged.
    """
    for kinds, aspect in _TO_JSON:
        if isinstance(obj, kinds):
            return aspect.to_json(obj, short)
    if type(obj).__name__ == "UUID":  # without importing its module
        return SerializerUUID().to_json(obj)
    if isinstance(obj, Mapping):
        return {str(key): to_json(item, short) for key, item in obj.items()}
    return obj


def from_json(obj: Any) -> Any:
    """Restore an object from the result of :func:`to_json`, by its ``dtype``."""
    if isinstance(obj, list):
        return [from_json(item) for item in obj]
    if not isinstance(obj, dict):
        return obj
    aspect = _FROM_JSON.get(obj.get("dtype", ""))
    if aspect is not None:
        return aspect.from_json(obj)
    return {key: from_json(item) for key, item in obj.items()}


class SerializerAspect:
    """Writes and reads one kind of object."""

    dtype: ClassVar[str | None] = None
    """The ``dtype`` of its dictionaries, None if they are recognised by their place."""

    def to_json(self, obj: Any, short: bool = False) -> Any:
        """Return the form of an object in the report."""
        raise NotImplementedError(f"{type(self).__name__} writes nothing")

    def from_json(self, obj: Any) -> Any:
        """Restore an object."""
        raise NotImplementedError(f"{type(self).__name__} reads nothing")


class SerializerDatetime(SerializerAspect):
    """Writes a time as seconds since 1970-01-01: a naive one as if it were UTC, others in UTC."""

    def to_json(self, obj: datetime, short: bool = False) -> float:
        return (obj - _EPOCH).total_seconds() if obj.tzinfo is None else obj.timestamp()

    def from_json(self, obj: float) -> datetime:
        return _EPOCH + timedelta(seconds=obj)


class SerializerUUID(SerializerAspect):
    """Writes a UUID as its usual text."""

    def to_json(self, obj: UUID, short: bool = False) -> str:
        return str(obj)

    def from_json(self, obj: str) -> UUID:
        from uuid import UUID

        return UUID(obj)


class SerializerStatus(SerializerAspect):
    """Writes a status as its value and name."""

    def to_json(self, obj: Status | CustomStatus, short: bool = False) -> dict[str, Any]:
        return {"value": obj.value, "name": obj.name}

    def from_json(self, obj: dict[str, Any]) -> Status | CustomStatus:
        return get_status(obj["name"], obj["value"])


class SerializerStatStream(SerializerAspect):
    """Writes statistics as their whole state; in short as avg, min, max, sd and count."""

    dtype = "statstream"

    def to_json(self, obj: StatStream, short: bool = False) -> dict[str, Any]:
        return obj.to_json(short)

    def from_json(self, obj: dict[str, Any]) -> StatStream:
        return StatStream.from_dict(obj)


class SerializerChronoContext(SerializerAspect):
    """Writes a timer as its accumulated values."""

    def to_json(self, obj: Aggregator | ChronoContext, short: bool = False) -> Any:
        return obj.to_json(short)

    def from_json(self, obj: Any) -> Any:
        return from_json(obj)


class SerializerTrial(SerializerAspect):
    """Writes a whole trial."""

    dtype = "trial"
    ignore_short: ClassVar[set[str]] = {"hash", "uid", "dtype", "project_id", "group_id"}
    ignore_meta: ClassVar[set[str]] = {"heartbeat", "_last_change", "_update_count"}

    def to_json(self, obj: Trial, short: bool = False) -> dict[str, Any]:
        metadata = to_json(obj.metadata, short)
        full = {
            "dtype": self.dtype,
            "uid": obj.uid,
            "hash": obj.hash,
            "revision": obj.revision,
            "name": obj.name,
            "description": obj.description,
            "version": obj.version,
            "tags": to_json(obj.tags, short),
            "group_id": obj.group_id,
            "project_id": obj.project_id,
            "parameters": unflatten(to_json(obj.parameters, short)),
            "metadata": metadata,
            "metrics": to_json(obj.metrics, short),
            "chronos": to_json(obj.chronos, short),
            "errors": obj.errors,
            "status": to_json(obj.status, short),
        }
        if obj.failure is not None:
            full["failure"] = to_json(obj.failure, short)
        if not short:
            return full
        full["metadata"] = {k: v for k, v in metadata.items() if k not in self.ignore_meta}
        return _shorten(full)

    def from_json(self, obj: dict[str, Any]) -> Trial:
        trial = Trial(
            _hash=obj.get("hash"),
            revision=obj.get("revision", 0),
            status=_read_status(obj.get("status")),
            chronos=from_json(obj.get("chronos") or {}),
        )
        for name in _TRIAL_FIELDS:
            if obj.get(name) is not None:
                setattr(trial, name, obj[name])
        if obj.get("uid") is not None and None in (obj.get("hash"), obj.get("revision")):
            trial.uid = obj["uid"]
        if isinstance(trial.errors, str):
            trial.errors = [trial.errors]
        trial.metadata = _with_unknown(trial.metadata, obj, _TRIAL_KEYS)
        return trial


_TRIAL_FIELDS = (
    "name",
    "description",
    "version",
    "tags",
    "group_id",
    "project_id",
    "parameters",
    "metadata",
    "metrics",
    "errors",
    "failure",
)


_TRIAL_KEYS = frozenset({*_TRIAL_FIELDS, "dtype", "uid", "hash", "revision", "chronos", "status"})


def _with_unknown(metadata: Any, obj: dict[str, Any], known: frozenset[str]) -> Any:
    """Return metadata with the values of unknown keys added, so that they are not lost."""
    unknown = {key: value for key, value in obj.items() if key not in known}
    return {**unknown, **metadata} if unknown and isinstance(metadata, dict) else metadata


def _shorten(full: dict[str, Any]) -> dict[str, Any]:
    ignored = SerializerTrial.ignore_short
    return {key: value for key, value in full.items() if key not in ignored}


def _read_status(obj: Any) -> Any:
    return SerializerStatus().from_json(obj) if isinstance(obj, dict) else obj


class SerializerTrialGroup(SerializerAspect):
    """Writes a group with the uids of its trials."""

    dtype = "trial_group"

    def to_json(self, obj: TrialGroup, short: bool = False) -> dict[str, Any]:
        full = {
            "dtype": self.dtype,
            "uid": obj.uid,
            "name": obj.name,
            "description": obj.description,
            "metadata": to_json(obj.metadata, short),
            "project_id": obj.project_id,
            "trials": sorted(t.uid if isinstance(t, Trial) else t for t in obj.trials),
        }
        return _shorten(full) if short else full

    def from_json(self, obj: dict[str, Any]) -> TrialGroup:
        return TrialGroup(
            _uid=obj.get("uid"),
            name=obj.get("name"),
            description=obj.get("description"),
            metadata=_with_unknown(_or_empty(obj.get("metadata")), obj, _GROUP_KEYS),
            trials=set(obj.get("trials") or ()),
            project_id=obj.get("project_id"),
        )

    @staticmethod
    def maybe_unflatten(obj: dict[str, Any]) -> dict[str, Any]:
        """Nest dotted keys, see :func:`unflatten`."""
        return unflatten(obj)


_GROUP_KEYS = frozenset({"dtype", "uid", "name", "description", "metadata", "project_id", "trials"})


class SerializerProject(SerializerAspect):
    """Writes a project with its whole trials."""

    dtype = "project"

    def to_json(self, obj: Project, short: bool = False) -> dict[str, Any]:
        full = {
            "dtype": self.dtype,
            "uid": obj.uid,
            "name": obj.name,
            "description": obj.description,
            "metadata": to_json(obj.metadata, short),
            "trials": [to_json(trial, short) for trial in _by_uid(obj.trials)],
            "groups": [to_json(group, short) for group in _by_uid(obj.groups)],
        }
        return _shorten(full) if short else full

    def from_json(self, obj: dict[str, Any]) -> Project:
        return Project(
            _uid=obj.get("uid"),
            name=obj.get("name"),
            description=obj.get("description"),
            metadata=_with_unknown(_or_empty(obj.get("metadata")), obj, _PROJECT_KEYS),
            trials=set(_read_all(obj.get("trials"), SerializerTrial.dtype)),
            groups=set(_read_all(obj.get("groups"), SerializerTrialGroup.dtype)),
        )


_PROJECT_KEYS = frozenset({"dtype", "uid", "name", "description", "metadata", "trials", "groups"})


def _read_all(objects: Any, dtype: str) -> list[Any]:
    """Read objects whose type follows from their place."""
    return [from_json({"dtype": dtype, **obj}) for obj in objects or []]


def _or_empty(metadata: Any) -> Any:
    return {} if metadata is None else metadata


def _by_uid(objects: Any) -> list[Any]:
    return sorted(objects, key=lambda item: item.uid)


def unflatten(flat: dict[str, Any]) -> dict[str, Any]:
    """Nest dotted keys: ``{'a.b': 1}`` becomes ``{'a': {'b': 1}}``.

    A dotted key that conflicts with another key stays as it is, so that nothing is lost.
    """
    if not any("." in key for key in flat):
        return flat
    nested: dict[str, Any] = {key: value for key, value in flat.items() if "." not in key}
    for key, value in flat.items():
        if "." not in key:
            continue
        *parents, leaf = key.split(".")
        if (place := _place(nested, parents)) is None or leaf in place:
            nested[key] = value
        else:
            place[leaf] = value
    return nested


def _place(nested: dict[str, Any], parents: list[str]) -> dict[str, Any] | None:
    """Return the dictionary at the end of a path, creating it, or None if a value is in the way."""
    place = nested
    for parent in parents:
        inner = place.get(parent, {})
        if not isinstance(inner, dict):
            return None
        place[parent] = place = dict(inner)  # the caller's dictionary must not change
    return place


_TO_JSON: list[tuple[Any, SerializerAspect]] = [
    (Trial, SerializerTrial()),
    (TrialGroup, SerializerTrialGroup()),
    (Project, SerializerProject()),
    ((Status, CustomStatus), SerializerStatus()),
    (StatStream, SerializerStatStream()),
    ((Aggregator, ChronoContext), SerializerChronoContext()),
    (datetime, SerializerDatetime()),
]
_FROM_JSON: dict[str, SerializerAspect] = {
    aspect.dtype: aspect for _, aspect in _TO_JSON if aspect.dtype is not None
}
