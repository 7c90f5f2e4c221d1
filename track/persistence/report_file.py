"""The report file: written anew each time, with the texts of unchanged trials copied from the last.

A report is written at the end of each trial, and to render some hundred trials takes a second. So
beside a large report there is a table of where in it the text of each trial is. It is a cache, and
never trusted: every text has a checksum, and each trial a count and a time of its changes, which
tell whether a text is still that of the trial (``docs/format.md``).

Processes that end trials together wait for each other. The table also says up to which event the
report goes, so who waited need not write what another one has written meanwhile.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from hashlib import blake2b
from io import BytesIO
from typing import Any, BinaryIO, NamedTuple, TextIO
from zlib import crc32

from track.errors import JournalError
from track.events.journal_on_disk import TEXTS_SUFFIX, JournalOnDisk
from track.projections.objects import FOLDS_VERSION, LAST_CHANGE, UPDATE_COUNT, Objects
from track.projections.report import REPORT_VERSION, render_report, render_trial
from track.structure import Trial

logger = logging.getLogger(__name__)

SMALLEST = 2**18
"""Bytes of a report from which on a table is worth its file."""

_CRC_DIGITS = 8
_BLOCK = 2**20


class _State(NamedTuple):
    """What tells a state of a trial from every other one."""

    changes: int
    changed_at: float | None


class _Text(NamedTuple):
    """Where in a report the text of a trial is, the checksum of it, and of which state it is."""

    start: int
    size: int
    crc: int
    state: _State

    def is_in(self, report: BinaryIO) -> bool:
        """Whether a report has it."""
        crc = 0
        for block in self._blocks(report):
            crc = crc32(block, crc)
        return crc == self.crc

    def read(self, report: BinaryIO) -> Iterator[str]:
        """Yield it, in pieces."""
        return (block.decode("ascii") for block in self._blocks(report))

    def _blocks(self, report: BinaryIO) -> Iterator[bytes]:
        report.seek(self.start)
        left = self.size
        while left and (block := report.read(min(left, _BLOCK))):
            left -= len(block)
            yield block


def write_report(file: TextIO, path: str, objects: Objects, journal: JournalOnDisk) -> None:
    """Write the report.

    Parameters
    ----------
    file
        where to; it is to take the place of the last report
    path
        of the last report, if there is one
    objects
        what the report is of
    journal
        where they are from
    """
    known = _load_table(journal).texts
    written: dict[str, _Text] = {}
    at = 0

    def text_of(trial: Trial) -> Iterator[str]:
        start, crc, state = at, 0, _state(trial)
        text = known.get(trial.uid)
        if text is not None and text.state == state and text.is_in(last):
            pieces = text.read(last)
        else:
            pieces = render_trial(trial)
        for piece in pieces:
            crc = crc32(piece.encode("ascii"), crc)
            yield piece
        written[trial.uid] = _Text(start, at - start, crc, state)

    with _opened(path) as last:
        for piece in render_report(objects, text_of):
            file.write(piece)
            at += len(piece)
    if at >= SMALLEST:
        file.flush()
        report = _identity(os.fstat(file.fileno()))
        _save_table(journal, _Table(objects.position, report, written))


def is_reported(path: str, journal: JournalOnDisk, position: int) -> bool:
    """Whether the report at a path is known to tell of every event up to a position."""
    table = _load_table(journal)
    try:
        return table.position >= position and table.report == _identity(os.stat(path))
    except OSError:
        return False


def _identity(file: os.stat_result) -> _Identity:
    return _Identity(file.st_ino, file.st_size, file.st_mtime_ns)


def _state(trial: Trial) -> _State:
    changed_at = trial.metadata.get(LAST_CHANGE)  # before the first change, it may be anything
    return _State(
        trial.metadata[UPDATE_COUNT], changed_at if isinstance(changed_at, float) else None
    )


def _opened(path: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError:
        return BytesIO()


# The table


class _Identity(NamedTuple):
    """What tells a report from those that are written later."""

    inode: int
    size: int
    changed_ns: int


class _Table(NamedTuple):
    """What is known of a report: up to which event it goes, and where the texts of trials are."""

    position: int
    report: _Identity
    texts: dict[str, _Text]


_UNKNOWN = _Table(-1, _Identity(0, 0, 0), {})


def _load_table(journal: JournalOnDisk) -> _Table:
    """Return what is known of the last report."""
    try:
        file = journal.load_cache(TEXTS_SUFFIX)
        if file is None:
            return _UNKNOWN
        with file:
            return _read_table(file, journal)
    except (OSError, ValueError, TypeError, LookupError) as error:
        logger.info("the report is rendered as a whole, as its table is not used: %s", error)
        return _UNKNOWN


def _read_table(file: BinaryIO, journal: JournalOnDisk) -> _Table:
    crc, content = file.read(_CRC_DIGITS), file.read()
    if crc != b"%08x" % crc32(content):
        raise ValueError("it is damaged")
    table = json.loads(content)
    if table["versions"] != [REPORT_VERSION, FOLDS_VERSION]:
        raise ValueError("it was made by another version")
    if table["mark"] != _mark(journal, table["position"]):
        raise ValueError("the journal is not the one it was made from")
    texts = {
        uid: _Text(start, size, crc, _State(*state))
        for uid, (start, size, crc, state) in table["texts"].items()
    }
    return _Table(table["position"], _Identity(*table["report"]), texts)


def _save_table(journal: JournalOnDisk, table: _Table) -> None:
    document: dict[str, Any] = {
        "versions": [REPORT_VERSION, FOLDS_VERSION],
        "mark": _mark(journal, table.position),
        **table._asdict(),
    }
    content = json.dumps(document).encode("ascii")
    try:
        journal.save_cache(TEXTS_SUFFIX, [b"%08x" % crc32(content), content])
    except (JournalError, OSError) as error:
        logger.info("no table of the report was written: %s", error)


def _mark(journal: JournalOnDisk, position: int) -> str:
    """Return what tells the event at a position from any other one."""
    return blake2b(journal.fingerprint(position) or b"", digest_size=16).hexdigest()
