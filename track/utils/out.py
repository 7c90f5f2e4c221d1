"""Keep the last texts that were written to a stream."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TextIO


class Nowhere(io.TextIOBase):
    """Drops what is written, for a stream that was closed before Python began: there is None."""

    def write(self, text: str) -> int:
        """Drop a text."""
        return len(text)


class OutputDecorator:
    """Passes everything to a stream, and then to a function.

    Parameters
    ----------
    stream
        receives the text; its attributes are available here, too
    keep
        called with each text that was written
    """

    def __init__(self, stream: TextIO | io.TextIOBase, keep: Callable[[str], Any]) -> None:
        self.stream = stream
        self._keep = keep

    def write(self, text: str) -> int:
        """Write a text and keep it."""
        written = self.stream.write(text)
        self._keep(text)
        return written

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts one by one and keep them."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        # copy and pickle ask for attributes before there are any; those are not the stream's.
        if name == "stream" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.stream, name)


class RingOutputDecorator(OutputDecorator):
    """Passes everything to a stream and keeps the last writes.

    Parameters
    ----------
    stream
        receives the text; its attributes are available here, too
    n
        the number of writes to keep; ``print`` writes its text and its newline separately
    """

    def __init__(self, stream: TextIO | io.TextIOBase, n: int) -> None:
        # Appending to a full deque drops the oldest entry in one step, so threads need no lock.
        self._kept: deque[str] = deque(maxlen=n)
        super().__init__(stream, self._kept.append)

    def raw(self) -> list[str]:
        """Return the kept writes, oldest first."""
        # Copying is one step, while iterating would fail if another thread writes meanwhile.
        return list(self._kept.copy())

    def output(self) -> str:
        """Return the kept writes as one text."""
        return "".join(self.raw())
