"""The verbs ls, show and plot, which read trials."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from track.attachments.kept_artifacts import KeptArtifact
from track.attachments.logged_files import LoggedFile, files_of, without_files
from track.cli.code import show_code
from track.cli.common import (
    TRIAL,
    at_option,
    clock,
    example,
    is_for_people,
    json_option,
    print_json,
    print_table,
    reading,
    room,
    store_option,
    tell,
)
from track.cli.completion import METRIC, PATH, PATHS, where_option
from track.cli.plots import braille, letter, plot, sparkline
from track.display.columns import choose_columns, columns_of, sentence
from track.display.listings import GROUP_COLUMNS, PROJECT_COLUMNS, group_row, project_row
from track.display.texts import UNCUT, amount, duration, short_uids, shown
from track.errors import QueryError
from track.projections.artifacts import ARTIFACTS
from track.projections.definitions import summary_of
from track.projections.paths import hint, names_in, parse_path, write_path
from track.projections.series import Series
from track.projections.trials import OWN_METADATA
from track.reader import Reader
from track.reading.summary import (
    TrialSummary,
    first_line_of,
    last_value,
    split_paths,
    sum_of,
    value_at,
)
from track.reading.views import Attempt
from track.serialization import to_json
from track.structure import Trial
from track.utils.printing import printable

_MOST_METRICS = 60
"""The most metrics of a trial that a terminal shows without folding them."""

_MOST_FILES = 20
"""The most files that are shown with a trial."""

_PREFIX = re.compile(r"[^/.]+[/.](?=.)")
"""The common prefix of metrics that are folded together, such as ``layer0/``."""

_LINE = 40
"""The number of points in the sparkline of a metric."""

POINTS = 8
"""The points of a curve per column of characters: two columns of dots, two extremes each."""

_FULL = 0xFF
"""A cell of a plot with all dots set."""

_COLOURS = ("cyan", "yellow", "magenta", "green", "red", "blue")
"""The colours of the curves in a plot."""


@click.command(
    "ls",
    epilog=example(
        "track ls -w status=completed -w 'metrics.loss<0.1' --sort metrics.loss -n 10",
        "track ls -w 'name~^base' -w parameters.lr=0.1,0.01 -w '!metadata.note'",
        """track ls --columns 'uid,parameters.lr,metrics["val.acc"]' --sort status""",
    ),
)
@click.argument("what", type=click.Choice(["trials", "projects", "groups"]), default="trials")
@store_option
@where_option
@click.option(
    "--sort",
    type=PATH,
    metavar="PATH",
    help="Sort by path, e.g. metrics.loss; -PATH to reverse.",
)
@click.option(
    "--columns",
    type=PATHS,
    metavar="PATHS",
    multiple=True,
    help="Show these comma-separated columns instead of those that differ.",
)
@click.option("-n", "count", metavar="N", type=click.IntRange(0), help="Show at most N trials.")
@click.option("--archived", is_flag=True, help="List only archived trials.")
@json_option
def ls_verb(
    *,
    what: str,
    store: str | None,
    where: tuple[str, ...],
    sort: str | None,
    columns: tuple[str, ...],
    count: int | None,
    archived: bool,
    as_json: bool,
) -> None:
    """List trials, projects or groups."""
    with reading(store) as reader:
        if what != "trials":
            _list_others(reader, what, as_json=as_json)
            return
        paths = [path for text in columns for path in split_paths(text)]
        page = reader.summaries(where, sort=sort, limit=count, archived=archived, columns=paths)
    chosen = page.trials
    if as_json:
        for one in chosen:
            print_json({path: value_at(one, path) for path in paths} if paths else _facts(one))
        return
    uids = short_uids(page.uids, [one.uid for one in chosen])
    is_lined = is_for_people()
    left_out: list[str] = []
    same: list[str] = []
    if paths:
        table = columns_of(chosen, uids, paths)
    else:
        asked = [sort.lstrip("-")] if sort else []
        table, left_out, same = choose_columns(chosen, uids, room(), asked, is_lined=is_lined)
        if left_out and is_lined:  # without borders, more columns fit
            is_lined = False
            table, left_out, same = choose_columns(chosen, uids, room(), asked)
    rows = zip(*(column.cells for column in table), strict=True)
    print_table([column.title for column in table], rows, UNCUT, is_lined=is_lined)
    if said := sentence(left_out, same):
        tell(said)


def _facts(summary: TrialSummary) -> dict[str, Any]:
    curves = {name: curve._asdict() for name, curve in summary.curves.items()}
    return {**vars(summary), "curves": curves}


def _list_others(reader: Reader, what: str, *, as_json: bool) -> None:
    items: list[Any] = reader.projects() if what == "projects" else reader.groups()
    if as_json:
        for item in items:
            facts = {**to_json(item), "trials": len(item.trials)}
            print_json({key: value for key, value in facts.items() if key != "groups"})
        return
    if what == "projects":
        print_table(PROJECT_COLUMNS, map(project_row, items))
    else:
        print_table(GROUP_COLUMNS, map(group_row, items))


@click.command("show", epilog=example("track show baseline", "track show 1f3a9c --at 2h"))
@click.argument("trial", type=TRIAL)
@store_option
@at_option
@click.option("--all", "is_whole", is_flag=True, help="Show all metrics instead of folding them.")
@click.option("--code", is_flag=True, help="Show the code that it ran instead.")
@json_option
def show_verb(
    *, trial: str, store: str | None, at: str | None, is_whole: bool, code: bool, as_json: bool
) -> None:
    """Show everything about a trial, given by name, uid or uid prefix."""
    with reading(store) as reader:
        if code:
            show_code(reader.code(trial, until=at), as_json=as_json)
            return
        found, status, group, attempts = reader.view(trial, at=at)
        artifacts = reader.artifacts(trial=trial, at=at) if ARTIFACTS in found.metadata else []
    if as_json:
        print_json(
            {**to_json(found), "attempts": [_attempt(attempt) for attempt in attempts]}
            | {"status": None if status is None else str(status)}
        )
        return
    facts = {
        "trial": found.uid,
        "name": found.name,
        "description": found.description,
        "project": found.project_id,
        "group": group or found.group_id,
        "version": found.version,
        "status": status,
        "runtime": duration(found.chronos.get("runtime")) if found.chronos else None,
        "failure": first_line_of(found.failure),
    }
    for name, value in facts.items():
        if value is not None:
            click.echo(f"{name:<12} {shown(str(value), UNCUT)}")
    others = without_files(found.metadata)
    logged = {name: value for name, value in others.items() if name not in OWN_METADATA}
    sections = {"parameters": found.parameters, "tags": found.tags, "metadata": logged}
    for name, values in sections.items():
        _show_section(name, values)
    _show_section("chronos", {n: last_value(c) for n, c in found.chronos.items()})
    _show_metrics(found, folds=not is_whole and room() is not None)
    _show_files(files_of(found))
    _show_artifacts(found, artifacts)
    _show_alerts(found)
    for error in found.errors:
        click.echo(f"error        {shown(str(error), UNCUT)}")
    _show_attempts(attempts)
    if not attempts and found.failure:
        for line in failure_lines(found.failure):
            click.echo(line)


def _show_section(name: str, values: Any) -> None:
    if not isinstance(values, Mapping):
        values = dict.fromkeys(values or ())
    if values:
        click.echo(f"{name}:")
    for key, value in values.items():
        click.echo(f"  {shown(str(key)):<24} {shown(value)}")


def _show_files(files: list[LoggedFile]) -> None:
    if files:
        click.echo("files:")
    for file in files[:_MOST_FILES]:
        click.echo(f"  {shown(file.name, UNCUT):<24} {amount(file.size, '_bytes')}")
    if len(files) > _MOST_FILES:
        click.echo(f"  … and {len(files) - _MOST_FILES} more, listed by track files")


def _show_artifacts(trial: Trial, artifacts: list[KeptArtifact]) -> None:
    if artifacts:
        click.echo("artifacts:")
    for one in artifacts:
        what = "made" if trial.uid in one.made_by else "used"
        files = "1 file" if one.length == 1 else f"{one.length} files"
        click.echo(f"  {what}  {one.name}:{one.version}  {files}, {amount(one.size, '_bytes')}")


def _show_alerts(trial: Trial) -> None:
    if trial.alerts:
        click.echo("alerts:")
    for alert in trial.alerts:
        text = f": {alert.text}" if alert.text else ""
        click.echo(f"  {clock(alert.at)}  {alert.level:<8} {shown(alert.title + text, UNCUT)}")


def _show_metrics(trial: Trial, *, folds: bool) -> None:
    metrics = trial.metrics
    if metrics:
        click.echo("metrics:")
    folds = folds and len(metrics) > _MOST_METRICS
    alike: dict[str, list[str]] = {}
    for name in metrics:
        found = _PREFIX.match(name) if folds else None
        alike.setdefault(f"{found[0]}…" if found else name, []).append(name)
    most = _MOST_METRICS if folds else len(alike)
    for prefix, names in [*alike.items()][:most]:
        if len(names) > 1:
            click.echo(f"  {shown(prefix):<24} {len(names)} metrics")
        else:
            _show_metric(trial, names[0])
    if folds:
        left = sum(map(len, [*alike.values()][most:]))
        if left:
            click.echo(f"  … and {left} more")
        tell(f"{len(metrics)} metrics are folded: use --all to show each of them")


def _show_metric(trial: Trial, name: str) -> None:
    values = trial.metrics[name]
    numbers = [value for _, value in points_of(sampled(values, _LINE))]
    line = sparkline(numbers) if numbers else ""
    summary = summary_of(trial.metadata, name)
    chosen = "" if summary is None else f"  ({summary} {shown(sum_of(values, summary))})"
    click.echo(f"  {shown(name):<24} {line}  {shown(last_value(values))}{chosen}".rstrip())


def _show_attempts(attempts: list[Attempt]) -> None:
    if attempts:
        click.echo("attempts:")
    for line in attempt_lines(attempts):
        click.echo(line)


def attempt_lines(attempts: Iterable[Attempt]) -> Iterator[str]:
    """Yield a line per attempt, followed by the lines of its failure, if any."""
    for attempt in attempts:
        process, facts = attempt.process, attempt.facts
        where = "" if process is None else f"{process.host} pid {process.pid}"
        commit = str(facts.get("commit", ""))[:10] + ("+" if facts.get("modified") else "")
        command = " ".join(map(str, facts.get("command", ())))
        took = duration(attempt.runtime)
        parts = [str(attempt.status), clock(attempt.started_at), took, where, commit, command]
        line = "  ".join(part for part in parts if part)
        yield f"  {attempt.number}  {shown(line, UNCUT)}"
        if attempt.failure:
            yield from failure_lines(attempt.failure)


def failure_lines(failure: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a traceback."""
    for line in str(failure.get("traceback")).splitlines():
        yield f"       {printable(line)}"


