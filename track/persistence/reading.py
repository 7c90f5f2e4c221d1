"""Opening stores that exist, to read them: nothing is made, imported, or set aside."""

from __future__ import annotations

import os

from track.errors import BackendError, NotAReport, StoreNotFound
from track.events.journal_file import FileJournal
from track.events.journal_memory import MemoryJournal
from track.events.producer import Producer
from track.persistence.backends import get_protocol
from track.persistence.importing import import_report
from track.persistence.journaled import JournaledProtocol
from track.persistence.opening import JOURNAL_SUFFIX
from track.persistence.settings import local_settings
from track.persistence.storage import load_report
from track.persistence.utils import parse_uri, without_password


def open_for_reading(uri: str) -> JournaledProtocol:
    """Open the store of a URI, which must exist.

    A report without a journal, as an old tracker left it, is read into memory.

    Raises
    ------
    StoreNotFound
        there is no such file; a database makes the log that it is asked for
    BackendError
        nobody knows the scheme, or the backend has no journal
    """
    scheme = parse_uri(uri)["scheme"]
    if scheme in ("", "file"):
        return _open_file(uri)
    if scheme == "lmdb" and not os.path.exists(path := local_settings(uri).path):
        raise StoreNotFound(f"there is no store {path}: check the path")
    protocol = get_protocol(uri)
    if not isinstance(protocol, JournaledProtocol):
        protocol.close()
        raise BackendError(f"the backend of {without_password(uri)!r} keeps no journal to be read")
    return protocol


def _open_file(uri: str) -> JournaledProtocol:
    settings = local_settings(uri)
    path = settings.path + JOURNAL_SUFFIX
    if os.path.exists(path):
        journal = FileJournal(path, "process", settings.lock_timeout_s, writable=False)
        return JournaledProtocol(journal, uri=uri)
    if not os.path.exists(settings.path):
        raise StoreNotFound(f"there is no store {settings.path}: check the path")
    return JournaledProtocol(journal_of_report(settings.path), uri=uri)


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
