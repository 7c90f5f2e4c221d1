"""Opening stores that exist, to read them: nothing is made, imported, sent, or set aside."""

from __future__ import annotations

import os

from track.errors import BackendError, NotAReport, StoreNotFound
from track.journals.file import FileJournal
from track.journals.journal import Journal
from track.journals.memory import MemoryJournal
from track.journals.producer import Producer
from track.persistence.artifacts import CONTENT_SUFFIX, ContentStore
from track.persistence.file_store import JOURNAL_SUFFIX
from track.persistence.journaled import JournaledProtocol
from track.persistence.legacy_report import import_report
from track.persistence.registry import get_protocol
from track.persistence.storage import load_report
from track.persistence.uri_options import local_settings
from track.persistence.utils import parse_uri, without_password
from track.stores.redaction import SQL_SCHEMES


class ReadProtocol(JournaledProtocol):
    """Storage that is only read.

    Parameters
    ----------
    journal
        what is read
    uri
        as the user gave it
    path
        of the store, if it is one on this machine
    """

    def __init__(self, journal: Journal, uri: str, path: str | None = None) -> None:
        super().__init__(journal, uri=uri)
        if path is not None:
            self.content = ContentStore(path + CONTENT_SUFFIX)

    def close(self) -> None:
        """Release the journal, without catching up first: who looked at one trial needs no more."""
        self.journal.close()


def open_for_reading(uri: str) -> JournaledProtocol:
    """Open the store of a URI, which must exist.

    A report without a journal, as an old tracker left it, is read into memory.

    Raises
    ------
    StoreNotFound
        nothing is there
    BackendError
        nobody knows the scheme, or the backend has no journal
    """
    scheme = parse_uri(uri)["scheme"]
    if scheme in ("", "file"):
        return _open_file(uri)
    if scheme == "lmdb":
        return _open_lmdb(uri)
    if scheme in SQL_SCHEMES:
        from track.persistence.cockroach import open_journal

        journal = open_journal(uri, writable=False)
        journal.head()  # to know at once that it is there
        return ReadProtocol(journal, uri)
    # What other processes could not send is theirs to send: this one has no spools.
    protocol = get_protocol(_without_spools(uri) if scheme == "socket" else uri)
    if not isinstance(protocol, JournaledProtocol):
        protocol.close()
        raise BackendError(f"the backend of {without_password(uri)!r} keeps no journal to be read")
    return protocol


def _without_spools(uri: str) -> str:
    """Return a URI with a folder for spools in which there are none, and never will be."""
    head, _, query = uri.partition("?")
    kept = [option for option in query.split("&") if option and not option.startswith("spool=")]
    return f"{head}?{'&'.join([*kept, f'spool={os.devnull}'])}"


def _open_lmdb(uri: str) -> JournaledProtocol:
    from track.persistence.lmdb import open_journal

    settings = local_settings(uri)
    if not os.path.exists(settings.path):
        raise StoreNotFound(f"there is no store {settings.path}: check the path")
    return ReadProtocol(open_journal(uri, settings, writable=False), uri, settings.path)


def _open_file(uri: str) -> JournaledProtocol:
    settings = local_settings(uri)
    path = settings.path + JOURNAL_SUFFIX
    if os.path.exists(path):
        journal = FileJournal(path, "process", settings.lock_timeout_s, writable=False)
        return ReadProtocol(journal, uri, settings.path)
    if not os.path.exists(settings.path):
        raise StoreNotFound(f"there is no store {settings.path}: check the path")
    return ReadProtocol(journal_of_report(settings.path), uri, settings.path)


def journal_of_report(path: str) -> MemoryJournal:
    """Return the events of which a report is the result.

    Raises
    ------
    NotAReport
        it cannot be read, is none, or makes no sense
    """
    journal = MemoryJournal()
    try:
        import_report(load_report(path), Producer(journal).record)
    except ValueError as error:
        raise NotAReport(f"cannot import {path}: {error}") from error
    return journal
