"""Code shared by the verbs: opening the store, and printing tables, JSON and progress."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from track.cli.app import DAMAGE_MET
from track.contents.folder import CONTENT_SUFFIX
from track.display.texts import LONGEST, gaps, shown, shown_width, text_table
from track.errors import BackendError, TrackError
from track.moment import time_text
from track.persistence import get_protocol
from track.persistence.file_store import JOURNAL_SUFFIX
from track.persistence.journaled import JournaledProtocol
from track.persistence.utils import without_password
from track.projections.report import dumps, plain
from track.reader import Reader, open_store
from track.stores.which_store import store_uri
from track.structure import Trial
from track.utils.printing import printable
from track.utils.progress import Progress, no_progress

STORE_HELP = "The store: file:report.json, lmdb:…, socket:…, postgres:…"

_NOTES = "track.notes"
"""The key of the printed notes in the command's context."""

_REDRAWN_S = 0.1

_Found = TypeVar("_Found")


def example(*lines: str) -> str:
    """Return the examples at the end of the help of a verb."""
    return "\b\nFor example:\n" + "\n".join(f"  {line}" for line in lines)


def store_option(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option ``--store`` to a verb."""
    return click.option("-s", "--store", metavar="URI", help=STORE_HELP)(verb)


def at_option(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option ``--at`` to a verb."""
    help_text = "Show the state at this time or position, e.g. 2h ago."
    return click.option("--at", metavar="MOMENT", help=help_text)(verb)


def json_option(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option ``--json`` to a verb."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(verb)


class _TrialName(click.ParamType):  # type: ignore[type-arg]  # older versions of click take no type argument
    """A trial, given by name, uid or uid prefix, with shell completion."""

    name = "trial"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        called = read_to_complete(ctx, lambda trials: {(one.name, one.uid) for one in trials})
        names = {name or uid for name, uid in called}
        names |= {uid for _, uid in called if incomplete and uid.startswith(incomplete)}
        fitting = sorted(name for name in names if name.startswith(incomplete))
        return [CompletionItem(name) for name in fitting if name == printable(name)]


TRIAL = _TrialName()


def read_to_complete(
    ctx: click.Context, read: Callable[[list[Trial]], Collection[_Found]]
) -> Collection[_Found]:
    """Return what a function finds in the trials of the store that a line names.

    It is nothing if the store cannot be read: the verb itself reports the error.
    """
    try:
        with (
            open_store(store_at_once(ctx.params.get("store"))) as reader,
            reader.protocol.read_state() as objects,
        ):
            trials = objects.trials.values()
            return read([trial for trial in trials if not objects.is_erased(trial.uid)])
    except (TrackError, OSError):
        return []


def store_at_once(store: str | None) -> str:
    """Return the URI of the chosen store, without waiting for its server to start."""
    uri = store_uri(store)
    if uri.startswith("socket:") and "start_timeout=" not in uri:
        uri += f"{'&' if '?' in uri else '?'}start_timeout=0"
    return uri


@contextmanager
def reading(store: str | None) -> Iterator[Reader]:
    """Open the chosen store for reading; damage is reported at the end of the command."""
    with open_store(store_at_once(store)) as reader:
        reader.tell = tell
        yield reader
        note_damage(len(reader.damage()))


@contextmanager
def writing(store: str | None) -> Iterator[JournaledProtocol]:
    """Open the backend of a store to change it."""
    uri = store_at_once(store)
    protocol = get_protocol(uri)
    try:
        if not isinstance(protocol, JournaledProtocol):
            raise BackendError(f"the backend of {without_password(uri)!r} has no journal to change")
        yield protocol
        note_damage(len(Reader(protocol).damage()))
    finally:
        protocol.close()


def refuse_own_file(reader: Reader, path: str) -> None:
    """Refuse to write a result over a file of the store that it is read from.

    Raises
    ------
    BackendError
        the path is one of these files
    """
    store = getattr(reader.protocol, "path", None)  # None for servers and databases
    kept = [f"{store}{suffix}" for suffix in ("", JOURNAL_SUFFIX, CONTENT_SUFFIX)]
    if store is not None and os.path.realpath(path) in kept:
        raise BackendError(f"{path} is part of the store: choose another path")


def tell(text: str) -> None:
    """Print a note about an answer on stderr, once."""
    notes = click.get_current_context().meta.setdefault(_NOTES, set())
    if text not in notes:
        notes.add(text)
        click.echo(f"track: {printable(text)}", err=True)


def note_damage(ranges: int) -> None:
    """Count damaged ranges that were skipped, so that the command reports them at its end."""
    context = click.get_current_context()
    context.meta[DAMAGE_MET] = context.meta.get(DAMAGE_MET, 0) + ranges


def print_json(value: Any) -> None:
    """Print any value as one line of valid JSON."""
    click.echo(dumps(plain(value)))


def is_for_people() -> bool:
    """Return whether the output is a terminal with colours and borders enabled."""
    context = click.get_current_context(silent=True)
    wants_plain = context is not None and context.find_root().obj is True
    return sys.stdout.isatty() and not wants_plain


def room() -> int | None:
    """Return the width of the terminal in characters, None if the output is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_table(
    names: Sequence[str],
    rows: Iterable[Sequence[Any]],
    longest: int = LONGEST,
    *,
    is_lined: bool | None = None,
) -> None:
    """Print a table, with borders on a terminal.

    Parameters
    ----------
    names
        the column names
    rows
        the values of each row
    longest
        the number of characters after which a value is truncated
    is_lined
        whether to draw borders; if given, each row stays on one line, however long it is
    """
    names = [*map(printable, names)]
    cells = [[shown(value, longest) for value in row] for row in rows]
    if is_for_people():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        console, table = Console(), Table(header_style="bold")
        if is_lined is False:
            table = Table(header_style="bold", box=None, padding=(0, 2, 0, 0), pad_edge=False)
        if is_lined is not None:
            columns = zip(names, *cells, strict=True)
            widths = (max(map(shown_width, column)) for column in columns)
            whole = gaps(len(names), is_lined=is_lined) + sum(widths)
            console.width = max(console.width, whole)
        for name in names:
            table.add_column(Text(name), overflow="fold")
        for row in cells:
            table.add_row(*map(Text, row))
        console.print(table)
        return
    for line in text_table(names, cells):
        click.echo(line)


@contextmanager
def progress(what: str, *, among_output: bool = False) -> Iterator[Progress]:
    """Yield a function for long tasks to report progress, which draws a bar on a terminal.

    Parameters
    ----------
    what
        the label of the bar
    among_output
        whether the task also prints to stdout, which a bar would disturb
    """
    if not sys.stderr.isatty() or (among_output and sys.stdout.isatty()):
        yield no_progress
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        drawn = 0.0

        def advance(done: int, total: int) -> None:
            nonlocal drawn
            if time.monotonic() - drawn > _REDRAWN_S:
                drawn = time.monotonic()
                bar.update(task, completed=done, total=total)

        yield advance


def clock(at_ns: int | None) -> str | None:
    """Return a time in UTC, in the form that ``--at`` and ``--since`` accept."""
    return None if at_ns is None else time_text(at_ns)
