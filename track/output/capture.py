"""Capture the output of this process for the trials that ask for it."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from track.configuration import choose, number
from track.errors import TrackError
from track.machine.sampler import rank_of_this_process
from track.utils.forking import ForkSafeLock, renew_in_children

if TYPE_CHECKING:
    from track.output.descriptors import DescriptorTap
    from track.output.streams import StreamTap

logger = logging.getLogger(__name__)

LIMIT = 2**24
"""The bytes of output that a process may record at once, and again per day."""

_MOST_IN_AN_EVENT = 2**16
_LONGEST_END_S, _LONGEST_FLUSH_S = 10.0, 2.0
"""How long the end of a trial, and a signal that ends one, wait for the last lines."""

Deliver = Callable[[list[list[Any]]], None]


class _Captures:
    """The trials of this process whose output is captured, through one shared tap."""

    def __init__(self) -> None:
        self._lock = ForkSafeLock(threading.RLock)
        self._tap: DescriptorTap | StreamTap | None = None
        self._listeners: tuple[Deliver, ...] = ()
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        if self._tap is not None:
            self._tap.renew_after_fork()
        self._tap, self._listeners = None, ()

    def add(self, listener: Deliver, limit: int) -> None:
        """Call a function with everything that is printed from now on."""
        with self._lock:
            if self._tap is not None:
                self._tap.flush(_LONGEST_FLUSH_S)  # earlier output is not of this trial
            self._listeners += (listener,)
            if self._tap is None:
                self._tap = self._make_tap(limit)
                atexit.unregister(self._end)
                atexit.register(self._end)

    def _make_tap(self, limit: int) -> DescriptorTap | StreamTap:
        from track.output.descriptors import DescriptorTap, can_capture
        from track.output.streams import StreamTap

        if can_capture():
            try:
                return DescriptorTap(limit, self._deliver)
            except OSError as error:
                logger.warning("the output of child processes is not captured: %s", error)
        return StreamTap(limit, self._deliver)

    def _deliver(self, lines: list[list[Any]]) -> None:
        for listener in self._listeners:
            listener(lines)

    def remove(self, listener: Deliver) -> None:
        """Call the function with the remaining output, and then no more."""
        with self._lock:
            if listener not in self._listeners:
                return  # it belongs to the parent of this process
            if len(self._listeners) == 1:
                self._end()
            elif self._tap is not None:
                self._tap.flush(_LONGEST_END_S)
            self._listeners = tuple(one for one in self._listeners if one != listener)

    def _end(self) -> None:
        if self._tap is not None:
            tap, self._tap = self._tap, None
            tap.end(_LONGEST_END_S)

    def flush(self) -> None:
        """Deliver the output so far; a signal handler may call this at any time."""
        if (tap := self._tap) is not None:
            tap.flush(_LONGEST_FLUSH_S)


_captures = _Captures()


class OutputCapture:
    """Captures the output of this process for one trial, on request.

    Parameters
    ----------
    record
        records lines, given with ``rank=``, see ``Protocol.log_trial_output``
    """

    def __init__(self, record: Callable[..., None]) -> None:
        self._record = record
        self._listener: Deliver | None = None

    def start(self, limit: int | None = None) -> None:
        """Start capturing, up to a limit, by default the option ``output.limit``.

        Raises
        ------
        TrackError
            the limit is not positive
        """
        limit = int(number("output.limit", LIMIT)) if limit is None else limit
        if limit <= 0:
            raise TrackError(f"the output limit is {limit} bytes: give a positive number")
        self.stop()
        self._listener = _Recorder(self._record)
        _captures.add(self._listener, limit)

    def start_if_asked(self) -> None:
        """Start capturing if the option ``output.capture`` is set."""
        if choose("output.capture", "no", "yes") == "yes":
            self.start()

    def flush(self) -> None:
        """Record the output so far."""
        if self._listener is not None:
            _captures.flush()

    def stop(self) -> None:
        """Record the remaining output and stop capturing."""
        if self._listener is not None:
            listener, self._listener = self._listener, None
            _captures.remove(listener)


class _Recorder:
    """Records lines, several in one event, until that fails.

    Parameters
    ----------
    record
        see :class:`OutputCapture`
    """

    def __init__(self, record: Callable[..., None]) -> None:
        self._record = record
        self._rank = rank_of_this_process()
        self._works = True

    def __call__(self, lines: list[list[Any]]) -> None:
        try:
            for part in _parts(lines) if self._works else ():
                self._record(part, rank=self._rank)
        except (TrackError, OSError, NotImplementedError) as error:
            self._works = False  # first, because the next line is output, too
            logger.warning("output is no longer recorded: %s", error)


def _parts(lines: list[list[Any]]) -> Iterator[list[list[Any]]]:
    """Yield lines in parts, each small enough for an event."""
    part: list[list[Any]] = []
    size = 0
    for line in lines:
        part.append(line)
        size += len(line[2]) if isinstance(line[2], str) else 0
        if size >= _MOST_IN_AN_EVENT:
            yield part
            part, size = [], 0
    if part:
        yield part
