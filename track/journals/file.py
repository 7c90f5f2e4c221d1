"""Keep a journal in one append-only file (``docs/format.md``).

An append is ONE ``write(2)`` on an ``O_APPEND`` descriptor. The kernel serialises such writes, so
processes need no lock to append, and written data survives the death of the process. Readers use
``pread`` and never disturb writers. Decisions are serialised by ``flock`` on the file itself, which
the kernel releases when its holder dies.
"""

from __future__ import annotations

import errno
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from track.errors import JournalError, JournalWriteError
from track.events.record import (
    HEADER_SIZE,
    MAX_GROUP,
    OVERHEAD,
    Record,
    frame,
    frame_group,
    framer,
    group,
)
from track.events.scan import Damage, Scan, find_record, salvage, scan
from track.journals.delivery import Sequences
from track.journals.file_lock import LockedFile
from track.journals.journal import DEFAULT_LOCK_TIMEOUT, Batch, Durability
from track.journals.local import JournalOnDisk

_WINDOW = 2**20
"""The number of bytes to read at a time by default, unless a record or group is larger."""

_FINGERPRINT = 128
"""The number of bytes that identify an event: the end of its record with the checksum."""


class FileJournal(JournalOnDisk):
    """A journal in one file; the position of an event is the offset just past its record.

    Parameters
    ----------
    path
        the file, created if missing
    durability
        ``process``: the kernel decides when to write; ``interval``: also an fsync about every
        second while events arrive, and on :meth:`sync`; ``always``: an fsync before each return
    lock_timeout_s
        the time to wait for the exclusive section
    writable
        False for a journal that is only read

    Raises
    ------
    JournalError
        the path is a folder, or cannot be opened for reading and appending
    """

    unit = "bytes"

    def __init__(
        self,
        path: str | os.PathLike[str],
        durability: Durability = "interval",
        lock_timeout_s: float = DEFAULT_LOCK_TIMEOUT,
        *,
        writable: bool = True,
    ) -> None:
        super().__init__(LockedFile(path, lock_timeout_s, writable=writable), durability)
        self._sequences = Sequences()
        self._always = durability == "always"
        self.window = _WINDOW
        """The number of bytes to read at a time."""

    def append(self, payloads: Sequence[bytes]) -> None:
        self._write(frame(payloads[0]) if len(payloads) == 1 else frame_group(payloads))

    def append_records(self, records: Sequence[Record]) -> None:
        self._write(group(records))

    def _write(self, data: bytes) -> None:
        try:
            written = os.write(self.file.fd, data)
        except OSError as error:
            raise self._refused(error) from error
        if written != len(data):
            raise self._cut_short(written, len(data))
        if self._always:
            self.sync()

    def event_writer(self, prefix: bytes) -> Callable[[bytes], None]:
        if self._always:
            return super().event_writer(prefix)  # a sync costs far more than anything else
        frame_rest, file, os_write = framer(prefix), self.file, os.write

        def write(rest: bytes) -> None:
            data = frame_rest(rest)
            try:
                written = os_write(file.fd, data)
            except OSError as error:
                raise self._refused(error) from error
            if written != len(data):
                raise self._cut_short(written, len(data))

        return write

    def _refused(self, error: OSError) -> JournalWriteError:
        """Return the error for an append that wrote nothing.

        Raises
        ------
        JournalClosed
            the journal was closed
        """
        self.file.descriptor()
        return JournalWriteError(
            error.errno,
            f"cannot append to {self.path}: {error.strerror}; free some space, or check the disk. "
            "The event was not recorded, the journal keeps working",
        )

    def _cut_short(self, written: int, size: int) -> JournalWriteError:
        # Others may have appended after the fragment, so it cannot be removed. It holds no intact
        # record: readers report it as torn and continue after it.
        return JournalWriteError(
            errno.ENOSPC,  # the usual reason; the next write would tell
            f"only {written} of {size} bytes could be appended to {self.path}: free some space "
            "on the disk. The event was not recorded, the journal keeps working",
        )

    def read_batches(self, after: int = 0, last: int | None = None) -> Iterator[Batch]:
        for _, _, found in self._scans(after, last):
            count = None if last is None else bisect_right(found.ends, last)
            yield found.ends[:count], found.payloads[:count]

    def read_records(self, after: int = 0) -> Iterator[tuple[list[int], list[Record]]]:
        """Yield the records after a position, and the end of each."""
        for start, data, found in self._scans(after):
            ends = [end - start for end in found.ends]
            sizes = [len(payload) + OVERHEAD for payload in found.payloads]
            yield found.ends, [data[e - size : e] for e, size in zip(ends, sizes, strict=True)]

    def _scans(self, after: int, last: int | None = None) -> Iterator[tuple[int, bytes, Scan]]:
        """Yield pieces of the journal up to a position: the offset, bytes and scan of each."""
        # Read up to the current end, so that writers cannot keep a reader busy for ever.
        end = self.upper_bound()
        beyond = partial(find_record, self._read, self.window)
        window = self._window(after, last)
        while data := self._read(after, min(window, max(0, end - after))):
            at_end = len(data) < window or after + len(data) == end
            result = scan(data, after, None if at_end else beyond)
            for piece in result.damage:
                self._report(piece)
            if result.payloads:
                yield after, data, result
            if result.consumed > after:
                after = result.consumed
                window = self._window(after, last)
            elif result.at_end:
                return
            else:  # one record, or one group, is larger than the window
                window *= 2

    def _window(self, after: int, last: int | None) -> int:
        """Return the number of bytes to read first after a position, 0 for none."""
        if last is None:
            return self.window
        # Only a header tells that a group ends before it.
        return min(self.window, last + HEADER_SIZE - after) if after < last else 0

    def _read(self, offset: int, size: int) -> bytes:
        descriptor = self.file.descriptor()
        try:
            return os.pread(descriptor, size, offset)
        except OSError as error:
            raise JournalError(f"cannot read {self.path} at {offset}: {error.strerror}") from error

    def salvage(self, piece: Damage) -> list[bytes]:
        return list(salvage(self._read(piece.start, min(piece.end - piece.start, MAX_GROUP))))

    def upper_bound(self) -> int:
        return os.fstat(self.file.descriptor()).st_size

    def unsettled(self, head: int) -> Damage | None:
        size = self.upper_bound()
        start = max([head, *(piece.end for piece in self.damage)])
        return Damage(start, size, "torn") if size > start else None

    def last_sequence(self, producer: int) -> int:
        return self._sequences.last(self, producer)

    def fingerprint(self, position: int) -> bytes | None:
        start = max(0, position - _FINGERPRINT)
        data = self._read(start, position - start)
        return data if len(data) == position - start else None
