"""Provide the backends for a file with its report beside it, and for memory."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial, wraps
from typing import Any, NamedTuple, TypeVar
from weakref import WeakSet

from track.contents.folder import CONTENT_SUFFIX, FolderContents
from track.contents.memory import MemoryContents
from track.contents.store import LARGEST_IN_A_TABLE
from track.errors import ConcurrentWrite, JournalError, warn_of_failures
from track.journals.file import FileJournal
from track.journals.memory import MemoryJournal
from track.persistence.file_store import JOURNAL_SUFFIX, open_store, remake_report
from track.persistence.journaled import JournaledProtocol
from track.persistence.local_repository import LocalRepository
from track.persistence.storage import check_report, replacing_report
from track.persistence.uri_options import local_settings
from track.persistence.utils import check_options, parse_uri
from track.projections.query import execute_query
from track.projections.report import render_report
from track.structure import Trial
from track.utils.signal import SignalHandler

_COST_IN_TIME = 20
"""A report is written at the end of a trial if that takes less than the time since the last one
divided by this."""

_SMALL, _BYTES_PER_S = 2**18, 2**24
"""The size of a journal whose report is always cheap, and the rate of rendering in bytes per second
that is assumed until one was measured."""

_UNKNOWN = -1


class MemoryProtocol(JournaledProtocol):
    """A backend in memory. ``commit`` writes a report only to a given path."""

    def __init__(self, uri: str = "memory:", strict: bool = True, eager: bool = True) -> None:
        check_options(uri, parse_uri(uri)["query"], ())
        super().__init__(MemoryJournal(), strict=strict, uri=uri)
        self.content = MemoryContents(LARGEST_IN_A_TABLE)


class FileProtocol(JournaledProtocol):
    """A backend in a local file.

    Events are recorded in ``<path>.journal`` at once; ``<path>`` is the report of the journal.

    Parameters
    ----------
    uri
        ``file:my_file.json`` or ``file://my_file.json``, relative to the working directory;
        ``file:///there/my_file.json``. Options: ``durability`` (process, interval, always) and
        ``lock_timeout`` in seconds.
    strict
        require that the projects and groups of new trials and groups exist
    eager
        update the report at the end of each trial and of the process, instead of only by
        ``commit``

    Raises
    ------
    NotAReport
        the path is a folder, a file that is not a report, or cannot be written
    BackendError
        the URI has an unknown option or value
    """

    def __init__(self, uri: str, strict: bool = True, eager: bool = True) -> None:
        settings = local_settings(uri)
        self.path = settings.path
        self.content = FolderContents(self.path + CONTENT_SUFFIX)
        self._file_journal = open_store(self.path, settings.durability, settings.lock_timeout_s)
        super().__init__(self._file_journal, strict=strict, eager=eager, uri=uri)
        self._pid = os.getpid()
        self._reported = _Reported(time.monotonic())
        # In this order: a client that leaves the report to this one later has recorded more.
        self._covered = self._covered_at_start()
        """The size of the part of the journal that the report is known to cover."""
        self._file_journal.file.will_report()
        _open_protocols.add(self)

    def _covered_at_start(self) -> int:
        size = self._file_journal.upper_bound()
        if self._file_journal.file.will_others_report():
            return _UNKNOWN
        # The client that was to write the report may have been killed.
        is_older = os.stat(self.path).st_mtime_ns < self._file_journal.file.modified_ns()
        return _UNKNOWN if size and is_older else size

    def commit(self, file_name_override: str | None = None, **kwargs: Any) -> None:
        """Sync everything recorded to stable storage, and write the report.

        Parameters
        ----------
        file_name_override
            write the report to this path instead
        """
        with self.producer.busy():  # a signal handler that commits must wait
            self.journal.sync()
            if file_name_override is not None:
                path = os.path.abspath(file_name_override)
                check_report(path)
                self._replace_report(path)
            elif self._file_journal.is_current():
                size = self._file_journal.upper_bound()
                self.producer.changed = False
                self._replace_report(self.path)
                self._covered = size
            else:
                raise _abandoned(self.path)

    def _replace_report(self, path: str) -> None:
        journal, began = self._file_journal, time.monotonic()
        # A process that waited catches up first, so reports never go backwards. If many wait, one
        # writes the report for all, since their events are in the journal already.
        with replacing_report(path, journal.file.lock_timeout_s, unless_done=True) as file:
            if file is None:
                self._reported = self._reported._replace(at=time.monotonic())
                return
            with self.read_state() as objects:
                file.writelines(render_report(objects))
        ended = time.monotonic()
        self._reported = _Reported(ended, ended - began, journal.upper_bound())

    def _commit_at_end(self) -> None:
        if self._reported.is_cheap(self._file_journal.upper_bound()):
            super()._commit_at_end()

    def log_trial_finish(
        self, trial: Trial, exc_type: Any = None, exc_val: Any = None, exc_tb: Any = None
    ) -> None:
        super().log_trial_finish(trial, exc_type, exc_val, exc_tb)
        # A signal may end the process without running its exit functions.
        if self.eager and exc_type is not None and issubclass(exc_type, KeyboardInterrupt):
            self.commit_if_changed()

    def commit_if_changed(self) -> None:
        """Commit if anything was recorded here since the last commit or fork."""
        if os.getpid() == self._pid and self.producer.changed:
            self.commit()

    def report_at_end(self) -> bool:
        """Write the report, unless it is up to date or may be left to others.

        A report that takes long is left to other clients that have the store open. The last client
        writes it for all of them.

        Returns
        -------
        Whether it was left to others.
        """
        if os.getpid() != self._pid:
            return False
        journal = self._file_journal
        journal.file.will_not_report()
        size = journal.upper_bound()
        if not journal.file.will_others_report():
            if self.producer.changed or (size != self._covered and journal.is_current()):
                self.commit()
            return False
        if self.producer.changed and (size <= _SMALL or self._reported.is_cheap(size)):
            self.commit()
            return False
        journal.sync()
        return True

    def close(self) -> None:
        """Write the report if necessary, and release the journal."""
        if self in _open_protocols:
            _open_protocols.discard(self)
            if self.eager and self.report_at_end():
                assert isinstance(self.repository, LocalRepository)  # of a journal in a file
                path = self._file_journal.path
                self.repository.leave(lambda: FileJournal(path, writable=False))
                self.journal.close()
                return
        super().close()

    def __del__(self) -> None:
        # Garbage collection may run during a commit, so it must not commit itself.
        if getattr(self, "_pid", None) == os.getpid() and self.eager and self.producer.changed:
            _left_behind.add((self._pid, self.path))


class _Reported(NamedTuple):
    """The last report that this process wrote.

    Attributes
    ----------
    at
        the monotonic time of writing, or of opening the store before the first one
    cost_s
        the duration of writing in seconds
    size
        the size of the journal then, 0 before the first one
    """

    at: float
    cost_s: float = 0.0
    size: int = 0

    def is_cheap(self, size: int) -> bool:
        """Return whether a report is cheap compared with the time since the last one."""
        if not self.size and size <= _SMALL:
            return True
        cost_s = self.cost_s * size / self.size if self.size else size / _BYTES_PER_S
        return cost_s * _COST_IN_TIME < time.monotonic() - self.at


def make_local(uri: str, strict: bool = True, eager: bool = True) -> JournaledProtocol:
    """Return the local backend of a URI: ``file:`` or a plain path, ``memory:``."""
    scheme = parse_uri(uri)["scheme"]
    return (MemoryProtocol if scheme in ("memory", "none") else FileProtocol)(uri, strict, eager)


# The end of the process

_open_protocols: WeakSet[FileProtocol] = WeakSet()
_left_behind: set[tuple[int, str]] = set()
"""The process and the path of reports whose protocol was collected before a commit."""


@atexit.register
def _commit_all() -> None:
    commits: list[tuple[str, Callable[[], object]]] = [
        (protocol.path, protocol.report_at_end)
        for protocol in list(_open_protocols)
        if protocol.eager
    ]
    for pid, path in _left_behind:
        if pid == os.getpid() and os.path.exists(path + JOURNAL_SUFFIX):
            commits.append((path, partial(remake_report, path)))
    warn_of_failures(
        (f"the report {path} was not updated at exit: ", commit) for path, commit in commits
    )


def _abandoned(path: str) -> JournalError:
    return JournalError(
        f"{path} was started over by another process while this one logged to it: the values "
        "logged here are in the journal set aside beside it, unless that was deleted"
    )


# Guards for methods of users' local backends

_Function = TypeVar("_Function", bound=Callable[..., Any])


def lock_guard(readonly: bool, atomic: bool = False) -> Callable[[_Function], _Function]:
    """Protect a method of a local backend with a lock.

    Parameters
    ----------
    readonly
        only bring the backend up to date before the call; otherwise, also run the call in the
        exclusive section, and save the report after it
    atomic
        refuse to change a trial or group that was changed elsewhere since it was fetched

    Raises
    ------
    ConcurrentWrite
        raised by an atomic call if its first argument is out of date
    """

    def decorate(fun: _Function) -> _Function:
        @wraps(fun)
        def guarded(self: FileProtocol, *args: Any, **kwargs: Any) -> Any:
            if readonly:
                with self.read_state():
                    return fun(self, *args, **kwargs)
            with self.exclusive_state():
                if atomic and args:
                    _check_up_to_date(self, args[0])
                result = fun(self, *args, **kwargs)
            if self.eager:
                self.commit()
            return result

        return guarded  # type: ignore[return-value]  # the same signature, by construction

    return decorate


def _check_up_to_date(protocol: FileProtocol, obj: Any) -> None:
    with protocol.read_state() as objects:
        stored = objects.trials.get(obj.uid) or objects.groups.get(obj.uid)
    if stored is None:
        return
    mine, theirs = obj.metadata.get("_update_count", 0), stored.metadata.get("_update_count", 0)
    if mine != theirs:
        raise ConcurrentWrite(
            f"{obj.uid} was changed {theirs - mine} times since it was fetched: fetch it again"
        )


def lock_read(fun: _Function) -> _Function:
    """Guard a method that only reads, see :func:`lock_guard`."""
    return lock_guard(readonly=True)(fun)


def lock_write(fun: _Function) -> _Function:
    """Guard a method that writes, see :func:`lock_guard`."""
    return lock_guard(readonly=False)(fun)


def lock_atomic_write(fun: _Function) -> _Function:
    """Guard a method that changes what it was given, see :func:`lock_guard`."""
    return lock_guard(readonly=False, atomic=True)(fun)


class LockFileRemover(SignalHandler):
    """Removes a user's lock file when the process ends or is terminated.

    Track's own locks belong to the kernel and need no removal.

    Parameters
    ----------
    filename
        the lock file
    """

    def __init__(self, filename: str) -> None:
        super().__init__()
        self.filename = filename
        self.install()

    def remove(self) -> None:
        """Remove the lock file and the signal handlers."""
        self._unlink()
        super().remove()

    def sigint(self, signum: int, frame: Any) -> None:
        self._unlink()
        self.hand_on(signum, frame)

    def sigterm(self, signum: int, frame: Any) -> None:
        self._unlink()
        self.hand_on(signum, frame)

    def atexit(self) -> None:
        self._unlink()

    def _unlink(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self.filename)


__all__ = [
    "ConcurrentWrite",
    "FileProtocol",
    "LockFileRemover",
    "MemoryProtocol",
    "execute_query",
    "lock_atomic_write",
    "lock_guard",
    "lock_read",
    "lock_write",
    "make_local",
]
