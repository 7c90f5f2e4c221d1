"""Provide the LMDB backend: a journal in an LMDB environment, with a report on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from track.contents.folder import CONTENT_SUFFIX, FolderContents
from track.errors import BackendError
from track.persistence.journaled import JournaledProtocol
from track.persistence.uri_options import LocalSettings, local_settings

if TYPE_CHECKING:
    from track.journals.lmdb import LMDBJournal


class LMDBProtocol(JournaledProtocol):
    """A backend in an LMDB environment.

    Parameters
    ----------
    uri
        ``lmdb:my_store.lmdb`` or ``lmdb://my_store.lmdb``, relative to the working directory;
        ``lmdb:///there/my_store.lmdb``. Options: ``durability`` (process, interval, always) and
        ``lock_timeout`` in seconds.
    strict
        require that the projects and groups of new trials and groups exist
    eager
        has no effect on reports, which only ``commit(file_name_override=…)`` writes

    Raises
    ------
    BackendError
        the URI has an unknown option or value, or the package lmdb is missing
    JournalError
        the path is something else, or cannot be opened
    """

    def __init__(self, uri: str, strict: bool = True, eager: bool = True) -> None:
        settings = local_settings(uri)
        journal = open_journal(uri, settings)
        self.path = settings.path
        self.content = FolderContents(self.path + CONTENT_SUFFIX)
        super().__init__(journal, strict=strict, uri=uri)


def open_journal(uri: str, settings: LocalSettings, *, writable: bool = True) -> LMDBJournal:
    """Return the journal of an LMDB store.

    Raises
    ------
    BackendError
        the package lmdb is missing
    JournalError
        the path is something else, or cannot be opened
    """
    try:
        from track.journals.lmdb import LMDBJournal
    except ImportError as error:
        raise BackendError(
            f"{uri!r} needs the package lmdb: pip install 'track-journal[lmdb]'"
        ) from error
    return LMDBJournal(
        settings.path, settings.durability, settings.lock_timeout_s, writable=writable
    )
