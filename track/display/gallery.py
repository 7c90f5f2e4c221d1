"""Show media in notebooks and terminals."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from html import escape
from io import BytesIO
from itertools import groupby
from typing import TYPE_CHECKING, Any

from track.display.listings import Listing, Table
from track.display.texts import shown, spread, text_table
from track.errors import TrackError
from track.projections.media import LoggedMedium
from track.utils.printing import printable

if TYPE_CHECKING:
    from rich.text import Text

_MOST_OF_A_NAME = 12
"""The most media of one name in a notebook, spread evenly over all of them."""

_MOST_BYTES = 2**24
"""The most bytes of all contents in a notebook, which are saved with it."""

_MOST_ROWS = 50
_BAR = 40
"""The width of the longest bar of a histogram in a terminal."""

MEDIA_COLUMNS = ["step", "name", "kind", "bytes", "caption"]

_MALFORMED = (ValueError, KeyError, IndexError, TypeError)
"""What a content raises that is not of its kind; a journal may have any bytes."""

Fetch = Callable[[LoggedMedium], bytes]
"""Returns the content of a medium."""


class Gallery(Listing[LoggedMedium]):
    """A list of media that a notebook shows as pictures, tables, texts and sounds.

    Parameters
    ----------
    media
        the items of the list
    fetch
        returns the content of an item
    """

    def __init__(self, media: Iterable[LoggedMedium], fetch: Fetch) -> None:
        super().__init__(media, lambda some, _: Table(MEDIA_COLUMNS, [*map(media_row, some)]))
        self._fetch = fetch

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return Gallery(found, self._fetch) if isinstance(index, slice) else found

    def _repr_html_(self) -> str:
        by_name = sorted(self, key=lambda medium: medium.name)
        room, parts = _MOST_BYTES, []
        for name, media in groupby(by_name, lambda medium: medium.name):
            all_of_it = [*media]
            picked = spread(all_of_it, _MOST_OF_A_NAME)
            few = f" ({len(picked)} of {len(all_of_it)})" if len(picked) < len(all_of_it) else ""
            parts.append(f"<p><b>{_text(name)}</b>{few}</p>")
            parts.append('<div style="display:flex;flex-wrap:wrap;gap:1em">')
            for medium in picked:
                room -= medium.size
                parts.append(self._figure(medium, fits=room >= 0))
            parts.append("</div>")
        return "".join(parts)

    def _figure(self, medium: LoggedMedium, *, fits: bool) -> str:
        if fits:
            try:
                body = html_of(medium, self._fetch(medium))
            except TrackError as error:
                body = f"<em>{escape(str(error))}</em>"
        else:
            body = f"<em>{_text(_summary(medium))}, too large to show here</em>"
        return (
            '<figure style="margin:0;max-width:24em;overflow:auto">'
            f"{body}<figcaption>{_text(_title(medium))}</figcaption></figure>"
        )


def media_row(medium: LoggedMedium) -> list[str]:
    """Return the cells of a medium in a list."""
    values = (medium.step, medium.name, medium.kind, medium.size, medium.caption)
    return [*map(shown, values)]


def html_of(medium: LoggedMedium, content: bytes) -> str:
    """Return HTML that shows a medium and runs no script of it."""
    with suppress(*_MALFORMED):
        return _html(medium, content)
    return f"<em>{_text(_summary(medium))}</em>"


def _html(medium: LoggedMedium, content: bytes) -> str:
    mime = escape(medium.mime)
    if medium.mime.startswith("image/"):
        return f'<img style="max-width:100%" src="data:{mime};base64,{_base64(content)}">'
    match medium.kind:
        case "audio":
            return f'<audio controls src="data:{mime};base64,{_base64(content)}"></audio>'
        case "html":
            return f'<iframe sandbox="" srcdoc="{escape(_decoded(content))}"></iframe>'
        case "text":
            return f"<pre>{escape(_decoded(content))}</pre>"
        case "table":
            names, rows = _table(content)
            head = "".join(f"<th>{_text(name)}</th>" for name in names)
            cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
            body = "".join(f"<tr>{row}</tr>" for row in cells)
            return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        case "histogram":
            return _chart(content)
    return f"<em>{_text(_summary(medium))}</em>"


def lines_of(medium: LoggedMedium, content: bytes) -> list[str]:
    """Return lines that show a medium, or at least its type and its size."""
    with suppress(*_MALFORMED):
        return [*_lines(medium, content)]
    return [printable(_summary(medium))]


def _lines(medium: LoggedMedium, content: bytes) -> Iterator[str]:
    match medium.kind:
        case "text" | "html":
            yield from map(printable, _decoded(content).splitlines())
        case "table":
            yield from text_table(*_table(content))
        case "histogram":
            yield from _bars(content)
        case _:
            yield printable(_summary(medium))


def blocks_of(content: bytes, width: int) -> Text | None:
    """Return a picture as coloured half blocks, None if Pillow is missing or cannot read it.

    Parameters
    ----------
    content
        the file of the picture
    width
        the most characters in a line, each of which is one pixel wide and two pixels high
    """
    try:
        from PIL import Image
    except ImportError:
        return None
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    try:
        with Image.open(BytesIO(content)) as picture:
            picture.thumbnail((width, 2 * width))
            pixels = picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # Pillow raises each of these for files it cannot read
    (across, high), values = pixels.size, pixels.tobytes()

    def colour(x: int, y: int) -> Color:
        start = 3 * (x + across * min(y, high - 1))
        return Color.from_rgb(*values[start : start + 3])

    blocks = Text()
    for y in range(0, high, 2):
        for x in range(across):
            blocks.append("▀", Style(color=colour(x, y), bgcolor=colour(x, y + 1)))
        blocks.append("\n")
    return blocks


def _title(medium: LoggedMedium) -> str:
    parts = [] if medium.step is None else [f"step {shown(medium.step)}"]
    parts += [] if medium.caption is None else [medium.caption]
    return " · ".join(parts)


def _summary(medium: LoggedMedium) -> str:
    return f"{medium.kind} ({medium.mime}, {medium.size} bytes)"


def _text(text: str) -> str:
    return escape(printable(text))


def _base64(content: bytes) -> str:
    return b64encode(content).decode()


def _decoded(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _table(content: bytes) -> tuple[list[str], list[list[str]]]:
    """Return the columns of a table, and the texts of its first rows."""
    found = json.loads(content)
    rows = [[shown(value) for value in row] for row in found["rows"]]
    left_out = len(rows) - _MOST_ROWS
    names = [shown(name) for name in found["columns"]]
    if left_out > 0:
        rows[_MOST_ROWS:] = [[f"… {left_out} more", *("" for _ in names[1:])]]
    return names, rows


def _histogram(content: bytes) -> tuple[list[float], list[float], float]:
    """Return the edges, the counts, and the largest count or 1."""
    found = json.loads(content)
    counts = [float(count) for count in found["counts"]]
    return [*map(float, found["edges"])], counts, max(counts, default=0.0) or 1.0


def _bars(content: bytes) -> Iterator[str]:
    """Yield a line for each interval of a histogram."""
    edges, counts, most = _histogram(content)
    cells = [
        [f"{shown(low)} to {shown(high)}", "█" * round(_BAR * count / most), shown(count)]
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
    ]
    yield from text_table(["interval", "", "count"], cells)


def _chart(content: bytes) -> str:
    """Return a histogram as SVG."""
    edges, counts, most = _histogram(content)
    bars = "".join(
        f'<rect x="{place + 0.05}" y="{1 - count / most}" width="0.9" height="{count / most}"/>'
        for place, count in enumerate(counts)
    )
    ends = f"{shown(edges[0])} to {shown(edges[-1])}, most: {shown(most)}"
    return (
        f'<svg viewBox="0 0 {len(counts)} 1" preserveAspectRatio="none" fill="steelblue" '
        f'style="display:block;width:16em;height:8em">{bars}</svg><small>{escape(ends)}</small>'
    )
