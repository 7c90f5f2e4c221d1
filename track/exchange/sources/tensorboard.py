"""Read runs of TensorBoard (the extra ``tensorboard``)."""

from __future__ import annotations

import os
from collections.abc import Iterator

from track.events.types import MetricsLogged
from track.exchange.event_files import EVENT_FILE, EXTRA, number_of, parameters_of, read_events
from track.exchange.media_summaries import is_medium, media_of
from track.exchange.optional import load
from track.exchange.source_run import Entry, Log, MediaFound, Source, SourceRun, parse_seconds
from track.exchange.sources.finding import folders_below, path_below, read_each
from track.media import Medium

_SMALLEST_RECORD = 16
"""The size of a record without a message; offsets divided by it are still distinct."""


def read_tensorboard(path: str, project: str) -> Iterator[Source]:
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
    return read_each(
        folders_below(path, lambda _, names: any(EVENT_FILE in name for name in names)),
        lambda folder: _read_run(folder, path_below(folder, path), project),
        f"no TensorBoard files below {path}: check the path",
    )


def _read_run(folder: str, run: str, project: str) -> Iterator[SourceRun]:
    source = SourceRun(
        key=f"tensorboard:{project}/{run}",
        project=project,
        group=os.path.dirname(run) or None,
        name=run or project,
    )
    has_content = False
    for name in sorted(os.listdir(folder)):
        file = os.path.join(folder, name)
        if EVENT_FILE in name and not os.path.isdir(file):
            has_content |= _describe(source, file)
            source.logs.append(Log(name, _entries(source, file, f"media:{name}")))
    if has_content or source.parameters or source.problems:
        yield source


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


def _entries(source: SourceRun, file: str, media_log: str) -> Iterator[Entry]:
    for start, event in read_events(file, lambda _: None):  # problems were reported before
        values: dict[str, float] = {}
        media: dict[str, list[Medium]] = {}
        for value in event.summary.value:
            if parameters_of(value) is not None:
                continue
            if (number := number_of(value)) is not None:
                values[value.tag] = number
            elif is_medium(value):
                with source.leave_out(f"a medium of {value.tag!r}"):
                    name, read = media_of(value)
                    media[name] = read
        when = start // _SMALLEST_RECORD + 1, parse_seconds(event.wall_time)
        if values:
            yield Entry(*when, MetricsLogged(event.step, values, None))
        if media:
            yield Entry(*when, MediaFound(event.step, media), media_log)
