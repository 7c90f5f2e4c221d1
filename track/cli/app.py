"""The verbs of ``track``, and what becomes of errors. Each verb is imported when it is called."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

import click

from track.errors import (
    BackendError,
    DamageWarning,
    FileDamaged,
    ItemNotFound,
    QueryError,
    TrackError,
    TrackWarning,
)
from track.utils.printing import printable

FAILURE, USAGE, NOT_FOUND, DAMAGE, INTERRUPTED, PIPE_CLOSED = 1, 2, 3, 4, 130, 141

DAMAGE_MET = "track.damage_met"
"""Where verbs note, in the context of the command, how many damaged ranges they met."""

_COMPLETES = "_TRACK_COMPLETE"
"""The environment variable by which a shell asks for completions."""

VERBS = {
    "ls": ("listing", "list trials, projects or groups"),
    "show": ("listing", "show all there is of a trial"),
    "plot": ("listing", "plot metrics of trials"),
    "ui": ("page", "show a store in a browser"),
    "report": ("history", "print the report JSON, of now or of a moment"),
    "log": ("history", "print the events of a trial, or of the store"),
    "tail": ("history", "print the last events, and go on with those that come"),
    "diff": ("history", "tell what differs between two trials, or moments"),
    "blame": ("history", "tell who set a value of a trial"),
    "files": ("files", "list the files that were logged about a trial"),
    "get": ("files", "get a logged file, or a folder of them"),
    "replay": ("maintenance", "compute the report and the cache anew"),
    "export": ("transfer", "write trials or events in another format"),
    "import": ("transfer", "add the trials of another tool"),
    "copy": ("transfer", "copy a store into another one, each event once"),
    "backup": ("maintenance", "copy a store on disk while it is used"),
    "verify": ("maintenance", "look for damage"),
    "repair": ("maintenance", "write what is intact into a sound journal"),
    "compact": ("maintenance", "give unused room back"),
    "rm": ("maintenance", "remove trials from lists, or erase them"),
    "archive": ("maintenance", "leave trials out of lists and reports"),
    "restore": ("maintenance", "show archived and removed trials again"),
    "redact": ("maintenance", "erase what was logged about trials"),
    "sync": ("serving", "send what could not be sent to a server"),
    "serve": ("serving", "serve a store to other machines"),
    "user": ("serving", "say who may log in at a server"),
    "doctor": ("doctor", "say what Track finds on this machine"),
    "version": ("doctor", "print the version"),
}
"""verb -> its module in this package, and what it does."""

_EPILOG = """\b
The store is --store, else TRACK_LOG_BACKEND_NAME, else log.backend.name in
track.config, else the only store in this folder.

\b
Exit codes: 0 done; 1 failed, or `diff` found differences; 2 usage;
3 not found; 4 damage found; 130 interrupted; 141 nobody reads the output.

\b
Completion: eval "$(_TRACK_COMPLETE=bash_source track)"; likewise zsh_source,
fish_source."""


class _Verbs(click.Group):
    """A group whose verbs are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*VERBS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = import_module(f"track.cli.{VERBS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_verb")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            similar = get_close_matches(args[0], VERBS, 1)
            hint = f" Did you mean {similar[0]}?" if similar else ""
            raise click.UsageError(f"There is no verb {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, what) for verb, (_, what) in VERBS.items()])


def _show_version(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted:
        version = track.get_command(ctx, "version")
        assert version is not None
        ctx.invoke(version)
        ctx.exit()


@click.group(
    cls=_Verbs,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Print the version.",
)
@click.option("--no-color", is_flag=True, help="Neither colours nor tables with lines.")
@click.pass_context
def track(ctx: click.Context, no_color: bool) -> None:
    """Look at what Track recorded, and take care of it."""
    plain = no_color or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    ctx.color = False if plain else None
    ctx.obj = plain
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(arguments: Sequence[str]) -> int:
    """Run a command line.

    Returns
    -------
    The exit code. Whatever went wrong is one line on stderr, without a traceback.
    """
    with warnings.catch_warnings():
        if _COMPLETES in os.environ:
            logging.disable()  # nothing but completions belongs on the line that is being typed
            warnings.simplefilter("ignore")
            track.main(prog_name="track")  # which exits
        _prepare_streams()
        warnings.simplefilter("default", TrackWarning)
        # Of damage, the command tells at its end.
        warnings.simplefilter("ignore", DamageWarning)
        warnings.showwarning = lambda message, *_: click.echo(
            f"track: {printable(str(message))}", err=True
        )
        return _run(arguments)


def _run(arguments: Sequence[str]) -> int:
    try:
        # Not its main(), which has an idea of its own of interrupts and of closed pipes.
        with track.make_context("track", [*arguments]) as context:
            result = track.invoke(context)
            sys.stdout.flush()
            damaged = context.meta.get(DAMAGE_MET)
        if damaged:
            click.echo(
                f"track: damaged ranges of the journal were passed over ({damaged}): see which "
                "with `track verify`",
                err=True,
            )
            return DAMAGE
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BrokenPipeError:
        _forget_output()
        return PIPE_CLOSED
    except KeyboardInterrupt:
        return INTERRUPTED
    except click.exceptions.Abort as error:  # of a question: by Ctrl-C, or since nobody answers
        return INTERRUPTED if isinstance(error.__context__, KeyboardInterrupt) else FAILURE
    except (TrackError, OSError) as error:
        click.echo(f"track: {printable(_one_line(error))}", err=True)
        return _code(error)
    return result if isinstance(result, int) else 0


def _prepare_streams() -> None:
    """Have what the library warns of on stderr, and nothing that cannot be written."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    library = logging.getLogger("track")
    if not any(isinstance(handler, _Warnings) for handler in library.handlers):
        library.addHandler(_Warnings(logging.WARNING))


class _Warnings(logging.Handler):
    """Writes what the library warns of as lines of stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        if logging.getLogger().handlers:
            return  # somebody else writes it
        if record.name != "track.journals.local":  # of damage, see above
            click.echo(f"track: {printable(record.getMessage())}", err=True)


def _code(error: Exception) -> int:
    if isinstance(error, (ItemNotFound, FileNotFoundError)):
        return NOT_FOUND
    if isinstance(error, FileDamaged):
        return DAMAGE
    return USAGE if isinstance(error, (BackendError, QueryError)) else FAILURE


def _one_line(error: Exception) -> str:
    message = str(error)
    if isinstance(error, OSError) and not isinstance(error, TrackError) and error.strerror:
        place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        message = f"{place}{error.strerror}"
    return " ".join(message.split()) or type(error).__name__


def _forget_output() -> None:
    """Have the interpreter not complain, at its end, about output that nobody reads."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
