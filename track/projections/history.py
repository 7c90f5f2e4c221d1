"""Compute earlier states, and find the events that set a value of a trial."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from track.containers.series import StepSeries
from track.events.codec import TAG, envelope
from track.events.columns import decode_columns, is_metrics
from track.events.types import (
    CATALOGUE,
    ArgumentsLogged,
    ChronoFinished,
    ChronoStarted,
    MetadataLogged,
    MetricsLogged,
    Recorded,
    StatusChanged,
    TagsAdded,
    TrialCreated,
    TrialFinished,
    TrialRedacted,
)
from track.journals.journal import Batch, Journal
from track.projections.attempts import Attempt, attempts
from track.projections.copies import to_plain
from track.projections.objects import Objects
from track.projections.paths import Key, look_up, names_in, parse_path
from track.projections.projection import fold

__all__ = [
    "Assignment",
    "Attempt",
    "as_of",
    "assignments_of",
    "attempts",
    "between",
    "ends_by",
    "is_within",
    "until",
]

_REDACTED_TAG = bytes([CATALOGUE[TrialRedacted].tag])
"""The tag of redactions, which is the second byte of their payloads."""

# As of a moment


def ends_by(batches: Iterable[Batch], at_ns: int) -> dict[int, int]:
    """Return where each stream ended at a time: stream -> position of the last event by then.

    Clocks may go backwards, and those of several machines disagree. So all earlier events of a
    stream belong to that moment, too, regardless of their times.

    Parameters
    ----------
    batches
        as a journal yields them
    at_ns
        wall time in nanoseconds since 1970-01-01 UTC
    """
    ends: dict[int, int] = {}
    for positions, payloads in batches:
        for position, found in zip(positions, map(envelope, payloads), strict=True):
            if found is not None and found.at <= at_ns:
                ends[found.stream] = position
    return ends


def between(journal: Journal, after: int, last: int) -> Iterator[Batch]:
    """Yield the events after a position, up to another one."""
    if after >= last:
        return
    for positions, payloads in journal.read_batches(after):
        stop = bisect_right(positions, last)
        if stop:
            yield positions[:stop], payloads[:stop]
        if stop < len(positions):
            return


def until(
    batches: Iterable[Batch],
    *,
    position: int | None = None,
    ends: Mapping[int, int] | None = None,
) -> Iterator[Batch]:
    """Yield the events up to a position, or up to the ends of their streams, both included.

    Parameters
    ----------
    batches
        as a journal yields them
    position
        the position of the last event to yield
    ends
        the same for each stream, see :func:`ends_by`; other streams are left out
    """
    for positions, payloads in batches:
        is_last = position is not None and positions[-1] > position
        kept = [
            index
            for index, (place, payload) in enumerate(zip(positions, payloads, strict=True))
            if (position is None or place <= position)
            and (ends is None or is_within(ends, place, payload))
        ]
        if kept:
            yield [positions[index] for index in kept], [payloads[index] for index in kept]
        if is_last:
            return


def is_within(ends: Mapping[int, int], position: int, payload: bytes) -> bool:
    """Return whether an event is not after the end of its stream."""
    found = envelope(payload)
    return found is not None and position <= ends.get(found.stream, 0)


def as_of(
    batches: Iterable[Batch],
    *,
    position: int | None = None,
    ends: Mapping[int, int] | None = None,
) -> Objects:
    """Return all objects as of a position or a time, see :func:`until`.

    Trials that were erased later are hidden, since their content is gone.
    """
    objects, erased = Objects(), set[int]()
    watched = _noting_erased(batches, erased)
    fold(objects, until(watched, position=position, ends=ends))
    deque(watched, maxlen=0)  # the events after the moment
    for stream in erased & {*objects.by_stream, *objects.parts}:
        objects.archive(objects.trial_on(stream), erased=True)
    return objects


def _noting_erased(batches: Iterable[Batch], erased: set[int]) -> Iterator[Batch]:
    """Yield batches, and collect the streams of erased trials."""
    for batch in batches:
        # Test the tag first: few events are redactions, and unpacking all would be slow.
        found = [envelope(payload) for payload in batch[1] if payload[TAG] == _REDACTED_TAG]
        erased.update(one.stream for one in found if one is not None)
        yield batch


# Provenance


def without_metrics(batch: Batch) -> Batch:
    """Return the events of a batch except logged metrics."""
    kept = [pair for pair in zip(*batch, strict=True) if not is_metrics(pair[1])]
    return [position for position, _ in kept], [payload for _, payload in kept]


def without_other_steps(batch: Batch, keys: Sequence[str]) -> Batch:
    """Return the events of a batch except logged metrics that do not set a value at a path.

    The first event is kept in any case, since it decides whether a metric has steps.

    Parameters
    ----------
    batch
        as a journal yields it
    keys
        the path below ``metrics``: the parts of a name, and of a step if one is meant
    """
    positions, payloads = batch
    columns = decode_columns([*payloads])
    if columns is None or not keys:  # they are not alike, or all are meant
        return batch
    kept = [0]
    for end in range(len(keys), 0, -1):
        if ".".join(keys[:end]) in columns.metrics:
            step = ".".join(keys[end:])
            if not step:
                return batch
            kept += [n for n, one in enumerate(columns.steps) if n and str(one) == step]
            break
    return [positions[n] for n in kept], [payloads[n] for n in kept]


class Assignment(NamedTuple):
    """A value, and the event that set it.

    Attributes
    ----------
    value
        the value after the event; for a metric without steps, the last value
    replaced
        the previous value, None without one
    recorded
        the event
    """

    value: Any
    replaced: Any
    recorded: Recorded


def assignments_of(events: Iterable[Recorded], path: str) -> list[Assignment]:
    """Return the events that set a value of a trial, given its events in order.

    Parameters
    ----------
    events
        the events of the trial
    path
        a path: ``status``, ``parameters.lr``, ``metadata.code``, ``metrics.loss`` or, at
        step 3, ``metrics.loss.3``
    """
    first, *keys = parse_path(path)
    section = first.text
    objects = Objects()
    found: list[Assignment] = []
    for recorded in events:
        objects.apply(recorded)
        if not _may_set(recorded.event, section, keys):
            continue
        for trial in (*objects.trials.values(), *objects.parts.values()):  # there is exactly one
            is_there, value = look_up(getattr(trial, section, None), keys)
            if is_there and value is not None:
                before = found[-1].value if found else None
                found.append(Assignment(_latest(value), before, recorded))
    return found


_SECTIONS: dict[type[Any], str] = {
    ArgumentsLogged: "parameters",
    MetadataLogged: "metadata",
    MetricsLogged: "metrics",
    TagsAdded: "tags",
}


def _may_set(event: Any, section: str, keys: list[Key]) -> bool:
    """Return whether an event may set the value at a path."""
    kind = type(event)
    if kind is TrialCreated:
        return True
    if kind is StatusChanged:
        return section == "status" or (section == "errors" and event.error is not None)
    if kind is TrialFinished:
        return section == "failure" or (
            section == "chronos" and (not keys or keys[0].text == "runtime")
        )
    if kind in (ChronoStarted, ChronoFinished):
        return section == "chronos" and (not keys or keys[0].text == event.name)
    if _SECTIONS.get(kind) != section:
        return False
    if not keys:
        return True
    if kind is not MetricsLogged or event.step is None:
        return any(names_in(event.values, keys))
    steps = (".".join(key.text for key in others) for _, others in names_in(event.values, keys))
    return any(step in ("", str(event.step)) for step in steps)


def _latest(value: Any) -> Any:
    """Return the value to show, which is the last one for a series."""
    if isinstance(value, StepSeries):
        last = value.last_item()
        return None if last is None else last[1]
    if isinstance(value, list):
        return to_plain(value[-1]) if value else None
    return to_plain(value)
