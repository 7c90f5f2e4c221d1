"""The journal in one append-only file (``docs/format.md``).

An append is ONE ``write(2)`` on an ``O_APPEND`` descriptor. The kernel serialises such writes, so
processes need no lock to append, and what was written belongs to the kernel: it survives the death
of the process. Readers use ``pread`` and never disturb writers. Decisions are serialised by
``flock`` on the file itself, which the kernel releases when its holder dies.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from track.errors import (
    JournalAbandoned,
    JournalClosed,
    JournalError,
    JournalWriteError,
    LockTimeout,
)
from track.events.forking import renew_in_children
from track.events.journal import (
    DEFAULT_LOCK_TIMEOUT,
    SYNC_INTERVAL_NS,
    Batch,
    Durability,
    Journal,
    JournalSyncError,
)
from track.events.record import Damage, frame, frame_group, scan
from track.utils.files import flock_within, sync_folder

logger = logging.getLogger(__name__)

_WINDOW = 2**20
"""Bytes read at a time; more only when one record or group is larger."""

_CLOSED = -1


class FileJournal(Journal):
    """One file; the position of an event is the offset just past its record.

    Parameters
    ----------
    path
        the file, created when missing
    durability
        ``process``: the kernel writes back when it likes; ``interval``: also an fsync about every
        second while events arrive, and on :meth:`sync`; ``always``: an fsync before each return
    lock_timeout_s
        how long to wait for the exclusive section

    Raises
    ------
    JournalError
        the path is a folder, or cannot be opened for reading and appending
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        durability: Durability = "interval",
        lock_timeout_s: float = DEFAULT_LOCK_TIMEOUT,
    ) -> None:
        self.path = os.path.abspath(path)
        self.durability = durability
        self.lock_timeout_s = lock_timeout_s
        self.damage: list[Damage] = []
        """The damaged ranges met so far, in the order they were met."""
        self._section = threading.RLock()
        self._depth = 0
        self._always = durability == "always"
        if durability == "interval":
            self.sync_due_ns = 0
        self._fd = self._open()
        renew_in_children(self)

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
        try:
            try:
                return os.open(self.path, flags)
            except FileNotFoundError:
                fd = os.open(self.path, flags | os.O_CREAT, 0o666)
                sync_folder(self.path)
                return fd
        except OSError as error:
            raise JournalError(
                f"cannot open the journal {self.path}: {error.strerror}; choose a path whose "
                "folder exists and can be written"
            ) from error

    def append(self, payloads: Sequence[bytes]) -> None:
        data = frame(payloads[0]) if len(payloads) == 1 else frame_group(payloads)
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            self._descriptor()
            raise JournalWriteError(
                error.errno,
                f"cannot append to {self.path}: {error.strerror}. The event was not recorded, the "
                "journal goes on working",
            ) from error
        if written != len(data):
            # Others may have appended behind the fragment, so it cannot be taken back. It holds no
            # intact record: readers report it as torn and go on behind it.
            raise JournalWriteError(
                f"only {written} of {len(data)} bytes could be appended to {self.path} (is the "
                "disk full?): the event was not recorded, the journal goes on working"
            )
        if self._always:
            self.sync()

    def _descriptor(self) -> int:
        if self._fd == _CLOSED:
            raise JournalClosed(f"the journal {self.path} was closed: open it again to use it")
        return self._fd

    def sync(self) -> None:
        if self.durability == "interval":
            self.sync_due_ns = time.time_ns() + SYNC_INTERVAL_NS
        descriptor = self._descriptor()
        try:
            os.fdatasync(descriptor)
        except OSError as error:
            raise JournalSyncError(
                error.errno,
                f"cannot sync {self.path}: {error.strerror}. The last events are recorded, but "
                "might not survive a loss of power",
            ) from error

    def milestone(self) -> None:
        if self.durability == "interval":
            self.sync()

    def read_batches(self, after: int = 0) -> Iterator[Batch]:
        window = _WINDOW
        while data := self._read(after, window):
            at_end = len(data) < window or not self._read(after + window, 1)
            result = scan(data, after, at_end=at_end)
            for piece in result.damage:
                self._report(piece)
            if result.payloads:
                yield result.ends, result.payloads
            if result.consumed == after:
                if at_end:
                    return
                # One record, or one group, is larger than the window.
                window *= 2
            else:
                after, window = result.consumed, _WINDOW

    def _read(self, offset: int, size: int) -> bytes:
        descriptor = self._descriptor()
        try:
            return os.pread(descriptor, size, offset)
        except OSError as error:
            raise JournalError(f"cannot read {self.path} at {offset}: {error.strerror}") from error

    def _report(self, piece: Damage) -> None:
        if any(piece.start == known.start for known in self.damage):
            return
        self.damage.append(piece)
        logger.warning(
            "%s: skipped bytes %d to %d, which hold no intact record (%s)",
            self.path,
            piece.start,
            piece.end,
            "cut short by a crash or a full disk, never acknowledged"
            if piece.reason == "torn"
            else "damaged",
        )

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        section = self._section
        if not section.acquire(timeout=self.lock_timeout_s):
            raise self._lock_error("another thread of this process")
        try:
            if self._depth == 0:
                self._lock_file()
            self._depth += 1
            try:
                yield
            finally:
                # A child forked inside got a new section, and holds nothing.
                if self._section is section:
                    self._depth -= 1
                    if self._depth == 0 and self._fd != _CLOSED:
                        fcntl.flock(self._fd, fcntl.LOCK_UN)
        finally:
            section.release()

    def _lock_file(self) -> None:
        if not flock_within(self._descriptor(), self.lock_timeout_s):
            raise self._lock_error("another process")
        if not self.is_current():
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            raise JournalAbandoned(
                f"{self.path} was moved or deleted by somebody who started the store over: "
                "open a new client to log into the new store"
            )

    def _lock_error(self, holder: str) -> LockTimeout:
        return LockTimeout(
            f"{holder} has held the exclusive section of {self.path} for over "
            f"{self.lock_timeout_s:g} s: it is stopped or stuck; resume or kill it and try again"
        )

    def is_current(self) -> bool:
        """Whether the path still names the file that is open."""
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return False
        here = os.fstat(self._descriptor())
        return (there.st_ino, there.st_dev) == (here.st_ino, here.st_dev)

    def close(self) -> None:
        if self._fd == _CLOSED:
            return
        try:
            if self.durability != "process":
                self.sync()
        finally:
            fd, self._fd = self._fd, _CLOSED
            os.close(fd)

    def __del__(self) -> None:
        # Programs that make a client for each of a thousand trials seldom close them.
        if getattr(self, "_fd", _CLOSED) != _CLOSED:
            os.close(self._fd)

    def renew_after_fork(self) -> None:
        # flock belongs to the open file, which parent and child share: the child needs its own.
        self._section = threading.RLock()
        self._depth = 0
        if self._fd != _CLOSED:
            inherited = self._fd
            path = f"/proc/self/fd/{inherited}"
            self._fd = os.open(path if os.path.exists(path) else self.path, _REOPEN)
            os.close(inherited)


_REOPEN = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
