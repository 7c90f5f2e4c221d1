"""The endpoint for the captured output of a trial."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from track.projections.output import OutputLine, lines_in, output_stream, settled
from track.ui.answers import answer, cut, milliseconds
from track.ui.media import events_beside
from track.ui.store import Store

_MOST_LINES = 2000
"""The most lines in one response; the latest ones."""


def get_output(store: Store, request: Request) -> Response:
    """Return the latest lines of the output of a trial, and the processes that printed them."""
    position, events = events_beside(store, request, output_stream)
    found = settled(lines_in(events))
    lines = found[-_MOST_LINES:]
    processes: dict[tuple[str, int, int | None], int] = {}
    rows = [_row(line, processes) for line in lines]
    return answer(
        {
            "position": position,
            "earlier": len(found) - len(lines),
            "processes": [
                {"host": cut(host), "pid": pid, "rank": rank} for host, pid, rank in processes
            ],
            "lines": rows,
        }
    )


def _row(line: OutputLine, processes: dict[tuple[str, int, int | None], int]) -> list[Any]:
    """Return time, source, text, whether it is complete, lines left out, and process index."""
    process = line.host, line.pid, line.rank
    number = processes.setdefault(process, len(processes))
    said = line.source, cut(line.text), line.is_whole, line.left_out
    return [milliseconds(line.at * 1e-9), *said, number]
