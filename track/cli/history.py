"""The verbs report, log, tail, diff and blame, which read the history."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import click

from track.cli.app import FAILURE
from track.cli.common import (
    TRIAL,
    at_option,
    clock,
    example,
    json_option,
    print_json,
    print_table,
    reading,
    refuse_own_file,
    store_option,
)
from track.cli.subjects import Subjects
from track.display.texts import shown
from track.errors import QueryError
from track.events.types import CATALOGUE, Recorded
from track.moment import Moment, to_moment
from track.projections.paths import hint
from track.projections.trials import stream_of
from track.reader import Reader
from track.ui import save_page
from track.utils.files import replacing

_WRITES_WITHIN_S = 10.0
_TYPES = sorted(event.__name__ for event in CATALOGUE)


@click.command(
    "report",
    epilog=example(
        "track report > now.json",
        "track report --at 2026-01-31T12:00",
        "track report --html sweep.html",
        "track report --html two.html baseline wider",
    ),
)
@click.argument("trials", type=TRIAL, nargs=-1)
@store_option
@at_option
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(dir_okay=False, resolve_path=True),
    help="Write a self-contained HTML page with the curves of all trials or of TRIALS.",
)
def report_verb(
    *, trials: tuple[str, ...], store: str | None, at: str | None, html: str | None
) -> None:
    """Print the report as JSON, or save it as a page."""
    if trials and html is None:
        raise click.UsageError("the JSON report covers the whole store: select trials with --html")
    with reading(store) as reader:
        if html is not None:
            refuse_own_file(reader, html)
            _save_page(reader, html, trials, at)
            return
        for piece in reader.report(at=at):
            sys.stdout.write(piece)


def _save_page(reader: Reader, path: str, trials: tuple[str, ...], at: str | None) -> None:
    page = save_page(reader, trials, at=at)
    with replacing(path, _WRITES_WITHIN_S, encoding="utf-8") as file:
        file.write(page)


@click.command(
    "log",
    epilog=example(
        "track log baseline --type StatusChanged", "track log --since 1h --json | jq .fields"
    )
    + f"\n\nTypes: {', '.join(_TYPES)}.",
)
@click.argument("trial", type=TRIAL, required=False)
@store_option
@click.option("--since", metavar="MOMENT", help="Start at this time or position, e.g. 2h ago.")
@click.option("--until", metavar="MOMENT", help="Stop at this time or position.")
@click.option(
    "-n", "count", metavar="N", type=click.IntRange(0), help="Show only the last N events."
)
@click.option(
    "--type",
    "types",
    multiple=True,
    type=click.Choice(_TYPES),
    metavar="TYPE",
    help="Show only events of this type (repeatable).",
)
@click.option("-f", "--follow", is_flag=True, help="Follow new events.")
@json_option
def log_verb(
    *,
    trial: str | None,
    store: str | None,
    since: str | None,
    until: str | None,
    count: int | None,
    types: tuple[str, ...],
    follow: bool,
    as_json: bool,
) -> None:
    """Print the events of a trial or of the whole store, oldest first."""
    with reading(store) as reader:
        begin = to_moment(since)
        end = reader.protocol.journal.head() if follow else 0
        # Find the trial before printing anything, because it may not exist.
        with reader.protocol.read_state() as objects:
            found = None if trial is None else reader.find_in(objects, trial)
            by_stream = Subjects(objects, found)
        stream = None if found is None else stream_of(found.uid)
        events: Iterable[Recorded]
        if count is not None and since is None and until is None and not types:
            events = reader.recent(count, found)
        elif found is None:
            events = reader.events(until=until)
        else:
            events = reader.history(found, until=until)
        wanted = (event for event in events if _is_wanted(event, begin, types))
        printed = _print_events(_last(wanted, count), by_stream, as_json=as_json)
        if follow:
            # Events that arrived during the read have been printed already.
            coming = reader.follow(max(end, printed))
            coming = (event for event in coming if stream in (None, event.stream))
            coming = (event for event in coming if _is_wanted(event, begin, types))
            _print_events(coming, by_stream, as_json=as_json)


@click.command("tail", epilog=example("track tail -f", "track tail baseline -n 20"))
@click.argument("trial", type=TRIAL, required=False)
@store_option
@click.option(
    "-n",
    "count",
    metavar="N",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="Show the last N events.",
)
@click.option("-f", "--follow", is_flag=True, help="Follow new events.")
@json_option
@click.pass_context
def tail_verb(
    ctx: click.Context,
    *,
    trial: str | None,
    store: str | None,
    count: int,
    follow: bool,
    as_json: bool,
) -> None:
    """Print the latest events of a trial or of the whole store, and follow new ones with -f."""
    ctx.invoke(log_verb, trial=trial, store=store, count=count, follow=follow, as_json=as_json)


def _is_wanted(event: Recorded, since: Moment, types: tuple[str, ...]) -> bool:
    return (
        (since.position is None or event.position >= since.position)
        and (since.at_ns is None or event.at >= since.at_ns)
        and (not types or type(event.event).__name__ in types)
    )


def _last(events: Iterable[Recorded], count: int | None) -> Iterable[Recorded]:
    if count is None:
        return events
    from collections import deque

    return deque(events, count)


def _print_events(events: Iterable[Recorded], by_stream: Subjects, *, as_json: bool) -> int:
    """Print events and return the position of the last one, 0 if there was none."""
    position = 0
    if as_json:
        from track.exchange.text import export_events

        # Print line by line so that followed events appear at once.
        for event in events:
            export_events([event], sys.stdout, trial_of=by_stream.trial_of)
            sys.stdout.flush()
            position = event.position
        return position
    for event in events:
        position = event.position
        kind = type(event.event).__name__
        fields = " ".join(f"{name}={shown(value)}" for name, value in _fields(event))
        subject = by_stream.label(event)
        line = f"{event.position:>10}  {clock(event.at)}  {subject}  {kind:<20} {fields}"
        click.echo(line.rstrip())
    return position


def _fields(event: Recorded) -> Iterator[tuple[str, Any]]:
    return ((name, v) for name, v in event.event._asdict().items() if v not in (None, {}, []))


@click.command("diff", epilog=example("track diff baseline wider", "track diff baseline --at 2h"))
@click.argument("left", type=TRIAL)
@click.argument("right", type=TRIAL, required=False)
@store_option
@click.option("--at", multiple=True, metavar="MOMENT", help="Time for LEFT; repeat for RIGHT.")
@json_option
def diff_verb(
    *, left: str, right: str | None, store: str | None, at: tuple[str, ...], as_json: bool
) -> int:
    """Compare two trials, or one trial at two times.

    Parameters, code, tags and results are compared; for a metric, the last values and the first
    step at which the two differ are shown. The exit code is 1 if there is a difference.
    """
    left_at, right_at = [*at, None, None][:2]
    if len(at) > 2 or (right is None and not at):  # noqa: PLR2004 - one for each side
        raise QueryError("nothing to compare: give two trials, or one with --at")
    with reading(store) as reader:
        found = reader.diff(left, right or left, left_at=left_at, right_at=right_at)
    if as_json:
        for item in found:
            print_json(item._asdict())
    elif found:
        print_table(["what", "left", "right", "first at step"], found)
    return FAILURE if found else 0


@click.command(
    "blame", epilog=example("track blame baseline status", "track blame baseline metrics.loss.3")
)
@click.argument("trial", type=TRIAL)
@click.argument("path")
@store_option
@json_option
def blame_verb(*, trial: str, path: str, store: str | None, as_json: bool) -> None:
    """Show when a value of a trial was set, by whom, and what it replaced."""
    with reading(store) as reader:
        origins = reader.provenance(trial, path)
        if not origins:
            found = reader.trial(trial)
            raise QueryError(f"{path!r} was never set in trial {found.uid}: {hint(path, [found])}")
    rows = [
        {
            "value": origin.value,
            "replaced": origin.replaced,
            "position": origin.recorded.position,
            "at": clock(origin.recorded.at),
            "attempt": None if origin.attempt is None else origin.attempt.number,
            "host": _process(origin.attempt, "host"),
            "pid": _process(origin.attempt, "pid"),
        }
        for origin in origins
    ]
    if as_json:
        for row in rows:
            print_json(row)
    else:
        print_table([*rows[0]], (list(row.values()) for row in rows))


def _process(attempt: Any, name: str) -> Any:
    return None if attempt is None or attempt.process is None else getattr(attempt.process, name)
