"""Regular expressions of others: a search ends in time, whatever the expression is.

Python's ``re`` tries one way after the other, may need longer than anybody lives, and holds the
lock of the interpreter meanwhile. Other engines have an end, and other ideas of what an expression
means. So this is ``re``, in a process of its own that can be ended: the time and the memory have
limits. Where it is plain that a search is short, it is done here.
"""

from __future__ import annotations

import atexit
import marshal
import math
import re
import sys
import time
from contextlib import suppress
from typing import Any, NamedTuple

from track.utils.forking import renew_in_children

_PLAIN = re.compile(
    r"(?:(?:[^\\.^$*+?{}\[\]()|]|\\[dDwWsSbB]|\\[^\w\s]|[.^$]|\[\^?[^\\\[\]^&|~]+\])[*+?]?)*"
)
"""Characters and classes, each repeated once at most: no groups, no choices."""

_LONGEST_PLAIN = 200
_MOST_WAYS = 10**6


class Expression(NamedTuple):
    """A regular expression of Python's ``re``, which may be wrong: it was not compiled."""

    pattern: str | bytes
    flags: int = 0


def search(expression: Expression, text: str | bytes, within_s: float) -> bool:
    """Return whether an expression is found in a text.

    Raises
    ------
    TypeError
        one of both is bytes, and the other one is not
    ValueError
        the expression is none, or needs too much memory; the message says why
    TimeoutError
        it takes too long
    """
    pattern, flags = expression
    if isinstance(pattern, bytes) is not isinstance(text, bytes):
        raise TypeError("text is searched for in text, and bytes in bytes")
    if is_short(expression, text):
        try:
            return re.search(pattern, text) is not None  # type: ignore[arg-type]  # both are text
        except re.error as error:
            raise ValueError(str(error)) from error
    answer = _search_elsewhere(marshal.dumps((pattern, int(flags), text)), within_s)
    if isinstance(answer, str):
        raise ValueError(answer)  # noqa: TRY004 - of the expression
    return bool(answer)


def is_short(expression: Expression, text: str | bytes) -> bool:
    """Return whether there are so few ways to read a text that all of them may be tried here."""
    pattern, flags = expression
    if isinstance(pattern, bytes) or flags & ~re.UNICODE or len(pattern) > _LONGEST_PLAIN:
        return False
    repeats = sum(map(pattern.count, "*+?"))
    few = (len(text) + 1) ** (repeats + 1) <= _MOST_WAYS
    return few and _PLAIN.fullmatch(pattern) is not None


def _search_elsewhere(request: bytes, within_s: float) -> Any:
    deadline = time.monotonic() + within_s
    try:
        worker = _idle.pop()
    except IndexError:
        worker = _Worker()
    try:
        try:
            answer = worker.ask(request, deadline)
        except (EOFError, ConnectionError):  # it had ended, since nobody had asked for a while
            worker.end()
            worker = _Worker()
            answer = worker.ask(request, deadline)
    except BaseException as error:
        worker.end()  # whatever it says now answers another question
        if isinstance(error, (EOFError, ConnectionError)):
            raise TimeoutError("the process that searched has ended") from error
        raise
    _idle.append(worker)
    return answer


class _Worker:
    """A process that searches. It ends by itself when nobody asks for a while."""

    def __init__(self) -> None:
        # Few programs search for what needs this, and `import track` is faster without it.
        import socket
        import subprocess

        from track.utils import expression_worker

        self._head, self._length = expression_worker.HEAD, expression_worker.LENGTH
        self._socket, its = socket.socketpair()
        with its:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, and our own program
                [sys.executable or "python3", "-I", "-S", expression_worker.__file__],
                stdin=its.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for whoever asked
            )
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        self._socket.close()
        self._process.returncode = 0  # it is the parent's: nobody waits for it here
        with suppress(ValueError):
            _idle.remove(self)

    def ask(self, request: bytes, deadline: float) -> Any:
        """Return whether an expression was found, or what is wrong with it."""
        left_s = deadline - time.monotonic()
        self._socket.settimeout(max(0.001, left_s))
        seconds = math.ceil(max(0.0, left_s)) + 1
        self._socket.sendall(self._head.pack(seconds, len(request)) + request)
        (length,) = self._length.unpack(self._receive(self._length.size, deadline))
        return marshal.loads(self._receive(length, deadline))  # noqa: S302 - it is our own

    def _receive(self, size: int, deadline: float) -> bytes:
        data = b""
        while len(data) < size:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def end(self) -> None:
        """End the process."""
        self._socket.close()
        self._process.kill()
        self._process.wait()


_idle: list[_Worker] = []
"""Those that nobody asks anything at the moment: one for each thread that searches, at most."""


@atexit.register
def _end_all() -> None:
    while _idle:
        _idle.pop().end()
