"""Index the events of each stream of a journal, in a file beside it.

The index is never trusted: it has checksums, and the fingerprint of its last event identifies the
journal (``docs/format.md``). Later events are found by reading, and kept in memory until a new
index is worth writing.
"""

from __future__ import annotations

import logging
import sys
import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, groupby
from struct import Struct
from typing import BinaryIO, NamedTuple, Protocol
from zlib import crc32

from track.errors import JournalError
from track.events.codec import STREAM
from track.journals.journal import Batch, of_stream
from track.utils.forking import renew_in_children

logger = logging.getLogger(__name__)

VERSION = 1
MAGIC = b"TJX\xc1"

_HEADER = Struct("<4sIQQQI16s")
"""Magic, version, position, events, number of streams, CRC of the tables, mark of the last event.

Behind it and its CRC come the tables (the streams in order; where the bounds of each end; the CRC
of those) and then the bounds of the runs of each stream, all of them little-endian numbers.
"""

_HEADER_CRC = Struct("<I")
_NUMBER_BYTES = 8

_LONGEST_RUN = 4096
"""The largest number of events to read at a time."""

FEWEST_NEW_EVENTS = 4096
"""The least number of new events that are worth an index."""

ONE_NEW_IN = 8
"""An index is rewritten as a whole, so it waits for this part of new events."""

Part = bytes | memoryview


class Run(NamedTuple):
    """Consecutive events of one stream, after one position up to another."""

    after: int
    last: int


class Indexed(Protocol):
    """A journal that can read runs and store an index."""

    def read_batches(self, after: int = 0) -> Iterator[Batch]:
        """Yield the events after a position."""

    def record_size(self, payload: bytes) -> int:
        """Return the growth of the position by a payload."""

    def read_run(self, run: Run) -> Batch:
        """Return the intact events of a run."""

    def fingerprint(self, position: int) -> bytes | None:
        """Return bytes that identify the event at a position."""

    def load_index(self) -> BinaryIO | None:
        """Open the index that was saved last, None without one."""

    def save_index(self, parts: Iterable[Part]) -> None:
        """Replace the index."""


