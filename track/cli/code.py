"""The verb checkout, which writes the code that a trial ran, and its display."""

from __future__ import annotations

import os
import re
import shlex
import subprocess

import click

from track.cli.common import TRIAL, example, print_json, reading, store_option, tell
from track.errors import ItemNotFound, TrackError
from track.reading.code import RanCode
from track.utils.printing import printable

_UNSAFE = re.compile(r"[^\w.+-]+")
_HINT = (
    "no script, changes or packages were recorded: set TRACK_PROCESS_CODE=yes in the environment, "
    "or call log_code() of the trial"
)
_PATCH = "changes.diff"


def show_code(code: RanCode, *, as_json: bool) -> None:
    """Print which code an attempt ran."""
    if as_json:
        print_json(code._asdict())
        return
    facts = {
        "attempt": str(code.attempt),
        "commit": code.commit + (" and changes" if code.modified else ""),
        "command": shlex.join(code.command),
        "directory": code.directory,
        "script": f"{code.script} (SHA-256 {code.sha256})" if code.script else "",
        "left out": ", ".join(code.left_out),
        "untracked": ", ".join(code.untracked),
        "packages": ", ".join(f"{name} {version}" for name, version in code.packages.items()),
    }
    for name, value in facts.items():
        if value:
            click.echo(f"{name:<12} {printable(value)}")
    for title, text in (("changes", code.diff), (code.script, code.text)):
        if text:
            click.echo(f"\n--- {printable(title)}")
        for line in text.splitlines():
            click.echo(printable(line.expandtabs()))
    if not (code.packages or code.text):
        tell(_HINT)


@click.command(
    "checkout", epilog=example("track checkout baseline", "track checkout 1f3a9c -o /tmp/baseline")
)
@click.argument("trial", type=TRIAL)
@store_option
@click.option("-o", "--output", metavar="FOLDER", help="Write to this new folder.")
@click.option(
    "--attempt",
    metavar="N",
    type=click.IntRange(1),
    help="Write the code of this attempt, by default the last one.",
)
def checkout_verb(
    *, trial: str, store: str | None, output: str | None, attempt: int | None
) -> None:
    """Write the code that a trial ran to a new folder.

    If this folder, or the one where the trial ran, is in the same git repository, the new folder is
    a worktree of its commit with the uncommitted changes applied. Otherwise, it has the script, the
    changes and the packages as files.
    """
    with reading(store) as reader:
        found = reader.trial(trial)
        code = reader.code(trial, attempt)
    folder = output or _UNSAFE.sub("-", f"{found.name or 'trial'}-{found.uid[:8]}").strip(".-")
    if os.path.lexists(folder):
        raise TrackError(f"{folder} already exists: choose another folder with -o")
    repository = next(
        (root for root in (os.curdir, code.root, code.directory) if _has(root, code.commit)), None
    )
    if repository is not None:
        _git(
            repository,
            "worktree",
            "add",
            "--quiet",
            "--detach",
            os.path.abspath(folder),
            code.commit,
        )
        _apply(folder, code)
    elif code.text or code.diff or code.packages:
        os.makedirs(folder)
        if code.text:
            _write(folder, os.path.basename(code.script) or "script.py", code.text)
        if code.diff:
            _write(folder, _PATCH, code.diff)
        pinned = (f"{name}=={version}\n" for name, version in code.packages.items())
        _write(folder, "packages.txt", "".join(pinned))
        if code.commit:
            tell(f"no git repository has commit {code.commit}: single files were written")
    else:
        raise ItemNotFound(_HINT)
    if code.left_out:
        tell(f"the changes of some files were not recorded: {', '.join(code.left_out)}")
    click.echo(printable(folder))


def _apply(folder: str, code: RanCode) -> None:
    """Apply the changes to a worktree, or write them beside it, and add an untracked script."""
    if code.diff:
        try:
            _git(folder, "apply", "--whitespace=nowarn", "-", text=code.diff)
        except TrackError as error:
            _write(
                os.path.dirname(os.path.abspath(folder)),
                f"{os.path.basename(folder)}.diff",
                code.diff,
            )
            tell(f"the changes do not apply; they were written next to the folder: {error}")
    path = os.path.normpath(code.script)
    is_inside = path and not os.path.isabs(path) and not path.startswith(os.pardir)
    if code.script in code.untracked and is_inside and code.text:
        _write(folder, path, code.text)


def _has(folder: str, commit: str) -> bool:
    """Return whether a folder is in a git repository with a commit."""
    if not re.fullmatch("[0-9a-f]{40,64}", commit) or not os.path.isdir(folder):
        return False
    try:
        _git(folder, "cat-file", "-e", f"{commit}^{{commit}}")
    except TrackError:
        return False
    return True


def _git(folder: str, *arguments: str, text: str = "") -> None:
    command = ["git", "-c", "core.hooksPath=/dev/null", *arguments]
    content = text.encode("utf-8", "surrogateescape")
    try:
        subprocess.run(command, cwd=folder, input=content, capture_output=True, check=True)  # noqa: S603 - no shell
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip()
        raise TrackError(f"git {arguments[0]} failed: {said}") from error
    except OSError as error:
        raise TrackError(f"cannot run git: {error.strerror}") from error


def _write(folder: str, name: str, text: str) -> None:
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "xb") as file:
        file.write(text.encode("utf-8", "surrogateescape"))
