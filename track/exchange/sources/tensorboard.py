"""Read runs of TensorBoard (the extra ``tensorboard``)."""

from __future__ import annotations

import os
from collections.abc import Iterator

from track.errors import EncodingError, ImportFailed
from track.events.types import MetricsLogged
from track.exchange.event_files import EVENT_FILE, EXTRA, number_of, parameters_of, read_events
from track.exchange.media_summaries import is_medium, media_of
from track.exchange.optional import load
from track.exchange.source_run import Entry, Log, MediaFound, SourceRun, parse_seconds
from track.media import Medium
from track.structure import Status

_SMALLEST_RECORD = 16
"""The size of a record without a message; offsets divided by it are still distinct."""


def read_tensorboard(folder: str, project: str) -> Iterator[SourceRun]:
    """Yield every run below a folder.

    A run is named by its path below the folder and grouped by its parent folder.
    Scalars become metrics by step, hparams become parameters. TensorBoard does not record how a run
    ended, so the status is ``FinishedGroup``. Pictures, sounds, histograms and
    texts become media by step; graphs, meshes and embeddings are left out.

    Raises
    ------
    ImportFailed
        no file below the folder is an event file of TensorBoard
    MissingPackage
        tensorboardX is not installed
    """
    load("tensorboardX", EXTRA)
    found = False
    for run, files in _runs(folder):
        found = True
        source = SourceRun(
            key=f"tensorboard:{project}/{run}",
            project=project,
            group=os.path.dirname(run) or None,
            name=run or project,
            status=Status.FinishedGroup,
        )
        has_content = False
        for file in files:
            has_content |= _describe(source, file)
            name = os.path.basename(file)
            source.logs.append(Log(name, _entries(file)))
            source.logs.append(Log(f"media:{name}", _media(source, file)))
        if has_content or source.parameters or source.problems:
            yield source
    if not found:
        raise ImportFailed(f"no TensorBoard files below {folder}: check the path")


def _runs(folder: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the path below a folder and the files of each run."""
    for path, folders, names in os.walk(folder):
        folders.sort()
        files = [os.path.join(path, name) for name in sorted(names) if EVENT_FILE in name]
        if files:
            run = os.path.relpath(path, folder).replace(os.sep, "/")
            yield "" if run == os.curdir else run, files


def _describe(source: SourceRun, file: str) -> bool:
    """Read everything in a file except scalars and media; return whether it has any of those."""
    has_content = False
    for _, event in read_events(file, source.miss):
        for value in event.summary.value:
            parameters = parameters_of(value)
            if parameters is not None:
                source.parameters.update(parameters)
            elif number_of(value) is None and not is_medium(value):
                source.miss("graphs, meshes and other things without a number are not imported")
            else:
                has_content = True
                at_ns = parse_seconds(event.wall_time)
                source.started_ns = min(source.started_ns or at_ns, at_ns)
    return has_content


def _entries(file: str) -> Iterator[Entry]:
    for start, event in read_events(file, _ignore_problem):
        values = {}
        for value in event.summary.value:
            if parameters_of(value) is None and (number := number_of(value)) is not None:
                values[value.tag] = number
        if values:
            logged = MetricsLogged(event.step, values, None)
            yield Entry(start // _SMALLEST_RECORD + 1, parse_seconds(event.wall_time), logged)


def _media(source: SourceRun, file: str) -> Iterator[Entry]:
    for start, event in read_events(file, _ignore_problem):
        media: dict[str, list[Medium]] = {}
        for value in event.summary.value:
            if parameters_of(value) is not None or not is_medium(value):
                continue
            try:
                name, read = media_of(value)
            except (EncodingError, ValueError) as error:
                source.miss(f"a medium of {value.tag!r} was left out: {error}")
            else:
                media[name] = read
        if media:
            found = MediaFound(event.step, media)
            yield Entry(start // _SMALLEST_RECORD + 1, parse_seconds(event.wall_time), found)


def _ignore_problem(_: str) -> None:
    """Ignore a problem that the first read of the file reported."""
