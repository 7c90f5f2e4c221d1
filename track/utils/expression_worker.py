"""Search for regular expressions in a separate process, see :mod:`track.utils.expressions`.

It runs without this package and without site-packages, so that it starts within milliseconds.
"""

import marshal
import os
import re
import resource
import signal
from contextlib import suppress
from struct import Struct

HEAD = Struct(">II")
"""The head of a request: its time limit in seconds, and the length of the rest."""

LENGTH = Struct(">I")
"""The head of an answer: whether the expression was found, or why the search failed."""

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
    """Answer requests one by one until the requests stop."""
    with suppress(ValueError, OSError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    while True:
        signal.alarm(_IDLE_S)  # which ends this process, even if its parent was killed
        seconds, size = HEAD.unpack(_read(HEAD.size))
        signal.alarm(seconds)
        pattern, flags, text = marshal.loads(_read(size))  # noqa: S302 - written by the parent process
        try:
            answer: bool | str = re.compile(pattern, flags).search(text) is not None
        except (re.error, ValueError, OverflowError, RecursionError, MemoryError) as error:
            answer = str(error)[:_LONGEST_ERROR] or type(error).__name__
        said = marshal.dumps(answer)
        os.write(0, LENGTH.pack(len(said)) + said)


if __name__ == "__main__":
    main()
