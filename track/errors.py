"""Every exception and every warning of the package.

::

    TrackError
    ├── JournalError               a journal could not do what was asked
    │   ├── JournalWriteError      (also OSError) an append was not acknowledged
    │   ├── JournalClosed          the journal or client was closed
    │   ├── JournalAbandoned       another process started the store over
    │   ├── NewerFormat            written by a newer version of the package
    │   ├── JournalUnreachable     (also ConnectionError) its server does not answer
    │   └── LockTimeout            (also TimeoutError) an exclusive section stayed taken
    ├── EncodingError              (also TypeError) a value that cannot be logged
    ├── ItemNotFound               nothing matches
    │   ├── StoreNotFound          (also JournalError)
    │   ├── TrialDoesNotExist
    │   ├── ProjectDoesNotExist
    │   └── GroupDoesNotExist
    ├── ConcurrentWrite            somebody else changed the object in between
    ├── QueryError                 (also RuntimeError) a query that makes no sense
    ├── BackendError               (also ValueError) an unusable backend URI
    ├── RPCCallFailure             (also RuntimeError) a server failed at what it was asked
    ├── InsecureConnection         (also ConnectionError) what arrived is not what was sent
    │   └── MalformedMessage       what arrived is no message of the relay
    ├── AuthenticationError        (also PermissionError) a login was refused
    ├── FileDamaged                a logged file is not what it was
    ├── NotAReport                 a file that Track did not write is in the way
    ├── ImportFailed               what another tool wrote cannot be read or taken over
    ├── MissingPackage             (also ImportError) an optional package is not installed
    └── ReportWriteError           (also OSError) the report could not be replaced

    TrackWarning                   (also UserWarning) the data is not what it seems to be
    ├── NotRecordedWarning         something was not recorded, or not as the call says
    ├── DamageWarning              something that was recorded cannot be read
    └── StorageWarning             the place of the data may lose it, or does not have it yet

Messages say what happened, to what, and what to do about it. Warnings are shown once for each line
that causes them; ``warnings.simplefilter("error", TrackWarning)`` makes them exceptions. What only
whoever runs a server needs to know goes to the loggers under ``track``.
"""

from __future__ import annotations

import contextlib
import os


class TrackError(Exception):
    """Root of every exception the package raises on purpose."""


class JournalError(TrackError):
    """A journal could not do what was asked."""


class JournalWriteError(JournalError, OSError):
    """An append or a sync failed: the events it carried were not acknowledged."""


class JournalClosed(JournalError):
    """The journal, or the client above it, was closed."""


class JournalAbandoned(JournalError):
    """Another process set this journal aside and started the store over."""


class NewerFormat(JournalError):
    """A record was written by a newer version of the package than this one."""


class JournalUnreachable(JournalError, ConnectionError):
    """The server of a journal did not answer in time; what was logged for it is kept here."""


class LockTimeout(JournalError, TimeoutError):
    """An exclusive section could not be entered in time."""


class EncodingError(TrackError, TypeError):
    """A value that cannot be logged; the message names its key."""


class ItemNotFound(TrackError):
    """Nothing matches what was asked for."""


class StoreNotFound(ItemNotFound, JournalError):
    """There is no store where one was to be read."""


class TrialDoesNotExist(ItemNotFound):
    """The trial is not in the store."""


class ProjectDoesNotExist(ItemNotFound):
    """The project is not in the store."""


class GroupDoesNotExist(ItemNotFound):
    """The trial group is not in the store."""


class ConcurrentWrite(TrackError):
    """Somebody else changed the object between the read and the write."""


class QueryError(TrackError, RuntimeError):
    """A query names an attribute or an operator that does not exist."""


class BackendError(TrackError, ValueError):
    """A backend URI that cannot be used: unknown scheme, unknown option, bad value."""


class FileDamaged(TrackError):
    """What is kept of a logged file is not what was logged."""


class NotAReport(TrackError):
    """A file that Track did not write stands where the report should go."""


class ImportFailed(TrackError):
    """What another tool wrote cannot be read, or not be taken over; nothing was recorded of it."""


class MissingPackage(TrackError, ImportError):
    """An optional package is not installed; the message names what to install."""


class ReportWriteError(TrackError, OSError):
    """The report could not be replaced: the old one stands, and the journal has everything."""


class RPCCallFailure(TrackError, RuntimeError):
    """A server failed at what it was asked, in a way that has no kind of its own here."""


class InsecureConnection(TrackError, ConnectionError):
    """What arrived was altered, replayed, or not what both sides agreed on."""


class MalformedMessage(InsecureConnection):
    """What arrived over a connection is no message of the relay, or one that is too large."""


class AuthenticationError(TrackError, PermissionError):
    """A login was refused, or the server did not prove who it is."""


class TrackWarning(UserWarning):
    """Root of every warning the package gives: the data is not what it seems to be."""


class NotRecordedWarning(TrackWarning):
    """Something was not recorded, or not as the call says."""


class DamageWarning(TrackWarning):
    """Something that was recorded cannot be read, and is left out."""


class StorageWarning(TrackWarning):
    """The place where the data is kept may lose it, or does not have it yet."""


_OURS = (os.path.dirname(__file__) + os.sep, contextlib.__file__)


def warn(message: str, category: type[TrackWarning]) -> None:
    """Warn at the line outside of this package that called it.

    A filter may turn the warning into an exception, so do first what has to be done.
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
