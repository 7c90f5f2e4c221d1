"""Convert objects and points of series to bytes and back, as rows and columns, with limits.

For a series, the rows of summaries (:mod:`track.projections.rows`) have its length and its last
point; the other points are fetched on demand. The rows of whole objects have all points.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from struct import Struct, error
from typing import Any, NamedTuple, NoReturn

from track.containers.points import Chunk, LoadedChunk, Points, Stored, Summary, Unusable
from track.containers.series import StepSeries
from track.errors import EncodingError, MalformedMessage
from track.events.values import new_packer, unpack
from track.projections.finding import Found, find_trial
from track.projections.objects import Objects
from track.projections.rows import (
    VERSION,
    Entry,
    FindSeries,
    Owner,
    Row,
    RowWriter,
    UnreadTrial,
    from_little_endian,
    little_endian,
)
from track.projections.stored import Directory, StoredObjects, Written
from track.projections.trials import stream_of
from track.read_model.cache_format import (
    SUMMARY_BYTES,
    pack_axis,
    summary_from_bytes,
    summary_to_bytes,
    unpack_axis,
)
from track.structure import Project, Trial, TrialGroup

MOST_WANTED, LONGEST_WANTED = 1024, 4096
"""The limits of the number of trials in one look-up, and of the length of each text."""

_LONGEST = 2**28
"""The largest size of the rows of one answer in bytes."""


MOST_POINTS = 2**16
"""The most points of one answer."""

MOST_SUMMARIES = 2**12
"""The most summaries of one answer."""

_SIZES = Struct("<II")
_COUNT = Struct("<I")


class Answered(NamedTuple):
    """The content of the rows of an answer.

    Attributes
    ----------
    objects
        all objects, or the requested ones
    lost
        the uids of lost trials, since only the server knows which processes are alive
    found
        the requested trials
    """

    objects: Objects
    lost: frozenset[str]
    found: list[Found]


def pack_summaries_of(objects: Objects, lost: Iterable[str]) -> bytes:
    """Return the rows of all objects without the points of their series.

    Raises
    ------
    EncodingError
        the rows are too large
    """
    writer = RowWriter(objects, _described)
    if isinstance(objects, StoredObjects):
        return _pack(objects, objects.written(writer.row), _unbound(writer, objects), lost, [])
    return _pack_subjects(objects, writer, lost)


def pack_whole(objects: Objects, lost: Iterable[str] = (), longest: int = _LONGEST) -> bytes:
    """Return the rows of all objects with all points of their series.

    Raises
    ------
    EncodingError
        the rows are larger than the longest answer, in bytes
    """
    return _pack_subjects(objects, RowWriter(objects, _with_points), lost, longest)


def pack_selected(selected: Iterable[Project | TrialGroup | Trial]) -> bytes:
    """Return the rows of some objects with all points, of projects with their contents.

    Raises
    ------
    EncodingError
        the rows are too large
    """
    objects = Objects()
    for item in selected:
        _add(objects, item)
    return pack_whole(objects)


def _add(objects: Objects, item: Project | TrialGroup | Trial) -> None:
    if isinstance(item, Trial):
        if item.uid not in objects.trials:
            objects.add_trial(item)
    elif isinstance(item, TrialGroup):
        objects.groups[item.uid] = item
    else:
        objects.projects[item.uid] = item
        for group in item.groups:
            _add(objects, group)
        for trial in item.trials:
            _add(objects, trial)


def _pack_subjects(
    objects: Objects, writer: RowWriter, lost: Iterable[str], longest: int = _LONGEST
) -> bytes:
    rows = map(writer.row, objects.subjects())
    return _pack(objects, rows, _unbound(writer, objects), lost, [], longest=longest)


def _unbound(writer: RowWriter, objects: Objects) -> list[Any]:
    return [[stream, *writer.known_of(stream)] for stream in sorted(objects.unbound)]


def pack_found(objects: Objects, found: Iterable[Found], lost: Iterable[str]) -> bytes:
    """Return the rows of trials, and of the groups in which they were created."""
    found = [*found]
    uids = dict.fromkeys(each.trial.uid for each in found)
    groups = dict.fromkeys(each.trial.group_id for each in found)
    subjects: list[Any] = [objects.groups[uid] for uid in groups if uid in objects.groups]
    subjects += [objects.trials.get(uid) or objects.parts[stream_of(uid)] for uid in uids]
    said = [[each.trial.uid, each.revisions, each.note] for each in found]
    rows = map(RowWriter(objects, _described, alone=True).row, subjects)
    return _pack(objects, rows, [], lost, said)


def _pack(
    objects: Objects,
    rows: Iterable[Written],
    unbound: list[Any],
    lost: Iterable[str],
    found: list[list[Any]],
    *,
    longest: int = _LONGEST,
) -> bytes:
    packed, size = [], 0
    for entry, parts in rows:
        packed.append([*entry, *parts])
        size += sum(map(len, parts))
        if size > longest:
            raise EncodingError(
                f"the answer exceeds the limit of {longest} bytes: ask for less at once"
            )
    known = [objects.position, objects.events, objects.failed_events]
    data: bytes = new_packer().pack([VERSION, *known, packed, unbound, [*lost], found])
    return data


def _described(owner: Owner, series: StepSeries) -> list[Any] | None:
    """Return what lists show of a series instead of its place in a cache."""
    if series.unstored() is None:
        return None
    return [*_beginning(series), *series.extremes()]


def _with_points(owner: Owner, series: StepSeries) -> list[Any] | None:
    """Return the points of a series as columns, from which its extremes follow."""
    points = series.points()
    if points is None:
        return None
    return [
        *_beginning(series),
        None,
        None,
        *map(little_endian, points.columns()),
        bytes(points.integers),
    ]


def _beginning(series: StepSeries) -> list[Any]:
    """Return the length and the last point of a series."""
    end = series.last_item() or (0, 0.0)
    return [0, len(series), *end, 0, [], series.is_rewritten]


class _Loaded(Stored):
    """A series whose points came with its row."""

    def __init__(self, owner: Owner, values: list[Any]) -> None:
        _, self.count, self.last_step, self.last_value, *_, is_rewritten = values[:7]
        self.is_rewritten, columns = is_rewritten, values[9:]
        steps, times, positions, floats = map(from_little_endian, "qqqd", columns[:4])
        points = Points(steps, times, positions, floats, columns[4])
        if {len(column) for column in points.columns()} != {self.count}:
            raise ValueError("the columns of a series differ in length")
        self._points = points

    def extremes(self) -> tuple[float | None, float | None]:
        numbers = [value for value in self._points.exact_values() if value == value]  # noqa: PLR0124 - not a number is not
        return min(numbers, default=None), max(numbers, default=None)

    def chunks(self) -> list[Chunk]:
        return [LoadedChunk(self._points)]


class _Rows:
    """Received rows."""

    def __init__(self, sent: Iterable[list[Any]]) -> None:
        self.directory = Directory()
        self._parts: list[list[bytes]] = []
        for *entry, head, metrics, body in sent:
            self._parts.append([head, metrics, body])
            self.directory.put(len(self._parts), Entry(*entry))

    def read(self, numbers: Iterable[int]) -> Iterator[Row]:
        return (Row(number, *self._parts[number - 1]) for number in numbers)


def unpack_whole(data: bytes) -> Answered:
    """Return the content of packed rows that have all points.

    Raises
    ------
    MalformedMessage
        the rows are invalid, or of another version
    """
    answered = unpack_rows(data, _Loaded)
    with _checking():
        for trial in (*answered.objects.trials.values(), *answered.objects.parts.values()):
            if isinstance(trial, UnreadTrial):
                trial.read()
    return answered


def unpack_rows(data: bytes, find: FindSeries) -> Answered:
    """Return the content of packed rows.

    Parameters
    ----------
    data
        the rows
    find
        makes the series of a metric from its values

    Raises
    ------
    MalformedMessage
        the rows are invalid, or of another version
    """
    with _checking():
        version, *parts = unpack(data)
        if version != VERSION:
            raise MalformedMessage(
                f"the server sends rows of version {version}, but this client reads version "
                f"{VERSION}: use the same version of Track on both sides"
            )
        position, events, failed, sent, unbound, lost, said = parts
        objects = StoredObjects(_Rows(sent), find, _nowhere)
        for stream, *known in unbound:
            objects.know(stream, known)
            objects.unbound.add(stream)
        objects.position, objects.events, objects.failed_events = position, events, failed
        found = [
            Found(find_trial(objects, uid).trial, revisions, note) for uid, revisions, note in said
        ]
        return Answered(objects, frozenset(lost), found)


@contextmanager
def _checking() -> Iterator[None]:
    """Translate any error from malformed rows into a MalformedMessage."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise MalformedMessage(f"the rows of an answer are invalid: {error!r}") from error


