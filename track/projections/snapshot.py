"""Convert objects to bytes and back, to send the result of a replay.

A snapshot is never trusted: it has checksums, the version of the folds, and the fingerprint of its
last event, which identifies the journal. If anything is wrong with it, the journal is replayed
(``docs/format.md``).
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable
from struct import Struct
from typing import Any, BinaryIO
from zlib import crc32

from track.aggregators.aggregator import Aggregator, restore
from track.containers.points import Points, Stamp
from track.containers.series import StepSeries
from track.events.types import Heartbeat
from track.events.values import new_packer, pack_values, unpack
from track.projections.attempts import AttemptsOf
from track.projections.index import ArchivedFrom
from track.projections.objects import FOLDS_VERSION, Objects
from track.structure import Project, Trial, TrialGroup, get_status

VERSION = 4
"""The version of the format."""

MAGIC = b"TJS\xc1"
_HEADER = Struct("<4sIIQII")
"""Magic, version, version of the folds, length and CRC of the document, CRC of the columns."""

_HEADER_CRC = Struct("<I")

Part = bytes | memoryview
Fingerprint = Callable[[int], bytes | None]

_PROJECT, _GROUP, _TRIAL = range(3)
_PLAIN, _AGGREGATOR, _SERIES, _COLUMNS, _FLOATS = range(5)
"""Forms of a value: plain, an aggregator, a dictionary of steps, two columns, one column."""

_FEWEST_FLOATS = 64
"""The least number of floats that are stored as a column."""


class Refused(Exception):
    """A snapshot that cannot be used; the message says why."""


def pack(objects: Objects, fingerprint: Fingerprint) -> list[Part]:
    """Return the parts of a snapshot: a header, a document, and the columns of the document.

    The columns are views of the memory of the objects, so the objects must not change before the
    parts are written.

    Raises
    ------
    Refused
        the journal has no event at the position of the objects, or a value cannot be packed
    """
    fingerprint_digest = fingerprint(objects.position)
    if fingerprint_digest is None:
        raise Refused("the journal does not say what its last event is")
    writer = _Writer()
    try:
        document = writer.document(objects, fingerprint_digest)
    except Exception as error:
        # Only events of another program can contain such values.
        raise Refused(f"a value cannot be packed: {error}") from error
    columns = [_little_endian(column) for column in writer.columns]
    crc = 0
    for column in columns:
        crc = crc32(column, crc)
    header = _HEADER.pack(MAGIC, VERSION, FOLDS_VERSION, len(document), crc32(document), crc)
    return [header + _HEADER_CRC.pack(crc32(header)), document, *columns]


def unpack_objects(file: BinaryIO, fingerprint: Fingerprint) -> Objects:
    """Return the objects of a snapshot.

    Parameters
    ----------
    file
        a file at the beginning of the snapshot
    fingerprint
        returns the current fingerprint of the journal at a position

    Raises
    ------
    Refused
        the snapshot is damaged, of another version, or of another journal
    """
    header = file.read(_HEADER.size)
    if _HEADER_CRC.pack(crc32(header)) != file.read(_HEADER_CRC.size):
        raise Refused("it is damaged")
    magic, version, folds, length, document_crc, columns_crc = _HEADER.unpack(header)
    if magic != MAGIC or (version, folds) != (VERSION, FOLDS_VERSION):
        raise Refused("it was made by another version")
    document = file.read(length)
    if crc32(document) != document_crc:
        raise Refused("it is damaged")
    try:
        position, fingerprint_digest, counts, *parts = unpack(document)
        if fingerprint(position) != fingerprint_digest:
            raise Refused("the journal is not the one it was made from")
        return _Reader(_read_columns(file, counts, columns_crc)).objects(position, parts)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise Refused(f"it is inconsistent: {error!r}") from error


def _read_columns(file: BinaryIO, counts: list[list[Any]], expected_crc: int) -> list[array[Any]]:
    crc, columns = 0, []
    for typecode, count in counts:
        columns.append(array(typecode, [0]) * count)
        # Read directly into the column, since reading takes most of the time.
        content = memoryview(columns[-1]).cast("B")
        file.readinto(content)  # type: ignore[attr-defined]  # all binary files have it
        crc = crc32(content, crc)
    if crc != expected_crc:
        raise Refused("it is damaged")
    if sys.byteorder == "big":
        for column in columns:
            column.byteswap()
    return columns


def _little_endian(column: array[Any]) -> memoryview:
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return memoryview(column).cast("B")


class _Writer:
    """Converts objects to a document, and columns that it refers to by index."""

    def __init__(self) -> None:
        self.columns: list[array[Any]] = []
        self._pack: Callable[[list[Any]], bytes] = new_packer().pack

    def document(self, objects: Objects, fingerprint_digest: bytes) -> bytes:
        # Trials that nobody asked for yet join their projects and groups when they are read.
        trials = [self._trial(trial) for trial in objects.trials.values()]
        projects = [self._project(project) for project in objects.projects.values()]
        groups = [self._group(group) for group in objects.groups.values()]
        parts = [[stream, self._trial(part)] for stream, part in objects.parts.items()]
        return self._packed(
            [
                objects.position,
                fingerprint_digest,
                [[column.typecode, len(column)] for column in self.columns],
                objects.events,
                objects.failed_events,
                projects,
                groups,
                trials,
                [[stream, *_name_of(subject)] for stream, subject in objects.by_stream.items()],
                [[*key, at] for key, at in objects.started.items()],
                [[stream, attempts.to_values()] for stream, attempts in objects.attempts.items()],
                [
                    [stream, [[*beat, at] for beat, at in beats.items()]]
                    for stream, beats in objects.heartbeats.items()
                ],
                [
                    [uid, *map(sorted, archived_from or ())]
                    for uid, archived_from in objects.archived.items()
                ],
                parts,
                [*objects.created.items()],
            ]
        )

    def _packed(self, values: list[Any]) -> bytes:
        try:
            return self._pack(values)
        except Exception:  # noqa: BLE001 - the careful way below handles or names the cause
            return pack_values(values, ())

    # Pack each object by itself, so that values are not nested deeper than in their events.

    def _project(self, project: Project) -> bytes:
        groups = sorted(group.uid for group in project.groups)
        trials = sorted(trial.uid for trial in project.trials)
        return self._packed([project.name, project.description, project.metadata, groups, trials])

    def _group(self, group: TrialGroup) -> bytes:
        fields = [group._uid, group.name, group.description, group.metadata]
        return self._packed([*fields, sorted(group.trials, key=str), group.project_id])

    def _trial(self, trial: Trial) -> bytes:
        status = trial.status
        return self._packed(
            [
                trial._hash,
                trial.revision,
                trial.name,
                trial.description,
                trial.tags,
                trial.version,
                trial.group_id,
                trial.project_id,
                trial.parameters,
                *map(self._values, (trial.metadata, trial.metrics, trial.chronos)),
                None if status is None else [status.name, status.value],
                trial.errors,
                trial.failure,
            ]
        )

    def _values(self, values: dict[str, Any]) -> list[list[Any]]:
        return [[name, *self._value(value)] for name, value in values.items()]

    def _value(self, value: Any) -> list[Any]:
        if isinstance(value, Aggregator):
            return [_AGGREGATOR, value.name, value.parameters(), value.state()]
        if isinstance(value, StepSeries):
            points = value.points()
            if points is None:
                stamps = value.stamps()
                return [_SERIES, [[*item, *stamps[item[0]]] for item in value.items()]]
            return [_COLUMNS, *(self._column(column) for column in points)]
        if type(value) is list and len(value) >= _FEWEST_FLOATS and {*map(type, value)} == {float}:
            return [_FLOATS, self._column(array("d", value))]
        return [_PLAIN, value]

    def _column(self, column: array[Any]) -> int:
        self.columns.append(column)
        return len(self.columns) - 1


def _name_of(subject: Project | TrialGroup | Trial) -> tuple[int, str]:
    kind = {Project: _PROJECT, TrialGroup: _GROUP, Trial: _TRIAL}[type(subject)]
    return kind, subject.uid


class _Reader:
    """Converts a document and its columns to objects."""

    def __init__(self, columns: list[array[Any]]) -> None:
        self._columns = columns

    def objects(self, position: int, parts: list[Any]) -> Objects:
        events, failed_events, projects, groups, trials, streams, started, *rest = parts
        attempts, beats, archived, left, created = rest
        objects = Objects()
        objects.position, objects.events, objects.failed_events = position, events, failed_events
        for packed in groups:
            group = TrialGroup(*unpack(packed))
            group.trials = set(group.trials)
            objects.groups[group.uid] = group
        for packed in trials:
            objects.add_trial(self._trial(unpack(packed)))
        for packed in projects:
            name, description, metadata, group_uids, trial_uids = unpack(packed)
            project = Project(name=name, description=description, metadata=metadata)
            project.groups = {objects.groups[uid] for uid in group_uids}
            project.trials = {objects.trials[uid] for uid in trial_uids}
            objects.projects[name] = project
        by_stream: tuple[dict[str, Any], ...] = objects.projects, objects.groups, objects.trials
        for stream, kind, uid in streams:
            objects.bind(stream, by_stream[kind][uid])
        objects.changed = {}
        objects.started = {(stream, name): at for stream, name, at in started}
        objects.attempts = {stream: AttemptsOf(found) for stream, found in attempts}
        objects.heartbeats = {
            stream: {Heartbeat(*beat): at for *beat, at in found} for stream, found in beats
        }
        objects.unbound = {*objects.heartbeats, *objects.attempts} - objects.by_stream.keys()
        objects.parts = {stream: self._trial(unpack(packed)) for stream, packed in left}
        objects.created = dict(created)
        objects.archived = {
            uid: ArchivedFrom(*map(set, archived_from)) if archived_from else None
            for uid, *archived_from in archived
        }
        return objects

    def _trial(self, fields: list[Any]) -> Trial:
        *identity, metadata, metrics, chronos, status, errors, failure = fields
        trial = Trial(*identity)
        trial.metadata = self._values(metadata)
        trial.metrics = self._values(metrics)
        trial.chronos = self._values(chronos)
        trial.status = None if status is None else get_status(*status)
        trial.errors, trial.failure = errors, failure
        return trial

    def _values(self, items: Iterable[list[Any]]) -> dict[str, Any]:
        return {name: self._value(*written) for name, *written in items}

    def _value(self, kind: int, *written: Any) -> Any:
        if kind == _PLAIN:
            return written[0]
        if kind == _AGGREGATOR:
            return restore(*written)
        if kind == _SERIES:
            items = ((step, item, Stamp(*stamp)) for step, item, *stamp in written[0])
            return StepSeries.of_items(items)
        columns = [self._columns[index] for index in written]
        if kind == _FLOATS:
            return columns[0].tolist()
        return StepSeries.of_points(Points(*columns))
