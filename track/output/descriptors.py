"""Capture the output of a process and its children to the file descriptors 1 and 2."""

from __future__ import annotations

import fcntl
import logging
import marshal
import os
import select
import subprocess
import sys
import threading
import tty
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from track.output.tee import END, FLUSH, LENGTH, copy_size, write_all

logger = logging.getLogger(__name__)

PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from lines import Lines; from tee import main; main(Lines, sys.argv[2:])"
)
"""Runs the modules of this folder without importing the package."""

_STDOUT, _STDERR = 1, 2
_BOTH = 0
_CHUNK = 2**16
_PIPE = 2**20


class _Source(NamedTuple):
    """A pipe or pseudo terminal that replaces one or both descriptors."""

    number: int
    descriptors: tuple[int, ...]
    read: int
    write: int
    identity: tuple[int, int]


class DescriptorTap:
    """Replaces the descriptors 1 and 2, and delivers everything written to them as lines.

    A helper process forwards everything to the original destination, see :mod:`track.output.tee`.
    A terminal is replaced by a pseudo terminal, so that programs still find one. If both
    descriptors are the same terminal or file, one source replaces both, which keeps their order.

    Parameters
    ----------
    limit
        see :class:`~track.output.lines.Lines`
    deliver
        called in a thread with some lines

    Raises
    ------
    OSError
        the helper process cannot be started
    """

    def __init__(self, limit: int, deliver: Callable[[list[list[Any]]], None]) -> None:
        self._deliver = deliver
        self._waiting: deque[threading.Event] = deque()
        """Events that are set, one by one, when a command is completed."""
        self._ended = threading.Event()
        """Set when the helper process has completed the command to end."""
        self._passed_on = threading.Event()
        """Set once the output that a killed helper process had not forwarded is forwarded."""
        _flush_streams()
        self._saved = {fd: os.dup(fd) for fd in (_STDOUT, _STDERR)}
        self._sources = _sources()
        self._reports, reports = os.pipe()
        control, self._control = os.pipe()
        try:
            self._process = self._start_program(limit, control, reports)
        except OSError:
            self._close(self._control, self._reports, *(one.write for one in self._sources))
            self._close(*(one.read for one in self._sources), *self._saved.values())
            raise
        finally:
            self._close(control, reports)
        for source in self._sources:
            for fd in source.descriptors:
                os.dup2(source.write, fd)
            os.close(source.write)
        self._thread = threading.Thread(target=self._run, name="track-output", daemon=True)
        self._thread.start()

    def _start_program(self, limit: int, control: int, reports: int) -> subprocess.Popen[bytes]:
        numbers = [(one.read, one.number, one.descriptors[0]) for one in self._sources]
        arguments = [limit, reports, *(number for each in numbers for number in each)]
        # In a separate session, so that a Ctrl-C of the terminal does not end it.
        return subprocess.Popen(  # noqa: S603 - this interpreter
            [sys.executable, "-I", "-S", "-c", PROGRAM, os.path.dirname(__file__)]
            + [str(number) for number in arguments],
            stdin=control,
            stdout=self._saved[_STDOUT],
            stderr=self._saved[_STDERR],
            pass_fds=[reports, *(source.read for source in self._sources)],
            start_new_session=True,
        )

    def _run(self) -> None:
        while (message := self._next_message()) is not None:
            done, lines = message
            if lines:
                self._deliver(lines)
            for _ in range(min(done, len(self._waiting))):
                self._waiting.popleft().set()
        if not self._ended.is_set():
            self._restore()
            self._pass_on(wait_ms=0)
            logger.warning("output is no longer captured: the process that forwarded it has ended")
            self._passed_on.set()
            while self._waiting:
                self._waiting.popleft().set()
            self._pass_on(wait_ms=None)
        self._process.wait()
        self._close(self._reports, *self._saved.values())

    def _next_message(self) -> Any:
        length = self._read(LENGTH.size)
        return length and marshal.loads(self._read(LENGTH.unpack(length)[0]) or b"N")  # noqa: S302 - of our own program

    def _read(self, size: int) -> bytes | None:
        """Read some bytes of the messages, None at their end."""
        data = b""
        while len(data) < size:
            with suppress(InterruptedError):
                more = os.read(self._reports, size - len(data))
                if not more:
                    return None
                data += more
        return data

    def _pass_on(self, wait_ms: int | None) -> None:
        """Do the work of a killed helper process, so that child processes can continue."""
        targets = {one.read: self._saved[one.descriptors[0]] for one in self._sources}
        poll = select.poll()
        for fd in targets:
            poll.register(fd, select.POLLIN)
        with suppress(OSError):  # the end of a terminal, or no process reads the output
            while targets and (ready := poll.poll(wait_ms)):
                for fd, _ in ready:
                    if data := os.read(fd, _CHUNK):
                        write_all(targets[fd], data)
                    else:
                        poll.unregister(fd)
                        del targets[fd]

    def flush(self, timeout_s: float) -> None:
        """Deliver the output so far, unless that takes too long."""
        _flush_streams()
        self._command(FLUSH, threading.Event(), timeout_s)

    def end(self, timeout_s: float) -> None:
        """Restore the descriptors unless they were replaced again, and deliver what remains."""
        _flush_streams()
        self._restore()
        self._command(END, self._ended, timeout_s)
        self._close(self._control, *(source.read for source in self._sources))

    def _restore(self) -> None:
        for source in self._sources:
            for fd in source.descriptors:
                with suppress(OSError):
                    if _identity(fd) == source.identity:
                        os.dup2(self._saved[fd], fd)

    def _command(self, command: bytes, done: threading.Event, timeout_s: float) -> None:
        self._waiting.append(done)
        try:
            os.write(self._control, command)
        except OSError:  # the program was killed
            done = self._passed_on
        done.wait(timeout_s)

    def renew_after_fork(self) -> None:
        """Close the parent's descriptors; the output of a child is part of its parent's output."""
        self._process.returncode = 0  # it is not a child of this process
        self._close(self._control, self._reports, *self._saved.values())
        self._close(*(source.read for source in self._sources))

    def _close(self, *descriptors: int) -> None:
        for fd in descriptors:
            with suppress(OSError):
                os.close(fd)


def can_capture() -> bool:
    """Return whether Python prints to the descriptors 1 and 2, and not to a notebook or a test."""
    if not sys.executable or getattr(sys, "frozen", False):
        return False
    try:
        written = [stream.buffer.fileno() for stream in (sys.stdout, sys.stderr)]
        return written == [_STDOUT, _STDERR] and all(map(os.fstat, written))
    except (AttributeError, OSError, ValueError):
        return False


def _sources() -> list[_Source]:
    numbers: list[tuple[int, tuple[int, ...]]] = [(1, (_STDOUT,)), (2, (_STDERR,))]
    if _identity(_STDOUT) == _identity(_STDERR):
        numbers = [(_BOTH, (_STDOUT, _STDERR))]
    sources = []
    for number, descriptors in numbers:
        if os.isatty(descriptors[0]):
            read, write = os.openpty()
            tty.setraw(write)  # leaves the output unchanged
            copy_size(descriptors[0], write)
        else:
            read, write = os.pipe()
            with suppress(OSError):  # the default serves as well, but is full sooner
                fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE)
        sources.append(_Source(number, descriptors, read, write, _identity(write)))
    return sources


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def _flush_streams() -> None:
    """Flush the buffers of Python and the C library."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
    with suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).fflush(None)