class Streams:
    """Finds the events of a stream in one journal. Any thread may use it."""

    def __init__(self) -> None:
        self.renew_after_fork()
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        self._turn = threading.Lock()
        self._kept: _Index | None = None
        """The index on disk, None before it was opened."""
        self._new = _NewEvents(0)
        self._due = FEWEST_NEW_EVENTS
        """The number of new events that are worth an index."""

    def read(self, journal: Indexed, stream: int, after: int) -> Iterator[Batch]:
        """Yield the events of a stream after a position."""
        with self._turn:
            runs = self._runs(journal, stream)
        for run in runs:
            if run.last > after:
                yield from of_stream(stream, after, journal.read_run(run))

    def _runs(self, journal: Indexed, stream: int) -> list[Run]:
        kept = self._kept or self._open(journal)
        for positions, payloads in journal.read_batches(self._new.position):
            self._new.add(positions, payloads, journal.record_size)
        try:
            if self._new.events >= self._due:
                kept = self._keep(journal, kept)
            return [*kept.runs(stream), *self._new.runs(stream)]
        except _Refused as error:
            self._begin_with(_Index(), error)
            return self._runs(journal, stream)

    def _open(self, journal: Indexed) -> _Index:
        try:
            file = journal.load_index()
            return self._begin_with(_Index() if file is None else _FileIndex(file, journal))
        except (_Refused, OSError) as error:
            return self._begin_with(_Index(), error)

    def _begin_with(self, kept: _Index, error: Exception | None = None) -> _Index:
        if error is not None:
            logger.info("the index of the journal is not used: %s", error)
        self._kept, self._new = kept, _NewEvents(kept.position)
        self._due = max(FEWEST_NEW_EVENTS, kept.events // ONE_NEW_IN)
        return kept

    def _keep(self, journal: Indexed, kept: _Index) -> _Index:
        parts = _pack(kept, self._new, _fingerprint_digest(journal, self._new.position))
        try:
            journal.save_index(parts)
        except (JournalError, OSError) as error:
            logger.info("no index of the journal was written: %s", error)
            self._due *= 2
            return kept
        return self._open(journal)


class _NewEvents:
    """The runs of each stream after a position."""

    def __init__(self, position: int) -> None:
        self.position = position
        """The position up to which they are known."""
        self.events = 0
        self.bounds: dict[bytes, array[int]] = {}
        """The bounds of the runs of each stream, in order"""

    def add(
        self, positions: Sequence[int], payloads: list[bytes], record_size: Callable[[bytes], int]
    ) -> None:
        """Add the next events.

        Parameters
        ----------
        positions, payloads
            the events as the journal yields them
        extent
            returns the growth of the position by a payload
        """
        first = 0
        # A run contains only events of the journal, and nothing else such as the remains of a torn
        # append.
        for stream, group in groupby(self._labels(positions, payloads, record_size)):
            end = first + sum(1 for _ in group)
            bounds = self.bounds.setdefault(stream[0], array("Q"))
            for start in range(first, end, _LONGEST_RUN):
                last = min(start + _LONGEST_RUN, end) - 1
                bounds.extend((positions[start] - record_size(payloads[start]), positions[last]))
            first = end
        self.events += len(payloads)
        self.position = positions[-1]

    def _labels(
        self, positions: Sequence[int], payloads: list[bytes], record_size: Callable[[bytes], int]
    ) -> Iterator[tuple[bytes, int]]:
        """Yield the stream of each event, and the size of the gaps before it."""
        record_sizes = accumulate(map(record_size, payloads))
        for position, payload, behind in zip(positions, payloads, record_sizes, strict=True):
            yield payload[STREAM], position - behind

    def runs(self, stream: int) -> Iterator[Run]:
        """Yield the runs of a stream."""
        return _pairs(self.bounds.get(stream.to_bytes(_NUMBER_BYTES, "big"), array("Q")))


def _pairs(bounds: array[int]) -> Iterator[Run]:
    return map(Run, bounds[::2], bounds[1::2])


class _Refused(Exception):
    """An index that cannot be used; the message says why."""


class _Index:
    """An empty index."""

    position = 0
    """The position up to which the index goes."""
    events = 0

    def runs(self, stream: int) -> Iterator[Run]:
        """Yield the runs of a stream.

        Raises
        ------
        _Refused
            the index is damaged
        """
        return iter(())

    def streams(self) -> Iterator[tuple[bytes, array[int]]]:
        """Yield every stream and the bounds of its runs."""
        return iter(())


class _FileIndex(_Index):
    """An index in a file, read on demand.

    Raises
    ------
    _Refused
        the index is damaged, of another version, or of another journal
    """

    def __init__(self, file: BinaryIO, journal: Indexed) -> None:
        self._file = file
        try:
            self._read_tables(file, journal)
        except BaseException:
            file.close()
            raise

    def _read_tables(self, file: BinaryIO, journal: Indexed) -> None:
        header = file.read(_HEADER.size)
        if _HEADER_CRC.pack(crc32(header)) != file.read(_HEADER_CRC.size):
            raise _Refused("it is damaged")
        magic, version, position, events, count, tables_crc, digest = _HEADER.unpack(header)
        if magic != MAGIC or version != VERSION:
            raise _Refused("it was made by another version")
        if _fingerprint_digest(journal, position) != digest:
            raise _Refused("the journal is not the one it was made from")
        tables = file.read(3 * count * _NUMBER_BYTES)
        if crc32(tables) != tables_crc:
            raise _Refused("it is damaged")
        self.position, self.events = position, events
        numbers = _from_little_endian(tables)
        self._streams = numbers[:count]
        self._ends = numbers[count : 2 * count]
        self._crcs = numbers[2 * count :]
        self._begin = file.tell()

    def __del__(self) -> None:
        self._file.close()

    def runs(self, stream: int) -> Iterator[Run]:
        index = bisect_left(self._streams, stream)
        found = self._streams[index : index + 1] == array("Q", [stream])
        return _pairs(self._bounds(index)) if found else iter(())

    def _bounds(self, index: int) -> array[int]:
        start = self._ends[index - 1] if index else 0
        self._file.seek(self._begin + start * _NUMBER_BYTES)
        data = self._file.read((self._ends[index] - start) * _NUMBER_BYTES)
        if crc32(data) != self._crcs[index]:
            raise _Refused("it is damaged")
        return _from_little_endian(data)

    def streams(self) -> Iterator[tuple[bytes, array[int]]]:
        for index, stream in enumerate(self._streams):
            yield stream.to_bytes(_NUMBER_BYTES, "big"), self._bounds(index)


def _fingerprint_digest(journal: Indexed, position: int) -> bytes:
    """Return 16 bytes that identify the event at a position."""
    from hashlib import blake2b

    found = journal.fingerprint(position)
    if found is None:
        raise _Refused("the journal does not say what its last event is")
    return blake2b(found, digest_size=16).digest()


def _pack(kept: _Index, new: _NewEvents, fingerprint_digest: bytes) -> list[Part]:
    """Return the parts of an index of the events of another index and later ones."""
    merged = dict(kept.streams())
    for stream, bounds in new.bounds.items():
        if len(stream) == _NUMBER_BYTES:  # shorter labels are not streams of events
            merged[stream] = merged.get(stream, array("Q")) + bounds
    streams, ends, crcs, end = array("Q"), array("Q"), array("Q"), 0
    parts: list[Part] = []
    for stream, bounds in sorted(merged.items()):
        parts.append(_to_little_endian(bounds))
        end += len(bounds)
        streams.append(int.from_bytes(stream, "big"))
        ends.append(end)
        crcs.append(crc32(parts[-1]))
    tables = b"".join(map(_to_little_endian, (streams, ends, crcs)))
    header = _HEADER.pack(
        MAGIC,
        VERSION,
        new.position,
        kept.events + new.events,
        len(streams),
        crc32(tables),
        fingerprint_digest,
    )
    return [header + _HEADER_CRC.pack(crc32(header)) + tables, *parts]


def _to_little_endian(numbers: array[int]) -> bytes:
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def _from_little_endian(data: bytes) -> array[int]:
    numbers = array("Q", data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
