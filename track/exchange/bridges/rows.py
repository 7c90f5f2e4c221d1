"""Trials as numbered rows, read from their events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import merge
from typing import Any

from track.attachments.logged_files import files_in
from track.events.codec import decode
from track.events.types import (
    ArtifactLogged,
    MediaLogged,
    MetadataLogged,
    Recorded,
    TrialCreated,
)
from track.exchange.bridges.contract import Point, Row, SentFile
from track.exchange.numbers import float_of, is_int64
from track.exchange.tables import cell
from track.journals.journal import Journal
from track.projections.media import media_in, media_stream
from track.projections.trials import calls_in, stream_of


class RowReader:
    """Reads the rows of a trial in the order of the journal, each once.

    Parameters
    ----------
    journal
        the journal
    uid
        the trial

    Attributes
    ----------
    left_out
        the number of values that were left out because they are not numbers
    """

    def __init__(self, journal: Journal, uid: str) -> None:
        self._journal, self._streams = journal, (stream_of(uid), media_stream(uid))
        self._position = self._number = 0
        self._counts: dict[str, int] = {}
        self.left_out = 0

    def read(self, until: int) -> Iterator[Row]:
        """Yield the rows that have not been read yet, up to a position of the journal."""
        for recorded in merge(*map(self._events, self._streams), key=_position):
            if recorded.position > until:
                return  # earlier events of the other stream may not have been read yet
            self._position = recorded.position
            yield from self._rows(recorded)
        self._position = max(self._position, until)

    def _events(self, stream: int) -> Iterator[Recorded]:
        for batch in self._journal.read_stream(stream, self._position):
            yield from map(decode, *batch)

    def _rows(self, recorded: Recorded) -> Iterator[Row]:
        event = recorded.event
        for at_ns, step, values in calls_in(recorded):
            yield self._row(at_ns, [self._point(*item, step) for item in values.items()])
        if isinstance(event, MediaLogged):
            yield self._row(recorded.at, media=tuple(media_in([recorded])))
        elif isinstance(event, MetadataLogged):
            yield from self._file_rows(recorded.at, _logged_files(event.values))
        elif isinstance(event, ArtifactLogged):
            yield from self._file_rows(recorded.at, _artifact_files(event))
        elif isinstance(event, TrialCreated):
            yield from self._file_rows(recorded.at, _logged_files(event.metadata))

    def _row(self, at_ns: int, points: Iterable[Point | None] = (), **kept: Any) -> Row:
        self._number += 1
        return Row(self._number, at_ns, tuple(one for one in points if one is not None), **kept)

    def _file_rows(self, at_ns: int, files: tuple[SentFile, ...]) -> Iterator[Row]:
        if files:
            yield self._row(at_ns, files=files)

    def _point(self, name: Any, value: Any, step: Any) -> Point | None:
        """Return a value with an integer step; values with any other step are numbered."""
        name = cell(name)
        place = self._counts.get(name, 0)
        self._counts[name] = place + 1
        number = float_of(value)
        if number is None:
            self.left_out += 1
            return None
        return Point(name, step if is_int64(step) else place, number)


def _logged_files(metadata: Any) -> tuple[SentFile, ...]:
    files = files_in(metadata) if isinstance(metadata, dict) else ()
    return tuple(SentFile(_path_of("files", one.name), one.size, one.sha256) for one in files)


def _artifact_files(event: ArtifactLogged) -> tuple[SentFile, ...]:
    """Return the files of a version, which its hash identifies."""
    folder = f"artifacts/{event.name}-{event.sha256[:8]}"
    return tuple(
        SentFile(_path_of(folder, name), facts["size"], facts["sha256"], event.name)
        for name, facts in sorted(event.files.items())
    )


def _path_of(folder: str, name: str) -> str:
    """Return a path below a folder; a whole path, or one that leads out of it, stays different."""
    parts = ["root" if name.startswith("/") else "", *name.split("/")]
    kept = ("__" if one == ".." else one for one in parts if one not in ("", "."))
    return "/".join([folder, *kept])


def _position(recorded: Recorded) -> int:
    return recorded.position
