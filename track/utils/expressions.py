"""Search for untrusted regular expressions with limits on time and memory.

Python's ``re`` backtracks, may take exponential time, and holds the interpreter lock meanwhile.
Engines with a time bound give some expressions a different meaning. So the search uses ``re`` in a
separate process that can be killed; only searches that are evidently short run in this one.
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
"""Characters and classes with at most one repetition each: no groups, no alternatives."""

_LONGEST_PLAIN = 200
_MOST_WAYS = 10**6


class Expression(NamedTuple):
    """A regular expression for Python's ``re``, not compiled and possibly invalid."""

    pattern: str | bytes
    flags: int = 0


def search(expression: Expression, text: str | bytes, within_s: float) -> bool:
    """Return whether an expression matches anywhere in a text.

    Raises
    ------
    TypeError
        one of the two is bytes and the other is not
    ValueError
        the expression is invalid or needs too much memory; the message says which
    TimeoutError
        the search takes too long
    """
    pattern, flags = expression
    if isinstance(pattern, bytes) is not isinstance(text, bytes):
        raise TypeError("use a text expression on text, and a bytes expression on bytes")
    if is_short(expression, text):
        try:
            return re.search(pattern, text) is not None  # type: ignore[arg-type]  # both are text
        except re.error as error:
            raise ValueError(str(error)) from error
    answer = _search_elsewhere(marshal.dumps((pattern, int(flags), text)), within_s)
    if isinstance(answer, str):
        raise ValueError(answer)  # noqa: TRY004 - the expression is at fault, not a type
    return bool(answer)


def is_short(expression: Expression, text: str | bytes) -> bool:
    """Return whether an expression has so few ways to match that it may be searched for here."""
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
        except (EOFError, ConnectionError):  # it had ended after being idle for a while
            worker.end()
            worker = _Worker()
            answer = worker.ask(request, deadline)
    except BaseException as error:
        worker.end()  # its next answer would belong to another request
        if isinstance(error, (EOFError, ConnectionError)):
            raise TimeoutError("the search process ended") from error
        raise
    _idle.append(worker)
    return answer


class _Worker:
    """A search process. It ends by itself after being idle for a while."""

    def __init__(self) -> None:
        # Imported here since few programs need it, and `import track` is faster without it.
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
                start_new_session=True,  # so that Ctrl-C reaches only the parent
            )
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        self._socket.close()
        self._process.returncode = 0  # it belongs to the parent, so do not wait for it here
        with suppress(ValueError):
            _idle.remove(self)

    def ask(self, request: bytes, deadline: float) -> Any:
        """Return whether the expression matched, or the error text."""
        left_s = deadline - time.monotonic()
        self._socket.settimeout(max(0.001, left_s))
        seconds = math.ceil(max(0.0, left_s)) + 1
        self._socket.sendall(self._head.pack(seconds, len(request)) + request)
        (length,) = self._length.unpack(self._receive(self._length.size, deadline))
        return marshal.loads(self._receive(length, deadline))  # noqa: S302 - written by our own process

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
"""Idle workers: at most one for each thread that searches."""


@atexit.register
def _end_all() -> None:
    while _idle:
        _idle.pop().end()
