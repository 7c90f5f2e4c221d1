"""A text stream that remembers what was last written to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, TextIO


class RingOutputDecorator:
    """Passes everything on to a stream and keeps the last writes.

    Parameters
    ----------
    stream
        where the text goes; it also has every attribute that is not defined here
    n
        number of writes to keep; ``print`` writes its text and its newline one by one
    """

    def __init__(self, stream: TextIO, n: int) -> None:
        self.stream = stream
        # Appending to a full deque drops the oldest entry in one step, so threads need no lock.
        self._kept: deque[str] = deque(maxlen=n)

    def write(self, text: str) -> int:
        """Write a text and keep it."""
        written = self.stream.write(text)
        self._kept.append(text)
        return written

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts one by one and keep them."""
        for line in lines:
            self.write(line)

    def raw(self) -> list[str]:
        """Return the kept writes, oldest first."""
        # A copy is made in one step, while iterating would fail when another thread writes.
        return list(self._kept.copy())

    def output(self) -> str:
        """Return the kept writes as one text."""
        return "".join(self.raw())

    def __getattr__(self, name: str) -> Any:
        # A copy is asked for attributes before it has any, and for how it is pickled: neither is
        # the stream's business.
        if name == "stream" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.stream, name)
