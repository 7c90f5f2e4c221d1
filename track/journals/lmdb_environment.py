"""Share LMDB environments in this process: one for each file, reopened when needed.

LMDB forbids a process to have a file open twice, to use an environment inherited by a fork, and to
resize a map that a transaction uses. So there is one :class:`Environment` per file, shared by all
journals; transactions run only inside it, briefly and one at a time; and if a map is too small,
broken or inherited, the environment is closed and opened again between two transactions.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import RLock
from typing import Any, TypeVar

import lmdb

from track.errors import JournalError
from track.journals.file_lock import LockedFile, abandoned, closed
from track.utils.files import flock_within, is_at
from track.utils.forking import pause_for_forks
from track.utils.mounts import unsupported

_SMALLEST_MAP = 2**20
"""The initial map in bytes of address space, not of disk; it is doubled when full."""

_MAP_UNIT = 2**16
"""A multiple of the size of pages on every system."""

_CANNOT_MAP = os.strerror(errno.ENODEV)
"""The end of the error of LMDB where files cannot be mapped into memory; it has no number."""

_MAX_READERS = 1024
_NO_FD = -1

_Result = TypeVar("_Result")
Transaction = Callable[[Any], _Result]
"""A function to run in a transaction, which it receives."""


class Environment:
    """The environment of one file in this process."""

    def __init__(self, file: LockedFile) -> None:
        self.path = file.path
        self.identity = os.fstat(file.descriptor())
        self.users = 0
        self.syncs = False
        """Whether each commit is synced to stable storage."""
        self._is_over = False
        self._environment: Any = None
        self._inherited: Any = None
        self._map_size = _SMALLEST_MAP
        self._lock_fd = _NO_FD
        self._renew_locks()

    def _renew_locks(self) -> None:
        self._gate = RLock()
        """Held during every transaction, and while the environment is opened or closed."""
        self._turn = RLock()
        """Held by the thread whose turn it is to write."""
        self._working = False

    # Transactions

    def read(self, look: Transaction[_Result]) -> _Result:
        """Return the result of a function in a read transaction."""
        with self._gate:
            return self._transact(look, write=False)

    def write(self, change: Transaction[None], timeout_s: float) -> bool:
        """Make a change atomically, once it is this thread's turn.

        Returns
        -------
        Whether its turn came in time.
        """
        turn = self._turn
        if not turn.acquire(timeout=timeout_s):
            return False
        try:
            # LMDB has its own lock for writers, but waiting for it has no timeout.
            if self._lock_fd == _NO_FD:
                with self._gate:
                    self._opened()
            if not flock_within(self._lock_fd, timeout_s):
                return False
            try:
                with self._gate:
                    self._transact(change, write=True)
            finally:
                fcntl.flock(self._lock_fd, fcntl.LOCK_UN)
        finally:
            turn.release()
        return True

    def _transact(self, work: Transaction[_Result], *, write: bool) -> _Result:
        """Run a function in a transaction, reopening the environment if necessary."""
        if self._working:
            raise lmdb.Error("a signal handler cannot use it while its thread is in another call")
        while True:
            environment = self._opened()
            try:
                self._working = True
                with environment.begin(write=write) as transaction:
                    return work(transaction)
            except lmdb.MapFullError:
                self._close()
                self._map_size *= 2
            except lmdb.MapResizedError:
                self._close()
            except lmdb.ReadersFullError:
                if not environment.reader_check():
                    raise
            except lmdb.Error:
                self._close()  # a failed write may have left it unusable
                raise
            finally:
                self._working = False

    # Opening and closing

    def open(self, *, syncs: bool) -> None:
        """Check that the environment can be opened; with ``syncs``, sync each commit from now on.

        Raises
        ------
        JournalError
            the file is not an environment, or is damaged
        """
        with self._gate:
            if syncs and not self.syncs:
                self._close()
                self.syncs = True
            self._opened()

    def _opened(self) -> Any:
        if self._is_over:
            raise closed(self.path)
        if self._environment is None:
            if self._inherited is not None:
                self._inherited.close()  # or LMDB would not let this process open the file
                self._inherited = None
            if not is_at(self.path, self.identity):
                raise abandoned(self.path)
            try:
                self._environment = self._open()
            except (lmdb.Error, OSError) as error:
                if str(error).endswith(_CANNOT_MAP):
                    cause = OSError(errno.ENODEV, _CANNOT_MAP)
                    raise unsupported(self.path, "mapping of files (mmap)", cause) from error
                raise JournalError(
                    f"cannot open {self.path} as an LMDB journal: {error}; choose another path, or "
                    "restore it from a backup"
                ) from error
        return self._environment

    def _open(self) -> Any:
        size, locks = os.path.getsize(self.path), self.path + "-lock"
        if not size:
            # The lock file may belong to a deleted journal that others still have open.
            _remove(locks)
        had_locks = os.path.exists(locks)
        at_least = max(self._map_size, 2 * size)
        self._map_size = -(-at_least // _MAP_UNIT) * _MAP_UNIT
        try:
            environment = lmdb.open(
                self.path,
                map_size=self._map_size,
                subdir=False,
                mode=0o666,
                max_readers=_MAX_READERS,
                max_spare_txns=0,  # a spare transaction would hold a reader's slot across forks
                sync=self.syncs,
                metasync=self.syncs,
            )
        except lmdb.InvalidError:
            if not had_locks:
                _remove(locks)  # no lock file beside a file that is not an environment
            raise
        try:
            environment.reader_check()  # frees the slots of readers that were killed
            self._check_length(environment)
            if self._lock_fd == _NO_FD:
                self._lock_fd = os.open(locks, os.O_RDWR | os.O_CLOEXEC)
        except BaseException:
            environment.close()
            raise
        return environment

    def _check_length(self, environment: Any) -> None:
        # Reading a page after the end of the file would kill the process.
        needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
        missing = needed - os.path.getsize(self.path)
        if missing > 0:
            raise OSError(f"{missing} bytes are missing at its end")

    def _close(self) -> None:
        environment, self._environment = self._environment, None
        if environment is not None:
            environment.close()

    def close(self) -> None:
        """Release the file for good, after other threads have finished writing."""
        with self._turn, self._gate:
            self._is_over = True
            self._close()
            self._forget_lock_file()

    def _forget_lock_file(self) -> None:
        # Close it last, since closing any descriptor of the lock file drops LMDB's locks.
        fd, self._lock_fd = self._lock_fd, _NO_FD
        if fd != _NO_FD:
            os.close(fd)

    # Forks

    def pause(self) -> None:
        """Finish the current transaction, and begin no other."""
        self._gate.acquire()

    def resume(self) -> None:
        """Resume transactions."""
        self._gate.release()

    def renew(self) -> None:
        """Drop what the parent has open; it is opened again on demand."""
        self._renew_locks()
        self._inherited, self._environment = self._environment or self._inherited, None
        self._forget_lock_file()


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


class _Registry:
    """The environments of this process by file."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._environments: list[Environment] = []
        self._dropped: deque[Environment] = deque()
        """One entry for each use that ended without ``give_back``."""
        pause_for_forks(self)

    def take(self, file: LockedFile, *, syncs: bool) -> Environment:
        """Return the environment of a file for another user."""
        with self._lock:
            self._settle()
            environment = self._find(file)
            environment.users += 1
            try:
                with file.exclusive():  # only one process initialises an empty file
                    environment.open(syncs=syncs)
            except BaseException:
                self._end_use(environment)
                raise
            return environment

    def _find(self, file: LockedFile) -> Environment:
        here = os.fstat(file.descriptor())
        for environment in self._environments:
            if os.path.samestat(environment.identity, here):
                return environment
        self._environments.append(Environment(file))
        return self._environments[-1]

    def give_back(self, environment: Environment) -> None:
        """End a use of an environment, and close it after the last one."""
        with self._lock:
            self._end_use(environment)

    def drop(self, environment: Environment) -> None:
        """End a use of an environment, now or with the next call.

        For finalizers, which may run anywhere and must not wait.
        """
        self._dropped.append(environment)
        if self._lock.acquire(blocking=False):
            try:
                self._settle()
            finally:
                self._lock.release()

    def _settle(self) -> None:
        while self._dropped:
            self._end_use(self._dropped.popleft())

    def _end_use(self, environment: Environment) -> None:
        environment.users -= 1
        if not environment.users:
            self._environments.remove(environment)
            environment.close()

    def pause(self) -> None:
        # Use the lock order of take and give_back.
        self._lock.acquire()
        for environment in self._environments:
            environment.pause()

    def resume(self) -> None:
        for environment in self._environments:
            environment.resume()
        self._lock.release()

    def renew_after_fork(self) -> None:
        self._lock = RLock()
        for environment in self._environments:
            environment.renew()


environments = _Registry()
