"""The verbs files and get, which list and save logged files."""

from __future__ import annotations

import os
import shutil
import sys

import click

from track.attachments.logged_files import find_files, paths_of
from track.cli.artifacts import artifact_named, save_artifact
from track.cli.common import (
    TRIAL,
    at_option,
    example,
    json_option,
    print_json,
    print_table,
    reading,
    store_option,
)
from track.display.listings import FILE_COLUMNS, file_row
from track.display.texts import UNCUT
from track.errors import BackendError, TrackError
from track.reader import Reader
from track.utils.files import replacing
from track.utils.printing import printable

_TIMEOUT_S = 30.0


@click.command("files", epilog=example("track files baseline", "track files baseline --json"))
@click.argument("trial", type=TRIAL)
@store_option
@at_option
@json_option
def files_verb(*, trial: str, store: str | None, at: str | None, as_json: bool) -> None:
    """List the files logged for a trial; `track get` saves them."""
    with reading(store) as reader:
        files = reader.files(trial, at=at)
    if as_json:
        for file in files:
            print_json(file._asdict())
        return
    print_table(FILE_COLUMNS, map(file_row, files), UNCUT)


@click.command(
    "get",
    epilog=example(
        "track get baseline model.pt",
        "track get baseline plots -o /tmp/plots --force",
        "track get weights:v1 -o weights",
    ),
)
@click.argument("what", type=TRIAL)
@click.argument("name", required=False)
@store_option
@click.option("-o", "--output", metavar="PATH", help="Write to PATH; - is stdout.")
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@at_option
def get_verb(
    *,
    what: str,
    name: str | None,
    store: str | None,
    output: str | None,
    force: bool,
    at: str | None,
) -> None:
    """Save a file or folder that was logged for a trial, or an artifact.

    With a trial, NAME is a name listed by `track files`, the end of such a name, or a prefix of a
    SHA-256. By default, the file is saved under its own name in the current folder.

    An artifact is given alone, or with a version: `weights`, `weights:v1`, `weights:latest`. NAME
    is one of its files or folders, by default all. Several files are saved below PATH, by default
    a folder with the name of the artifact.
    """
    with reading(store) as reader:
        artifact = artifact_named(what, alone=name is None)
        if artifact is not None:
            save_artifact(reader.artifact(*artifact, at=at), name, output, force=force)
        else:
            _get_file(reader, what, str(name), output, at, force=force)


def _get_file(
    reader: Reader, trial: str, name: str, output: str | None, at: str | None, *, force: bool
) -> None:
    files, folder = find_files(reader.files(trial, at=at), name)
    if output == "-":
        if folder:
            raise BackendError(f"{name!r} is a folder of {len(files)} files: name one")
        with reader.open_file(trial, files[0]) as content:
            shutil.copyfileobj(content, sys.stdout.buffer)
        return
    paths = paths_of(files, folder, output)
    for path in paths:
        if os.path.lexists(path) and not force:
            raise TrackError(f"{path} already exists: choose another path with -o, or use --force")
    for file, path in zip(files, paths, strict=True):
        with reader.open_file(trial, file) as content:
            os.makedirs(os.path.dirname(path) or os.curdir, exist_ok=True)
            with replacing(path, _TIMEOUT_S, durably=False) as target:
                shutil.copyfileobj(content, target)
        click.echo(printable(path))
