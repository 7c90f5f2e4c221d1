"""The command ``track`` and its error handling. Each verb is imported when it is called."""

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
"""The key in the command's context of the number of damaged ranges."""

_COMPLETES = "_TRACK_COMPLETE"
"""The environment variable that a shell sets to ask for completions."""

VERBS = {
    "ls": ("listing", "list trials, projects or groups"),
    "show": ("listing", "show everything about a trial"),
    "plot": ("listing", "plot metrics of trials"),
    "ui": ("page", "show a store in a browser"),
    "media": ("media", "list or save the images, tables and audio of a trial"),
    "system": ("system", "show the system metrics of a trial"),
    "output": ("output", "print the captured output of a trial"),
    "top": ("top", "watch trials live in the terminal"),
    "watch": ("watching", "run a command when a trial meets a rule or raises an alert"),
    "report": ("history", "print the report as JSON, or save it as a page"),
    "log": ("history", "print the events of a trial or of the store"),
    "tail": ("history", "print the latest events, and follow new ones"),
    "diff": ("history", "compare two trials, or one trial at two times"),
    "blame": ("history", "show who set a value of a trial"),
    "files": ("files", "list the files logged for a trial"),
    "get": ("files", "save a logged file, folder or artifact to disk"),
    "artifacts": ("artifacts", "list artifacts, and who made and used them"),
    "checkout": ("code", "write the code that a trial ran to a folder"),
    "replay": ("maintenance", "rebuild the report and the cache"),
    "export": ("transfer", "export trials or events to another format"),
    "push": ("pushing", "push trials to MLflow, TensorBoard or W&B"),
    "import": ("transfer", "import trials from another tool"),
    "copy": ("transfer", "copy all events of a store into another store"),
    "backup": ("maintenance", "back up a store while it is in use"),
    "verify": ("maintenance", "check a store for damage"),
    "repair": ("maintenance", "replace a damaged journal with its intact events"),
    "compact": ("maintenance", "reclaim unused disk space"),
    "rm": ("maintenance", "remove trials from lists, or erase them for good"),
    "archive": ("maintenance", "hide trials from lists and reports"),
    "restore": ("maintenance", "bring archived and removed trials back"),
    "redact": ("maintenance", "erase everything logged for trials"),
    "sync": ("serving", "upload events left behind by dead processes"),
    "serve": ("serving", "serve a store to other machines"),
    "user": ("serving", "manage who may log in to a server"),
    "doctor": ("doctor", "check the installation on this machine"),
    "version": ("doctor", "print the version"),
}
"""The module of each verb in this package, and what the verb does."""

_EPILOG = """\b
The store is taken from --store, TRACK_LOG_BACKEND_NAME or log.backend.name in
track.config, in this order; otherwise, it is the only store in this folder.

\b
Exit codes: 0 success; 1 failure, or `diff` found differences; 2 wrong usage;
3 not found; 4 damage found; 130 interrupted; 141 output pipe closed.

\b
Shell completion: eval "$(_TRACK_COMPLETE=bash_source track)"; also zsh_source
and fish_source."""


class _Verbs(click.Group):
    """A group that imports its verbs when they are needed."""

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
            raise click.UsageError(f"No such command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
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
@click.option("--no-color", is_flag=True, help="Disable colours and borders.")
@click.pass_context
def track(ctx: click.Context, no_color: bool) -> None:
    """Inspect and manage Track stores."""
    plain = no_color or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    ctx.color = False if plain else None
    ctx.obj = plain
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code.

    An error becomes one line on stderr, without a traceback.
    """
    with warnings.catch_warnings():
        if _COMPLETES in os.environ:
            logging.disable()  # nothing but completions may appear on the command line
            warnings.simplefilter("ignore")
            _prepare_completion()
            track.main(prog_name="track")  # exits
        _prepare_streams()
        warnings.simplefilter("default", TrackWarning)
        # The command reports damage once, at its end.
        warnings.simplefilter("ignore", DamageWarning)
        warnings.showwarning = lambda message, *_: click.echo(
            f"track: {printable(str(message))}", err=True
        )
        return _run(arguments)


def _prepare_completion() -> None:
    from click.shell_completion import add_completion_class

    from track.cli.bash import Bash
    from track.cli.shells import Fish, Zsh

    for shell in (Bash, Fish, Zsh):
        add_completion_class(shell)


def _run(arguments: Sequence[str]) -> int:
    try:
        # Avoid main(), which handles interrupts and closed pipes differently.
        with track.make_context("track", [*arguments]) as context:
            result = track.invoke(context)
            sys.stdout.flush()
            damaged = context.meta.get(DAMAGE_MET)
        if damaged:
            click.echo(
                f"track: skipped damaged ranges of the journal ({damaged}): `track verify` lists "
                "them",
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
    except click.exceptions.Abort as error:  # Ctrl-C or the end of input at a prompt
        return INTERRUPTED if isinstance(error.__context__, KeyboardInterrupt) else FAILURE
    except (TrackError, OSError) as error:
        click.echo(f"track: {printable(_one_line(error))}", err=True)
        return _code(error)
    return result if isinstance(result, int) else 0


def _prepare_streams() -> None:
    """Send the library's warnings to stderr, and escape characters that cannot be written.

    Output to a stream that was closed before the program began is dropped, as ``print`` does.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - to the end
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    library = logging.getLogger("track")
    if not any(isinstance(handler, _Warnings) for handler in library.handlers):
        library.addHandler(_Warnings(logging.WARNING))


class _Warnings(logging.Handler):
    """Writes the library's warnings to stderr, one line each."""

    def emit(self, record: logging.LogRecord) -> None:
        if logging.getLogger().handlers:
            return  # another handler writes it
        if record.name != "track.journals.local":  # its warnings of damage are summed up, see above
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
    """Keep the interpreter from complaining at exit about the closed output pipe."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
