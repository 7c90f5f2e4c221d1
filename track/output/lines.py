"""Split output into lines, and keep those that a limit allows.

The program of :mod:`track.output.tee` runs this module without the rest of the package, so it
imports the standard library alone.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Any

DAY_NS = 24 * 3600 * 10**9
"""The time after which the limit is available again."""

MOST_AT_THE_END = 2**16
"""The bytes at the end that are recorded in any case."""

EVERY_NS = 10 * 10**9
"""The time between two records of an unfinished line, and of lines beyond the limit."""

LONGEST = 2**14
"""The longest line in bytes; longer ones are truncated."""

_OVERHEAD = 16
"""The bytes that a line takes besides its text."""

_UP = re.compile(rb"\x1b\[(\d{0,3})[AF]")
_ERASE = b"\x1b[2K"
_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
"""Colours, cursor movements, titles and links of a terminal (ECMA-48)."""


class Lines:
    """Collects lines until they are taken, as many as a limit allows: the first and the last ones.

    A carriage return restarts a line, as in a terminal, so only the last state of a progress bar
    becomes a line. Colours are left out.

    Parameters
    ----------
    limit
        the bytes that may be recorded at once, and again in each day
    now
        the time in nanoseconds
    """

    def __init__(self, limit: int, now: int) -> None:
        self._limit = limit
        self._room: float = limit
        self._refilled = now
        self._taken = now
        self._first: list[tuple[int, int, bytes]] = []
        self._first_size = 0
        self._last: deque[tuple[int, int, bytes]] = deque()
        self._last_size = 0
        self._left_out: tuple[int, int] | None = None
        """The time of the latest line left out in the middle, and the number of such lines."""
        self._begun: dict[int, bytes] = {}
        """The unfinished line of each source."""
        self._cut: dict[int, int] = {}
        """The bytes that were truncated from these lines."""
        self._told: dict[int, tuple[int, bytes]] = {}
        """The time and the text of the last recorded unfinished line of each source."""

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing left to take, now or later."""
        return not (self._first or self._last or any(self._begun.values()))

    def feed(self, source: int, data: bytes, at: int) -> None:
        """Add output of a source at a time."""
        *ended, rest = data.split(b"\n")
        if ended:
            self._begin(source, ended[0])
            self._end(source, at)
            for line in ended[1:]:
                if len(line) > LONGEST:
                    self._begin(source, line)
                    self._end(source, at)
                else:
                    self._add(at, source, line)
        if rest:
            self._begin(source, rest)

    def _begin(self, source: int, data: bytes) -> None:
        line = self._begun.get(source, b"") + data
        if b"\r" in line:
            shown = line.rstrip(b"\r")
            start = shown.rfind(b"\r") + 1
            if start:
                self._cut.pop(source, None)
            line = line[start:]
        if len(line) > LONGEST:
            self._cut[source] = self._cut.get(source, 0) + len(line) - LONGEST
            line = line[:LONGEST]
        self._begun[source] = line

    def _end(self, source: int, at: int) -> None:
        line = self._begun.pop(source, b"")
        if cut := self._cut.pop(source, 0):
            line = line.rstrip(b"\r") + b" [and %d more bytes]" % cut
        self._add(at, source, line)

    def _add(self, at: int, source: int, line: bytes) -> None:
        if b"\r" in line:
            line = line.rstrip(b"\r")
            line = line[line.rfind(b"\r") + 1 :]
        if b"\x1b" in line:
            for up in _UP.findall(line):
                self._drop_last(source, int(up or 1))
            line = line[max(line.rfind(_ERASE), 0) :]
        size = len(line) + _OVERHEAD
        if not self._last and self._first_size + size <= self._room - MOST_AT_THE_END:
            self._first.append((at, source, line))
            self._first_size += size
            return
        self._last.append((at, source, line))
        self._last_size += size
        while self._last_size > MOST_AT_THE_END and len(self._last) > 1:
            self._leave_out()

    def _drop_last(self, source: int, count: int) -> None:
        """Drop the last lines of a source that are not recorded yet, which it prints again."""
        for _ in range(count):
            for lines in (self._last, self._first):
                if lines and lines[-1][1] == source:
                    size = len(lines.pop()[2]) + _OVERHEAD
                    if lines is self._last:
                        self._last_size -= size
                    else:
                        self._first_size -= size
                    break

    def _leave_out(self) -> None:
        at, _, line = self._last.popleft()
        self._last_size -= len(line) + _OVERHEAD
        self._left_out = at, 1 + (self._left_out[1] if self._left_out else 0)

    def take(self, now: int, *, is_last: bool = False) -> list[list[Any]]:
        """Return the lines to record now, as ``[time, source, text]``; often there are none.

        Parameters
        ----------
        now
            the time in nanoseconds
        is_last
            whether this is the last call
        """
        self._room += self._limit * max(now - self._refilled, 0) / DAY_NS
        self._room, self._refilled = min(self._room, self._limit), now
        room = self._room - self._first_size
        if is_last:
            room = max(room, MOST_AT_THE_END)
        elif self._last_size > room and now - self._taken < EVERY_NS:
            return []
        while self._last and self._last_size > room:
            self._leave_out()
        taken = [[at, source, _text(line) + "\n"] for at, source, line in self._first]
        if self._left_out:
            taken.append([self._left_out[0], 0, self._left_out[1]])
        taken += [[at, source, _text(line) + "\n"] for at, source, line in self._last]
        self._room = max(self._room - self._first_size - self._last_size, 0)
        self._first, self._last = [], deque()
        self._first_size = self._last_size = 0
        self._left_out = None
        if taken:
            self._taken = now
        return taken + self._unfinished(now, is_last=is_last)

    def _unfinished(self, now: int, *, is_last: bool) -> list[list[Any]]:
        """Return the unfinished lines that changed and were not recorded recently."""
        found: list[list[Any]] = []
        for source, line in self._begun.items():
            at, told = self._told.get(source, (0, b""))
            if line and line != told and (is_last or now - at >= EVERY_NS):
                self._told[source] = now, line
                self._room = max(self._room - len(line) - _OVERHEAD, 0)
                found.append([now, source, _text(line.rstrip(b"\r"))])
        return found


def _text(line: bytes) -> str:
    if b"\x1b" in line:
        line = _ESCAPES.sub(b"", line)
    return line.decode("utf-8", "backslashreplace")
