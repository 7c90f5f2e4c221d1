"""Convert projects, groups and trials to rows of bytes and back, for the cache and the relay.

A row has three parts. The *head* has the identity of a subject and its place, which decisions need.
The *metrics* have the locations of a trial's series and the summaries that lists show. The *body*
has everything else. Each part is unpacked when it is used.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from track.aggregators.aggregator import Aggregator, restore
from track.containers.points import Stamp, Stored
from track.containers.series import StepSeries
from track.events.codec import stream_id
from track.events.values import new_packer, pack_values, unpack
from track.projections.definitions import summary_of
from track.projections.objects import Objects
from track.projections.trials import LAST_CHANGE, UPDATE_COUNT, is_part, stream_of
from track.structure import Project, Trial, TrialGroup, get_status

_PLAIN, _AGGREGATOR, _SERIES, _STORED, _FLOATS = range(5)
"""Forms of a value: plain, an aggregator, items with stamps, a stored series, floats."""

_FEWEST_FLOATS = 64
"""The least number of floats that are stored as an array."""

VERSION = 3
"""The version of rows."""

PROJECT, GROUP, TRIAL, PART = range(4)
"""The kinds of subjects of rows."""

NO_STREAM = 2**64 - 1
"""The stream of a subject without events."""

_NOTHING = b"\x90"
"""An empty list."""

Subject = Project | TrialGroup | Trial
Owner = tuple[str, str]
"""The uid of a trial, and the name of one of its metrics."""

StoreSeries = Callable[[Owner, StepSeries], list[Any] | None]
"""Stores a series and returns the values to find it, None if it is not in columns."""

FindSeries = Callable[[Owner, list[Any]], Stored]
"""Returns the stored series for such values."""


class Entry(NamedTuple):
    """The entry of a row in the directory.

    Attributes
    ----------
    kind
        the kind of the subject
    name
        64 bits that identify the subject among those of its kind
    stream
        the stream of its events, :data:`NO_STREAM` if there are none
    digest
        64 bits that the revisions of a trial share
    """

    kind: int
    name: int
    stream: int
    digest: int


class Row(NamedTuple):
    """The stored form of a subject: a number from 1 on, and three parts in msgpack."""

    number: int
    head: bytes
    metrics: bytes
    body: bytes


def name_of(kind: int, uid: str) -> int:
    """Return 64 bits that identify a subject among those of its kind."""
    return stream_id(("project", "group", "trial", "part")[kind], uid)


def digest_of(trial_hash: str) -> int:
    """Return 64 bits that the revisions of a trial share."""
    return stream_id("hash", trial_hash)


class RowWriter:
    """Writes the rows of subjects in their current state.

    Parameters
    ----------
    objects
        all objects
    store
        stores the series
    alone
        whether trials are written without their projects and groups
    """

    def __init__(self, objects: Objects, store: StoreSeries, *, alone: bool = False) -> None:
        self._objects = objects
        self._store = store
        self._alone = alone
        self._pack_fast: Callable[[list[Any]], bytes] = new_packer().pack
        self._started: dict[int, list[list[Any]]] = {}
        for (stream, name), at in objects.started.items():
            self._started.setdefault(stream, []).append([name, at])

    def row(self, subject: Subject) -> tuple[Entry, tuple[bytes, bytes, bytes]]:
        """Return the directory entry of a subject and the parts of its row."""
        uid = subject.uid
        stream, digest = self._objects.stream_of.get(id(subject)), 0
        metrics: list[Any] = []
        if isinstance(subject, Trial):
            kind, digest = TRIAL, digest_of(subject.hash)
            if is_part(subject) and stream is None:
                stream, kind = stream_of(uid), PART
            own, metrics, body = self._trial(subject)
        elif isinstance(subject, TrialGroup):
            kind = GROUP
            own = [sorted(uid for uid in subject.trials if uid not in self._objects.trials)]
            body = [subject._uid, subject.name, subject.description, subject.metadata]
            body.append(subject.project_id)
        else:
            kind = PROJECT
            own = [sorted(group.uid for group in subject.groups)]
            body = [subject.name, subject.description, subject.metadata]
        head = [kind, stream, *self.known_of(stream), *own]
        entry = Entry(kind, name_of(kind, uid), NO_STREAM if stream is None else stream, digest)
        return entry, (self._pack(head), self._pack(metrics), self._pack(body))

    def known_of(self, stream: int | None) -> list[Any]:
        """Return the state of a stream that does not depend on its subject."""
        if stream is None:
            return [[], [], None]
        beats = self._objects.heartbeats.get(stream, {})
        attempts = self._objects.attempts.get(stream)
        return [
            [[*beat, at] for beat, at in beats.items()],
            self._started.get(stream, []),
            None if attempts is None else attempts.to_values(),
        ]

    def _trial(self, trial: Trial) -> tuple[list[Any], list[Any], list[Any]]:
        objects, uid, status = self._objects, trial.uid, trial.status
        projects, groups = ([], []) if self._alone else homes_of(objects, trial)
        # The place of an erased trial is unknown.
        homes = [*map(sorted, objects.archived[uid] or ())] if uid in objects.archived else None
        head = [trial._hash, trial.revision, trial.group_id, trial.project_id, trial.name]
        head += [None if status is None else [status.name, status.value]]
        head += [projects, groups, homes, objects.created.get(uid), changed_at(trial)]
        metrics = self._values(uid, trial.metrics)
        found = [
            [name, *written, summary_of(trial.metadata, name)]
            for name, *written in metrics
            if written[0] == _STORED
        ]
        # Metrics without columns may be large, so they go to the body, which lists do not read.
        others = [] if len(found) == len(metrics) else metrics
        body = [
            *(trial.description, trial.tags, trial.version, trial.parameters),
            *(self._values(uid, values) for values in (trial.metadata, trial.chronos)),
            *(trial.errors, trial.failure, others),
        ]
        return head, [] if others else found, body

    def _values(self, uid: str, values: dict[str, Any]) -> list[list[Any]]:
        return [[name, *self._value((uid, name), value)] for name, value in values.items()]

    def _value(self, owner: Owner, value: Any) -> list[Any]:
        if isinstance(value, Aggregator):
            return [_AGGREGATOR, value.name, value.parameters(), value.state()]
        if isinstance(value, StepSeries):
            stored = self._store(owner, value)
            if stored is not None:
                return [_STORED, stored]
            stamps = value.stamps()
            return [_SERIES, [[step, item, *stamps[step]] for step, item in value.items()]]
        if type(value) is list and len(value) >= _FEWEST_FLOATS and {*map(type, value)} == {float}:
            return [_FLOATS, little_endian(array("d", value))]
        return [_PLAIN, value]

    def _pack(self, values: list[Any]) -> bytes:
        try:
            return self._pack_fast(values)
        except Exception:  # noqa: BLE001 - the slow way below handles or names the cause
            return pack_values(values, ())


def homes_of(objects: Objects, trial: Trial) -> tuple[list[str], list[str]]:
    """Return the names of the projects, and the uids of the groups, that show a trial."""
    projects = [name for name, home in objects.projects.items() if trial in home.trials]
    groups = [uid for uid, home in objects.groups.items() if trial.uid in home.trials]
    return projects, groups


class UnreadTrial(Trial):
    """A trial whose parts are unpacked on demand.

    It becomes an ordinary trial once everything but its metrics is unpacked.
    """

    def __getattr__(self, name: str) -> Any:
        known = self.__dict__
        if "_packed" not in known or (name.startswith("_") and name != "_metrics"):
            raise AttributeError(f"a trial has no attribute {name!r}")
        if name == "_metrics" and known["_packed_metrics"] is not None:
            metrics = _revive(self.uid, unpack(known["_packed_metrics"]), known["_find"])
            known["_metrics"] = metrics
            return metrics
        self.read()
        return getattr(self, name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        self.read()
        return self.__reduce_ex__(protocol)  # it has become an ordinary trial

    def __repr__(self) -> str:
        self.read()
        return repr(self)

    def read(self) -> None:
        """Unpack everything."""
        known, uid = dict(self.__dict__), self.uid
        find = known["_find"]
        *plain, metadata, chronos, errors, failure, others = unpack(known["_packed"])
        metrics = known.get("_metrics")
        if metrics is None:
            metrics = _revive(uid, others or unpack(known["_packed_metrics"] or _NOTHING), find)
        description, tags, version, parameters = plain
        identity = known["_hash"], known["revision"], known["name"], description, tags, version
        self.__dict__.clear()
        self.__class__ = Trial  # type: ignore[assignment]  # it becomes an ordinary trial
        self.__init__(  # type: ignore[misc]
            *(*identity, known["group_id"], known["project_id"], parameters),
            *(_revive(uid, metadata, find), metrics, _revive(uid, chronos, find)),
            *(known["status"], errors),
        )
        self.failure = failure

    def __hash__(self) -> int:
        return hash(f"{self._hash}_{self.revision}")


def unread_trial(own: list[Any], row: Row, find: FindSeries) -> Trial:
    """Return the trial of a row.

    Parameters
    ----------
    own
        the part of the head about the trial itself
    row
        the row
    find
        returns stored series
    """
    trial = UnreadTrial.__new__(UnreadTrial)
    status = None if own[5] is None else get_status(*own[5])
    known = dict(zip(_IDENTITY, (*own[:5], status), strict=True))
    trial.__dict__.update(known, **_packed(row, find, own[10]))
    return trial


_IDENTITY = ("_hash", "revision", "group_id", "project_id", "name", "status")
"""The attributes of a trial that are never packed."""


def _packed(row: Row, find: FindSeries, changed: float | None) -> dict[str, Any]:
    # The part is empty if there are no metrics, or any that are not in columns.
    metrics = None if row.metrics == _NOTHING else row.metrics
    parts = {"_packed": row.body, "_packed_metrics": metrics, "_find": find, "_source": None}
    return {**parts, "_changed_at": changed}


def set_aside(trial: Trial, row: Row, find: FindSeries) -> None:
    """Turn a trial into one that is unpacked from its row on demand, which takes less memory."""
    known = trial.__dict__
    identity, changed = {name: known[name] for name in _IDENTITY}, changed_at(trial)
    known.clear()
    known.update(identity, **_packed(row, find, changed))
    trial.__class__ = UnreadTrial


def logged_in(trial: Trial) -> tuple[Any, dict[str, Any]]:
    """Return the tags and parameters of a trial without unpacking it for good."""
    packed = trial.__dict__.get("_packed")
    if packed is None:
        return trial.tags, trial.parameters
    _, tags, _, parameters, *_ = unpack(packed)
    return tags, parameters


def twin_of(trial: Trial) -> Trial:
    """Return a trial to read without unpacking it for good: a twin, if it is packed."""
    if not isinstance(trial, UnreadTrial):
        return trial
    twin = UnreadTrial.__new__(UnreadTrial)
    twin.__dict__.update(trial.__dict__)
    return twin


def changed_at(trial: Trial) -> float | None:
    """Return the time of the last change in seconds since 1970-01-01 UTC, None if unknown."""
    known = trial.__dict__
    changed = known["_changed_at"] if "_packed" in known else trial.metadata.get(LAST_CHANGE)
    return changed if isinstance(changed, (int, float)) else None


def state_of(trial: Trial) -> Any:
    """Return a value that changes whenever a trial changes.

    For an unread trial, this is the bytes that it will be unpacked from.
    """
    known = trial.__dict__
    if "_packed" in known and "_metrics" not in known:
        return known["_packed"], known["_packed_metrics"], known["status"]
    return trial.metadata.get(UPDATE_COUNT), trial.metadata.get(LAST_CHANGE)


def summed_up(trial: Trial) -> dict[str, Any] | None:
    """Return the value that summarises each metric of a trial; None if metrics must be read."""
    packed = trial.__dict__.get("_packed_metrics")
    if packed is None or "_metrics" in trial.__dict__:
        return None
    return {
        name: stored[_LAST_VALUE] if summary is None else _extreme(stored, summary)
        for name, _, stored, summary in unpack(packed)
    }


def _extreme(stored: list[Any], summary: str) -> Any:
    value = stored[_LEAST_VALUE if summary == "min" else _LARGEST_VALUE]
    return stored[_LAST_VALUE] if value is None else value


_LAST_VALUE, _LEAST_VALUE, _LARGEST_VALUE = 3, -2, -1
"""The places of values of a series among those that find it in its storage."""


def _revive(uid: str, items: Iterable[list[Any]], find: FindSeries) -> dict[str, Any]:
    return {name: _revive_value(find, (uid, name), *written) for name, *written in items}


def _revive_value(find: FindSeries, owner: Owner, kind: int, *written: Any) -> Any:
    if kind == _PLAIN:
        return written[0]
    if kind == _AGGREGATOR:
        return restore(*written)
    if kind == _STORED:
        return StepSeries.of_stored(find(owner, written[0]))
    if kind == _FLOATS:
        return from_little_endian("d", written[0]).tolist()
    return StepSeries.of_items((s, value, Stamp(*stamp)) for s, value, *stamp in written[0])


def little_endian(column: array[Any]) -> bytes:
    """Return the bytes of a column in little-endian order."""
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column.tobytes()


def from_little_endian(typecode: str, data: bytes | memoryview) -> array[Any]:
    """Return the column stored in bytes."""
    column: array[Any] = array(typecode)
    column.frombytes(data)
    if sys.byteorder == "big":
        column.byteswap()
    return column
