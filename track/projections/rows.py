"""Objects <-> rows of bytes, one for each project, group and trial: what a cache keeps of them.

A row has two parts. The *head* is what must be known of every subject before anything is decided:
who it is, and where it belongs. The *body* is unpacked when somebody looks at the subject.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from track.aggregators.aggregator import Aggregator, restore
from track.containers.points import Stamp, Stored
from track.containers.series import StepSeries
from track.events.types import Heartbeat
from track.events.values import new_packer, pack_values, unpack
from track.projections.attempts import AttemptsOf
from track.projections.objects import ArchivedFrom, Objects
from track.projections.trials import is_part, stream_of
from track.structure import Project, Trial, TrialGroup, get_status

_PLAIN, _AGGREGATOR, _SERIES, _STORED, _FLOATS = range(5)
"""How a value is written: as itself, an aggregator, items with stamps, a stored series, floats."""

_FEWEST_FLOATS = 64
"""From how many floats on a list is worth an array."""

_PROJECT, _GROUP, _TRIAL, _PART = b"p", b"g", b"t", b"d"

Subject = Project | TrialGroup | Trial
Owner = tuple[str, str]
"""Uid of a trial, and the name of one of its metrics."""

StoreSeries = Callable[[Owner, StepSeries], list[Any] | None]
"""Stores a series and returns what it takes to find it again; None if it has no columns."""

FindSeries = Callable[[Owner, list[Any]], Stored]
"""Returns the stored series that is found with such values."""


class Row(NamedTuple):
    """What is kept of a subject.

    Attributes
    ----------
    key
        which it is
    head, body
        msgpack
    """

    key: bytes
    head: bytes
    body: bytes


class RowWriter:
    """Writes the rows of subjects as they are now.

    Parameters
    ----------
    objects
        among which they are
    store
        stores their series
    """

    def __init__(self, objects: Objects, store: StoreSeries) -> None:
        self._objects = objects
        self._store = store
        self._pack_fast: Callable[[list[Any]], bytes] = new_packer().pack
        self._started: dict[int, list[list[Any]]] = {}
        for (stream, name), at in objects.started.items():
            self._started.setdefault(stream, []).append([name, at])

    def row(self, subject: Subject) -> Row:
        """Return the row of a subject."""
        uid = subject.uid.encode("utf-8", "surrogatepass")
        stream = self._objects.stream_of.get(id(subject))
        kind = _TRIAL
        if isinstance(subject, Trial) and is_part(subject) and stream is None:
            stream, kind = stream_of(subject.uid), _PART
        known = [stream, *self.known_of(stream)]
        if isinstance(subject, Trial):
            head, body = self._trial(subject)
            return Row(kind + uid, self._pack([*known, *head]), self._pack(body))
        if isinstance(subject, TrialGroup):
            strangers = [uid for uid in subject.trials if uid not in self._objects.trials]
            body = [subject._uid, subject.name, subject.description, subject.metadata]
            body.append(subject.project_id)
            return Row(_GROUP + uid, self._pack([*known, sorted(strangers)]), self._pack(body))
        groups = sorted(group.uid for group in subject.groups)
        body = [subject.name, subject.description, subject.metadata]
        return Row(_PROJECT + uid, self._pack([*known, groups]), self._pack(body))

    def known_of(self, stream: int | None) -> list[Any]:
        """Return what is known of a stream whatever it is about."""
        if stream is None:
            return [[], [], None]
        beats = self._objects.heartbeats.get(stream, {})
        attempts = self._objects.attempts.get(stream)
        return [
            [[*beat, at] for beat, at in beats.items()],
            self._started.get(stream, []),
            None if attempts is None else attempts.to_values(),
        ]

    def _trial(self, trial: Trial) -> tuple[list[Any], list[Any]]:
        objects, uid = self._objects, trial.uid
        projects = [name for name, home in objects.projects.items() if trial in home.trials]
        groups = [name for name, home in objects.groups.items() if uid in home.trials]
        # Nothing is known of where an erased trial belongs.
        homes = [*map(sorted, objects.archived[uid] or ())] if uid in objects.archived else None
        head = [trial._hash, trial.revision, trial.group_id, projects, groups, homes]
        status = trial.status
        body = [
            *(trial.name, trial.description, trial.tags, trial.version, trial.project_id),
            trial.parameters,
            *(self._values(uid, v) for v in (trial.metadata, trial.metrics, trial.chronos)),
            None if status is None else [status.name, status.value],
            trial.errors,
            trial.failure,
        ]
        return head, body

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
        except Exception:  # noqa: BLE001 - the careful way knows what to do, or says what is wrong
            return pack_values(values, ())


class RowReader:
    """Makes objects of rows.

    Parameters
    ----------
    find
        finds stored series
    """

    def __init__(self, find: FindSeries) -> None:
        self.objects = Objects()
        self._find = find
        self._groups_of: list[tuple[Project, list[str]]] = []

    def add(self, rows: Iterable[Row]) -> None:
        """Add subjects, oldest first."""
        trials: list[tuple[Trial, list[Any]]] = []
        parts: list[tuple[Trial, int, list[Any]]] = []
        for key, head, body in rows:
            stream, *rest = unpack(head)
            known, fields = rest[:3], rest[3:]
            if key.startswith(_PART):
                part = _unread(fields, body, self._find)
                self._index_archived(part.uid, fields)
                parts.append((part, stream, known))
                continue
            if key.startswith(_TRIAL):
                trial = _unread(fields, body, self._find)
                self._index(trial, key[1:].decode("utf-8", "surrogatepass"), fields)
                trials.append((trial, fields))
                subject: Subject = trial
            elif key.startswith(_GROUP):
                uid, name, description, metadata, project_id = unpack(body)
                subject = TrialGroup(uid, name, description, metadata, {*fields[0]}, project_id)
                self.objects.groups[subject.uid] = subject
            else:
                name, description, metadata = unpack(body)
                subject = Project(name=name, description=description, metadata=metadata)
                self.objects.projects[name] = subject
                self._groups_of.append((subject, fields[0]))
            if stream is not None:
                self.objects.bind(stream, subject)
                self.know(stream, known)
        for part, stream, known in parts:
            if stream not in self.objects.by_stream:  # its creation did not turn up
                self.objects.parts[stream] = part
                self.know(stream, known)
        self._put_home(trials)
        self.objects.changed = {}

    def know(self, stream: int, known: list[Any]) -> None:
        """Take in what is known of a stream."""
        beats, started, attempts = known
        objects = self.objects
        if beats:
            objects.heartbeats[stream] = {Heartbeat(*beat): at for *beat, at in beats}
        for name, at in started:
            objects.started[stream, name] = at
        if attempts is not None:
            objects.attempts[stream] = AttemptsOf(attempts)
        if stream not in objects.by_stream and (beats or attempts is not None):
            objects.unbound.add(stream)

    def _index(self, trial: Trial, uid: str, fields: list[Any]) -> None:
        objects = self.objects
        objects.trials[uid] = trial
        objects.revisions.setdefault(fields[0], []).append(uid)
        objects.by_group.setdefault(fields[2], []).append(uid)
        self._index_archived(uid, fields)

    def _index_archived(self, uid: str, fields: list[Any]) -> None:
        homes = fields[5]
        if homes is not None:
            self.objects.archived[uid] = ArchivedFrom(*map(set, homes)) if homes else None

    def _put_home(self, trials: list[tuple[Trial, list[Any]]]) -> None:
        objects = self.objects
        for project, groups in self._groups_of:
            project.groups = {objects.groups[uid] for uid in groups}
        for trial, (_, _, _, projects, groups, _) in trials:
            for name in projects:
                objects.projects[name].trials.add(trial)
            for uid in groups:
                objects.groups[uid].trials.add(trial.uid)


class UnreadTrial(Trial):
    """A trial whose body is unpacked when anything but its identity is looked at.

    It becomes an ordinary trial then.
    """

    def __getattr__(self, name: str) -> Any:
        packed = self.__dict__.pop("_packed", None)
        if packed is None:
            raise AttributeError(f"a trial has no attribute {name!r}")
        _read_body(self, *packed)
        return getattr(self, name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        self.read()
        return self.__reduce_ex__(protocol)  # that of a trial, which it is by now

    def read(self) -> None:
        """Unpack the body."""
        getattr(self, "name")  # noqa: B009 - for its effect

    def __hash__(self) -> int:
        return hash(f"{self._hash}_{self.revision}")


def _unread(fields: list[Any], body: bytes, find: FindSeries) -> Trial:
    trial = UnreadTrial.__new__(UnreadTrial)
    known = trial.__dict__
    known["_hash"], known["revision"], known["group_id"] = fields[:3]
    known["_packed"] = body, find
    return trial


def _read_body(trial: Trial, body: bytes, find: FindSeries) -> None:
    *plain, project_id, parameters, metadata, metrics, chronos, status, errors, failure = unpack(
        body
    )
    uid, group_id = trial.uid, trial.group_id
    digest, revision = trial._hash, trial.revision
    trial.__dict__.clear()
    trial.__class__ = Trial
    trial.__init__(  # type: ignore[misc]  # as if it had been made only now
        *(digest, revision, *plain, group_id, project_id, parameters),
        *(_revive(uid, values, find) for values in (metadata, metrics, chronos)),
        None if status is None else get_status(*status),
        errors,
    )
    trial.failure = failure


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
    """Return the bytes of a column, the same on every machine."""
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column.tobytes()


def from_little_endian(typecode: str, data: bytes | memoryview) -> array[Any]:
    """Return the column of some bytes."""
    column: array[Any] = array(typecode)
    column.frombytes(data)
    if sys.byteorder == "big":
        column.byteswap()
    return column
