"""The verb system, which shows the system metrics of a trial."""

from __future__ import annotations

from collections.abc import Iterator
from math import fsum, isfinite

import click

from track.cli.common import (
    TRIAL,
    at_option,
    clock,
    example,
    json_option,
    print_json,
    print_table,
    reading,
    room,
    store_option,
)
from track.cli.plots import sparkline
from track.display.texts import UNCUT, amount
from track.projections.system import SystemMetrics

_COLUMNS = ("metric", "over time", "mean", "max", "last")
_FEWEST_POINTS, _MOST_POINTS, _WIDTH, _BESIDE = 8, 40, 100, 72
"""The points of a curve, the width of output to files, and the width beside a curve."""


@click.command("system", epilog=example("track system baseline", "track system baseline --json"))
@click.argument("trial", type=TRIAL)
@store_option
@at_option
@json_option
def system_verb(*, trial: str, store: str | None, at: str | None, as_json: bool) -> None:
    """Show the system metrics of a trial: load, memory and more of its machines."""
    with reading(store) as reader:
        found = reader.system_metrics(trial, at=at)
    if as_json:
        for metrics in found:
            columns = {name: [*values] for name, values in metrics.values.items()}
            print_json({**metrics._asdict(), "times": [*metrics.times], "values": columns})
        return
    if not found:
        click.echo(
            "no system metrics were logged: call log_system_metrics() of the trial, or set "
            "TRACK_SYSTEM_INTERVAL=15 in the environment"
        )
        return
    for metrics in found:
        times = metrics.times
        rank = "" if metrics.rank is None else f" rank {metrics.rank}"
        samples = "1 sample" if len(times) == 1 else f"{len(times)} samples"
        when = f"{clock(times[0])} to {clock(times[-1])}"
        click.echo(f"{metrics.host} pid {metrics.pid}{rank}: {samples}, {when}")
        print_table(_COLUMNS, _rows(metrics), UNCUT, is_lined=False)


def _rows(metrics: SystemMetrics) -> Iterator[list[str]]:
    points = max(_FEWEST_POINTS, min(_MOST_POINTS, (room() or _WIDTH) - _BESIDE))
    for name, values in sorted(metrics.values.items()):
        known = [value for value in values if isfinite(value)]
        if known:
            said = fsum(known) / len(known), max(known), known[-1]
            yield [name, sparkline(values, points), *(amount(value, name) for value in said)]
