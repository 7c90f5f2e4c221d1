"""Erase what was logged for a trial, for good."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple

from track.contents.folder import CONTENT_SUFFIX, FolderContents
from track.errors import JournalError, TrialDoesNotExist
from track.events.codec import decode, envelope, stream_id
from track.events.redaction import redact as redact_payload
from track.events.types import Heartbeat, TrialRedacted
from track.journals.file import FileJournal
from track.journals.journal import Journal
from track.journals.local import CACHE_SUFFIX, CACHE_SUFFIXES
from track.journals.producer import Producer
from track.persistence.file_store import remake_report
from track.persistence.registry import backend_of
from track.persistence.uri_options import local_settings
from track.projections.streams import streams_of
from track.projections.trials import stream_of
from track.provenance.liveness import code_stream
from track.stores.maintenance import copying, kind_of, opened, remove, verify_journal
from track.stores.named_contents import KINDS, TAGS, named_by
from track.utils.files import sync_folder
from track.utils.process import ProcessId
from track.utils.progress import Progress, no_progress


class Redaction(NamedTuple):
    """The result of a redaction.

    Attributes
    ----------
    events
        the number of events whose content was erased
    files
        the SHA-256 of the contents of files and media that were removed
    """

    events: int
    files: list[str]


def redact(uri: str, uid: str | Sequence[str], progress: Progress = no_progress) -> Redaction:
    """Erase what was logged for trials, and the files that only they logged, for good.

    Only the fact that a trial of this uid existed, where it belonged, when it ran and how it ended
    remains; positions and all other trials are unchanged. No list, query or report shows it any
    more. The facts about the processes that ran it are erased, too. No other process may have a
    store on disk open. Backups, and journals that were set aside or kept by a repair, are not
    changed.

    Parameters
    ----------
    uri
        ``file:``, ``lmdb:``, ``cockroach:`` or ``postgres:``; for a server, the store it serves
    uid
        the uid of the trial, or several uids
    progress
        called with the position reached in a journal on disk, and the last position

    Raises
    ------
    TrialDoesNotExist
        a trial does not exist
    JournalError
        the store is in use, or damaged
    """
    uids = [uid] if isinstance(uid, str) else uid
    if backend_of(uri).is_database:
        return _redact_in_database(uri, uids)
    with opened(uri) as journal:
        journal.file.claim()
        if verify_journal(journal, progress).findings:
            raise JournalError(f"{journal.path} is damaged: repair it, then redact")
        wanted = _Erasure(journal, uids)
        with copying(journal, journal.path, kind_of(uri), progress, wanted.apply) as copied:
            # Part of the new journal, so that a trial never looks redacted while its bytes remain.
            with closing(kind_of(uri)(copied.path, "process", journal.file.lock_timeout_s)) as new:
                producer = Producer(new)
                for stream in wanted.trials:
                    producer.record(stream, TrialRedacted())
                new.sync()
            os.replace(copied.path, journal.path)
        sync_folder(journal.path)
        elsewhere = journal.cache_path() or journal.path + CACHE_SUFFIX
        remove([elsewhere, *(journal.path + suffix for suffix in CACHE_SUFFIXES)])
    settings = local_settings(uri)
    content = FolderContents(settings.path + CONTENT_SUFFIX)
    files = sorted(content.remove(wanted.digests))
    if kind_of(uri) is FileJournal:
        remake_report(settings.path, settings.lock_timeout_s)
    return Redaction(wanted.events, files)


def _redact_in_database(uri: str, uids: Sequence[str]) -> Redaction:
    from track.persistence.cockroach import open_journal

    journal, content = open_journal(uri)
    try:
        wanted = _Erasure(journal, uids)
        producer = Producer(journal)
        for stream in wanted.trials:
            producer.record(stream, TrialRedacted())
        # Later events of the trials are not part of this redaction.
        last = max(_last_redaction(journal, stream) for stream in wanted.trials)
        journal.rewrite(wanted.streams, wanted.apply, last)
        if (cache := journal.cache_path()) is not None:
            remove([cache, f"{cache}-journal"])
        files = sorted(content.remove(wanted.digests))
    finally:
        journal.close()
    return Redaction(wanted.events, files)


def _last_redaction(journal: Journal, stream: int) -> int:
    """Return the position of the last redaction of a trial."""
    return max(
        position
        for batch in journal.read_stream(stream)
        for position, payload in zip(*batch, strict=True)
        if isinstance(decode(position, payload).event, TrialRedacted)
    )


class _Erasure:
    """What a redaction of trials has to erase.

    Attributes
    ----------
    trials, streams
        the streams of the trials; and also of the machines and the processes that ran them
    digests
        the SHA-256 of the files that only these trials logged

    Raises
    ------
    TrialDoesNotExist
        a trial does not exist
    """

    def __init__(self, journal: Journal, uids: Sequence[str]) -> None:
        self.trials = {stream_of(uid): uid for uid in uids}
        self._own = {stream for uid in uids for stream in streams_of(uid)}
        self.streams = {*self._own}
        self.digests: set[str] = set()
        self._changed: set[tuple[int, int]] = set()
        """The producer and the sequence of the events with content to erase."""
        missing = dict(self.trials)
        others: set[str] = set()
        for _, payloads in journal.read_batches():
            for found, payload in zip(map(envelope, payloads), payloads, strict=True):
                is_wanted = found is not None and found.stream in self._own
                if found is None or not (is_wanted or found.tag in TAGS):
                    continue
                event = decode(0, payload).event
                missing.pop(found.stream, None)
                if isinstance(event, Heartbeat):
                    process = ProcessId(*event)
                    self.streams |= {stream_id("process", process.name()), code_stream(process)}
                elif isinstance(event, KINDS):
                    digests = self.digests if is_wanted else others
                    digests.update(named_by(event))
        self.digests -= others
        if missing:
            raise TrialDoesNotExist(
                f"no trial {', '.join(missing.values())} in this store: `track ls` lists the trials"
            )

    @property
    def events(self) -> int:
        """Return the number of events changed so far."""
        return len(self._changed)

    def apply(self, payload: bytes) -> bytes:
        """Return the payload that replaces a payload."""
        found = envelope(payload)
        if found is None or found.stream not in self.streams:
            return payload
        redacted = redact_payload(payload)
        if redacted != payload:
            self._changed.add((found.producer, found.sequence))
        return redacted
