"""The verb output, which prints the captured output of a trial."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click

from track.cli.common import (
    TRIAL,
    at_option,
    clock,
    example,
    json_option,
    print_json,
    reading,
    store_option,
)
from track.moment import Moment
from track.projections.output import OutputLine, lines_in, output_stream
from track.utils.printing import printable


@click.command(
    "output",
    epilog=example("track output baseline", "track output baseline --stderr -n 20 --follow"),
)
@click.argument("trial", type=TRIAL)
@store_option
@click.option("-n", "count", metavar="N", type=click.IntRange(0), help="Show the last N lines.")
@click.option("-f", "--follow", is_flag=True, help="Follow new lines.")
@click.option("--stderr", is_flag=True, help="Leave out lines known to be stdout.")
@click.option("--text", is_flag=True, help="Print lines without times.")
@at_option
@json_option
def output_verb(
    *,
    trial: str,
    store: str | None,
    count: int | None,
    follow: bool,
    stderr: bool,
    text: bool,
    at: str | None,
    as_json: bool,
) -> None:
    """Print the captured output of a trial, with times in UTC."""
    if follow and at is not None:
        raise click.UsageError("--follow shows new lines and --at past ones: choose one")

    def chosen(lines: Iterable[OutputLine]) -> Iterator[OutputLine]:
        return (line for line in lines if not (stderr and line.source == "stdout"))

    def show(lines: Iterable[OutputLine]) -> None:
        for line in lines:
            if as_json:
                print_json(line._asdict())
            else:
                click.echo(_shown(line) if text else f"{clock(line.at)}  {_shown(line)}")

    with reading(store) as reader:
        end = reader.protocol.journal.head()
        found = reader.output(trial, at=Moment(position=end) if at is None else at)
        if not found and not follow:
            click.echo(
                "no output was captured: call log_output() of the trial, or set "
                "TRACK_OUTPUT_CAPTURE=yes in the environment",
                err=True,
            )
        lines = [*chosen(found)]
        show(lines if count is None else lines[max(len(lines) - count, 0) :])
        if follow:
            stream = output_stream(reader.find_uid(trial))
            events = (event for event in reader.follow(end) if event.stream == stream)
            show(chosen(line for line in lines_in(events) if line.is_whole))


def _shown(line: OutputLine) -> str:
    if line.left_out:
        return f"… {line.left_out} lines were left out"
    return printable(line.text.expandtabs())
