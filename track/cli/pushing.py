"""The verb push, which keeps other tools up to date."""

from __future__ import annotations

import click

from track.cli.common import example, progress, reading, store_option, tell
from track.cli.completion import where_option
from track.exchange.bridges import Pushed, Pusher, open_target
from track.reader import Reader
from track.reading.page import page_of
from track.utils.printing import printable

_LOOKS_S = 2.0


@click.command(
    "push",
    epilog=example(
        "track push mlflow:http://localhost:5000",
        "track push tensorboard:runs --follow",
        "track push wandb: -w status=completed",
    ),
)
@click.argument("to")
@store_option
@where_option
@click.option("-f", "--follow", is_flag=True, help="Keep pushing new data.")
@click.option(
    "--every",
    metavar="SECONDS",
    type=click.FloatRange(0.1),
    default=_LOOKS_S,
    show_default=True,
    help="The time between two pushes with --follow.",
)
def push_verb(
    *, to: str, store: str | None, where: tuple[str, ...], follow: bool, every: float
) -> None:
    """Push trials, with metrics and media, to another tool.

    TO is mlflow:URL, tensorboard:FOLDER or wandb:ENTITY.

    Nothing is sent twice: push as often as you like, even after an interruption. User and password
    for MLflow, or a token, are taken from MLFLOW_TRACKING_USERNAME and so on; the key for W&B from
    WANDB_API_KEY.
    """
    target = open_target(to)

    with reading(store) as reader:
        wanted = (lambda: _matching(reader, where)) if where else None
        chosen = " ".join(where)
        with Pusher(reader.protocol, target, wanted=wanted, wanted_as=chosen) as pusher:
            if follow:
                for done in pusher.follow(every):
                    _tell(done, target.name, is_news=done.trials > 0)
                return
            with progress("pushing") as advance:
                done = pusher.push(advance)
            _tell(done, target.name)


def _matching(reader: Reader, where: tuple[str, ...]) -> set[str]:
    with reader.protocol.read_state() as objects:
        found = page_of(objects, reader.status_in(objects), where).trials
    return {trial.uid for trial in found}


def _tell(done: Pushed, name: str, *, is_news: bool = True) -> None:
    for problem in done.problems:
        tell(problem)  # once, however often it is met
    if is_news:
        click.echo(f"pushed {done.rows} log calls of {done.trials} trials to {printable(name)}")
