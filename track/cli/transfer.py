"""The verbs export, import and copy, which move data between stores and formats."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from typing import Any

import click

from track.cli.common import (
    example,
    progress,
    reading,
    refuse_own_file,
    store_option,
    tell,
    writing,
)
from track.cli.completion import where_option
from track.errors import BackendError, TrackError
from track.events.types import Recorded
from track.projections.copies import copy_group, view_trial
from track.projections.media import LoggedMedium
from track.projections.times import TrialTimes, times_in
from track.projections.trials import stream_of
from track.reader import Reader
from track.reading.page import page_of
from track.structure import Project, Trial, TrialGroup
from track.utils.printing import printable
from track.utils.progress import Progress, with_progress

_TABLES = {
    "csv": "export_csv",
    "trials-csv": "export_trials_csv",
    "parquet": "export_parquet",
    "tensorboard": "export_tensorboard",
}
_IN_FOLDERS = ("parquet", "tensorboard")
_FORMATS = (*_TABLES, "json", "ndjson")
_REPORT = "report"
_SOURCES = (
    *(_REPORT, "aim", "clearml", "dvclive", "mlflow", "neptune", "sacred"),
    *("tensorboard", "trackio", "wandb"),
)


@click.command(
    "export", epilog=example("track export > metrics.csv", "track export -f parquet -o tables")
)
@store_option
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    default="csv",
    show_default=True,
    help="Export in this format.",
)
@click.option("-o", "--output", metavar="PATH", help="Write to PATH instead of stdout.")
@where_option
def export_verb(
    *, store: str | None, form: str, output: str | None, where: tuple[str, ...]
) -> None:
    """Export metrics (csv), trials (trials-csv, json), events (ndjson), or tables in a folder."""
    if form in _IN_FOLDERS and output is None:
        raise BackendError(f"{form} writes a folder: choose one with --output")
    from track import exchange

    with reading(store) as reader, progress("exporting", among_output=output is None) as advance:
        if output is not None:
            refuse_own_file(reader, output)
        everything = form == "ndjson" and not where
        # Check the conditions before replacing a file.
        chosen, groups, ends = ([], [], {}) if everything else _chosen(reader, where)
        trials = with_progress(chosen, advance)
        with _written(output, form) as target:
            if everything:
                exchange.export_events(_all_events(reader, advance), target)
            elif form == "ndjson":
                exchange.export_events(_events_of(reader, trials), target)
            elif form == "json":
                exchange.export_json(trials, target)
            else:
                times = ends | reader.times_beside(chosen)
                more: dict[str, Any] = {"groups": groups, "times": times}
                if form == "tensorboard":
                    more["media"] = partial(_media_of, reader)
                getattr(exchange, _TABLES[form])(trials, target, **more)


def _chosen(
    reader: Reader, where: tuple[str, ...]
) -> tuple[list[Trial], list[TrialGroup], dict[str, TrialTimes]]:
    """Return the trials that meet all conditions, the groups, and the times of the trials."""
    # As in lists, a metric stands for its last value and a status is text.
    with reader.protocol.read_state() as objects:
        found = page_of(objects, reader.status_in(objects), where).trials
        parts = {part.uid: part for part in objects.parts.values()}
        known = [parts.get(one.uid) or objects.trials.get(one.uid) for one in found]
        chosen = [view_trial(trial) for trial in known if trial is not None]
        reader.tell_of_parts(one.uid for one in found if one.partial)
        ends = {trial.uid: times_in(objects, trial) for trial in chosen}
        return chosen, [*map(copy_group, objects.groups.values())], ends


def _media_of(reader: Reader, trial: Trial) -> Iterator[tuple[LoggedMedium, bytes]]:
    """Yield the media of a trial whose content can be read."""
    for medium in reader.media(trial):
        try:
            content = reader.content_of(medium)
        except TrackError as error:  # noqa: PERF203 - each content is read separately
            tell(f"{medium.name} of {trial.uid} is left out: {error}")
        else:
            yield medium, content


def _events_of(reader: Reader, trials: Iterable[Trial]) -> Iterator[Recorded]:
    streams = {stream_of(trial.uid) for trial in trials}
    return (event for event in reader.events() if event.stream in streams)


def _all_events(reader: Reader, advance: Progress) -> Iterator[Recorded]:
    upper_bound = reader.protocol.journal.upper_bound()
    for event in reader.events():
        yield event
        advance(event.position, upper_bound)


@contextmanager
def _written(path: str | None, form: str) -> Iterator[Any]:
    """Open the target of an export: a folder, a file or stdout."""
    if form in _IN_FOLDERS:
        yield path
    elif path is None:
        yield sys.stdout
    else:
        with open(path, "w", encoding="utf-8", newline="") as file:
            yield file


@click.command(
    "import",
    epilog=example(
        "track import mlruns -s file:report.json",
        "track import wandb -s file:report.json",
        "track import runs --from tensorboard -s lmdb:store.lmdb",
    ),
)
@click.argument("source")
@click.option(
    "-s", "--store", metavar="URI", required=True, help="The target store, created if missing."
)
@click.option(
    "--from",
    "tool",
    metavar="TOOL",
    type=click.Choice(_SOURCES),
    help=f"The tool that wrote SOURCE, by default detected: {', '.join(_SOURCES)}.",
)
@click.option("--project", help="The project of runs without one, by default the folder's name.")
def import_verb(*, source: str, store: str, tool: str | None, project: str | None) -> None:
    """Import the runs of another tracker, or a report JSON, into a store.

    SOURCE is a folder of runs, a single run, or a database of Aim, ClearML, DVCLive, MLflow,
    neptune-exporter, Sacred, TensorBoard, trackio or Weights & Biases. At the end, anything that
    could not be imported is listed.

    Data that the store already has is skipped: import again to add new data.
    """
    if not os.path.exists(source):
        raise FileNotFoundError(f"{source} does not exist: check the path")
    from track import exchange
    from track.exchange.sources import tool_of

    if tool is None and (tool := tool_of(source)) is None and os.path.isfile(source):
        tool = _REPORT
    if tool == _REPORT:
        _import_report(source, store)
        return
    runs = exchange.read_runs(source, tool=tool, project=project)
    first = [*islice(runs, 1)]  # fails on an invalid source before the store is created
    with writing(store) as protocol, progress("importing") as advance:
        done = exchange.import_runs(protocol, chain(first, runs), progress=advance)
    for problem in done.problems:
        click.echo(f"track: {printable(problem)}", err=True)
    click.echo(f"added {done.projects} projects, {done.groups} groups, {done.trials} trials")
    click.echo(
        f"continued {done.continued} trials; {done.events} events and {done.files} files in total, "
        f"{len(done.problems)} problems"
    )


def _import_report(source: str, store: str) -> None:
    from track import exchange

    projects: list[Project] = exchange.read_report(source)
    with writing(store) as protocol, progress("importing") as advance:
        added = exchange.import_projects(protocol, projects, progress=advance)
    click.echo(f"added {added.projects} projects, {added.groups} groups, {added.trials} trials")


@click.command("copy", epilog=example("track copy file:report.json postgres://user@host/database"))
@click.argument("source")
@click.argument("target")
def copy_verb(*, source: str, target: str) -> None:
    """Copy all events of a store into another store of any kind.

    If interrupted, run it again to resume: no event is copied twice.
    """
    from track.exchange import copy_store

    with reading(source) as reader:
        reader.protocol.journal.upper_bound()  # fails on an invalid source early
        with writing(target) as protocol, progress("copying") as advance:
            done = copy_store(reader.protocol, protocol, progress=advance)
    click.echo(f"copied {done.events} events; {done.left_out} were already there")
