"""Handle the signals and exceptions that may end a running trial."""

from __future__ import annotations

import signal
import sys
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from types import FrameType, TracebackType
from typing import Any

from track.errors import NotRecordedWarning, TrackError, warn
from track.persistence.protocol import ChronoSink, Protocol
from track.structure import Status
from track.utils.signal import SignalHandler
from track.utils.stat import StatStream


def final_status(exc_type: type[BaseException] | None, exc_val: Any) -> Status:
    """Return the status of a trial that ended, with or without an exception."""
    if exc_type is None:
        return Status.Completed
    if issubclass(exc_type, KeyboardInterrupt):
        return Status.Interrupted
    if issubclass(exc_type, SystemExit) and not getattr(exc_val, "code", 1):
        return Status.Completed
    return Status.Exception


class LoggerChronoContext:
    """A context manager that times a block and records the time; it is reentrant.

    Parameters
    ----------
    sink
        where to record the times
    name
        the name of the timer
    acc
        statistics of the times measured here, in seconds; the ``as`` value
    """

    __slots__ = ("_finish", "_running", "_start", "acc", "name")

    def __init__(self, sink: ChronoSink, name: str, acc: StatStream) -> None:
        self._start, self._finish = sink
        self._running: Any = None
        """The time of entry and the previous value of this attribute; None outside the block."""
        self.name = name
        self.acc = acc

    def __enter__(self) -> StatStream:
        self._start(self.name)
        self._running = perf_counter(), self._running
        return self.acc

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        now = perf_counter()
        entered, self._running = self._running
        self.acc.update(now - entered)
        self._finish(self.name, now - entered, exc_type, exc_val, exc_tb)


def _exception_of(signum: int, frame: FrameType | None) -> BaseException:
    """Return an exception that names the signal and holds the traceback of the program."""
    traceback = None
    while frame is not None:
        traceback = TracebackType(traceback, frame, frame.f_lasti, frame.f_lineno or 0)
        frame = frame.f_back
    return KeyboardInterrupt(signal.Signals(signum).name).with_traceback(traceback)


class _Logger(typing.Protocol):
    protocol: Protocol

    def interrupt(self, exc_val: BaseException | None = None) -> None: ...

    def finish(self, exc_type: Any = None, exc_val: Any = None) -> None: ...


class LogSignalHandler(SignalHandler):
    """Records a running trial as Interrupted, and passes the signal to the previous handler.

    Parameters
    ----------
    logger
        the logger of the trial
    """

    def __init__(self, logger: _Logger) -> None:
        super().__init__()
        self.logger = logger
        self._waits = False
        self._held: list[Callable[[], None]] | None = None
        """The signal that arrived while recording was deferred."""

    @contextmanager
    def holding_back(self) -> Iterator[None]:
        """Defer recording to the end of a block, in which the trial is incomplete."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            for record in held:
                record()

    def sigint(self, signum: int, frame: Any) -> None:
        self._interrupt(signum, frame)

    def sigterm(self, signum: int, frame: Any) -> None:
        self._interrupt(signum, frame)

    def _interrupt(self, signum: int, frame: Any) -> None:
        if self._waits:  # the second signal takes effect at once
            self.hand_on(signum, frame)
        else:
            self._waits = True
            self.logger.protocol.when_idle(partial(self._record, signum, frame))

    def _record(self, signum: int, frame: Any) -> None:
        if self._held is not None:
            self._held.append(partial(self._record, signum, frame))
            return
        self._waits = False
        try:
            self.logger.interrupt(_exception_of(signum, frame))
        except (TrackError, OSError) as error:
            warn(f"the interruption was not recorded: {error}", NotRecordedWarning)
        finally:
            self.hand_on(signum, frame)

    def atexit(self) -> None:
        """Finish an unfinished trial with the exception that ended the program, if any."""
        exception = getattr(sys, "last_value", None)
        try:
            self.logger.finish(None if exception is None else type(exception), exception)
        except (TrackError, OSError) as error:
            warn(f"the end of the trial was not recorded: {error}", NotRecordedWarning)