def _nowhere(objects: Objects, error: Unusable) -> NoReturn:
    raise error


# Series


def pack_points(points: Points) -> bytes:
    """Return points as bytes; steps, times and positions that grow evenly take little space."""
    if not points.steps:
        return b""
    axis = pack_axis(points)
    values = little_endian(points.values) + points.integers
    return _SIZES.pack(len(points.steps), len(axis)) + axis + values


def unpack_points(data: bytes) -> Points:
    """Return points from bytes.

    Raises
    ------
    MalformedMessage
        the bytes are not points, or too many
    """
    if not data:
        return Points.empty()
    try:
        count, size = _SIZES.unpack_from(data)
        axis, values = data[_SIZES.size : _SIZES.size + size], data[_SIZES.size + size :]
        if count <= MOST_POINTS and _COUNT.unpack_from(axis) == (count,):  # before allocating
            floats, integers = from_little_endian("d", values[: 8 * count]), values[8 * count :]
            columns = *unpack_axis(axis, positions=True), floats
            if all(len(column) == count for column in columns) and len(integers) in {0, count}:
                return Points(*columns, integers)
    except (ValueError, error, OverflowError) as problem:
        raise MalformedMessage(f"invalid points: {problem}") from problem
    raise MalformedMessage("too many points, or another number than announced")


def pack_summaries(summaries: Sequence[Summary]) -> bytes:
    """Return summaries as bytes."""
    return b"".join(map(summary_to_bytes, summaries))


def unpack_summaries(data: bytes) -> list[Summary]:
    """Return summaries from bytes.

    Raises
    ------
    MalformedMessage
        the bytes are not summaries, or too many
    """
    if len(data) % SUMMARY_BYTES or len(data) > MOST_SUMMARIES * SUMMARY_BYTES:
        raise MalformedMessage(f"{len(data)} bytes are not summaries of chunks")
    starts = range(0, len(data), SUMMARY_BYTES)
    return [summary_from_bytes(data[start : start + SUMMARY_BYTES]) for start in starts]
