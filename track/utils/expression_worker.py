"""Searches for regular expressions in a process of its own, see :mod:`track.utils.expressions`.

It runs without this package and without site-packages, so that it starts in some milliseconds.
"""

import marshal
import os
import re
import resource
import signal
from contextlib import suppress
from struct import Struct

HEAD = Struct(">II")
"""Of a request: the seconds it may take, and the length of the rest."""

LENGTH = Struct(">I")
"""Of an answer: whether the expression was found, or why it cannot be searched for."""

_MEMORY = 2**29
_IDLE_S = 60
_LONGEST_ERROR = 500


def _read(size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = os.read(0, min(size - len(data), 2**20))
        if not piece:
            raise SystemExit(0)
        data += piece
    return bytes(data)


def main() -> None:
    """Answer one request after the other, until nobody asks any more."""
    with suppress(ValueError, OSError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    while True:
        signal.alarm(_IDLE_S)  # which ends this process: also when whoever started it was killed
        seconds, size = HEAD.unpack(_read(HEAD.size))
        signal.alarm(seconds)
        pattern, flags, text = marshal.loads(_read(size))  # noqa: S302 - of whoever started this
        try:
            answer: bool | str = re.compile(pattern, flags).search(text) is not None
        except (re.error, ValueError, OverflowError, RecursionError, MemoryError) as error:
            answer = str(error)[:_LONGEST_ERROR] or type(error).__name__
        said = marshal.dumps(answer)
        os.write(0, LENGTH.pack(len(said)) + said)


if __name__ == "__main__":
    main()
