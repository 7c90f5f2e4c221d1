"""Open the store of a report file: find, create or import its journal.

The store is the journal. A missing report is written again, unless the option
``log.file.missing_report = start_over`` means that deleting the report starts the store over.
"""

from __future__ import annotations

import os
import time
from contextlib import closing, suppress

from track.configuration import choose
from track.errors import JournalAbandoned, NotAReport, StorageWarning, warn
from track.journals.file import FileJournal
from track.journals.journal import DEFAULT_LOCK_TIMEOUT, Durability
from track.journals.producer import Producer
from track.persistence.local_repository import LocalRepository
from track.persistence.storage import check_report, create_report, load_report, replacing_report
from track.projections.legacy_report import import_report
from track.projections.report import render_report
from track.utils.files import fresh_path, link, sync_folder

JOURNAL_SUFFIX = ".journal"


def open_store(path: str, durability: Durability, lock_timeout_s: float) -> FileJournal:
    """Open the journal beside a report, after creating, importing or setting it aside.

    Raises
    ------
    BackendError
        the option ``log.file.missing_report`` has an unknown value
    NotAReport
        something else is at the path, or the report cannot be created
    JournalError
        the journal cannot be opened
    """
    journal_path = path + JOURNAL_SUFFIX
    starts_over = choose("log.file.missing_report", "rebuild", "start_over") == "start_over"
    check_report(path)
    while True:
        if not os.path.exists(path):
            if os.path.exists(journal_path):
                (_set_aside if starts_over else _rebuild)(path, journal_path, lock_timeout_s)
            create_report(path)
        if not os.path.exists(journal_path):
            _import_report(path, journal_path)
        journal = FileJournal(journal_path, durability, lock_timeout_s)
        # The report may have been deleted since the first line. A journal is set aside in its
        # exclusive section: after entering it, this journal is either current or abandoned.
        with suppress(JournalAbandoned), journal.exclusive():
            if os.path.exists(path):
                return journal
        journal.close()


def remake_report(path: str, lock_timeout_s: float = DEFAULT_LOCK_TIMEOUT) -> None:
    """Write the report of an existing journal, which may be in use.

    Raises
    ------
    JournalError
        the journal cannot be opened or read
    ReportWriteError
        writing failed, for example because the disk is full; the old report is unchanged
    """
    with closing(FileJournal(path + JOURNAL_SUFFIX, "process", lock_timeout_s)) as journal:
        repository = LocalRepository(journal, Producer(journal))
        with replacing_report(path, lock_timeout_s) as file, repository.read_state() as objects:
            file.writelines(render_report(objects))


def _rebuild(path: str, journal_path: str, lock_timeout_s: float) -> None:
    """Write the report again, and log why the store is not empty."""
    if os.path.getsize(journal_path):
        remake_report(path, lock_timeout_s)
        warn(
            f"{path} was missing, so it was written again from {journal_path}. To begin a new "
            "store, move the journal away as well, or set TRACK_LOG_FILE_MISSING_REPORT=start_over",
            StorageWarning,
        )


def _set_aside(path: str, journal_path: str, lock_timeout_s: float) -> None:
    """Rename a journal whose report was deleted, in only one process."""
    journal = FileJournal(journal_path, "process", lock_timeout_s)
    try:
        with journal.exclusive():
            if os.path.exists(path) or os.path.getsize(journal_path) == 0:
                return  # another process has done it, or there is nothing to set aside
            stamp = time.strftime("%Y%m%dT%H%M%S") + f".{time.time_ns() % 10**9:09d}"
            aside = f"{journal_path}.abandoned-{stamp}"
            os.rename(journal_path, aside)
    except JournalAbandoned:
        return  # another process was faster
    finally:
        journal.close()
    warn(
        f"{path} was deleted, so the store starts over, as TRACK_LOG_FILE_MISSING_REPORT says. Its "
        f"earlier journal is kept as {aside}; to get it back, rename it to {journal_path} and "
        f"create an empty {path}",
        StorageWarning,
    )


def _import_report(path: str, journal_path: str) -> None:
    """Import a report without a journal into a new journal, all or nothing."""
    imported = os.stat(path)
    report = load_report(path)
    if not report:
        return
    with fresh_path(journal_path) as fresh, closing(FileJournal(fresh, "process")) as journal:
        try:
            import_report(report, Producer(journal).record)
            journal.sync()
            os.utime(fresh, ns=(imported.st_atime_ns, imported.st_mtime_ns))  # the report is as new
            link(fresh, journal_path)
            sync_folder(journal_path)
        except FileExistsError:
            pass  # another process imported it first
        except ValueError as error:
            raise NotAReport(f"cannot import {path}: {error}; the file was not changed") from error
