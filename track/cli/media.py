"""The verb media, which lists and saves the media of a trial."""

from __future__ import annotations

import os
import re
from mimetypes import guess_extension

import click

from track.cli.common import (
    TRIAL,
    at_option,
    example,
    is_for_people,
    json_option,
    print_json,
    print_table,
    reading,
    store_option,
)
from track.display.gallery import MEDIA_COLUMNS, blocks_of, lines_of, media_row
from track.display.texts import UNCUT
from track.errors import ItemNotFound
from track.projections.media import LoggedMedium
from track.utils.files import replacing
from track.utils.printing import printable

_TIMEOUT_S = 30.0
_UNSAFE = re.compile(r"[^\w.+-]+")
_LONGEST_NAME = 80
_WIDEST_PICTURE = 80


@click.command(
    "media",
    epilog=example(
        "track media baseline",
        "track media baseline -n samples",
        "track media baseline --step 100 --show",
        "track media baseline -o pictures",
    ),
)
@click.argument("trial", type=TRIAL)
@store_option
@click.option("-n", "--name", metavar="NAME", help="Select media logged under this name.")
@click.option("--step", metavar="STEP", help="Select media logged at this step.")
@click.option("--show", is_flag=True, help="Show the last medium of each name in the terminal.")
@click.option("-o", "--output", metavar="FOLDER", help="Save the media as files in this folder.")
@at_option
@json_option
def media_verb(
    *,
    trial: str,
    store: str | None,
    name: str | None,
    step: str | None,
    show: bool,
    output: str | None,
    at: str | None,
    as_json: bool,
) -> None:
    """List the images, tables, texts and audio of a trial, or save them as files."""
    with reading(store) as reader:
        found = reader.media(trial, name, at=at)
        if name is not None and not found:
            names = ", ".join(dict.fromkeys(one.name for one in reader.media(trial, at=at)))
            known = f"it has {names}" if names else "it has none"
            raise ItemNotFound(f"the trial has no media named {name!r}: {known}")
        found = [one for one in found if step in (None, str(one.step))]
        if show:
            for medium in {one.name: one for one in found}.values():
                show_medium(medium, reader.content_of(medium))
            return
        if output is not None:
            os.makedirs(output, exist_ok=True)
            for medium in found:
                path = os.path.join(output, file_name(medium))
                with replacing(path, _TIMEOUT_S) as file:
                    file.write(reader.content_of(medium))
                click.echo(printable(path))
            return
    if as_json:
        for medium in found:
            print_json({key: value for key, value in medium._asdict().items() if key != "data"})
        return
    print_table(MEDIA_COLUMNS, map(media_row, found), UNCUT)


def show_medium(medium: LoggedMedium, content: bytes) -> None:
    """Print a medium as well as a terminal can show it."""
    step = "" if medium.step is None else f", step {medium.step}"
    caption = "" if medium.caption is None else f": {medium.caption}"
    click.secho(printable(f"{medium.name}{step}{caption}"), bold=True)
    blocks = None
    if medium.mime.startswith("image/") and is_for_people():
        from rich.console import Console

        console = Console()
        if console.color_system is not None:
            blocks = blocks_of(content, min(console.width, _WIDEST_PICTURE))
    if blocks is not None:
        console.print(blocks, end="")
    else:
        for line in lines_of(medium, content):
            click.echo(line)


def file_name(medium: LoggedMedium) -> str:
    """Return a safe file name for a medium: its logged name must not lead to other folders."""
    said = [medium.name] if medium.step is None else [medium.name, medium.step]
    parts = [_UNSAFE.sub("-", str(part)).strip(".-")[:_LONGEST_NAME] for part in said]
    kind = guess_extension(medium.mime.partition(";")[0]) or ".bin"
    return "_".join([*parts, str(medium.position), str(medium.place)]) + kind
