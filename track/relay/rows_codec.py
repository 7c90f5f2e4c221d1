"""Convert summaries of trials to bytes and back: rows without long series.

They are the rows of the cache (:mod:`track.projections.rows`). For a series they have its length
and its last point; the other points are fetched on demand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, NoReturn

from track.containers.points import Unusable
from track.containers.series import StepSeries
from track.errors import EncodingError, MalformedMessage
from track.events.values import new_packer, unpack
from track.persistence.cache_series import VERSION
from track.projections.finding import Found, find_trial
from track.projections.objects import Objects
from track.projections.rows import Entry, FindSeries, Row, RowWriter
from track.projections.stored import Directory, StoredObjects, Written
from track.projections.trials import stream_of

MOST_WANTED, LONGEST_WANTED = 1024, 4096
"""The limits of the number of trials in one look-up, and of the length of each text."""

_LONGEST = 2**28
"""The largest size of the rows of one answer in bytes."""


class AnotherVersion(MalformedMessage):
    """Rows of another version."""


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


def pack_all(objects: Objects, lost: Iterable[str]) -> bytes:
    """Return the rows of all objects.

    Raises
    ------
    EncodingError
        the rows are too large
    """
    writer = RowWriter(objects, _described)
    unbound = [[stream, *writer.known_of(stream)] for stream in sorted(objects.unbound)]
    if isinstance(objects, StoredObjects):
        return _pack(objects, objects.written(writer.row), unbound, lost, [])
    return _pack(objects, map(writer.row, objects.subjects()), unbound, lost, [])


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
) -> bytes:
    packed, size = [], 0
    for entry, parts in rows:
        packed.append([*entry, *parts])
        size += sum(map(len, parts))
        if size > _LONGEST:
            raise EncodingError(
                f"the answer has over {_LONGEST} bytes, the limit: ask for less at once"
            )
    known = [objects.position, objects.events, objects.failed_events]
    data: bytes = new_packer().pack([VERSION, *known, packed, unbound, [*lost], found])
    return data


def _described(owner: tuple[str, str], series: StepSeries) -> list[Any] | None:
    """Return the length and the last point of a series instead of its place in a cache."""
    if series.unstored() is None:
        return None
    last = series.last_item() or (0, 0.0)
    return [0, len(series), *last, 0, [], *series.extremes()]


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
    AnotherVersion
        the rows were packed by another version
    MalformedMessage
        the rows are invalid
    """
    try:
        version, *parts = unpack(data)
        if version != VERSION:
            raise AnotherVersion(f"the server sends rows of version {version}, not {VERSION}")
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
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise MalformedMessage(f"the rows of an answer are invalid: {error!r}") from error


def _nowhere(objects: Objects, error: Unusable) -> NoReturn:
    raise error
