"""Define the logger of one trial, through which a training script logs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from copy import copy
from time import perf_counter
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from track.calls import check_free, read_arguments, values_of, with_attributes_of
from track.errors import NotRecordedWarning, TrackError, warn
from track.loggable import log_each
from track.persistence.protocol import AggregatorFactory, MetricsSink, Protocol
from track.projections.report import dumps
from track.recording.artifacts import ArtifactLogger
from track.recording.existing import existing_trial
from track.recording.files import FileLogger
from track.recording.media import MediaLogger
from track.recording.notices import NoticeLogger
from track.recording.process import ProcessLogger
from track.recording.running import LoggerChronoContext as LoggerChronoContext  # noqa: PLC0414 - is public here
from track.recording.running import LogSignalHandler, final_status
from track.recording.timing import BlockTimer
from track.serialization import to_json
from track.structure import AnyStatus, Status, Trial, canonical

if TYPE_CHECKING:
    from types import TracebackType


_waiting: WeakSet[TrialLogger] = WeakSet()
"""The loggers that were started before their trial was inserted."""


def _insert_waiting() -> None:
    """Insert running trials before a fork, so that the children log to the same trials."""
    for waiting in list(_waiting):
        if waiting.is_running:
            waiting.insert()


os.register_at_fork(before=_insert_waiting)


@with_attributes_of(Trial)
class TrialLogger(ArtifactLogger, MediaLogger, FileLogger, NoticeLogger, ProcessLogger, BlockTimer):
    """A logger of one trial; :class:`~track.client.TrackClient` creates it.

    Parameters
    ----------
    trial
        the trial that the logger modifies
    protocol
        the storage protocol used to persist the log calls
    insertion
        inserts the trial once its arguments are known; None if it is inserted already

    Notes
    -----
    The attributes of the trial (``uid``, ``status``, …) are attributes of its logger.
    """

    def __init__(
        self,
        trial: Trial,
        protocol: Protocol,
        insertion: Callable[[dict[str, Any] | None], None] | None = None,
    ) -> None:
        self.trial = trial
        self.protocol = protocol
        self._insertion = insertion
        self._start: float | None = None
        """The start of the trial until it is recorded."""
        self._sink: MetricsSink | None = None
        self._running = False
        self.is_over = False
        """Whether the trial was finished here and not started again."""
        self._started_in = 0
        self._interrupted = False
        self._signals: LogSignalHandler | None = None
        ProcessLogger.__init__(self, trial, protocol)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return an attribute of the trial."""

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if hasattr(self, name)]

    def __getstate__(self) -> dict[str, Any]:
        # A copy logs to the same trial, so it must exist; only the original finishes it.
        self.insert()
        trial = copy(self.trial)
        trial.metrics, trial.chronos = {}, {}
        return {"trial": trial, "protocol": self.protocol, "is_over": self.is_over}

    def __setstate__(self, state: dict[str, Any]) -> None:
        TrialLogger.__init__(self, state["trial"], state["protocol"])
        self.is_over = state["is_over"]

    def __repr__(self) -> str:
        return f"TrialLogger({self.trial.uid}, {self.trial.status})"

    # The trial itself

    @property
    def is_delayed(self) -> bool:
        """Return whether the trial still waits for its arguments."""
        return self._insertion is not None

    @property
    def is_running(self) -> bool:
        """Return whether this process started the trial and has not finished it."""
        return self._running and self._started_in == os.getpid()

    def insert(self, parameters: dict[str, Any] | None = None) -> None:
        """Insert the trial if it still waits for its arguments, and record its start if any."""
        if self._insertion is None and self._start is None:
            return
        with self._signals.holding_back() if self._signals else nullcontext():
            late = self._insertion is not None
            if self._insertion is not None:
                self._insertion(parameters)
                self._insertion = None
            if self._start is not None:
                if late:
                    self.protocol.log_late_start(self.trial, perf_counter() - self._start)
                else:
                    self.protocol.log_trial_start(self.trial)
                self._start = None
                _waiting.discard(self)
                self.protocol.set_trial_status(self.trial, Status.Running)
                self._start_requested()

    def may_be(self, given: dict[str, Any]) -> bool:
        """Return whether the trial is the described one, or can still become it."""
        trial = self.trial
        known = {"name": trial.name, "version": trial.version, "parameters": trial.parameters}
        return all(
            canonical(known[name]) == canonical(value) or (self.is_delayed and not known[name])
            for name, value in given.items()
            if name in known
        )

    def complete(self, given: dict[str, Any]) -> None:
        """Complete the description of a trial that still waits for its arguments."""
        for name, value in given.items():
            said = getattr(self.trial, name)
            if name != "parameters":
                setattr(self.trial, name, {**said, **value} if isinstance(said, dict) else value)
        if given.get("parameters") is not None:
            self.insert(dict(given["parameters"]))

    def log_arguments(self, args: Any = None, /, **kwargs: Any) -> None:
        """Log the trial arguments. This has no effect if the trial was already created.

        The arguments identify a trial, so they cannot change once it exists; use
        :meth:`log_metadata` for later facts.

        Parameters
        ----------
        args
            an ArgumentParser, a Namespace or a dictionary of arguments
        kwargs
            name and value of each argument

        Raises
        ------
        EncodingError
            a value cannot be logged
        """
        if args is not None:
            kwargs = values_of("log_arguments", read_arguments(args)[1], kwargs)
        if self._insertion is not None:
            self.insert(kwargs)
            return
        known = self.trial.parameters
        late = [name for name in kwargs if canonical(kwargs[name]) != canonical(known.get(name))]
        if late:
            warn(
                f"the arguments {', '.join(late)} were not logged, because arguments identify a "
                "trial and this one already exists: log arguments before any value, use new_trial "
                "for another trial, or log_metadata for later facts",
                NotRecordedWarning,
            )

    def add_tags(self, *args: Any, **kwargs: Any) -> None:
        """Add tags to the trial.

        Parameters
        ----------
        args
            tags without a value, or dictionaries of tags
        kwargs
            name and value of each tag
        """
        for given in args:
            tags = {given: None} if isinstance(given, str) else given
            kwargs = values_of("add_tags", tags, kwargs)
        if self._insertion is None:
            check_free("add_tags", kwargs, ("self", "trial"))
            self.protocol.add_trial_tags(self.trial, **kwargs)
        if isinstance(self.trial.tags, dict):
            self.trial.tags.update(kwargs)

    def set_status(self, status: AnyStatus, error: Any = None) -> None:
        """Change the status of the trial.

        Parameters
        ----------
        status
            a :class:`~track.structure.Status` or :class:`~track.structure.CustomStatus`
        error
            the cause, added as text to the errors of the trial
        """
        self.insert()
        self.protocol.set_trial_status(self.trial, status, error)

    # Values

    def log_metrics(
        self,
        values: Any = None,
        how: AggregatorFactory | None = None,
        /,
        step: Any = None,
        aggregator: AggregatorFactory | None = None,
        **kwargs: Any,
    ) -> None:
        """Log metric values.

        Parameters
        ----------
        values, how
            a dictionary of metrics; or step and aggregator as positional arguments
        step
            the training step (an epoch, a time, …); with steps a metric is a mapping
            step -> value, without them a list
        aggregator
            how to accumulate the values instead, for example ``RingAggregator.lazy(10)``
        kwargs
            name and value of each metric

        Raises
        ------
        EncodingError
            a value cannot be logged; nothing was logged
        JournalError
            the values could not be recorded
        """
        if values is not None or how is not None:
            aggregator = how if aggregator is None else aggregator
            if isinstance(values, Mapping) or not kwargs:
                kwargs = values_of("log_metrics", values, kwargs)
            elif step is None:
                step = values
        (self._sink or self._open_sink())(step, aggregator, kwargs)

    def log(
        self,
        values: Mapping[Any, Any],
        step: Any = None,
        *,
        aggregator: AggregatorFactory | None = None,
    ) -> None:
        """Log all metrics that can be logged, see :func:`track.loggable.loggable`.

        Parameters
        ----------
        values
            the values by name; the names of nested mappings are joined by ``/``. Media of
            ``track.media``, and lists of them, are logged beside the metrics
        step, aggregator
            as for :meth:`log_metrics`

        Raises
        ------
        EncodingError
            some values cannot be logged; the others were. With ``log.on_error = warn`` this is a
            :class:`~track.errors.NotRecordedWarning`
        JournalError
            the values could not be recorded
        """
        log_each(self._sink or self._open_sink(), self.log_media, values, step, aggregator)

    def _open_sink(self) -> MetricsSink:
        self.insert()
        self._sink = self.protocol.metrics_sink(self.trial)
        return self._sink

    def log_metadata(
        self, values: Any = None, /, aggregator: AggregatorFactory | None = None, **kwargs: Any
    ) -> None:
        """Log arbitrary data about the trial.

        Parameters
        ----------
        values
            a dictionary of data; or the aggregator as a positional argument
        aggregator
            how to accumulate the values; by default the last one is kept
        kwargs
            name and value of each item

        Raises
        ------
        EncodingError
            a value cannot be logged; nothing was logged
        """
        if isinstance(values, Mapping) or not (values is None or kwargs):
            kwargs = values_of("log_metadata", values, kwargs)
        elif aggregator is None:
            aggregator = values
        check_free("log_metadata", kwargs, ("self", "trial", "aggregator"))
        self.insert()
        self.protocol.log_trial_metadata(self.trial, aggregator, **kwargs)

    # Beginning and end

    def start(self) -> TrialLogger:
        """Start the trial, record the start time and set the status to running.

        A trial that still waits for its arguments is recorded, with its start time, when they are
        known or the first value is logged.

        If this is the main thread, an interrupt or a termination of the process is recorded from
        now on, and then takes its usual effect.
        """
        if self._running:
            return self
        self._running, self._interrupted, self.is_over = True, False, False
        self._started_in, self._start = os.getpid(), perf_counter()
        self._signals = LogSignalHandler(self)
        self._signals.install()
        if self._insertion is None:
            self.insert()
        else:
            self.trial.status = Status.Running
            _waiting.add(self)
        return self

    def report(self, short: bool = True) -> None:
        """Print a digest of what was logged.

        Parameters
        ----------
        short
            omit details that only programs need
        """
        trial = self.trial if self.is_delayed else existing_trial(self.protocol, self.trial)
        print(dumps(to_json(trial, short), indent=2))  # noqa: T201 - documented to print

    def finish(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        """Finish the trial, record the end time and set the status.

        The status is Completed without an exception, Interrupted after a KeyboardInterrupt, and
        Exception otherwise; the type of the exception is added to the errors.
        """
        self._running, self.is_over = False, True
        if self._signals is not None:
            self._signals.remove()
            self._signals = None
        self._stop_all()
        if self._interrupted and exc_type is not None:
            return  # the exception is the effect of a signal that was recorded already
        status = final_status(exc_type, exc_val)
        error = exc_type if status is Status.Exception else None
        self._end(status, error, exc_type, exc_val, exc_tb)

    def interrupt(self, exc_val: BaseException | None = None) -> None:
        """Record that the trial is interrupted, and the cause."""
        self._interrupted = True
        self._output.flush()  # the signal may end the process
        exc_type = None if exc_val is None else type(exc_val)
        self._end(Status.Interrupted, None, exc_type, exc_val)

    def _end(self, status: Status, error: Any = None, *exc_info: Any) -> None:
        self.insert()
        self.protocol.set_trial_status(self.trial, status, error)
        self.protocol.log_trial_finish(self.trial, *exc_info)

    def __enter__(self) -> TrialLogger:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if self._started_in != os.getpid():
            return  # a forked child left the block of its parent, whose trial continues
        try:
            self.finish(exc_type, exc_val, exc_tb)
        except (TrackError, OSError) as error:
            if exc_val is None:
                raise
            # The exception of the block must not be hidden by this one.
            warn(f"the end of trial {self.trial.uid} was not recorded: {error}", NotRecordedWarning)
