"""ls, show, plot: what is in a store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from track.cli.common import (
    TRIAL,
    UNCUT,
    ago,
    clock,
    duration,
    example,
    is_for_people,
    json_option,
    print_json,
    print_table,
    reading,
    short_uid,
    shown,
    store_option,
    summaries_of,
)
from track.cli.drawing import braille, letter, plot, sparkline
from track.errors import QueryError
from track.projections.objects import OWN_METADATA
from track.reader import Attempt, Reader
from track.serialization import to_json
from track.summaries import last_value, matching, sort_key

_METRICS_SHOWN = 4

_FULL = 0xFF
"""All dots of a cell of a plot."""

_COLOURS = ("cyan", "yellow", "magenta", "green", "red", "blue")
"""Of the curves in a plot."""


@click.command(
    "ls",
    epilog=example(
        "track ls -w status=completed -w 'metrics.loss<0.1' --sort metrics.loss -n 10",
        "track ls -w 'name~^base' -w parameters.lr=0.1,0.01 -w '!metadata.note'",
    ),
)
@click.argument("what", type=click.Choice(["trials", "projects", "groups"]), default="trials")
@store_option
@click.option("-w", "--where", multiple=True, metavar="CONDITION", help="Only these; repeatable.")
@click.option("--sort", metavar="PATH", help="By this, as metrics.loss; -PATH: largest first.")
@click.option("-n", "count", type=click.IntRange(0), help="At most so many.")
@click.option("--archived", is_flag=True, help="Those that are archived, and only those.")
@json_option
def ls_verb(
    *,
    what: str,
    store: str | None,
    where: tuple[str, ...],
    sort: str | None,
    count: int | None,
    archived: bool,
    as_json: bool,
) -> None:
    """List trials, projects or groups."""
    with reading(store) as reader:
        if what != "trials":
            _list_others(reader, what, as_json=as_json)
            return
        summaries = list(matching(summaries_of(reader, archived=archived), where))
    if sort:
        path = sort.lstrip("-")
        there = [item for item in summaries if not sort_key(item, path)[0]]
        there.sort(key=lambda item: sort_key(item, path), reverse=sort.startswith("-"))
        summaries = there + [item for item in summaries if sort_key(item, path)[0]]
    summaries = summaries[:count]
    if as_json:
        for summary in summaries:
            print_json(vars(summary))
        return
    metrics = list(dict.fromkeys(name for item in summaries for name in item.metrics))
    print_table(
        ["trial", "name", "project", "group", "status", "changed", "runtime"]
        + [str(name) for name in metrics[:_METRICS_SHOWN]],
        (
            [
                short_uid(item.uid),
                *(item.name, item.project, item.group, item.status),
                *(ago(item.changed), duration(item.runtime)),
                *(item.metrics.get(name) for name in metrics[:_METRICS_SHOWN]),
            ]
            for item in summaries
        ),
    )


def _list_others(reader: Reader, what: str, *, as_json: bool) -> None:
    items: list[Any] = reader.projects() if what == "projects" else reader.groups()
    if as_json:
        for item in items:
            facts = {**to_json(item), "trials": len(item.trials)}
            print_json({key: value for key, value in facts.items() if key != "groups"})
        return
    extra = "groups" if what == "projects" else "project"
    print_table(
        ["name", "trials", extra, "description"],
        (
            [
                *(item.name, len(item.trials)),
                len(item.groups) if what == "projects" else item.project_id,
                item.description,
            ]
            for item in items
        ),
    )


@click.command("show", epilog=example("track show baseline", "track show 1f3a9c --at 2h"))
@click.argument("trial", type=TRIAL)
@store_option
@click.option("--at", metavar="MOMENT", help="As of a position, a time, or 2h ago.")
@json_option
def show_verb(*, trial: str, store: str | None, at: str | None, as_json: bool) -> None:
    """Show all there is of a trial: its uid, the beginning of that, or its name says which."""
    with reading(store) as reader:
        found = reader.trial(trial, at=at)
        attempts = reader.attempts(found, until=at)
        status = reader.status(found) if at is None else found.status
        groups = {group.uid: group.name for group in reader.groups()}
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
        "group": groups.get(found.group_id) or found.group_id,
        "version": found.version,
        "status": status,
        "runtime": duration(found.chronos.get("runtime")) if found.chronos else None,
    }
    for name, value in facts.items():
        if value is not None:
            click.echo(f"{name:<12} {shown(str(value), UNCUT)}")
    logged = {name: value for name, value in found.metadata.items() if name not in OWN_METADATA}
    sections = {"parameters": found.parameters, "tags": found.tags, "metadata": logged}
    for name, values in sections.items():
        _show_section(name, values)
    _show_section("chronos", {n: last_value(c) for n, c in found.chronos.items()})
    _show_metrics(found.metrics)
    for error in found.errors:
        click.echo(f"error        {shown(str(error), UNCUT)}")
    _show_attempts(attempts)


def _show_section(name: str, values: Any) -> None:
    if not isinstance(values, Mapping):
        values = dict.fromkeys(values or ())
    if values:
        click.echo(f"{name}:")
    for key, value in values.items():
        click.echo(f"  {shown(str(key)):<24} {shown(value)}")


def _show_metrics(metrics: Mapping[str, Any]) -> None:
    if metrics:
        click.echo("metrics:")
    for name, values in metrics.items():
        numbers = [value for _, value in points_of(values)]
        line = sparkline(numbers) if numbers else ""
        click.echo(f"  {shown(name):<24} {line}  {shown(last_value(values))}".rstrip())


def _show_attempts(attempts: list[Attempt]) -> None:
    if attempts:
        click.echo("attempts:")
    for attempt in attempts:
        process, facts = attempt.process, attempt.facts
        where = "" if process is None else f"{process.host} pid {process.pid}"
        commit = str(facts.get("commit", ""))[:10] + ("+" if facts.get("modified") else "")
        command = " ".join(map(str, facts.get("command", ())))
        parts = [str(attempt.status), clock(attempt.started_at), where, commit, command]
        line = "  ".join(part for part in parts if part)
        click.echo(f"  {attempt.number}  {shown(line, UNCUT)}")


def _attempt(attempt: Attempt) -> dict[str, Any]:
    process = None if attempt.process is None else attempt.process._asdict()
    status = None if attempt.status is None else str(attempt.status)
    return {**attempt._asdict(), "process": process, "status": status}


def points_of(values: Any) -> list[tuple[float, float]]:
    """Return steps and values of a metric, as far as both are numbers."""
    if isinstance(values, list):
        values = dict(enumerate(values))
    if not isinstance(values, Mapping):
        return []
    return [
        (float(step), float(value))
        for step, value in values.items()
        if _is_number(step) and _is_number(value)
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (type(value) is int and abs(value) < 2**1000)


@click.command(
    "plot",
    epilog=example("track plot baseline -m loss", "track plot baseline wider -m loss --height 6"),
)
@click.argument("trials", type=TRIAL, nargs=-1, required=True)
@store_option
@click.option("-m", "--metric", multiple=True, help="Which, by default all; repeatable.")
@click.option("--width", type=click.IntRange(10, 500), default=72, show_default=True)
@click.option("--height", type=click.IntRange(2, 100), default=12, show_default=True)
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
    """Plot metrics, the curves of all the trials in one plot for each."""
    with reading(store) as reader:
        found = list({uid: reader.trial(uid) for uid in map(reader.find_uid, trials)}.values())
    is_alone = len(found) == 1
    paint = braille if is_alone else _in_colour if is_for_people() else letter
    names = metric or tuple(dict.fromkeys(name for trial in found for name in trial.metrics))
    for name in names:
        if not any(name in trial.metrics for trial in found):
            known = ", ".join(sorted({name for trial in found for name in trial.metrics}))
            raise QueryError(f"none of these trials has a metric {name!r}: use one of {known}")
        curves = [points_of(trial.metrics.get(name)) for trial in found]
        if as_json:
            for trial, points in zip(found, curves, strict=True):
                print_json({"trial": trial.uid, "metric": name, "points": points})
            continue
        click.echo(shown(name))
        for curve, trial in enumerate(found):
            mark = "" if is_alone else f"{paint(_FULL, curve)}  "
            click.echo(f"{mark}{short_uid(trial.uid)}  {shown(trial.name or '')}".rstrip())
        for line in plot(curves, width, height, paint):
            click.echo(line)


def _in_colour(dots: int, curve: int) -> str:
    return click.style(braille(dots, curve), fg=_COLOURS[curve % len(_COLOURS)])
