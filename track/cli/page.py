"""ui: the store in a browser."""

from __future__ import annotations

import click

from track.cli.common import example, store_at_once, tell
from track.errors import MissingPackage
from track.reader import open_store


@click.command("ui", epilog=example("track ui", "track ui file:report.json --no-browser"))
@click.argument("store", required=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="By default, any free one.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option("--write", is_flag=True, help="Let trials be archived and restored.")
def ui_verb(*, store: str | None, host: str, port: int, no_browser: bool, write: bool) -> None:
    """Show a store in a browser, live, until Ctrl-C or SIGTERM."""
    try:
        from track.ui.server import Page
    except ModuleNotFoundError as error:
        raise MissingPackage(
            f"{error.name} is not installed: pip install 'track-journal[ui]'"
        ) from error
    with open_store(store_at_once(store)) as reader:
        reader.tell = tell
        page = Page(reader, host, port, write=write)

        def started() -> None:
            click.echo(page.url)
            if not no_browser:
                import webbrowser

                webbrowser.open(page.url)

        page.run(started)
