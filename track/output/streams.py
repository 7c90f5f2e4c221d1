"""Capture output to ``sys.stdout`` and ``sys.stderr`` where these are not file descriptors."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from track.output.lines import Lines
from track.utils.out import OutputDecorator

_DRAINED_S, _REPORTED_S = 0.2, 0.6
"""How often output is split into lines, and how often these are delivered."""

_STREAMS = {1: "stdout", 2: "stderr"}


class StreamTap:
    """Replaces the two streams of Python, and delivers everything written to them as lines.

    Parameters
    ----------
    limit
        see :class:`~track.output.lines.Lines`
    deliver
        called in a thread with some lines
    """

    def __init__(self, limit: int, deliver: Callable[[list[list[Any]]], None]) -> None:
        self._deliver = deliver
        self._lines = Lines(limit, time.time_ns())
        # Appending to a deque is atomic, so writers need no lock.
        self._written: deque[tuple[int, int, str]] = deque()
        self._delivering = threading.Lock()
        self._stop = threading.Event()
        self._decorators: dict[str, OutputDecorator] = {}
        for source, name in _STREAMS.items():
            stream = getattr(sys, name)
            if stream is not None:
                self._decorators[name] = OutputDecorator(stream, partial(self._keep, source))
                setattr(sys, name, self._decorators[name])
        self._thread = threading.Thread(target=self._run, name="track-output", daemon=True)
        self._thread.start()

    def _keep(self, source: int, text: str) -> None:
        self._written.append((time.time_ns(), source, text))

    def _run(self) -> None:
        due = time.monotonic() + _REPORTED_S
        while not self._stop.wait(_DRAINED_S):
            is_due = time.monotonic() >= due
            if self._written or is_due:
                self._report(is_due=is_due)
            if is_due:
                due = time.monotonic() + _REPORTED_S

    def _report(self, *, is_due: bool = True, is_last: bool = False) -> None:
        with self._delivering:
            while self._written:
                at, source, text = self._written.popleft()
                self._lines.feed(source, text.encode("utf-8", "backslashreplace"), at)
            if is_due and (lines := self._lines.take(time.time_ns(), is_last=is_last)):
                self._deliver(lines)

    def flush(self, timeout_s: float) -> None:
        """Deliver the output so far, unless that takes too long."""
        # A signal handler may interrupt this very code in the same thread.
        flushing = threading.Thread(target=self._report, name="track-output", daemon=True)
        flushing.start()
        flushing.join(timeout_s)

    def end(self, timeout_s: float) -> None:
        """Restore the streams unless they were replaced again, and deliver the remaining output."""
        for name, decorator in self._decorators.items():
            if getattr(sys, name) is decorator:
                setattr(sys, name, decorator.stream)
        self._stop.set()
        self._thread.join(timeout_s)
        self._report(is_last=True)

    def renew_after_fork(self) -> None:
        """Leave the streams of a child alone."""
        for name, decorator in self._decorators.items():
            if getattr(sys, name) is decorator:
                setattr(sys, name, decorator.stream)
