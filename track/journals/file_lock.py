"""Lock a file that many processes have open."""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import AbstractContextManager, suppress

from track.errors import JournalAbandoned, JournalClosed, JournalError
from track.journals.thread_lock import ThreadLock
from track.utils.files import flock_within, is_at, sync_folder
from track.utils.forking import renew_in_children
from track.utils.mounts import LACKING, unsupported

_CLOSED = -1
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC

_LOCK = "hhqqi"
"""The C structure ``flock``: kind, origin, start, length, process."""

_IN_USE_AT = 2**62
"""The byte, far after any content, that every process with the file open holds a read lock on."""

_REPORTS_AT = _IN_USE_AT + 1
"""The same for clients that will write the report."""


class LockedFile:
    """Opens a file for reading and appending, creating it if missing, or only for reading.

    :meth:`exclusive` holds the ``flock`` of the file, which the kernel frees when its holder dies.

    Parameters
    ----------
    path
        the file
    lock_timeout_s
        the time to wait for the exclusive section
    writable
        whether to append to it

    Raises
    ------
    JournalError
        the path is a folder, or cannot be opened for reading and appending
    """

    def __init__(
        self, path: str | os.PathLike[str], lock_timeout_s: float, *, writable: bool = True
    ) -> None:
        self.path = os.path.abspath(path)
        self._flags = _FLAGS if writable else _READ_FLAGS
        self.lock_timeout_s = lock_timeout_s
        self._section = ThreadLock(self.path, lock_timeout_s)
        self.fd = self._open()
        """The descriptor; an invalid one once closed, see :meth:`descriptor`."""
        self._say_in_use()
        renew_in_children(self)

    def _open(self) -> int:
        try:
            fd = os.open(self.path, self._flags, 0o666)
            if self._flags == _FLAGS and os.fstat(fd).st_size == 0:
                sync_folder(self.path)  # its creator may have died before this line
        except OSError as error:
            if error.errno in LACKING:
                raise unsupported(self.path, "appending to files (O_APPEND)", error) from error
            raise JournalError(
                f"cannot open the journal {self.path}: {error.strerror}; choose a path whose "
                "folder exists and can be written"
            ) from error
        return fd

    def descriptor(self) -> int:
        """Return the descriptor of the file.

        Raises
        ------
        JournalClosed
            the file was closed
        """
        if self.fd == _CLOSED:
            raise closed(self.path)
        return self.fd

    def is_open(self) -> bool:
        """Return whether the file is still open."""
        return self.fd != _CLOSED

    def is_current(self) -> bool:
        """Return whether the path still names the open file."""
        return is_at(self.path, os.fstat(self.descriptor()))

    def modified_ns(self) -> int:
        """Return when the file was last written to, in the time of its file system."""
        return os.fstat(self.descriptor()).st_mtime_ns

    # The exclusive section

    def exclusive(self) -> AbstractContextManager[None]:
        """Enter the section that excludes other processes and threads; a thread may enter again.

        Raises
        ------
        LockTimeout
            another thread or process stayed inside for too long
        JournalAbandoned
            the path no longer names this file
        """
        return self._section.entered(self._lock, self._unlock)

    def is_inside(self) -> bool:
        """Return whether this thread is in the exclusive section."""
        return self._section.is_inside()

    def _lock(self) -> None:
        if not flock_within(self.descriptor(), self.lock_timeout_s):
            raise self._section.timed_out("another process")
        if not self.is_current():
            fcntl.flock(self.fd, fcntl.LOCK_UN)
            raise abandoned(self.path)

    def _unlock(self) -> None:
        if self.fd != _CLOSED:
            fcntl.flock(self.fd, fcntl.LOCK_UN)

    # Other users of the file

    def _say_in_use(self) -> None:
        try:
            _lock_byte(self.fd, fcntl.F_RDLCK, _IN_USE_AT)
        except BlockingIOError as error:
            raise JournalError(
                f"{self.path} is being rewritten by another process: try again when it is done"
            ) from error
        except OSError:
            pass  # some sandboxes lack such locks, which only rewriting a journal needs

    def claim(self) -> None:
        """Keep others from opening the file until it is closed.

        Raises
        ------
        JournalError
            another client or process has it open
        """
        try:
            _lock_byte(self.descriptor(), fcntl.F_WRLCK, _IN_USE_AT)
        except BlockingIOError as error:
            raise JournalError(
                f"{self.path} is in use by another client or process: end them and try again"
            ) from error
        except OSError:
            pass

    # Which client writes the report

    def will_report(self) -> None:
        """Promise others to write the report, until :meth:`will_not_report`."""
        with suppress(OSError):
            _lock_byte(self.descriptor(), fcntl.F_RDLCK, _REPORTS_AT)

    def will_not_report(self) -> None:
        """Take the promise back, also in a forked child, which never writes the report."""
        with suppress(OSError):
            _lock_byte(self.descriptor(), fcntl.F_UNLCK, _REPORTS_AT)

    def will_others_report(self) -> bool:
        """Return whether the report may be left to another client or process.

        If several ask at once, each after :meth:`will_not_report`, at least one gets False.
        """
        with suppress(OSError):  # some file systems have no such locks, so others cannot promise
            return _lock_byte(self.descriptor(), fcntl.F_WRLCK, _REPORTS_AT, ask=True)
        return False

    # Closing and forking

    def close(self) -> None:
        """Release the file. It may be closed twice."""
        if self.fd != _CLOSED:
            # In this order, because a fork in between must not leave a closed descriptor in use.
            fd, self.fd = self.fd, _CLOSED
            os.close(fd)

    def __del__(self) -> None:
        # Programs that make a client per trial seldom close them.
        if hasattr(self, "fd"):
            self.close()

    def renew_after_fork(self) -> None:
        # Locks belong to the open file, which parent and child share: the child needs its own.
        if self.fd != _CLOSED:
            inherited = self.fd
            path = f"/proc/self/fd/{inherited}"
            flags = self._flags & ~os.O_CREAT
            self.fd = os.open(path if os.path.exists(path) else self.path, flags)
            os.close(inherited)
            self._say_in_use()


def closed(path: str) -> JournalClosed:
    """Return the error for using a closed journal."""
    return JournalClosed(f"the journal {path} was closed: open it again to use it")


def abandoned(path: str) -> JournalAbandoned:
    """Return the error for a journal that is no longer at its path."""
    return JournalAbandoned(
        f"{path} was moved or deleted by a process that started the store over: open a new client "
        "to log into the new store"
    )


def _lock_byte(fd: int, kind: int, at: int, *, ask: bool = False) -> bool:
    """Lock one byte of a file; the lock belongs to the open file, like that of ``flock``.

    With ``ask``, only return whether a lock of another open file is in the way.
    """
    command = fcntl.F_OFD_GETLK if ask else fcntl.F_OFD_SETLK
    lock = struct.pack(_LOCK, kind, os.SEEK_SET, at, 1, 0)
    found, *_ = struct.unpack(_LOCK, fcntl.fcntl(fd, command, lock))
    return bool(found != fcntl.F_UNLCK)
