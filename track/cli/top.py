"""The verb top: a live full-screen view of the trials of a store."""

from __future__ import annotations

import sys

import click

from track.cli.common import example, reading, store_option
from track.cli.completion import PATH, where_option
from track.errors import MissingPackage


@click.command(
    "top",
    epilog=example("track top", "track top -w status=running --sort=-metrics.accuracy"),
)
@store_option
@where_option
@click.option(
    "--sort",
    type=PATH,
    metavar="PATH",
    default="-changed",
    show_default=True,
    help="Sort by path, e.g. metrics.loss; -PATH to reverse.",
)
@click.option(
    "-n",
    "count",
    metavar="N",
    type=click.IntRange(1, 10_000),
    default=200,
    show_default=True,
    help="Show at most N trials.",
)
@click.option(
    "--interval",
    metavar="SECONDS",
    type=click.FloatRange(0.1, 3600),
    default=0.5,
    show_default=True,
    help="The time between checks for new events.",
)
def top_verb(
    *, store: str | None, where: tuple[str, ...], sort: str, count: int, interval: float
) -> None:
    """Watch trials live in the terminal: a table, and the curves of the selected trial."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("track top needs a terminal; `track ls` prints the list once")
    try:
        from track.cli.live import Live
    except ModuleNotFoundError as error:
        raise MissingPackage(
            f"{error.name} is not installed: pip install 'track-journal[top]'"
        ) from error
    with reading(store) as reader:
        Live(reader, list(where), sort, count, interval).run()
