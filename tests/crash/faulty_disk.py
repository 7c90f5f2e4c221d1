"""Provide a disk that fails on request, and that loses data like a real one in a power failure.

:class:`FaultyDisk` stands in for ``os`` inside the modules of the file journal. It works on a real
file; only ``write`` and ``fdatasync`` are its own, everything else is that of ``os``.

What it assumes of a disk is the worst that a journal may have to live with:

* A write goes to the cache of the system: whole, in part (a short write), or not at all.
* ``fdatasync`` makes all pages durable that were written to since the last one. When it fails, none
  of them is, and the system takes them for clean: the next ``fdatasync`` leaves them out unless
  they are written to again. So does Linux.
* When the power goes, each page or sector that was not durable has reached the disk or not, in any
  order. So has the new length of the file; what is missing below it reads as zeros.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import pytest

from track.events.codec import decode
from track.events.record import HEADER_SIZE, OVERHEAD
from track.events.types import Unknown
from track.journals.file import FileJournal

PAGE = 4096
SECTOR = 512
"""The size of a sector, the least that a disk writes at once: a page may be torn between two."""


class Short(NamedTuple):
    """Stops a write early: the file gets a number of bytes, at most all but one."""

    kept: int


class Fails(NamedTuple):
    """Makes a call raise an OSError and do nothing."""

    errno: int


Fault = Short | Fails


class Write(NamedTuple):
    """Describes an attempted write: place, bytes, and how many of them reached the file."""

    offset: int
    data: bytes
    kept: int

    @property
    def is_whole(self) -> bool:
        return self.kept == len(self.data)

    @property
    def end(self) -> int:
        """Return the offset at which the whole write would have ended."""
        return self.offset + len(self.data)


class FaultyDisk:
    """The calls of ``os`` on one file, some of which fail.

    Parameters
    ----------
    path
        the file; what it holds already is taken to be durable
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.file = os.fspath(path)
        self.writes: list[Write] = []
        """All attempted writes, including those that raised."""
        self.syncs = 0
        """The number of calls of ``fdatasync`` that returned."""
        self.struck: list[str] = []
        """The calls that had a fault since the last call of :meth:`will`."""
        self._faults: dict[str, deque[Fault | None]] = {"write": deque(), "fdatasync": deque()}
        self._start_from_what_is_there()

    def _start_from_what_is_there(self) -> None:
        self._durable_size = self._attempted = self.size()
        self._durable: dict[int, int] = {
            page: min(PAGE, self._durable_size - page * PAGE)
            for page in range(-(-self._durable_size // PAGE))
        }
        """page -> how many of its first bytes are durable; journals only grow at their end"""
        self._dirty: set[int] = set()
        self.promised: list[range] = [range(self._durable_size)]
        """The bytes that each ``fdatasync`` which returned has promised to keep."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    # What goes wrong

    def will(
        self, writes: Collection[Fault | None] = (), syncs: Collection[Fault | None] = ()
    ) -> None:
        """Set the outcomes of the next calls, one by one; later calls succeed."""
        self._faults = {"write": deque(writes), "fdatasync": deque(syncs)}
        self.struck = []

    def _next_fault(self, call: str) -> Fault | None:
        faults = self._faults[call]
        fault = faults.popleft() if faults else None
        if fault is not None:
            self.struck.append(call)
        return fault

    def write(self, fd: int, data: bytes) -> int:
        offset = os.fstat(fd).st_size
        fault = self._next_fault("write") if data else None
        if isinstance(fault, Fails):
            self.writes.append(Write(offset, data, 0))
            raise OSError(fault.errno, os.strerror(fault.errno))
        kept = len(data) if fault is None else min(fault.kept, len(data) - 1)
        if kept:
            assert os.write(fd, data[:kept]) == kept, "the real disk has no faults"
            self._dirty.update(range(offset // PAGE, (offset + kept - 1) // PAGE + 1))
        self.writes.append(Write(offset, data, kept))
        return kept

    def fdatasync(self, fd: int) -> None:
        fault = self._next_fault("fdatasync")
        size, start = self.size(), self._attempted
        dirty, self._dirty = self._dirty, set()
        self._attempted = size
        if isinstance(fault, Fails):
            raise OSError(fault.errno, os.strerror(fault.errno))
        self.syncs += 1
        self._durable_size = size
        self._durable.update({page: min(PAGE, size - page * PAGE) for page in dirty})
        self.promised.append(range(start, size))

    # What is left

    def size(self) -> int:
        """Return the length of the file."""
        return os.path.getsize(self.file) if os.path.exists(self.file) else 0

    def content(self) -> bytes:
        """Return the bytes of the file, as processes see them before a power failure."""
        with open(self.file, "rb") as file:
            return file.read()

    def has_promised(self, start: int, end: int) -> bool:
        """Return whether a successful ``fdatasync`` came after these bytes were written."""
        return any(start in bytes_ and end - 1 in bytes_ for bytes_ in self.promised)

    def shortest(self) -> int:
        """Return the least length that the file may have after a power failure."""
        return self._durable_size

    def loose(self, unit: int = PAGE) -> list[range]:
        """Return the pages or sectors that may be lost in a power failure."""
        size, pieces = self.size(), []
        for start in range(0, size, unit):
            page = start // PAGE
            first = max(start, page * PAGE + self._durable.get(page, 0))
            if first < min(start + unit, size):
                pieces.append(range(first, min(start + unit, size)))
        return pieces

    def power_off(self, length: int, reached: Collection[range]) -> bytes:
        """Reduce the file to what the disk has stored, and continue from there.

        Parameters
        ----------
        length
            of the file, from :meth:`shortest` to :meth:`size`
        reached
            those of the :meth:`loose` pieces that got to the disk in time

        Returns
        -------
        The bytes of the file.
        """
        assert self.shortest() <= length <= self.size()
        image, cached = bytearray(self.size()), self.content()
        for page, count in self._durable.items():
            start = page * PAGE
            image[start : start + count] = cached[start : start + count]
        for piece in reached:
            image[piece.start : piece.stop] = cached[piece.start : piece.stop]
        with open(self.file, "wb") as file:
            file.write(image[:length])
        self._start_from_what_is_there()
        return bytes(image[:length])


USERS = ("track.journals.file", "track.journals.local")
"""The modules whose calls of ``os`` a disk takes over."""


@contextmanager
def installed(disk: Any) -> Iterator[Any]:
    """Make file journals use a disk, or ``os`` itself, in place of ``os``."""
    with pytest.MonkeyPatch.context() as patch:
        for module in USERS:
            patch.setattr(f"{module}.os", disk)
        yield disk


# What was written, as records


class Record(NamedTuple):
    """Describes the place of a record, even if the disk did not store it."""

    start: int
    end: int


def records_of(write):
    """Return the records that a write consists of, by the lengths in their headers."""
    lengths, start = [], 0
    while start < len(write.data):
        lengths.append(OVERHEAD + int.from_bytes(write.data[start + 4 : start + 7], "little"))
        start += lengths[-1]
    return [Record(*pair) for pair in pairwise(accumulate(lengths, initial=write.offset))]


def intact_records(write, content):
    """Return the records of a write that are completely in the file."""
    return [
        record
        for record in records_of(write)
        if record.end <= write.offset + write.kept
        and content[record.start : record.end]
        == write.data[record.start - write.offset : record.end - write.offset]
    ]


def sound_headers(write, content):
    """Return the records of a write whose headers are in the file."""
    return [
        record
        for record in records_of(write)
        if record.start + HEADER_SIZE <= write.offset + write.kept
        and content[record.start : record.start + HEADER_SIZE]
        == write.data[record.start - write.offset :][:HEADER_SIZE]
    ]


def stranded(disk):
    """Return the ends of records that count although their append failed.

    This is the gap that ``docs/format.md`` tells of under Groups: a group was cut short, and no
    header in the place of its missing members gives that away.
    """
    content, ends = disk.content(), set()
    intact = [intact_records(write, content) for write in disk.writes]
    settled = max((record.end for records in intact for record in records), default=0)
    for write, members in zip(disk.writes, intact, strict=True):
        if write.is_whole or not members or write.end > settled:
            continue
        named = {
            other.end
            for other in disk.writes
            for record in sound_headers(other, content)
            if other is not write and members[-1].end <= record.start < write.end
        }
        if named <= {write.end}:
            ends.update(member.end for member in members)
    return ends


# What is read


def key_of(position, payload):
    """Return a key that identifies an event: its payload, or the stream that it was made for."""
    recorded = decode(position, payload)
    return payload if isinstance(recorded.event, Unknown) else recorded.stream


def contents(journal):
    """Return the end and the key of every event."""
    return [
        (position, key_of(position, payload))
        for batch in journal.read_batches()
        for position, payload in zip(*batch, strict=True)
    ]


class Visit(NamedTuple):
    """Holds what a reader of the file finds on a disk without faults."""

    events: list
    damage: list[Record]


def visit(path):
    """Read a file with a new journal."""
    with installed(os):
        journal = FileJournal(path, "process")
        try:
            return Visit(contents(journal), [Record(*piece[:2]) for piece in journal.damage])
        finally:
            journal.close()


def covered(ranges):
    """Return the bytes of some ranges."""
    return {offset for start, end in ranges for offset in range(start, end)}


def is_in_order(some, every):
    """Return whether ``some`` is a subsequence of ``every``."""
    rest = iter(every)
    return all(item in rest for item in some)
