"""Make the functions that training loops call with values, doing as much as possible in advance."""

from __future__ import annotations

from typing import Any

from track.events.types import ChronoFinished, ChronoStarted, MetricsLogged
from track.journals.producer import Producer
from track.persistence.protocol import AggregatorFactory, ChronoSink, MetricsSink
from track.projections.validation import aggregator_for, check_key


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
