"""Define every exception and every warning of the package.

::

    TrackError
    ├── JournalError               an operation of a journal failed
    │   ├── JournalWriteError      (also OSError) an append was not acknowledged
    │   ├── JournalClosed          the journal or client was closed
    │   ├── JournalAbandoned       another process started the store over
    │   ├── UnsupportedFileSystem  (also OSError) it lacks locks, or another thing
    │   ├── NewerFormat            written by a newer version of the package
    │   ├── JournalUnreachable     (also ConnectionError) its server does not answer
    │   └── LockTimeout            (also TimeoutError) a lock was held for too long
    ├── EncodingError              (also TypeError) a value cannot be logged
    ├── ItemNotFound               nothing matches
    │   ├── StoreNotFound          (also JournalError)
    │   ├── TrialDoesNotExist
    │   ├── ProjectDoesNotExist
    │   └── GroupDoesNotExist
    ├── ConcurrentWrite            another process changed the object in between
    ├── QueryError                 (also RuntimeError) a query is invalid
    ├── BackendError               (also ValueError) a backend URI cannot be used
    ├── RPCCallFailure             (also RuntimeError) a server failed to answer a request
    ├── InsecureConnection         (also ConnectionError) data was altered on the way
    │   └── MalformedMessage       a message of the relay is invalid
    ├── AuthenticationError        (also PermissionError) a login was refused
    ├── FileDamaged                the content of a logged file has changed
    ├── NotAReport                 a file is not a report of Track
    ├── ImportFailed               files of another tool cannot be imported
    ├── PushFailed                 another tool, to which trials are pushed, does not answer
    ├── MissingPackage             (also ImportError) an optional package is not installed
    └── ReportWriteError           (also OSError) the report could not be replaced

    TrackWarning                   (also UserWarning) data differs from what you may expect
    ├── NotRecordedWarning         something was not recorded, or not as requested
    ├── DamageWarning              recorded data cannot be read
    └── StorageWarning             data may be lost where it is, or has not arrived there yet

Messages say what happened, to what, and what to do about it. Warnings are shown once for each line
that causes them; ``warnings.simplefilter("error", TrackWarning)`` turns them into exceptions.
Information for operators of a server goes to the loggers under ``track``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable


class TrackError(Exception):
    """The base class of all exceptions of the package."""


class JournalError(TrackError):
    """An operation of a journal failed."""


class JournalWriteError(JournalError, OSError):
    """An append or a sync failed: the events it carried were not acknowledged."""


class UnsupportedFileSystem(JournalError, OSError):
    """The file system of a store lacks what a journal needs; the message names the ways out."""


class JournalClosed(JournalError):
    """The journal, or the client above it, was closed."""


class JournalAbandoned(JournalError):
    """Another process set this journal aside and started the store over."""


class NewerFormat(JournalError):
    """A record was written by a newer version of the package than this one."""


class JournalUnreachable(JournalError, ConnectionError):
    """The server of a journal did not answer in time; logged events are kept on this machine."""


class LockTimeout(JournalError, TimeoutError):
    """A lock was not free in time."""


class EncodingError(TrackError, TypeError):
    """A value cannot be logged; the message names its key."""


class ItemNotFound(TrackError):
    """Nothing matches the request."""


class StoreNotFound(ItemNotFound, JournalError):
    """The store does not exist."""


class TrialDoesNotExist(ItemNotFound):
    """The trial is not in the store."""


class ProjectDoesNotExist(ItemNotFound):
    """The project is not in the store."""


class GroupDoesNotExist(ItemNotFound):
    """The trial group is not in the store."""


class ConcurrentWrite(TrackError):
    """Another process changed the object between the read and the write."""


class QueryError(TrackError, RuntimeError):
    """A query names an attribute or an operator that does not exist."""


class BackendError(TrackError, ValueError):
    """A backend URI cannot be used: unknown scheme, unknown option or invalid value."""


class FileDamaged(TrackError):
    """The stored content of a logged file differs from what was logged."""


class NotAReport(TrackError):
    """The file at the path of the report is not a report of Track."""


class ImportFailed(TrackError):
    """Files of another tool cannot be read or imported; nothing was recorded."""


class PushFailed(TrackError):
    """Another tool cannot be reached or refuses this user; pushing again resumes from here."""


class MissingPackage(TrackError, ImportError):
    """An optional package is not installed; the message names what to install."""


class ReportWriteError(TrackError, OSError):
    """The report could not be replaced; the old one remains, and the journal has everything."""


class RPCCallFailure(TrackError, RuntimeError):
    """A server failed to answer a request, with an error that has no class here."""


class InsecureConnection(TrackError, ConnectionError):
    """Received data was altered or replayed, or the two sides disagree on the encryption."""


class MalformedMessage(InsecureConnection):
    """A received message is not one of the relay, or is too large."""


class AuthenticationError(TrackError, PermissionError):
    """A login was refused, or the server did not prove its identity."""


class TrackWarning(UserWarning):
    """The base class of all warnings of the package: data differs from what you may expect."""


class NotRecordedWarning(TrackWarning):
    """Something was not recorded, or not as requested."""


class DamageWarning(TrackWarning):
    """Recorded data cannot be read and is skipped."""


class StorageWarning(TrackWarning):
    """Data may be lost where it is stored, or has not arrived there yet."""


_OURS = (os.path.dirname(__file__) + os.sep, contextlib.__file__)


def warn_of_failures(actions: Iterable[tuple[str, Callable[[], object]]]) -> None:
    """Call functions whose exceptions no caller can catch, and warn of them once all are called.

    Parameters
    ----------
    actions
        what to say before the message of an exception, and the function
    """
    failures = []
    for said, action in actions:
        try:
            action()
        except (TrackError, OSError) as error:  # noqa: PERF203 - each may fail
            failures.append(f"{said}{error}")
    for failure in failures:
        warn(failure, StorageWarning)


def warn(message: str, category: type[TrackWarning]) -> None:
    """Warn, attributing the warning to the line outside this package that called it.

    A filter may turn the warning into an exception, so finish all other work first.
    """
    import inspect
    import warnings

    frame = inspect.currentframe()
    assert frame is not None  # CPython has frames
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    warnings.warn_explicit(
        message,
        category,
        frame.f_code.co_filename,
        frame.f_lineno,
        frame.f_globals.get("__name__"),
        frame.f_globals.setdefault("__warningregistry__", {}),
    )
