"""Open existing stores to read them, without creating, importing, sending or moving anything."""

from __future__ import annotations

import os
from typing import Any

from track.contents.folder import CONTENT_SUFFIX, FolderContents
from track.errors import BackendError, NotAReport, StoreNotFound
from track.journals.file import FileJournal
from track.journals.journal import Journal
from track.journals.memory import MemoryJournal
from track.journals.producer import Producer
from track.persistence.deferred import DeferredProtocol, anchored
from track.persistence.file_store import JOURNAL_SUFFIX
from track.persistence.journaled import JournaledProtocol
from track.persistence.protocol import Protocol
from track.persistence.registry import backend_of, get_protocol, load
from track.persistence.storage import load_report
from track.persistence.uri_options import local_settings
from track.persistence.utils import without_password
from track.projections.legacy_report import import_report


class ReadProtocol(JournaledProtocol):
    """A backend that only reads.

    Parameters
    ----------
    journal
        the journal to read
    uri
        the URI as the user gave it
    path
        the path of the store, if it is on this machine
    """

    def __init__(self, journal: Journal, uri: str, path: str | None = None) -> None:
        super().__init__(journal, uri=uri)
        self.path = path
        if path is not None:
            self.content = FolderContents(path + CONTENT_SUFFIX)

    def __reduce__(self) -> tuple[Any, ...]:
        assert self.uri is not None  # it was opened by one
        return DeferredProtocol, (anchored(self.uri, self.path), open_for_reading)

    def close(self) -> None:
        """Release the journal without catching up first, which reading one trial does not need."""
        self.journal.close()


def open_for_reading(uri: str) -> JournaledProtocol:
    """Open an existing store to read it.

    A report without a journal, as left by an old tracker, is read into memory.

    Raises
    ------
    StoreNotFound
        the store does not exist
    BackendError
        the scheme is unknown, or the backend has no journal
    """
    backend = backend_of(uri)
    protocol = get_protocol(uri) if backend.reads is None else load(backend.reads)(uri)
    if not isinstance(protocol, JournaledProtocol):
        protocol.close()
        raise BackendError(f"the backend of {without_password(uri)!r} has no journal to read")
    return protocol


# Functions that open each backend to read it, see the table of backends


def open_database(uri: str) -> JournaledProtocol:
    """Open a log in a database."""
    from track.persistence.cockroach import open_journal

    journal, content = open_journal(uri, writable=False)
    journal.prepare()  # to know at once that it is there
    protocol = ReadProtocol(journal, uri)
    protocol.content = content
    return protocol


def open_relay(uri: str) -> Protocol:
    """Open the store of a server, leaving unsent events of other processes alone."""
    return get_protocol(_without_spools(uri))


def _without_spools(uri: str) -> str:
    """Return a URI whose folder for spools can never contain any."""
    head, _, query = uri.partition("?")
    kept = [option for option in query.split("&") if option and not option.startswith("spool=")]
    return f"{head}?{'&'.join([*kept, f'spool={os.devnull}'])}"


def open_lmdb(uri: str) -> JournaledProtocol:
    """Open an LMDB store."""
    from track.persistence.lmdb import open_journal

    settings = local_settings(uri)
    if not os.path.exists(settings.path):
        raise StoreNotFound(f"the store {settings.path} does not exist: check the path")
    return ReadProtocol(open_journal(uri, settings, writable=False), uri, settings.path)


def open_file(uri: str) -> JournaledProtocol:
    """Open the store of a report file."""
    settings = local_settings(uri)
    path = settings.path + JOURNAL_SUFFIX
    if os.path.exists(path):
        journal = FileJournal(path, "process", settings.lock_timeout_s, writable=False)
        return ReadProtocol(journal, uri, settings.path)
    if not os.path.exists(settings.path):
        raise StoreNotFound(f"the store {settings.path} does not exist: check the path")
    return ReadProtocol(journal_of_report(settings.path), uri, settings.path)


def journal_of_report(path: str) -> MemoryJournal:
    """Return the events that produce a report.

    Raises
    ------
    NotAReport
        the file cannot be read, is not a report, or is inconsistent
    """
    journal = MemoryJournal()
    try:
        import_report(load_report(path), Producer(journal).record)
    except ValueError as error:
        raise NotAReport(f"cannot import {path}: {error}") from error
    return journal
