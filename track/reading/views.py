"""Show one trial: its attempts, and the origins of its values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

from track.events.codec import decode, stream_id
from track.events.types import ProcessDescribed, Recorded
from track.journals.journal import Journal
from track.projections import history as past
from track.projections.objects import Objects
from track.projections.trials import LAST_CHANGE, stream_of
from track.provenance.liveness import derive_status
from track.structure import AnyStatus, Trial
from track.utils.process import ProcessId


class Attempt(NamedTuple):
    """Describes one run of a trial, from one start to the next.

    Attributes
    ----------
    number
        1 for the first
    started_at, last_at, finished_at
        wall times of the start, the last event and the end, in nanoseconds since 1970-01-01 UTC;
        ``finished_at`` is None if the end was not recorded
    status
        the status, None if none was recorded; lost if the process is gone
    events
        the number of recorded events
    producer
        the producer of the event that started it
    process
        the process, None if unknown
    facts
        the recorded facts about the process: ``command``, ``directory``, ``commit``,
        ``modified``, ``python``, ``platform``, ``cpus``, ``environment``
    runtime
        the duration in seconds, None if the end was not recorded
    failure
        the exception or signal that ended it, None without one: see :class:`~track.structure.Trial`
    """

    number: int
    started_at: int
    last_at: int
    finished_at: int | None
    status: AnyStatus | None
    events: int
    producer: int
    process: ProcessId | None
    facts: dict[str, Any]
    runtime: float | None
    failure: dict[str, str] | None


class View(NamedTuple):
    """Holds everything known about a trial.

    Attributes
    ----------
    trial
        the trial, now or at a moment
    status
        the status: lost if the trial is recorded as running but its process is gone
    group
        the name of the group, None without one
    attempts
        the attempts in the order of their start
    """

    trial: Trial
    status: AnyStatus | None
    group: str | None
    attempts: list[Attempt]


class Origin(NamedTuple):
    """Describes the event that set a value.

    Attributes
    ----------
    value, replaced
        the value, and the previous value, None without one
    recorded
        the event: its position, time, producer and content
    attempt
        the attempt that the event belongs to, None if unknown
    """

    value: Any
    replaced: Any
    recorded: Recorded
    attempt: Attempt | None


def status_of(attempt: past.Attempt) -> AnyStatus | None:
    """Return the status of an attempt: lost if its process is gone without a recorded end."""
    if attempt.process is None or attempt.finished_at is not None:
        return attempt.status
    trial = Trial(status=attempt.status, metadata={LAST_CHANGE: attempt.last_at * 1e-9})
    return derive_status(trial, {attempt.process: attempt.last_at})


def attempts_in(objects: Objects, trial: Trial) -> list[past.Attempt]:
    """Return copies of the attempts of a trial."""
    folded = objects.attempts.get(stream_of(trial.uid))
    return [] if folded is None else deepcopy(folded.found)


def facts_of_process(journal: Journal, process: ProcessId) -> dict[str, Any]:
    """Return the facts that a process recorded about itself."""
    facts: dict[str, Any] = {}
    for batch in journal.read_stream(stream_id("process", process.name())):
        for recorded in map(decode, *batch):
            if isinstance(recorded.event, ProcessDescribed):
                facts.update(recorded.event.facts)
    return facts


def process_of(attempt: past.Attempt) -> ProcessId | None:
    """Return the process of an attempt, None if unknown."""
    return None if attempt.process is None else ProcessId(*attempt.process)


def views_of(
    attempts: Iterable[past.Attempt], facts: Mapping[ProcessId, dict[str, Any]]
) -> list[Attempt]:
    """Return attempts for display, in order, given the facts of their processes."""
    found = []
    for number, attempt in enumerate(attempts, 1):
        process = process_of(attempt)
        found.append(
            Attempt(
                number,
                attempt.started_at,
                attempt.last_at,
                attempt.finished_at,
                status_of(attempt),
                attempt.events,
                attempt.producer,
                process,
                {} if process is None else facts[process],
                attempt.runtime,
                attempt.failure,
            )
        )
    return found


def attempt_at(attempts: list[Attempt], recorded: Recorded) -> Attempt | None:
    """Return the attempt that an event belongs to."""
    mine = [one for one in attempts if one.started_at <= recorded.at]
    by_producer = [one for one in mine if one.producer == recorded.producer]
    return next(reversed(by_producer or mine), None)


def code_of(attempts: list[Attempt]) -> dict[str, Any]:
    """Return the code that the last attempt of a trial ran."""
    facts = attempts[-1].facts if attempts else {}
    return {"code": {name: facts.get(name) for name in ("commit", "modified")}}
