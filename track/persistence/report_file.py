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
from io import BytesIO
from typing import BinaryIO, NamedTuple, TextIO
from zlib import crc32

from track.errors import JournalError
from track.journals.local import TEXTS_SUFFIX, JournalOnDisk
from track.projections.objects import FOLDS_VERSION, LAST_CHANGE, UPDATE_COUNT, Objects
from track.projections.report import REPORT_VERSION, render_report, render_trial
from track.structure import Trial

logger = logging.getLogger(__name__)

SMALLEST = 2**18
"""Bytes of a report from which on a table is worth its file."""

_CRC_DIGITS = 8
_BLOCK = 2**20


class _Identity(NamedTuple):
    """What tells a report from those that are written later."""

    inode: int
    size: int
    changed_ns: int


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


class LastReport(NamedTuple):
    """What is known of a report: up to which event it goes, and where the texts of trials are."""

    position: int
    identity: _Identity
    texts: dict[str, _Text]

    def tells(self, path: str, position: int) -> bool:
        """Whether it is what is at a path, and has every event up to a position."""
        try:
            return self.position >= position and self.identity == _identity(os.stat(path))
        except OSError:
            return False


_UNKNOWN = LastReport(-1, _Identity(0, 0, 0), {})


def write_next_report(
    file: TextIO, path: str, objects: Objects, journal: JournalOnDisk, last: LastReport
) -> None:
    """Write the report that comes after the last one.

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
    last
        what is known of the last report
    """
    written: dict[str, _Text] = {}
    at = 0

    def text_of(trial: Trial) -> Iterator[str]:
        start, crc, state = at, 0, _state(trial)
        text = last.texts.get(trial.uid)
        if text is not None and text.state == state and text.is_in(old):
            pieces = text.read(old)
        else:
            pieces = render_trial(trial)
        for piece in pieces:
            crc = crc32(piece.encode("ascii"), crc)
            yield piece
        written[trial.uid] = _Text(start, at - start, crc, state)

    with _opened(path) as old:
        for piece in render_report(objects, text_of):
            file.write(piece)
            at += len(piece)
    if at >= SMALLEST:
        file.flush()
        identity = _identity(os.fstat(file.fileno()))
        _save_table(journal, LastReport(objects.position, identity, written))


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


def load_last_report(journal: JournalOnDisk) -> LastReport:
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


def _read_table(file: BinaryIO, journal: JournalOnDisk) -> LastReport:
    crc, content = file.read(_CRC_DIGITS), file.read()
    if crc != b"%08x" % crc32(content):
        raise ValueError("it is damaged")
    table = json.loads(content)
    if table["versions"] != [REPORT_VERSION, FOLDS_VERSION]:
        raise ValueError("it was made by another version")
    if table["mark"] != _fingerprint_digest(journal, table["position"]):
        raise ValueError("the journal is not the one it was made from")
    texts = {
        uid: _Text(start, size, crc, _State(*state))
        for uid, (start, size, crc, state) in table["texts"].items()
    }
    return LastReport(table["position"], _Identity(*table["report"]), texts)


def _save_table(journal: JournalOnDisk, report: LastReport) -> None:
    document = {
        "versions": [REPORT_VERSION, FOLDS_VERSION],
        "position": report.position,
        "mark": _fingerprint_digest(journal, report.position),
        "report": report.identity,
        "texts": report.texts,
    }
    content = json.dumps(document).encode("ascii")
    try:
        journal.save_cache(TEXTS_SUFFIX, [b"%08x" % crc32(content), content])
    except (JournalError, OSError) as error:
        logger.info("no table of the report was written: %s", error)


def _fingerprint_digest(journal: JournalOnDisk, position: int) -> str:
    return (journal.fingerprint_digest(position) or b"").hex()
