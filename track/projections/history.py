"""How things stood at some moment, and what became of one trial: who ran it, who set a value."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from track.containers.series import StepSeries
from track.events.codec import envelope
from track.events.types import (
    CATALOGUE,
    ArgumentsLogged,
    ChronoFinished,
    ChronoStarted,
    Heartbeat,
    MetadataLogged,
    MetricsLogged,
    Recorded,
    StatusChanged,
    TagsAdded,
    TrialCreated,
    TrialFinished,
    TrialRedacted,
    TrialStarted,
)
from track.journals.journal import Batch
from track.projections.copies import to_plain
from track.projections.objects import Objects
from track.projections.paths import look_up, parse_path
from track.projections.projection import fold
from track.projections.runs import known_failure, started_at
from track.structure import AnyStatus, get_status

_REDACTED = CATALOGUE[TrialRedacted].tag

# As of a moment


def until(
    batches: Iterable[Batch], *, position: int | None = None, at_ns: int | None = None
) -> Iterator[Batch]:
    """Yield the events up to a position, or those recorded up to a time, both included.

    Parameters
    ----------
    batches
        as a journal yields them
    position
        of the last event wanted
    at_ns
        wall time in nanoseconds since 1970-01-01 UTC. Clocks of several producers may disagree, so
        a later event can be left out while one behind it is taken.
    """
    for positions, payloads in batches:
        is_last = position is not None and positions[-1] > position
        kept = [
            index
            for index, (place, payload) in enumerate(zip(positions, payloads, strict=True))
            if (position is None or place <= position)
            and (at_ns is None or _was_recorded_by(payload, at_ns))
        ]
        if kept:
            yield [positions[index] for index in kept], [payloads[index] for index in kept]
        if is_last:
            return


def _was_recorded_by(payload: bytes, at_ns: int) -> bool:
    found = envelope(payload)
    return found is not None and found.at <= at_ns


def as_of(
    batches: Iterable[Batch], *, position: int | None = None, at_ns: int | None = None
) -> Objects:
    """Return every object as it stood at a position or a time, see :func:`until`.

    What was erased later is not shown: nothing is left of it that could be.
    """
    objects, erased = Objects(), set[int]()
    watched = _noting_erased(batches, erased)
    fold(objects, until(watched, position=position, at_ns=at_ns))
    deque(watched, maxlen=0)  # what is behind the moment
    for stream in erased & {*objects.by_stream, *objects.parts}:
        objects.archive(objects.trial_on(stream), erased=True)
    return objects


def _noting_erased(batches: Iterable[Batch], erased: set[int]) -> Iterator[Batch]:
    """Yield batches, and note the streams of the trials that were erased."""
    for batch in batches:
        found = map(envelope, batch[1])
        erased.update(one.stream for one in found if one is not None and one.tag == _REDACTED)
        yield batch


# Attempts


class Attempt:
    """One start of a trial, and what came of it.

    Attributes
    ----------
    producer
        who recorded the start
    started_at
        when, in nanoseconds since 1970-01-01 UTC
    process
        which process that was, None when it did not say
    last_at
        when its last event was recorded
    events
        how many there are
    finished_at
        when its end was recorded, None if it was not
    status
        what it set last, None if it set none
    runtime
        how long it took, in seconds, None if its end was not recorded
    failure
        what ended it, None if nothing did: see :class:`~track.structure.Trial`
    """

    def __init__(self, started: Recorded, event: TrialStarted) -> None:
        self.producer = started.producer
        self.started_at, self.last_at = started_at(started, event), started.at
        self.process: Heartbeat | None = None
        self.events = 0
        self.finished_at: int | None = None
        self.status: AnyStatus | None = None
        self.runtime: float | None = None
        self.failure: dict[str, str] | None = None

    def apply(self, recorded: Recorded) -> None:
        """Take an event of it into account."""
        event = recorded.event
        self.events += 1
        self.last_at = recorded.at
        if isinstance(event, Heartbeat):
            self.process = event
        elif isinstance(event, StatusChanged):
            self.status = get_status(event.name, event.value)
        elif isinstance(event, TrialFinished):
            self.finished_at = recorded.at
            self.failure = known_failure(event.failure)
            if event.elapsed is not None:
                self.runtime = event.elapsed
            elif self.runtime is None:
                self.runtime = (recorded.at - self.started_at) * 1e-9


def attempts(events: Iterable[Recorded]) -> list[Attempt]:
    """Return the attempts at a trial, given its events, in the order in which they started.

    An event belongs to the last attempt that its producer began; that of another producer (a second
    thread, say) to the last one there is.
    """
    found: list[Attempt] = []
    by_producer: dict[int, Attempt] = {}
    for recorded in events:
        if isinstance(recorded.event, TrialStarted):
            found.append(Attempt(recorded, recorded.event))
            by_producer[recorded.producer] = found[-1]
        if found:
            by_producer.get(recorded.producer, found[-1]).apply(recorded)
    return found


# Provenance


class Assignment(NamedTuple):
    """A value, and the event that set it.

    Attributes
    ----------
    value
        as it was then: of a metric without a step, the last value
    replaced
        what was there before, None when there was nothing
    recorded
        the event: what, when, by whom
    """

    value: Any
    replaced: Any
    recorded: Recorded


def assignments_of(events: Iterable[Recorded], path: str) -> list[Assignment]:
    """Return who set a value of a trial, given its events, in their order.

    Parameters
    ----------
    events
        of the trial
    path
        as in queries: ``status``, ``parameters.lr``, ``metadata.code``, ``metrics.loss`` or, at
        step 3, ``metrics.loss.3``
    """
    first, *keys = parse_path(path)
    section = first.text
    objects = Objects()
    found: list[Assignment] = []
    for recorded in events:
        objects.apply(recorded)
        if not _may_set(recorded.event, section, [key.text for key in keys]):
            continue
        for trial in (*objects.trials.values(), *objects.parts.values()):  # there is one
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


def _may_set(event: Any, section: str, keys: list[str]) -> bool:
    """Whether an event sets what is at a path, if anything is there."""
    kind = type(event)
    if kind is TrialCreated:
        return True
    if kind is StatusChanged:
        return section == "status" or (section == "errors" and event.error is not None)
    if kind is TrialFinished:
        return section == "failure" or (section == "chronos" and keys[:1] in ([], ["runtime"]))
    if kind in (ChronoStarted, ChronoFinished):
        return section == "chronos" and keys[:1] in ([], [event.name])
    if _SECTIONS.get(kind) != section:
        return False
    if not keys:
        return True
    for end in range(len(keys), 0, -1):
        if ".".join(keys[:end]) in event.values:
            step = ".".join(keys[end:])
            return kind is not MetricsLogged or event.step is None or step in ("", str(event.step))
    return False


def _latest(value: Any) -> Any:
    """Return a value as it is to be shown: of a series, the last one."""
    if isinstance(value, StepSeries):
        return next(reversed(value.to_dict().values()), None)
    if isinstance(value, list):
        return to_plain(value[-1]) if value else None
    return to_plain(value)
