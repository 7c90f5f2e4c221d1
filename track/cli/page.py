"""The verb ui, which shows a store in a browser."""

from __future__ import annotations

import gc
import sys

import click

from track.cli.common import example, store_at_once, tell
from track.reader import open_store
from track.ui import make_page


@click.command("ui", epilog=example("track ui", "track ui file:report.json --no-browser"))
@click.argument("store", required=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="Listen on this address.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Listen on this port, by default a free one.",
)
@click.option("--no-browser", is_flag=True, help="Print the address only.")
@click.option("--write", is_flag=True, help="Allow archiving and restoring trials.")
def ui_verb(*, store: str | None, host: str, port: int, no_browser: bool, write: bool) -> None:
    """Show a store in a browser, live, until Ctrl-C or SIGTERM."""
    with open_store(store_at_once(store)) as reader:
        reader.tell = tell
        # The data of a store lives long, and a full collection takes longer than the time
        # between two moves of a slider.
        gc.set_threshold(50_000, 20, 100)
        # While the store is read for the first time, the files of the page need short turns only.
        sys.setswitchinterval(0.0005)
        page = make_page(reader, host, port, write=write)
        page.warm()
        click.echo(page.url)
        if not no_browser:
            import webbrowser

            webbrowser.open(page.url)
        page.run()
