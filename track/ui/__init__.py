"""Show a store in a browser: a small server over readers, and static files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from track.errors import MissingPackage

if TYPE_CHECKING:
    from track.reader import Reader
    from track.ui.server import Page


def make_page(reader: Reader, host: str, port: int, *, write: bool = False) -> Page:
    """Return the page of a store, which is not served yet, see :class:`track.ui.server.Page`.

    Raises
    ------
    MissingPackage
        starlette or uvicorn is not installed
    """
    try:
        from track.ui.server import Page
    except ModuleNotFoundError as error:
        raise MissingPackage(
            f"the page needs {error.name}: pip install 'track-journal[ui]'"
        ) from error
    return Page(reader, host, port, write=write)


def open_page(reader: Reader, host: str, port: int) -> Page:
    """Return the page of a store, which is served by a thread of this process."""
    page = make_page(reader, host, port)
    page.start()
    return page
