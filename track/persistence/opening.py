"""Opening the store of a report file: its journal is found, made, imported or set aside."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from track.errors import JournalAbandoned, NotAReport, StorageWarning, warn
from track.events.journal import Durability
from track.events.journal_file import FileJournal
from track.events.producer import Producer
from track.persistence.importing import import_report
from track.persistence.storage import check_report, create_report, load_report
from track.utils.files import sync_folder

JOURNAL_SUFFIX = ".journal"


def open_store(path: str, durability: Durability, lock_timeout_s: float) -> FileJournal:
    """Open the journal beside a report, making, importing or setting aside what there is.

    Raises
    ------
    NotAReport
        something else stands at the path, or nothing can be made there
    JournalError
        the journal cannot be opened
    """
    journal_path = path + JOURNAL_SUFFIX
    check_report(path)
    while True:
        if not os.path.exists(path):
            if os.path.exists(journal_path):
                _set_aside(path, journal_path, lock_timeout_s)
            create_report(path)
        if not os.path.exists(journal_path):
            _import_report(path, journal_path)
        journal = FileJournal(journal_path, durability, lock_timeout_s)
        # Somebody may have deleted the report to start over since the first line. Who sets a
        # journal aside is in its exclusive section: past it, this one is current or abandoned.
        with suppress(JournalAbandoned), journal.exclusive():
            if os.path.exists(path):
                return journal
        journal.close()


def _set_aside(path: str, journal_path: str, lock_timeout_s: float) -> None:
    """Move a journal whose report was deleted out of the way; only one process does."""
    journal = FileJournal(journal_path, "process", lock_timeout_s)
    try:
        with journal.exclusive():
            if os.path.exists(path) or os.path.getsize(journal_path) == 0:
                return  # others were faster, or there is nothing to set aside
            stamp = time.strftime("%Y%m%dT%H%M%S") + f".{time.time_ns() % 10**9:09d}"
            aside = f"{journal_path}.abandoned-{stamp}"
            os.rename(journal_path, aside)
    except JournalAbandoned:
        return  # somebody else was faster
    finally:
        journal.close()
    warn(
        f"{path} was deleted, so the store starts over. Its earlier journal is kept as {aside}; to "
        f"get it back, rename it to {journal_path} and create an empty {path}",
        StorageWarning,
    )


def _import_report(path: str, journal_path: str) -> None:
    """Turn a report without a journal into a journal, whole or not at all."""
    report = load_report(path)
    if not report:
        return
    fresh = f"{journal_path}.{os.getpid()}.tmp"
    with suppress(FileNotFoundError):
        os.unlink(fresh)  # of a killed process that had this number
    journal = FileJournal(fresh, "process")
    try:
        import_report(report, Producer(journal).record)
        journal.sync()
        os.link(fresh, journal_path)
        sync_folder(journal_path)
    except FileExistsError:
        pass  # another process imported it first
    except ValueError as error:
        raise NotAReport(f"cannot import {path}: {error}; it is left as it is") from error
    finally:
        journal.close()
        os.unlink(fresh)
