"""Convert each updating call of the Protocol to the event that it records.

The methods have the names and the parameters of the Protocol's, except for the updated object,
which the caller knows or finds by a query. Training loops use the sinks instead, which do once what
need not be done in each call.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from threading import get_ident
from time import perf_counter
from typing import Any, NamedTuple

from track.containers.alerts import check_level
from track.events.types import (
    AlertRaised,
    ArgumentsLogged,
    ChronoFinished,
    ChronoStarted,
    Event,
    GroupMetadataSet,
    MetadataLogged,
    MetricDefined,
    MetricsLogged,
    StatusChanged,
    TagsAdded,
    TrialArchived,
    TrialFinished,
    TrialRestored,
    TrialStarted,
)
from track.journals.producer import Producer
from track.persistence.protocol import (
    DEFAULT_CHRONO,
    DEFAULT_METADATA,
    AggregatorFactory,
    ChronoSink,
    MetricsSink,
)
from track.projections.definitions import check_definition
from track.projections.validation import aggregator_for, check_key, check_status
from track.provenance.failures import failure_of
from track.provenance.liveness import Heartbeats
from track.structure import AnyStatus


class Change(NamedTuple):
    """The event of an update, and the action after it is recorded."""

    event_of: Callable[[int], Event]
    """Returns the event for the stream of its subject."""
    then: Callable[[int], None] | None = None
    """Called with the stream after the event is recorded."""
    ends_trial: bool = False


class GroupCommands:
    """Updates of a group."""

    def set_group_metadata(self, **kwargs: Any) -> Change:
        return Change(lambda _: GroupMetadataSet(kwargs))


class Timers:
    """Measures trials and chronos. Chronos of one name can be nested.

    Each thread has its own chronos, but any thread may finish a trial.
    """

    def __init__(self) -> None:
        self._running: dict[Any, list[tuple[float, Any]]] = defaultdict(list)

    def start(
        self, stream: int, name: str | None, callback: Any = None, waited_s: float = 0.0
    ) -> None:
        """Start the timer of a chrono, or of the trial if the name is None."""
        self._running[_key(stream, name)].append((perf_counter() - waited_s, callback))

    def stop(self, stream: int, name: str | None) -> tuple[float | None, Any]:
        """Return the seconds of a timer (None if it was started elsewhere), and its callback."""
        now, key = perf_counter(), _key(stream, name)
        running = self._running[key]
        if not running:
            return None, None
        start, callback = running.pop()
        if name is None and not running:  # a sweep has many trials, and few names of chronos
            del self._running[key]
        return now - start, callback


def _key(stream: int, name: str | None) -> tuple[int, str | None, int]:
    return stream, name, 0 if name is None else get_ident()


class TrialCommands:
    """Updates of a trial.

    Parameters
    ----------
    producer
        the producer of the events
    heartbeats
        the heartbeats of the trials that this process runs
    """

    def __init__(self, producer: Producer, heartbeats: Heartbeats) -> None:
        self._producer = producer
        self._heartbeats = heartbeats
        self._timers = Timers()
        self.waited_s: dict[int, float] = {}
        """The delay of the start that will be recorded next, by stream of the trial."""

    def _sync(self, _: int) -> None:
        self._producer.journal.sync_if_interval()

    def add_trial_tags(self, **kwargs: Any) -> Change:
        return Change(lambda _: TagsAdded(kwargs))

    def archive_trial(self) -> Change:
        return Change(lambda _: TrialArchived(), self._sync)

    def restore_trial(self) -> Change:
        return Change(lambda _: TrialRestored(), self._sync)

    def log_trial_arguments(self, **kwargs: Any) -> Change:
        return Change(lambda _: ArgumentsLogged(kwargs))

    def log_trial_metadata(
        self, aggregator: AggregatorFactory | None = DEFAULT_METADATA, **kwargs: Any
    ) -> Change:
        default = aggregator is None or aggregator is DEFAULT_METADATA
        spec = None if default else aggregator_for(aggregator, kwargs)
        return Change(lambda _: MetadataLogged(kwargs, spec))

    def log_trial_metrics(
        self, step: Any = None, aggregator: AggregatorFactory | None = None, **kwargs: Any
    ) -> Change:
        check_key("the step", step)
        spec = None if aggregator is None else aggregator_for(aggregator, kwargs)
        return Change(lambda _: MetricsLogged(step, kwargs, spec))

    def set_trial_status(self, status: AnyStatus, error: Any = None) -> Change:
        event = StatusChanged(*check_status(status), None if error is None else str(error))
        return Change(lambda _: event, self._sync)

    def raise_trial_alert(self, title: str, text: str = "", level: Any = "warning") -> Change:
        event = AlertRaised(check_level(level), str(title), str(text))
        return Change(lambda _: event, self._sync)

    def define_trial_metric(
        self, name: str, summary: str | None = None, goal: str | None = None
    ) -> Change:
        event = MetricDefined(*check_definition(name, summary, goal), goal)
        return Change(lambda _: event)

    def log_trial_start(self) -> Change:
        def event_of(stream: int) -> Event:
            waited_s = self.waited_s.pop(stream, None)
            self._timers.start(stream, None, waited_s=waited_s or 0.0)
            return TrialStarted(waited_s)

        def then(stream: int) -> None:
            self._heartbeats.start(stream)
            self._producer.journal.sync_if_interval()

        return Change(event_of, then)

    def log_trial_finish(
        self, exc_type: Any = None, exc_val: Any = None, exc_tb: Any = None
    ) -> Change:
        def event_of(stream: int) -> Event:
            elapsed, _ = self._timers.stop(stream, None)
            return TrialFinished(elapsed, _text(exc_type), failure_of(exc_type, exc_val, exc_tb))

        def then(stream: int) -> None:
            self._heartbeats.stop(stream)
            self._producer.journal.sync_if_interval()

        return Change(event_of, then, ends_trial=True)

    def log_trial_chrono_start(
        self,
        name: str,
        aggregator: AggregatorFactory = DEFAULT_CHRONO,
        start_callback: Callable[[], Any] | None = None,
        end_callback: Callable[[], Any] | None = None,
    ) -> Change:
        check_key("the name of a chrono", name)
        spec = None if aggregator is DEFAULT_CHRONO else aggregator_for(aggregator, {name: 0.5})

        def then(stream: int) -> None:
            if start_callback is not None:
                start_callback()
            self._timers.start(stream, name, end_callback)

        return Change(lambda _: ChronoStarted(name, spec), then)

    def log_trial_chrono_finish(
        self, name: str, exc_type: Any = None, exc_val: Any = None, exc_tb: Any = None
    ) -> Change:
        end_callback = None

        def event_of(stream: int) -> Event:
            nonlocal end_callback
            elapsed, end_callback = self._timers.stop(stream, name)
            return ChronoFinished(name, elapsed, _text(exc_type))

        def then(_: int) -> None:
            if end_callback is not None:
                end_callback()

        return Change(event_of, then)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def command_named(commands: GroupCommands | TrialCommands, name: str) -> Callable[..., Change]:
    """Return the command with a name that a caller gave.

    Raises
    ------
    AttributeError
        no command has this name
    """
    known = [command for command in dir(commands) if not command.startswith("_")]
    if name not in known:
        raise AttributeError(f"cannot update with {name!r}: use one of {', '.join(known)}")
    command: Callable[..., Change] = getattr(commands, name)
    return command


def metrics_sink(producer: Producer, stream: int) -> MetricsSink:
    """Return a function that records metrics of a trial."""
    record = producer.recorder(stream, MetricsLogged)

    def sink(step: Any, aggregator: AggregatorFactory | None, values: dict[str, Any]) -> None:
        # Training loops wait for these lines; nearly all steps are integers.
        if step.__class__ is not int:
            check_key("the step", step)
        spec = None if aggregator is None else aggregator_for(aggregator, values)
        record([step, values, spec])

    return sink


def chrono_sink(producer: Producer, stream: int) -> ChronoSink:
    """Return functions that record the timed blocks of a trial."""
    started = producer.recorder(stream, ChronoStarted)
    finished = producer.recorder(stream, ChronoFinished)

    def start(name: str) -> None:
        started([name, None])

    def finish(name: str, seconds: float, exc_type: Any, *_: Any) -> None:
        finished([name, seconds, None if exc_type is None else str(exc_type)])

    return ChronoSink(start, finish)
