"""Send one call to several backends."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial, wraps
from typing import Any

from track.persistence.protocol import (
    CHANGES,
    DEFAULT_CHRONO,
    QUESTIONS,
    AggregatorFactory,
    MetricsSink,
    Protocol,
    Query,
)
from track.structure import Project, Trial, TrialGroup


class ProtocolMultiplexer(Protocol):
    """Passes every change to several backends; the first one answers queries.

    The first backend also makes the decisions (the revision of a new trial, the trial that a query
    finds), and the others follow. Exceptions of any backend are raised.

    Parameters
    ----------
    backends
        the backends, at least one
    """

    def __init__(self, *backends: Protocol) -> None:
        if not backends:
            raise ValueError("a multiplexer needs at least one backend")
        super().__init__()
        self.backends = backends

    def when_idle(self, callback: Callable[[], None]) -> None:
        # Each backend waits until it is idle before it asks the next one.
        for backend in self.backends:
            callback = partial(backend.when_idle, callback)
        callback()

    def new_project(self, project: Project) -> Project:
        first, *others = self.backends
        for backend in others:
            backend.new_project(deepcopy(project))
        return first.new_project(project)

    def new_trial_group(self, group: TrialGroup) -> TrialGroup | None:
        first, *others = self.backends
        for backend in others:
            backend.new_trial_group(deepcopy(group))
        return first.new_trial_group(group)

    def new_trial(self, trial: Trial, auto_increment: bool = False) -> Trial | None:
        first, *others = self.backends
        inserted = first.new_trial(trial, auto_increment=auto_increment)
        if inserted is not None:
            for backend in others:
                backend.new_trial(deepcopy(inserted))
        return inserted

    def fetch_and_update_trial(self, query: Query, attr: str, *args: Any, **kwargs: Any) -> Trial:
        first, *others = self.backends
        updated = first.fetch_and_update_trial(query, attr, *args, **kwargs)
        for backend in others:
            backend.fetch_and_update_trial({"uid": updated.uid}, attr, *args, **kwargs)
        return updated

    def fetch_and_update_group(
        self, query: Query, attr: str, *args: Any, **kwargs: Any
    ) -> TrialGroup:
        first, *others = self.backends
        updated = first.fetch_and_update_group(query, attr, *args, **kwargs)
        for backend in others:
            backend.fetch_and_update_group({"uid": updated.uid}, attr, *args, **kwargs)
        return updated

    def metrics_sink(self, trial: Trial) -> MetricsSink:
        first, *others = self.backends
        reference = _reference(trial)
        sinks = [first.metrics_sink(trial), *(other.metrics_sink(reference) for other in others)]

        def sink(step: Any, aggregator: AggregatorFactory | None, values: dict[str, Any]) -> None:
            for each in sinks:
                each(step, aggregator, values)

        return sink

    def log_trial_chrono_start(
        self,
        trial: Trial,
        name: str,
        aggregator: AggregatorFactory = DEFAULT_CHRONO,
        start_callback: Callable[[], Any] | None = None,
        end_callback: Callable[[], Any] | None = None,
    ) -> None:
        first, *others = self.backends
        for backend in others:  # without the callbacks, which must be called only once
            backend.log_trial_chrono_start(_reference(trial), name, aggregator)
        first.log_trial_chrono_start(trial, name, aggregator, start_callback, end_callback)


def _to_all(name: str) -> Callable[..., Any]:
    """Make a method that passes a change to every backend."""

    @wraps(getattr(Protocol, name))
    def change(self: ProtocolMultiplexer, *args: Any, **kwargs: Any) -> Any:
        first, *others = self.backends
        result = getattr(first, name)(*args, **kwargs)
        # A change is also applied to the given objects, which must happen only once.
        args = tuple(map(_reference, args))
        kwargs = {key: _reference(value) for key, value in kwargs.items()}
        for backend in others:
            getattr(backend, name)(*args, **kwargs)
        return result

    return change


def _to_first(name: str) -> Callable[..., Any]:
    """Make a method that calls only the first backend."""

    @wraps(getattr(Protocol, name))
    def ask(self: ProtocolMultiplexer, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.backends[0], name)(*args, **kwargs)

    return ask


def _reference(value: Any) -> Any:
    """Return a copy of an object with nothing but its identity."""
    if isinstance(value, Trial):
        return Trial(_hash=value.hash, revision=value.revision)
    if isinstance(value, TrialGroup):
        return TrialGroup(_uid=value.uid)
    if isinstance(value, Project):
        return Project(name=value.uid)
    return value


for _name in (*CHANGES, "close", "forgive_failed_writes"):
    if _name not in vars(ProtocolMultiplexer):
        setattr(ProtocolMultiplexer, _name, _to_all(_name))
for _name in QUESTIONS:
    setattr(ProtocolMultiplexer, _name, _to_first(_name))
