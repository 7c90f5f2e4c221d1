"""The web page of a store: a small server on top of a reader, and static files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from track.errors import MissingPackage

if TYPE_CHECKING:
    from track.moment import When
    from track.reader import Reader
    from track.ui.server import Page


def make_page(reader: Reader, host: str, port: int, *, write: bool = False) -> Page:
    """Return the page of a store without serving it yet, see :class:`track.ui.server.Page`.

    Raises
    ------
    MissingPackage
        starlette or uvicorn is not installed
    """
    with _needing_the_extra():
        from track.ui.server import Page
    return Page(reader, host, port, write=write)


def open_page(reader: Reader, host: str, port: int) -> Page:
    """Serve the page of a store from a thread of this process, and return it."""
    page = make_page(reader, host, port)
    page.start()
    return page


def save_page(reader: Reader, trials: Sequence[str] = (), *, at: When = None) -> str:
    """Return a self-contained HTML file of a store, see :func:`track.ui.saved.saved_page`.

    Raises
    ------
    MissingPackage
        starlette is not installed
    """
    with _needing_the_extra():
        from track.ui.saved import saved_page
    return saved_page(reader, trials, at=at)


@contextmanager
def _needing_the_extra() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingPackage(
            f"the web page needs {error.name}: pip install 'track-journal[ui]'"
        ) from error
