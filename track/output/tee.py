"""A helper process that forwards output and reports it as lines.

It outlives the process whose output it reads, so the last output reaches the terminal even if that
process was killed, and it depends on nothing in that process, which may be busy or stopped. It runs
without the rest of the package, see :mod:`track.output.descriptors`, to which it sends messages:
four bytes of length, and a pair in the format of ``marshal``. The pair is the number of completed
commands, and lines as in :class:`track.events.types.OutputCaptured`.
"""

from __future__ import annotations

import errno
import fcntl
import marshal
import os
import select
import struct
import termios
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from track.output.lines import Lines

FLUSH, END = b"F", b"E"
"""The commands: report the output so far; stop reporting, but keep forwarding."""

TICK_S = 0.5
"""The time after which printed lines are reported."""

LENGTH = struct.Struct("<I")
"""The length of a message, with which it begins."""

_CONTROL = 0
"""The descriptor of the commands."""

_CHUNK = 2**16
_MOST_AT_ONCE = 2**20
"""The most bytes of a source that are read before other sources have their turn."""

_ROOM = struct.Struct("HHHH")
"""The size of a terminal."""


class Tee:
    """Copies each source to its target.

    Parameters
    ----------
    lines
        collects what is copied
    reports
        the descriptor of the messages
    sources
        for each descriptor to read: the number of the source, and the descriptor to write to
    """

    def __init__(self, lines: Lines, reports: int, sources: dict[int, tuple[int, int]]) -> None:
        self._lines: Lines | None = lines
        self._reports = reports
        self._sources = sources
        self._done = 0
        self._unsent = b""
        self._poll = select.poll()
        self._due = 0.0
        self._terminals = [fd for fd, (_, target) in sources.items() if os.isatty(target)]
        os.set_blocking(reports, False)
        for fd in (_CONTROL, *sources):
            os.set_blocking(fd, False)
            self._poll.register(fd, select.POLLIN)

    def run(self) -> None:
        """Copy until no process can print or request a report any more."""
        while self._sources or self._lines is not None:
            wait_ms = None
            if self._terminals or (self._lines is not None and not self._lines.is_empty):
                wait_ms = 1000 * TICK_S
            for fd, _ in self._poll.poll(wait_ms):
                if fd in self._sources:
                    self._copy(fd)
                elif fd == _CONTROL:
                    self._obey()
                else:
                    self._send()
            for fd in self._terminals:
                copy_size(self._sources[fd][1], fd)
            if time.monotonic() >= self._due:
                self._due = time.monotonic() + TICK_S
                self._report()

    def _copy(self, fd: int) -> None:
        """Copy everything that can be read without waiting."""
        source, target = self._sources[fd]
        size = 0
        while size < _MOST_AT_ONCE:
            try:
                data = os.read(fd, _CHUNK)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.EIO:  # a terminal that no process writes to
                    raise
                data = b""
            if not data:
                self._poll.unregister(fd)
                del self._sources[fd]
                if fd in self._terminals:
                    self._terminals.remove(fd)
                return
            size += len(data)
            write_all(target, data)
            if self._lines is not None:
                self._lines.feed(source, data, time.time_ns())

    def _obey(self) -> None:
        commands = os.read(_CONTROL, _CHUNK)
        for fd in [*self._sources]:
            self._copy(fd)
        self._done += len(commands)
        if not commands or END in commands:
            self._report(is_last=True)
            self._poll.unregister(_CONTROL)
            self._stop_reporting()
        else:
            self._report()

    def _report(self, *, is_last: bool = False) -> None:
        """Send a message if there is something to report and the last one was read."""
        if self._lines is None:
            return
        if is_last:
            os.set_blocking(self._reports, True)  # the other end waits for it
            self._send()
        if self._unsent or self._lines is None:
            return
        lines = self._lines.take(time.time_ns(), is_last=is_last)
        if lines or self._done:
            message = marshal.dumps((self._done, lines))
            self._unsent, self._done = LENGTH.pack(len(message)) + message, 0
            self._poll.register(self._reports, select.POLLOUT)
            self._send()

    def _send(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._reports, self._unsent) :]
        except BlockingIOError:
            return
        except OSError:  # the other process has died
            self._stop_reporting()
            return
        with suppress(KeyError):
            self._poll.unregister(self._reports)

    def _stop_reporting(self) -> None:
        if self._lines is not None:
            self._lines, self._unsent = None, b""
            with suppress(KeyError):
                self._poll.unregister(self._reports)
            os.close(self._reports)


def write_all(fd: int, data: bytes) -> None:
    """Write data to a descriptor, waiting while it accepts no more."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # noqa: PERF203 - each write may block
            select.select([], [fd], [])


def copy_size(terminal: int, fd: int) -> None:
    """Set the size of a pseudo terminal to that of a terminal."""
    with suppress(OSError):
        sizes = [
            fcntl.ioctl(each, termios.TIOCGWINSZ, bytes(_ROOM.size)) for each in (terminal, fd)
        ]
        if sizes[0] != sizes[1]:
            fcntl.ioctl(fd, termios.TIOCSWINSZ, sizes[0])


def main(make_lines: type[Lines], arguments: list[str]) -> None:
    """Run the helper; the arguments are the limit, the message descriptor and three per source."""
    limit, reports, *rest = map(int, arguments)
    triples = zip(*[iter(rest)] * 3, strict=True)
    sources = {fd: (source, target) for fd, source, target in triples}
    # If a target cannot be written, the process that prints should meet that itself, as it would
    # have without this program. It does once this program has ended.
    with suppress(OSError):
        Tee(make_lines(limit, time.time_ns()), reports, sources).run()
