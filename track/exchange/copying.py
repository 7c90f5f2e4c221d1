"""Copy the events of one store into another one, exactly once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import NamedTuple

from track.contents.copying import copy_contents
from track.errors import BackendError
from track.events.codec import identify
from track.exchange.batches import batches
from track.journals.buffered import BufferedJournal
from track.journals.delivery import deliver
from track.journals.file import FileJournal
from track.journals.journal import Journal
from track.journals.local import JournalOnDisk
from track.journals.memory import MemoryJournal
from track.persistence.journaled import JournaledProtocol
from track.persistence.protocol import Protocol
from track.utils.progress import Progress, no_progress

_BATCH_BYTES = 2**20
"""The size of a batch that is checked and appended together, while other writers wait."""

_FILE_BATCH_BYTES = 2**12
"""The size of an append to a file: reading large appends takes ten times as long as small ones."""


class Copied(NamedTuple):
    """The result of a copy.

    Attributes
    ----------
    events
        the number of copied events
    left_out
        the number of events that were already there
    nameless
        the number of events skipped because they lack a producer, so that repeated copies could not
        be detected; Track writes no such events
    files
        the number of copied files
    """

    events: int
    left_out: int
    nameless: int
    files: int


def copy_store(
    source: Protocol,
    target: Protocol,
    *,
    progress: Progress = no_progress,
) -> Copied:
    """Copy all events and logged files of a store into another store with any backend.

    Every event is copied once, however often this is called and however an earlier call ended:
    events that the target already has are skipped. Both stores may be in use meanwhile; events
    logged to the source while this runs are copied by the next call, if not by this one.

    Parameters
    ----------
    source, target
        opened stores whose backends have a journal, as all built-in ones do
    progress
        called with positions of the source, after each batch of events

    Raises
    ------
    JournalError
        one of them cannot be read or written; call this again to resume
    BackendError
        one of them has no journal
    """
    copied = copy_journal(journaled(source).journal, journaled(target).journal, progress=progress)
    # A file is stored before its event, so the files of all copied events exist.
    files = _copy_files(source, target)
    target.commit()
    return copied._replace(files=files)


def journaled(store: Protocol) -> JournaledProtocol:
    """Return a store as one that has a journal, as those of all built-in backends do.

    Raises
    ------
    BackendError
        it has none
    """
    if not isinstance(store, JournaledProtocol):
        raise BackendError(f"{type(store).__name__} has no journal: pass the underlying store")
    return store


def copy_journal(source: Journal, target: Journal, *, progress: Progress = no_progress) -> Copied:
    """Copy all events of a journal into another one, see :func:`copy_store`.

    Notes
    -----
    The sequences of a producer increase along every journal, so the target is assumed to have all
    events up to the last sequence it knows. Therefore, do not copy a source that lacks some of them
    (because of damage, for example) before one that has them.
    """
    # Fail at once if the target cannot be written.
    target = target.journal if isinstance(target, BufferedJournal) else target
    copied = left_out = nameless = position = 0
    upper_bound = source.upper_bound()

    def read() -> Iterator[bytes]:
        nonlocal position
        for positions, payloads in source.read_batches():
            for position, payload in zip(positions, payloads, strict=True):  # noqa: B007 - for progress
                yield payload

    for batch in batches(read(), len, _BATCH_BYTES):
        named = [payload for payload in batch if identify(payload) is not None]
        new = _deliver(target, named)
        copied += new
        left_out += len(named) - new
        nameless += len(batch) - len(named)
        progress(position, upper_bound)
    return Copied(copied, left_out, nameless, 0)


def append_missing(target: Journal, payloads: Iterable[bytes]) -> int:
    """Append the events that a journal lacks, and return their number, see :func:`copy_journal`.

    Parameters
    ----------
    target
        the journal
    payloads
        events whose producers are known, in order
    """
    target = target.journal if isinstance(target, BufferedJournal) else target
    return sum(_deliver(target, batch) for batch in batches(payloads, len, _BATCH_BYTES))


def _deliver(target: Journal, batch: list[bytes]) -> int:
    """Append the missing events of a batch to the target, and return their number."""
    size = _FILE_BATCH_BYTES if isinstance(target, FileJournal) else _BATCH_BYTES

    def append(missing: Sequence[bytes]) -> None:
        for payloads in batches(missing, len, size):
            target.append_foreign(payloads)

    return deliver(target, batch, identify, append, turn=partial(_turn, target))


def _turn(target: Journal) -> AbstractContextManager[None]:
    """Exclude other copies to the same target; servers do so by themselves."""
    if isinstance(target, (JournalOnDisk, MemoryJournal)):
        return target.exclusive()
    return nullcontext()


def _copy_files(source: Protocol, target: Protocol) -> int:
    if source.content is None or target.content is None:
        return 0
    done = copy_contents(source.content, target.content)
    done.warn(target.content)
    return done.copied
