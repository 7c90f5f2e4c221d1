"""Derive the attempts at a trial: their starts, processes and ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from track.events.types import Heartbeat, Recorded, StatusChanged, TrialFinished, TrialStarted
from track.events.values import pack_values, unpack
from track.projections.runs import known_failure, started_at
from track.structure import AnyStatus, get_status


class Attempt:
    """One run of a trial from a start.

    Attributes
    ----------
    producer
        the producer of the start
    started_at
        the time of the start in nanoseconds since 1970-01-01 UTC
    process
        the process, None if unknown
    last_at
        the time of the last event
    events
        the number of events
    finished_at
        the time of the recorded end, None without one
    status
        the last recorded status, None without one
    runtime
        the duration in seconds, None if the end was not recorded
    failure
        the exception or signal that ended it, None without one: see :class:`~track.structure.Trial`
    """

    def __init__(self, producer: int, began: int) -> None:
        self.producer = producer
        self.started_at = self.last_at = began
        self.process: Heartbeat | None = None
        self.events = 0
        self.finished_at: int | None = None
        self.status: AnyStatus | None = None
        self.runtime: float | None = None
        self.failure: dict[str, str] | None = None

    def __repr__(self) -> str:
        return f"Attempt({vars(self)})"

    def apply(self, recorded: Recorded) -> None:
        """Apply an event of this attempt."""
        event = recorded.event
        self.events += 1
        self.last_at = recorded.at
        if isinstance(event, Heartbeat):
            self.process = event
        elif isinstance(event, StatusChanged) and isinstance(event.name, str):
            self.status = get_status(event.name, event.value)
        elif isinstance(event, TrialFinished):
            self.finished_at = recorded.at
            self.failure = known_failure(event.failure)
            if isinstance(event.elapsed, (int, float)):
                self.runtime = event.elapsed
            elif self.runtime is None:
                self.runtime = (recorded.at - self.started_at) * 1e-9

    def to_values(self) -> list[Any]:
        """Return the content as plain values."""
        status = None if self.status is None else [self.status.name, self.status.value]
        process = None if self.process is None else [*self.process]
        bounds = [self.started_at, self.last_at, self.finished_at]
        return [self.producer, *bounds, self.events, process, status, self.runtime, self.failure]

    @classmethod
    def of_values(cls, values: list[Any]) -> Attempt:
        """Restore an attempt from the result of :meth:`to_values`."""
        producer, began, last_at, finished_at, events, process, status, *end = values
        attempt = cls(producer, began)
        attempt.last_at, attempt.finished_at, attempt.events = last_at, finished_at, events
        attempt.process = None if process is None else Heartbeat(*process)
        attempt.status = None if status is None else get_status(*status)
        attempt.runtime, attempt.failure = end
        return attempt


_NOBODY: dict[int, Attempt] = {}
"""The shared producers of attempts that were not used yet."""


class AttemptsOf:
    """The attempts at one trial in the order of their start.

    An event belongs to the last attempt of its producer; if that has none (a second thread, for
    example), it belongs to the last attempt of all.
    """

    __slots__ = ("_by_producer", "_found", "_values")

    def __init__(self, values: Iterable[list[Any]] = ()) -> None:
        self._values: list[list[Any]] | bytes = [*values]
        """The values of attempts that were not used yet, which may be packed."""
        self._found: list[Attempt] | None = None
        self._by_producer = _NOBODY

    @property
    def found(self) -> list[Attempt]:
        """Return the attempts."""
        if self._found is None:
            self._found = [Attempt.of_values(values) for values in self.to_values()]
            self._by_producer = {attempt.producer: attempt for attempt in self._found}
            self._values = b""
        return self._found

    def to_values(self) -> list[list[Any]]:
        """Return the content as plain values."""
        if self._found is not None:
            return [attempt.to_values() for attempt in self._found]
        values = self._values
        return unpack(values) if isinstance(values, bytes) else values

    def set_aside(self) -> None:
        """Keep the attempts as bytes, which take less memory, until they are used again."""
        self._values = pack_values(self.to_values(), ())
        self._found, self._by_producer = None, _NOBODY

    def __repr__(self) -> str:
        return repr(self.found)

    def apply(self, recorded: Recorded) -> None:
        """Apply the next event of the trial."""
        found = self.found
        if isinstance(recorded.event, TrialStarted):
            found.append(Attempt(recorded.producer, started_at(recorded, recorded.event)))
            self._by_producer[recorded.producer] = found[-1]
        if found:
            self._by_producer.get(recorded.producer, found[-1]).apply(recorded)

    def apply_many(self, producers: Sequence[int], times: Sequence[int]) -> None:
        """Apply events that do not start or end attempts, given their producers and times."""
        if producers.count(producers[0]) == len(producers):
            producers, times, count = producers[:1], times[-1:], len(times)
        else:
            count = 1
        last = self.found[-1]
        for producer, at in zip(producers, times, strict=True):
            attempt = self._by_producer.get(producer, last)
            attempt.events += count
            attempt.last_at = at


def attempts(events: Iterable[Recorded]) -> list[Attempt]:
    """Return the attempts at a trial, given its events in order."""
    folded = AttemptsOf()
    for recorded in events:
        folded.apply(recorded)
    return folded.found
