"""The events of one store -> another one, exactly once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from track.errors import BackendError
from track.events.codec import identify
from track.journals.buffered import BufferedJournal
from track.journals.file import FileJournal
from track.journals.journal import Batch, Journal, PartialDuplicate
from track.journals.local import JournalOnDisk
from track.journals.memory import MemoryJournal
from track.persistence.artifacts import is_digest
from track.persistence.journaled import JournaledProtocol
from track.persistence.protocol import Protocol
from track.utils.progress import Progress, no_progress

_BATCH_BYTES = 2**20
"""Of the events that are looked for, and appended, together: others wait that long."""

_FILE_BATCH_BYTES = 2**12
"""Of those that are appended to a file together. Whoever reads it looks at large appends for ten
times as long as at small ones."""

_Named = tuple[tuple[int, int], bytes]
"""Producer and sequence of an event, and its payload."""

_LATE_ARRIVALS = 5
"""How often a part of a batch may turn out to have arrived meanwhile."""


class Copied(NamedTuple):
    """What a copy did.

    Attributes
    ----------
    events
        how many were copied
    left_out
        how many were there already
    nameless
        how many were left out because they do not say who recorded them, so that nobody could tell
        a second copy from the first; Track writes none such
    files
        how many logged files were copied
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
    """Copy all events of a store, and the files logged in it, into another one of any kind.

    Every event arrives once, however often this is called, and whatever ended it the last time:
    what the target has already is left out. Others may use both stores meanwhile; what is logged
    behind the end of the source while this runs is copied by the next call, if not by this one.

    Parameters
    ----------
    source, target
        opened stores of backends that have a journal, as all of ours do
    progress
        called with positions of the source, after each batch of events

    Raises
    ------
    JournalError
        one of them cannot be read or written: call it again to go on
    BackendError
        one of them has no journal
    """
    copied = copy_journal(_journal(source), _journal(target), progress=progress)
    # Events tell of files that were kept before, so with each event copied its file is there.
    files = _copy_files(source, target)
    target.commit()
    return copied._replace(files=files)


def _journal(store: Protocol) -> Journal:
    if not isinstance(store, JournaledProtocol):
        raise BackendError(
            f"a {type(store).__name__} has no journal to copy: name the store that it stands for"
        )
    return store.journal


def copy_journal(source: Journal, target: Journal, *, progress: Progress = no_progress) -> Copied:
    """Copy all events of a journal into another one, see :func:`copy_store`.

    Notes
    -----
    The sequences of a producer grow along every journal, so the target has those up to the last
    one it knows. A source that lacks some of them (they were damaged, say) must therefore not be
    copied before one that has them.
    """
    # Whoever copies wants to know at once that the target cannot be written.
    target = target.journal if isinstance(target, BufferedJournal) else target
    copied = left_out = nameless = 0
    upper_bound = source.upper_bound()
    for position, batch in _batches(source.read_batches(), _BATCH_BYTES):
        named = [(who, payload) for payload in batch if (who := identify(payload)) is not None]
        new = _deliver(target, named)
        copied += new
        left_out += len(named) - new
        nameless += len(batch) - len(named)
        progress(position, upper_bound)
    return Copied(copied, left_out, nameless, 0)


def _batches(batches: Iterable[Batch], size: int) -> Iterator[tuple[int, list[bytes]]]:
    """Yield payloads in the same order, so many bytes at a time, and the position of the last."""
    batch: list[bytes] = []
    length = position = 0
    for positions, payloads in batches:
        for position, payload in zip(positions, payloads, strict=True):
            batch.append(payload)
            length += len(payload)
            if length >= size:
                yield position, batch
                batch, length = [], 0
    if batch:
        yield position, batch


def _deliver(target: Journal, batch: list[_Named], late_arrivals: int = _LATE_ARRIVALS) -> int:
    """Have the target take what it lacks of a batch, and return how many events that were."""
    try:
        with _turn(target):
            missing = _missing(target, batch)
            size = _FILE_BATCH_BYTES if isinstance(target, FileJournal) else _BATCH_BYTES
            for _, payloads in _batches([(range(len(missing)), missing)], size):
                target.append_foreign(payloads)
    except PartialDuplicate:
        if not late_arrivals:
            raise
        return _deliver(target, batch, late_arrivals - 1)
    return len(missing)


def _turn(target: Journal) -> AbstractContextManager[None]:
    """Keep others out who copy into the same target. Servers see to that by themselves."""
    if isinstance(target, (JournalOnDisk, MemoryJournal)):
        return target.exclusive()
    return nullcontext()


def _missing(target: Journal, batch: list[_Named]) -> list[bytes]:
    """Return the events of a batch that the target does not have, each once."""
    missing = []
    last: dict[int, int] = {}
    for (producer, sequence), payload in batch:
        if producer not in last:
            last[producer] = target.last_sequence(producer)
        if sequence > last[producer]:
            last[producer] = sequence
            missing.append(payload)
    return missing


def _copy_files(source: Protocol, target: Protocol) -> int:
    kept, there = source.content, target.content
    if kept is None or there is None:
        return 0
    copied = 0
    for path in sorted(kept.root.glob("[0-9a-f][0-9a-f]/*")):
        digest = path.parent.name + path.name
        if is_digest(digest) and not there.path_of(digest).exists():
            there.keep(str(path))
            copied += 1
    return copied
