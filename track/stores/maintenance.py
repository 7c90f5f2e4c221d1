"""Maintain stores on disk: verify, repair, compact and back up.

Each function takes the URI of a store (``file:report.json``, ``lmdb:store.lmdb``). Daily use does
not need them, since readers skip damage by themselves. If ``progress`` is given, all of them call
it with the position reached and the last position.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timezone
from typing import NamedTuple

from track.contents.copying import copy_contents
from track.contents.folder import CONTENT_SUFFIX, FolderContents
from track.errors import BackendError, JournalError, NotAReport, StoreNotFound
from track.events.codec import decode, identify
from track.events.types import Unknown
from track.journals.file import FileJournal
from track.journals.journal import Batch
from track.journals.local import CACHE_SUFFIXES, JournalOnDisk
from track.persistence.file_store import JOURNAL_SUFFIX, remake_report
from track.persistence.registry import backend_of, load
from track.persistence.storage import create_report
from track.persistence.uri_options import local_settings
from track.persistence.utils import without_password
from track.projections.objects import Objects
from track.projections.projection import fold
from track.stores.named_contents import (
    CheckedContents,
    check_contents,
    kept_for,
    remove_unnamed,
)
from track.utils.files import fresh_path, keep_mode, link_or_copy, sync_folder
from track.utils.progress import Progress, no_progress

_SHOWN_BYTES = 40
_SHOWN_TEXT = 200


class Finding(NamedTuple):
    """A range of a journal without an intact event.

    Attributes
    ----------
    start, end
        the bounds: bytes of a file, positions of an LMDB journal
    reason
        ``torn``: cut short while it was written, never acknowledged; ``corrupt``: anything else;
        ``unsettled``: the end of a file, where a write may be in progress
    holds
        a description of what is recognisable in the range
    """

    start: int
    end: int
    reason: str
    holds: str


class Gap(NamedTuple):
    """Events of a producer that are missing before a position: damaged or never recorded.

    (A write that failed leaves a gap, too, since its number stays used.)
    """

    producer: int
    first: int
    last: int
    position: int


class Verification(NamedTuple):
    """The result of verifying a journal.

    Attributes
    ----------
    path
        the path of the journal
    events
        the number of intact events
    head
        the position of the last intact event
    findings
        the damaged ranges, in order
    gaps
        the missing events of each producer
    unknown
        the positions of intact events that this version of Track does not understand
    contents
        the contents of logged files and media, if they were looked at
    """

    path: str
    events: int
    head: int
    findings: list[Finding]
    gaps: list[Gap]
    unknown: list[int]
    contents: CheckedContents | None = None

    @property
    def is_sound(self) -> bool:
        """Return whether nothing is damaged."""
        is_intact = all(finding.reason == "unsettled" for finding in self.findings)
        return is_intact and not (self.contents and self.contents.damaged)


class Rewritten(NamedTuple):
    """A journal that was rewritten.

    Attributes
    ----------
    path
        the path of the journal
    kept
        the path of the previous journal, None if it was not kept
    events
        the number of events that were copied
    findings
        the damaged ranges that were not copied
    """

    path: str
    kept: str | None
    events: int
    findings: list[Finding]


def verify(uri: str, progress: Progress = no_progress) -> Verification:
    """Read a whole store and report damage; it may be in use meanwhile.

    The contents of logged files and media are compared with their SHA-256, too.

    Raises
    ------
    JournalError
        the journal does not exist, or cannot be read at all
    """
    named: set[str] = set()
    with opened(uri, writable=False) as journal:
        found = verify_journal(journal, progress, named)
    return found._replace(contents=check_contents(_contents_of(uri), named))


def repair(uri: str, progress: Progress = no_progress) -> Rewritten | None:
    """Replace a damaged journal with a new one of its intact events.

    No other process may have the store open. The damaged journal is kept beside the new one, as
    ``….damaged-…``. Positions change from the first damage on.

    Returns
    -------
    The new journal, None if there was nothing to repair.

    Raises
    ------
    JournalError
        the store is in use, or cannot be read at all
    """
    with opened(uri) as journal:
        journal.file.claim()
        verification = verify_journal(journal, progress)
        if not verification.findings:
            return None
        stamp = time.strftime("%Y%m%dT%H%M%S") + f".{time.time_ns() % 10**9:09d}"
        kept = f"{journal.path}.damaged-{stamp}"
        with copying(journal, journal.path, kind_of(uri), progress) as copied:
            link_or_copy(journal.path, kept)
            os.replace(copied.path, journal.path)
        sync_folder(journal.path)
        return Rewritten(journal.path, kept, copied.events, verification.findings)


def compact(uri: str, progress: Progress = no_progress) -> tuple[int, int]:
    """Reclaim the space of deleted pages of an LMDB environment, and of contents without events.

    Such contents, and parts of contents, are left by processes that were killed. No other process
    may have the store open.

    Returns
    -------
    The size of the journal and its contents in bytes, before and after.

    Raises
    ------
    JournalError
        the store is in use, or damaged
    """
    with opened(uri) as journal:
        journal.file.claim()
        if verify_journal(journal, progress).findings:
            raise JournalError(
                f"{journal.path} is damaged: repair it instead, which also compacts it"
            )
        content = _contents_of(uri)
        before = os.path.getsize(journal.path) + content.size()
        remove_unnamed(content, journal)
        content.tidy()
        with copying(journal, journal.path, kind_of(uri), progress) as copied:
            os.replace(copied.path, journal.path)
        sync_folder(journal.path)
        return before, os.path.getsize(journal.path) + content.size()


def backup(uri: str, target: str, progress: Progress = no_progress) -> Rewritten:
    """Copy a store while it is in use: all events up to some time, and the files logged by then.

    Parameters
    ----------
    uri
        the store
    target
        the URI of the copy, which must not exist; it may have another backend
    progress
        called along the way

    Returns
    -------
    The copy, with the damaged ranges that were not copied.

    Raises
    ------
    JournalError
        the journal does not exist, or the copy cannot be written
    NotAReport
        something else exists at the target
    """
    destination, path = _journal_path(target), local_settings(target).path
    for taken in (path, destination):
        if os.path.exists(taken):
            raise NotAReport(
                f"{taken} already exists: choose another path for the copy, or remove it"
            )
    with opened(uri, writable=False) as journal:
        copied_files = _contents_of(target)
        with copying(journal, destination, kind_of(target), progress) as copied:
            files = copy_contents(_contents_of(uri), copied_files)
            if path != destination:
                create_report(path)
            os.rename(copied.path, destination)
        findings = _findings(journal, copied.head)
        sync_folder(destination)
    if path != destination:
        remake_report(path)
    files.warn(copied_files)
    return Rewritten(destination, None, copied.events, findings)


def replay(uri: str, progress: Progress = no_progress) -> Rewritten:
    """Rebuild the cache and the report of a store on disk from its journal.

    A damaged journal gets no cache, since it would hide the damage.

    Returns
    -------
    The journal that was read, with its damaged ranges.

    Raises
    ------
    JournalError
        the journal does not exist, or cannot be read
    """
    objects = Objects()
    with opened(uri) as journal:
        fold(objects, _read(journal, progress))
        findings = _findings(journal, objects.position)
        remove(journal.path + suffix for suffix in CACHE_SUFFIXES)
    if kind_of(uri) is FileJournal:
        settings = local_settings(uri)
        remake_report(settings.path, settings.lock_timeout_s)
    return Rewritten(journal.path, None, objects.events, findings)


# Journals of URIs


JournalKind = Callable[..., JournalOnDisk]
"""A function that opens the journal at a path, with a durability and a lock timeout."""


def kind_of(uri: str) -> JournalKind:
    """Return the function that opens the journal of a store on disk."""
    name = backend_of(uri).journal
    if name is None:
        raise BackendError(
            f"{without_password(uri)!r} is not a store on disk: give file:<path> or lmdb:<path>; "
            "for a server, run this on its machine with the store that it serves"
        )
    kind: JournalKind = load(name)
    return kind


def _contents_of(uri: str) -> FolderContents:
    return FolderContents(local_settings(uri).path + CONTENT_SUFFIX)


def _journal_path(uri: str) -> str:
    is_file = kind_of(uri) is FileJournal
    path = local_settings(uri).path
    return path + JOURNAL_SUFFIX if is_file else path


@contextmanager
def opened(uri: str, *, writable: bool = True) -> Iterator[JournalOnDisk]:
    """Open the journal of a store on disk, which must exist."""
    path = _journal_path(uri)
    if not os.path.exists(path):
        raise StoreNotFound(f"the journal {path} does not exist: check the path")
    kind, timeout_s = kind_of(uri), local_settings(uri).lock_timeout_s
    if writable:
        kind(path, "process", timeout_s, writable=False).close()  # opening would create the journal
    journal = kind(path, "process", timeout_s, writable=writable)
    journal.tells_damage = False  # the caller returns or raises what is found
    try:
        yield journal
    finally:
        journal.close()


class _Copy(NamedTuple):
    """A copy of the intact events of a journal: their number, and the last position copied."""

    path: str
    events: int
    head: int


@contextmanager
def copying(
    journal: JournalOnDisk,
    destination: str,
    kind: JournalKind,
    progress: Progress = no_progress,
    change: Callable[[bytes], bytes] = bytes,
) -> Iterator[_Copy]:
    """Copy the intact events to a temporary file on stable storage, removed at the end.

    The copy has the mode of the file at its destination, which it may replace.
    """
    events = head = 0
    with fresh_path(destination) as path:
        try:
            with closing(kind(path, "process", journal.file.lock_timeout_s)) as fresh:
                for positions, payloads in _read(journal, progress):
                    for payload in payloads:
                        fresh.append([change(payload)])
                    events, head = events + len(payloads), positions[-1]
                fresh.sync()
            keep_mode(path, destination)
            yield _Copy(path, events, head)
        finally:
            remove([path + "-lock"])


def _read(journal: JournalOnDisk, progress: Progress) -> Iterator[Batch]:
    upper_bound = journal.upper_bound()
    for batch in journal.read_batches():
        yield batch
        positions, _ = batch
        progress(positions[-1], upper_bound)


def remove(paths: Iterable[str]) -> None:
    """Remove the files that exist."""
    for path in paths:
        with suppress(FileNotFoundError):
            os.unlink(path)


# Findings


def verify_journal(
    journal: JournalOnDisk, progress: Progress = no_progress, named: set[str] | None = None
) -> Verification:
    """Read a whole open journal and report damage; add the contents that it names to a set."""
    events = head = 0
    gaps, unknown = [], []
    last: dict[int, int] = {}
    for batch in _read(journal, progress):
        for recorded in map(decode, *batch):
            events, head = events + 1, recorded.position
            if isinstance(recorded.event, Unknown):
                unknown.append(head)
            expected = last.get(recorded.producer, 0) + 1
            if recorded.sequence > expected:
                gaps.append(Gap(recorded.producer, expected, recorded.sequence - 1, head))
            last[recorded.producer] = recorded.sequence
            if named is not None:
                named.update(kept_for(recorded.event))
    return Verification(journal.path, events, head, _findings(journal, head), gaps, unknown)


def _findings(journal: JournalOnDisk, head: int) -> list[Finding]:
    """Describe the damage in a journal that was read up to its last event."""
    findings = [Finding(*piece, _describe(journal.salvage(piece))) for piece in journal.damage]
    unsettled = journal.unsettled(head)
    if unsettled is not None:
        holds = _describe(journal.salvage(unsettled))
        findings.append(Finding(unsettled.start, unsettled.end, "unsettled", holds))
    return findings


def _describe(salvage: list[bytes]) -> str:
    return "; ".join(map(_describe_payload, salvage)) or "nothing recognisable"


def _describe_payload(payload: bytes) -> str:
    """Describe what is left of an event, without a checksum to prove it."""
    recorded = decode(0, payload)
    if not isinstance(recorded.event, Unknown):
        at = datetime.fromtimestamp(recorded.at / 1e9, timezone.utc).isoformat(" ", "seconds")
        text = repr(recorded.event)
        shown = text if len(text) <= _SHOWN_TEXT else text[:_SHOWN_TEXT] + "…"
        return f"event {recorded.sequence} of producer {recorded.producer:016x} at {at}: {shown}"
    who = identify(payload)
    if who is not None:
        return f"part of event {who[1]} of producer {who[0]:x}, {len(payload)} bytes"
    return f"{len(payload)} bytes: {payload[:_SHOWN_BYTES]!r}"