def _attempt(attempt: Attempt) -> dict[str, Any]:
    process = None if attempt.process is None else attempt.process._asdict()
    status = None if attempt.status is None else str(attempt.status)
    return {**attempt._asdict(), "process": process, "status": status}


def points_of(values: Any) -> list[tuple[float, float]]:
    """Return the steps and values of a metric where both are numbers."""
    if isinstance(values, list):
        values = dict(enumerate(values))
    if not isinstance(values, Mapping):
        return []
    return [
        (float(step), float(value))
        for step, value in values.items()
        if _is_number(step) and _is_number(value)
    ]


def sampled(values: Any, count: int) -> Any:
    """Return a metric thinned out to at most ``count`` points."""
    if isinstance(values, list):
        values = Series.of_list(values)
    return values.sample(count) if isinstance(values, Series) else values


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (type(value) is int and abs(value) < 2**1000)


@click.command(
    "plot",
    epilog=example("track plot baseline -m loss", "track plot baseline wider -m loss --height 6"),
)
@click.argument("trials", type=TRIAL, nargs=-1, required=True)
@store_option
@click.option(
    "-m",
    "--metric",
    type=METRIC,
    metavar="METRIC",
    multiple=True,
    help="Plot only this metric (repeatable).",
)
@click.option(
    "--width",
    type=click.IntRange(10, 500),
    default=72,
    show_default=True,
    help="Width in characters.",
)
@click.option(
    "--height", type=click.IntRange(2, 100), default=12, show_default=True, help="Height in lines."
)
@json_option
def plot_verb(
    *,
    trials: tuple[str, ...],
    store: str | None,
    metric: tuple[str, ...],
    width: int,
    height: int,
    as_json: bool,
) -> None:
    """Plot metrics, one plot for each metric with a curve for each trial."""
    with reading(store) as reader:
        found = reader.named(trials)
    uids = short_uids(trial.uid for trial in found)
    is_alone = len(found) == 1
    paint = braille if is_alone else _in_colour if is_for_people() else letter
    known = dict.fromkeys(name for trial in found for name in trial.metrics)
    names = dict.fromkeys(_metric_named(name, found) for name in metric) if metric else known
    for name in names:
        # More points would hardly change any dot.
        most = None if as_json else POINTS * width
        metrics = [trial.metrics.get(name) for trial in found]
        curves = [points_of(m if most is None else sampled(m, most)) for m in metrics]
        if as_json:
            for trial, points in zip(found, curves, strict=True):
                print_json({"trial": trial.uid, "metric": name, "points": points})
            continue
        click.echo(shown(name))
        for curve, trial in enumerate(found):
            if metrics[curve] is None:
                continue
            mark = "" if is_alone else f"{paint(_FULL, curve)}  "
            click.echo(f"{mark}{uids[trial.uid]}  {shown(trial.name or '')}".rstrip())
        for line in plot(curves, width, height, paint):
            click.echo(line)


def _metric_named(text: str, trials: list[Trial]) -> str:
    """Return the name of a metric of these trials, given by path or name."""
    path = text if text.startswith(("metrics.", "metrics[")) else write_path("metrics", text)
    _, *keys = parse_path(path)
    for trial in trials:
        for name, others in names_in(trial.metrics, keys):
            if not others:
                return str(name)
    if any(text in trial.metrics for trial in trials):
        return text
    raise QueryError(f"no metric {text!r} in these trials: {hint(path, trials)}")


def _in_colour(dots: int, curve: int) -> str:
    return click.style(braille(dots, curve), fg=_COLOURS[curve % len(_COLOURS)])
