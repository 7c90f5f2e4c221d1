"""Keep events in files until a remote journal has acknowledged them.

All clients of one remote journal on this machine share a folder. Each process that logs has a
unique name, a lock file ``<name>.lock`` that it holds while it lives, and journal files
``<name>-<number>.journal``, which it fills one after the other. Contents of logged files wait
beside them, in the folder ``<name>.contents``. If a lock is free, its process is dead, and another
one may send its events and take over its contents.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from track.errors import JournalClosed, JournalWriteError, NotRecordedWarning, warn
from track.events.record import Record
from track.journals.file import FileJournal
from track.journals.journal import Durability
from track.utils.files import flock_within, is_at
from track.utils.forking import renew_in_children
from track.utils.mounts import network_file_system
from track.utils.process import this_process

logger = logging.getLogger(__name__)

BATCH_BYTES = 2**20
"""The default size of a batch to send."""

CONTENTS_SUFFIX = ".contents"
_LOCK_SUFFIX = ".lock"
_NO_LOCK = -1

Mark = tuple[int, int]
"""A place in a spool: the number of a file, and an offset."""


class Spool:
    """Keeps the events of one process for a remote journal, oldest first.

    Any thread may append. One thread at a time may send: get the oldest batch, then forget it.

    Parameters
    ----------
    folder
        the folder, created when needed
    durability
        the durability of appends, as for a journal in a file
    file_bytes
        the size at which a new file is begun, so that acknowledged files can be removed
    """

    def __init__(
        self, folder: str, durability: Durability = "interval", *, file_bytes: int = 2**24
    ) -> None:
        self.folder = folder
        self.durability = durability
        self._file_bytes = file_bytes
        self.on_begin: Callable[[], None] | None = None
        """Called when a new file is begun, since there is something to send."""
        self._closed = False
        self._forget_everything()
        renew_in_children(self)

    def _forget_everything(self) -> None:
        self.appending = threading.Lock()
        self._name = ""
        self._lock_fd = _NO_LOCK
        self._full: deque[str] = deque()
        """The paths of full files."""
        self.current: FileJournal | None = None
        """The current file, which comes after the full ones; None before the first append."""
        self._begun = 0
        """The number of files begun, which is that of the current file."""
        self._oldest: FileJournal | None = None
        """The full file that is being sent."""
        self._offset = 0
        """The offset up to which the oldest file is acknowledged."""
        self._next_offset = 0

    def renew_after_fork(self) -> None:
        # The files belong to the parent, which keeps its lock when it is closed here.
        if self._lock_fd != _NO_LOCK:
            os.close(self._lock_fd)
        self._forget_everything()

    @classmethod
    def left_behind(cls, folder: str) -> Iterator[Spool]:
        """Yield the spools of dead processes in a folder, claiming each of them."""
        for file in _files_in(folder):
            if not file.endswith(_LOCK_SUFFIX):
                continue
            name = file.removesuffix(_LOCK_SUFFIX)
            if _is_out_of_reach(folder, name):
                continue
            try:
                fd = _claim(os.path.join(folder, file))
            except PermissionError:
                continue  # it belongs to another user with the same folder
            if fd is not None:
                spool = cls(folder)
                spool._take_over(name, fd)
                yield spool

    def _take_over(self, name: str, lock_fd: int) -> None:
        self._name, self._lock_fd = name, lock_fd
        pattern = re.compile(re.escape(name) + r"-(\d+)\.journal")
        found = filter(None, map(pattern.fullmatch, os.listdir(self.folder)))
        for match in sorted(found, key=lambda match: int(match[1])):
            self._full.append(os.path.join(self.folder, match[0]))
        self._begun = len(self._full)

    # Appending

    def append(self, payloads: Sequence[bytes]) -> None:
        """Append payloads as :meth:`track.journals.journal.Journal.append` does.

        Raises
        ------
        JournalWriteError
            the payloads were not appended, or not synced
        JournalClosed
            the spool was closed
        """
        with self.appending:
            (self.current or self.begin()).append(payloads)

    def begin(self) -> FileJournal:
        """Begin a new file, and return it. The caller must hold ``appending``."""
        self._claim_name()
        path = os.path.join(self.folder, f"{self._name}-{self._begun + 1}.journal")
        self.current = FileJournal(path, self.durability)
        self._begun += 1
        if self.on_begin is not None:
            self.on_begin()
        return self.current

    def _claim_name(self) -> None:
        if self._closed:
            raise JournalClosed("this journal was closed: open a new one to log more")
        try:
            if self._lock_fd == _NO_LOCK:
                os.makedirs(self.folder, mode=0o700, exist_ok=True)
                self._name, self._lock_fd = _make_lock(self.folder)
        except OSError as error:
            raise JournalWriteError(
                error.errno,
                f"cannot keep logged events in {self.folder}: {error.strerror}; free some space "
                "there, or choose another folder with the option 'spool' of the URI",
            ) from error

    def sync(self) -> None:
        """Sync all appended events to stable storage."""
        current = self.current
        if current is not None:
            with suppress(JournalClosed):  # it was synced when it was full and closed
                current.sync()

    def sync_if_interval(self) -> None:
        """Note that a sync is due, as a journal does."""
        current = self.current
        if current is not None:
            with suppress(JournalClosed):
                current.sync_if_interval()

    def begin_contents(self) -> str:
        """Return the folder for contents of this process, which may not exist yet.

        Raises
        ------
        JournalWriteError
            the folder of spools cannot be made
        JournalClosed
            the spool was closed
        """
        if self._closed or self._lock_fd == _NO_LOCK:
            with self.appending:
                self._claim_name()
        if self.on_begin is not None:
            self.on_begin()
        assert self.contents is not None  # it has a name now
        return self.contents

    @property
    def contents(self) -> str | None:
        """Return the folder for contents, None before anything was spooled."""
        return os.path.join(self.folder, self._name + CONTENTS_SUFFIX) if self._name else None

    # Sending

    @property
    def end(self) -> Mark:
        """Return the position of the next append."""
        current = self.current
        return (self._begun + 1, 0) if current is None else (self._begun, _size_of(current))

    @property
    def acknowledged(self) -> Mark:
        """Return the position of the first event that is kept."""
        oldest = self._begun - len(self._full) + (self.current is None)
        return oldest, self._offset

    @property
    def is_empty(self) -> bool:
        """Return whether no events are kept."""
        return self.acknowledged >= self.end

    def oldest(self, size: int = BATCH_BYTES) -> list[Record]:
        """Return the oldest records that are kept, an empty list without any.

        Parameters
        ----------
        size
            the approximate size in bytes; groups are not split
        """
        self._finish_current()
        while True:
            journal = self._oldest_file()
            if journal is None:
                return []
            journal.window = size
            for positions, records in journal.read_records(self._offset):
                self._next_offset = positions[-1]
                return records
            if not self._full:
                return []
            self._remove_oldest()

    def forget(self) -> None:
        """Forget the batch that :meth:`oldest` returned, after its delivery."""
        self._offset = self._next_offset
        if self._oldest is not None and self._offset == _size_of(self._oldest):
            self._remove_oldest()

    def _finish_current(self) -> None:
        """Begin a new file with the next append if the current one is large."""
        with self.appending:
            current = self.current
            if current is not None and _size_of(current) >= self._file_bytes:
                self._full.append(current.path)
                self.current = None
        if current is not None and self.current is not current:
            current.close()

    def _oldest_file(self) -> FileJournal | None:
        if self._full and self._oldest is None:
            self._oldest = FileJournal(self._full[0], "process")
            self._oldest.tells_damage = False  # it is reported when the file is kept
        return self._oldest if self._full else self.current

    def _remove_oldest(self) -> None:
        journal, self._oldest = self._oldest, None
        assert journal is not None  # it has been read to its end
        rest = journal.unsettled(self._offset)
        self._offset = self._next_offset = 0  # before the next line, since other threads read both
        path = self._full.popleft()
        journal.close()
        if rest or journal.lost():
            # The damaged range may contain an acknowledged event, so keep the file.
            os.rename(path, path + ".damaged")
            warn(f"{path} is partly unreadable and was kept as {path}.damaged", NotRecordedWarning)
        else:
            os.unlink(path)

    # The end

    def close(self) -> None:
        """Remove the files if they are empty, else leave them to the next process."""
        with self.appending:
            self._closed = True
            current, self.current = self.current, None
            if current is not None:
                self._full.append(current.path)
        if self._lock_fd == _NO_LOCK:
            return
        try:
            if current is not None:
                current.close()
            if self._full and self._offset == os.path.getsize(self._full[0]):
                os.unlink(self._full.popleft())
            if not self._full and self._without_contents():
                os.unlink(os.path.join(self.folder, self._name + _LOCK_SUFFIX))
        finally:
            self._release()

    def _without_contents(self) -> bool:
        """Remove the folder for contents if it is empty, and return whether it is gone."""
        assert self.contents is not None  # it has a lock, so it has a name
        try:
            os.rmdir(self.contents)
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return False
        return True

    def _release(self) -> None:
        if self._oldest is not None:
            self._oldest.close()
        fd, self._lock_fd = self._lock_fd, _NO_LOCK
        if fd != _NO_LOCK:
            os.close(fd)

    def __del__(self) -> None:
        if hasattr(self, "_oldest"):
            self._release()


def _size_of(journal: FileJournal) -> int:
    return os.fstat(journal.file.descriptor()).st_size


# Locks


def _make_lock(folder: str) -> tuple[str, int]:
    """Return a unique name, and the descriptor of its lock."""
    while True:
        name = f"{_here()}-{os.getpid()}-{os.urandom(4).hex()}"
        fd = _claim(os.path.join(folder, name + _LOCK_SUFFIX))
        if fd is not None:
            return name, fd


def _claim(path: str) -> int | None:
    """Take a lock file, created if missing; None if another process has or removed it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if flock_within(fd, 0) and is_at(path, os.fstat(fd)):
            return fd
    except OSError:
        os.close(fd)
        raise
    os.close(fd)
    return None


def _here() -> str:
    """Return the name of this machine in a form for file names."""
    return re.sub(r"[^\w.]", "_", this_process().host) or "unknown"


def _files_in(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []  # beginning a spool there will report it
    except PermissionError as error:
        logger.info("cannot look for spools of dead processes in %s: %s", folder, error)
        return []


def _is_out_of_reach(folder: str, name: str) -> bool:
    """Return whether a spool may belong to a machine whose locks this one cannot see."""
    return not name.startswith(_here() + "-") and network_file_system(folder) is not None
