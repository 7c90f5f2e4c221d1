"""The verb artifacts, which lists artifacts, and the part of `track get` that saves them."""

from __future__ import annotations

import os
import re
import shutil
import sys

import click

from track.attachments.kept_artifacts import KeptArtifact
from track.attachments.logged_files import find_files
from track.cli.common import (
    TRIAL,
    at_option,
    clock,
    example,
    json_option,
    print_json,
    print_table,
    reading,
    store_option,
)
from track.display.texts import UNCUT
from track.errors import BackendError
from track.utils.printing import printable

_COLUMNS = ("artifact", "version", "files", "bytes", "logged", "made by", "used by", "sha256")
_DIGITS = 12
"""The number of digits of a hash or uid that are shown."""

_SHOWN = 3
"""The number of trials that are shown per artifact."""

_WITH_VERSION = re.compile(r"(.+):(latest|v?[0-9]+|[0-9a-f]{4,64})")


@click.command(
    "artifacts", epilog=example("track artifacts", "track artifacts weights --trial baseline")
)
@click.argument("name", required=False)
@store_option
@click.option("--trial", type=TRIAL, help="Select artifacts that this trial made or used.")
@at_option
@json_option
def artifacts_verb(
    *, name: str | None, store: str | None, trial: str | None, at: str | None, as_json: bool
) -> None:
    """List artifacts, with the trials that made and used them; `track get` saves them."""
    with reading(store) as reader:
        if name is not None:
            reader.artifact(name, at=at)  # raises an error that lists the names
        found = reader.artifacts(name, trial=trial, at=at)
    if as_json:
        for one in found:
            print_json({**one.facts._asdict(), "at": clock(one.at)})
        return
    print_table(_COLUMNS, map(_row, found), UNCUT)


def _row(one: KeptArtifact) -> list[object]:
    version = f"{one.version} (latest)" if one.is_latest else one.version
    trials = [
        ", ".join(uid[:_DIGITS] for uid in uids[:_SHOWN])
        + (f" and {len(uids) - _SHOWN} more" if len(uids) > _SHOWN else "")
        for uids in (one.made_by, one.used_by)
    ]
    return [one.name, version, one.length, one.size, clock(one.at), *trials, one.sha256[:_DIGITS]]


def artifact_named(text: str, *, alone: bool) -> tuple[str, str] | None:
    """Return the name and the version of an artifact, None if the text names a trial.

    Parameters
    ----------
    text
        ``weights:v1``; or ``weights``, which names an artifact if no file follows
    alone
        whether no file is named after it
    """
    found = _WITH_VERSION.fullmatch(text)
    if found is not None:
        return found[1], found[2]
    return (text, "latest") if alone else None


def save_artifact(
    artifact: KeptArtifact, file: str | None, output: str | None, *, force: bool
) -> None:
    """Write the files of an artifact, or some of them, and print their paths."""
    files = artifact.files()
    if file is not None:
        files, _ = find_files(files, file)
    if output == "-":
        if len(files) > 1:
            raise BackendError(f"{artifact.name!r} has {len(files)} files: name one")
        with artifact.open(files[0]) as content:
            shutil.copyfileobj(content, sys.stdout.buffer)
        return
    folder = (os.curdir if len(files) == 1 else artifact.name) if output is None else output
    for path in artifact.save(folder, files, force=force):
        click.echo(printable(path))
