"""What a training script logs through: one trial, and everything that happens to it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from track.errors import TrackError
from track.persistence.protocol import DEFAULT_CHRONO, AggregatorFactory, MetricsSink, Protocol
from track.structure import AnyStatus, Status, Trial
from track.utils.signal import SignalHandler
from track.utils.stat import StatStream
from track.versioning import executed_file

if TYPE_CHECKING:
    from types import TracebackType

    from track.utils.eta import EstimatedTime
    from track.utils.out import RingOutputDecorator

logger = logging.getLogger(__name__)


class TrialLogger:
    """Unified logger interface. Make one with :class:`~track.client.TrackClient`.

    Parameters
    ----------
    trial
        the trial that the logger modifies
    protocol
        the storage protocol used to persist the log calls
    insertion
        inserts the trial with its arguments, once they are known; None when it is inserted already

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
        self.stdout: RingOutputDecorator | None = None
        self._insertion = insertion
        self._sink: MetricsSink | None = None
        self._running = False
        self.is_over = False
        """Whether the trial was finished here, and not started again since."""
        self._started_in = 0
        self._interrupted = False
        self._signals: LogSignalHandler | None = None
        self._eta: EstimatedTime | None = None
        self._show_eta: Callable[..., Any] | None = None

    def __getattr__(self, name: str) -> Any:
        # Only called for what the logger itself does not have.
        if name.startswith("__") or name == "trial":
            raise AttributeError(name)
        return getattr(self.trial, name)

    def __repr__(self) -> str:
        return f"TrialLogger({self.trial.uid}, {self.trial.status})"

    # The trial itself

    @property
    def is_delayed(self) -> bool:
        """Whether the trial still waits for its arguments."""
        return self._insertion is not None

    def insert(self, parameters: dict[str, Any] | None = None) -> None:
        """Insert the trial if it still waits for its arguments."""
        if self._insertion is not None:
            self._insertion(parameters)
            self._insertion = None

    def log_arguments(self, **kwargs: Any) -> None:
        """Log the trial arguments. This has no effect if the trial was already created.

        The arguments identify a trial, so they cannot change once it exists; what is learnt later
        belongs in :meth:`log_metadata`.

        Parameters
        ----------
        kwargs
            name and value of each argument

        Raises
        ------
        EncodingError
            a value cannot be logged
        """
        if self._insertion is None:
            logger.warning(
                "the arguments %s were not logged: trial %s exists already; use log_metadata",
                ", ".join(kwargs),
                self.trial.uid,
            )
        self.insert(kwargs)

    def add_tags(self, **kwargs: Any) -> None:
        """Add tags to the trial."""
        if self._insertion is None:
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
            what went wrong, kept as text among the errors of the trial
        """
        self.insert()
        self.protocol.set_trial_status(self.trial, status, error)

    # Values

    def log_metrics(
        self, step: Any = None, aggregator: AggregatorFactory | None = None, **kwargs: Any
    ) -> None:
        """Log metric values.

        Parameters
        ----------
        step
            a value representing a training step (an epoch, a time, …); with one a metric is a
            mapping step -> value, without it a list
        aggregator
            how to accumulate the values instead, as ``RingAggregator.lazy(10)``
        kwargs
            name and value of each metric

        Raises
        ------
        EncodingError
            a value cannot be logged; nothing was
        JournalError
            the values could not be recorded
        """
        (self._sink or self._open_sink())(step, aggregator, kwargs)

    def _open_sink(self) -> MetricsSink:
        self.insert()
        self._sink = self.protocol.metrics_sink(self.trial)
        return self._sink

    def log_metadata(self, aggregator: AggregatorFactory | None = None, **kwargs: Any) -> None:
        """Log arbitrary data about the trial.

        Parameters
        ----------
        aggregator
            how to accumulate the values; by default the last one counts
        kwargs
            name and value of each piece

        Raises
        ------
        EncodingError
            a value cannot be logged; nothing was
        """
        self.insert()
        self.protocol.log_trial_metadata(self.trial, aggregator, **kwargs)

    def log_code(self, path: str | os.PathLike[str] | None = None) -> None:
        """Keep the executed file, or another one, as the metadata ``code``.

        Its name, size and SHA-256 are recorded; its content is kept where the backend keeps such.

        Raises
        ------
        TrackError
            the program was not started from a file, or it cannot be read
        """
        from track.persistence.content import file_facts

        source = executed_file() if path is None else os.fspath(path)
        if source is None:
            raise TrackError("there is no executed file to log: name one with log_code(path)")
        self.log_metadata(code=file_facts(source, self.protocol.keep_content))

    def log_file(self, path: str | os.PathLike[str]) -> None:
        """Keep a file as the metadata ``file:<name>``, see :meth:`log_code`."""
        from track.persistence.content import file_facts

        self._log_facts("file", file_facts(os.fspath(path), self.protocol.keep_content))

    def log_directory(self, path: str | os.PathLike[str]) -> None:
        """Keep all files under a folder as the metadata ``directory:<name>``, see :meth:`log_code`.

        The SHA-256 of the folder is that of its files' names and hashes.
        """
        from track.persistence.content import directory_facts

        self._log_facts("directory", directory_facts(os.fspath(path), self.protocol.keep_content))

    def _log_facts(self, kind: str, facts: dict[str, Any]) -> None:
        self.log_metadata(None, **{f"{kind}:{facts['name']}": facts})

    # Times

    def chrono(
        self,
        name: str,
        aggregator: AggregatorFactory = DEFAULT_CHRONO,
        start_callback: Callable[[], Any] | None = None,
        end_callback: Callable[[], Any] | None = None,
    ) -> LoggerChronoContext:
        """Start a timer to measure the time spent in a block.

        Parameters
        ----------
        name
            name of the timer
        aggregator
            how to save the values; by default only their mean, deviation, minimum, maximum and
            count are kept
        start_callback
            function that is called once the timer starts
        end_callback
            function that is called once the timer ends

        Returns
        -------
        A context manager that represents the timer; its ``as`` value holds the statistics of all
        times measured under that name, and is what :meth:`show_eta` takes.
        """
        self.insert()
        acc = self.trial.chronos.get(name)
        if not isinstance(acc, StatStream):
            acc = self.trial.chronos[name] = StatStream(0)
        context = LoggerChronoContext(self.protocol, self.trial, acc, name)
        if aggregator is not DEFAULT_CHRONO or start_callback or end_callback:
            context.kwargs = {
                "aggregator": aggregator,
                "start_callback": start_callback,
                "end_callback": end_callback,
            }
        return context

    def set_eta_total(self, total: int | list[int] | tuple[int, ...]) -> None:
        """Say how many iterations there will be: a number, or one for each nested loop."""
        from track.utils.eta import EstimatedTime

        self._eta = EstimatedTime(StatStream(0), total)
        self._show_eta = None

    def show_eta(
        self,
        step: Any,
        timer: Any,
        msg: str = "",
        throttle: int | None = None,
        every: float | None = None,
    ) -> None:
        """Print the estimated time until the processing is done.

        Parameters
        ----------
        step
            index, from 0, of the iteration that was just completed; one for each nested loop
        timer
            the ``as`` value of the chrono around one iteration
        msg
            printed before it
        throttle
            print only one in so many calls
        every
            print only so often, in seconds

        Raises
        ------
        RuntimeError
            :meth:`set_eta_total` was not called
        """
        if self._eta is None:
            raise RuntimeError("call set_eta_total before show_eta: how much is there to do?")
        if self._show_eta is None:
            from track.utils.throttle import throttled

            self._show_eta = throttled(self._eta.show_eta, throttle, every)
        self._eta.timer = timer
        self._show_eta(step, msg)

    # Output

    def capture_output(self, output_size: int = 50) -> None:
        """Capture the standard output until the trial finishes.

        Parameters
        ----------
        output_size
            how many writes to keep: :attr:`stdout` shows them, and at the end they are logged as
            the metadata ``stdout``
        """
        from track.utils.out import RingOutputDecorator

        self._release_output()
        self.stdout = RingOutputDecorator(sys.stdout, output_size)
        sys.stdout = self.stdout

    def _release_output(self) -> None:
        """Put the standard output back, unless somebody else captures it by now."""
        if self.stdout is not None and sys.stdout is self.stdout:
            sys.stdout = self.stdout.stream
            self.log_metadata(stdout=self.stdout.output())

    # Beginning and end

    def start(self) -> TrialLogger:
        """Start the trial, record the start time and set the status to running.

        From here on an interrupt or a termination of the process is recorded before it takes its
        course, if this is the main thread.
        """
        if self._running:
            return self
        self.insert()
        self._running, self._interrupted, self.is_over = True, False, False
        self._started_in = os.getpid()
        self._signals = LogSignalHandler(self)
        self._signals.install()
        self.protocol.log_trial_start(self.trial)
        self.protocol.set_trial_status(self.trial, Status.Running)
        return self

    def finish(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        """Finish the trial, record the end time and set the status.

        Completed without an exception; Interrupted by a KeyboardInterrupt; else Exception, and its
        type is added to the errors.
        """
        self._running, self.is_over = False, True
        if self._signals is not None:
            self._signals.remove()
            self._signals = None
        self._release_output()
        if self._interrupted and exc_type is not None:
            return  # the exception is how the signal, recorded already, takes its course
        status = _final_status(exc_type, exc_val)
        error = exc_type if status is Status.Exception else None
        self._end(status, error, exc_type, exc_val, exc_tb)

    def interrupt(self) -> None:
        """Record that the trial is being interrupted."""
        self._interrupted = True
        self._end(Status.Interrupted)

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
            return  # a forked child leaves the block of its parent, whose trial goes on
        try:
            self.finish(exc_type, exc_val, exc_tb)
        except (TrackError, OSError) as error:
            if exc_val is None:
                raise
            # The exception of the block matters more than that it could not be recorded.
            logger.warning("the end of trial %s was not recorded: %s", self.trial.uid, error)


def _final_status(exc_type: type[BaseException] | None, exc_val: Any) -> Status:
    if exc_type is None:
        return Status.Completed
    if issubclass(exc_type, KeyboardInterrupt):
        return Status.Interrupted
    if issubclass(exc_type, SystemExit) and not getattr(exc_val, "code", 1):
        return Status.Completed
    return Status.Exception


class LoggerChronoContext:
    """Times a block and records it.

    Parameters
    ----------
    protocol, trial
        where to record it
    acc
        statistics of the times measured here, in seconds; the ``as`` value
    name
        name of the timer
    kwargs
        further arguments of ``Protocol.log_trial_chrono_start``
    """

    __slots__ = ("acc", "kwargs", "name", "protocol", "start", "trial")

    def __init__(
        self,
        protocol: Protocol,
        trial: Trial,
        acc: StatStream | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.protocol = protocol
        self.trial = trial
        self.acc = StatStream(0) if acc is None else acc
        self.name = name or "chrono"
        self.kwargs = kwargs
        self.start = 0.0

    def __enter__(self) -> StatStream:
        self.protocol.log_trial_chrono_start(self.trial, self.name, **self.kwargs)
        self.start = perf_counter()
        return self.acc

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.acc.update(perf_counter() - self.start)
        self.protocol.log_trial_chrono_finish(self.trial, self.name, exc_type, exc_val, exc_tb)


class LogSignalHandler(SignalHandler):
    """Records Interrupted in a running trial, and hands the signal on to whoever had it before.

    Parameters
    ----------
    logger
        the logger of the trial
    """

    def __init__(self, logger: TrialLogger) -> None:
        super().__init__()
        self.logger = logger
        self._waits = False

    def sigint(self, signum: int, frame: Any) -> None:
        self._interrupt(signum, frame)

    def sigterm(self, signum: int, frame: Any) -> None:
        self._interrupt(signum, frame)

    def _interrupt(self, signum: int, frame: Any) -> None:
        if self._waits:  # asked twice: do not keep anybody waiting
            self.hand_on(signum, frame)
        else:
            self._waits = True
            self.logger.protocol.when_idle(partial(self._record, signum, frame))

    def _record(self, signum: int, frame: Any) -> None:
        self._waits = False
        try:
            self.logger.interrupt()
        except (TrackError, OSError) as error:
            logger.warning("the interruption was not recorded: %s", error)
        self.hand_on(signum, frame)

    def atexit(self) -> None:
        """Finish a trial that nobody finished: by the exception that ended the program, if any."""
        exception = getattr(sys, "last_value", None)
        try:
            self.logger.finish(None if exception is None else type(exception), exception)
        except (TrackError, OSError) as error:
            logger.warning("the end of the trial was not recorded: %s", error)
