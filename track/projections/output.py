"""Fold the captured output of a trial into lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from track.events.codec import stream_id
from track.events.types import OutputCaptured, Recorded

SOURCES = ("output", "stdout", "stderr")
"""The sources of lines by their numbers in events."""


class OutputLine(NamedTuple):
    """Holds a line that a process of a trial, or one of its children, printed.

    Attributes
    ----------
    at, position
        when, in nanoseconds since 1970-01-01 UTC, and where in the journal it is
    host, pid, rank
        the process; its number in a distributed training, None without one
    source
        ``stdout`` or ``stderr``; ``output`` where both went to the same terminal or file
    text
        the line without its newline
    is_whole
        whether it ended: an unfinished line, such as a progress bar, is replaced by the next line
        of the same process and source
    left_out
        the number of lines left out here, for which this one, without a text, stands; mostly 0
    """

    at: int
    position: int
    host: str
    pid: int
    rank: int | None
    source: str
    text: str
    is_whole: bool
    left_out: int


def output_stream(uid: str) -> int:
    """Return the stream of the captured output of a trial."""
    return stream_id("output", uid)


def lines_in(events: Iterable[Recorded]) -> Iterator[OutputLine]:
    """Yield all captured lines, even unfinished ones that are replaced later."""
    for recorded in events:
        if isinstance(recorded.event, OutputCaptured):  # else it was redacted
            for line in recorded.event.lines:
                if (found := _line(recorded, recorded.event, line)) is not None:
                    yield found


def settled(lines: Iterable[OutputLine]) -> list[OutputLine]:
    """Return lines without the unfinished ones that were replaced."""
    kept: list[OutputLine | None] = []
    open_at: dict[tuple[str, int, str], int] = {}
    for line in lines:
        source = line.host, line.pid, line.source
        if not line.left_out and (place := open_at.pop(source, None)) is not None:
            kept[place] = None
        if not line.is_whole:
            open_at[source] = len(kept)
        kept.append(line)
    return [line for line in kept if line is not None]


def _line(recorded: Recorded, event: OutputCaptured, line: Any) -> OutputLine | None:
    """Return a line, None if it is malformed."""
    match line:
        case [int(at), (0 | 1 | 2) as source, str(text)]:
            whole, left_out = text.endswith("\n"), 0
        case [int(at), (0 | 1 | 2) as source, int(left_out)]:
            text, whole = "", True
        case _:
            return None
    where = recorded.position, event.host, event.pid, event.rank
    return OutputLine(at, *where, SOURCES[source], text.removesuffix("\n"), whole, left_out)
