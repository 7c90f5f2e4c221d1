"""Format values, times, uids and plain-text tables for people."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar
from unicodedata import east_asian_width

from track.projections.report import dumps, plain
from track.utils.printing import printable

T = TypeVar("T")

_UNITS = ((86400 * 7, "w"), (86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
LONGEST = 72
"""The default number of characters of a value in a table; uids and hashes are shorter."""

UNCUT = 10**6

_FEWEST_DIGITS = 8
"""The least number of digits of a displayed uid."""


def shown(value: Any, longest: int = LONGEST) -> str:
    """Format a value for a table."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = printable(value if isinstance(value, str) else dumps(plain(value)))
    return text if len(text) <= longest else text[: longest - 1] + "…"


def spread(items: Sequence[T], most: int) -> Sequence[T]:
    """Return at most ``most`` of the items, including the first and the last."""
    if len(items) <= most:
        return items
    last = len(items) - 1
    return [items[round(place * last / (most - 1))] for place in range(most)]


def short_uids(uids: Iterable[str], wanted: Iterable[str] | None = None) -> dict[str, str]:
    """Return a short but unique form of each uid, or of those that are wanted."""
    hashes = {uid: uid.rpartition("_")[0] for uid in uids}
    starts, digits = {*hashes.values()}, _FEWEST_DIGITS
    while len({start[:digits] for start in starts}) < len(starts):
        digits += 1
    return {
        uid: shown(f"{hashes[uid][:digits]}_{uid.rpartition('_')[2]}", UNCUT)
        for uid in (hashes if wanted is None else wanted)
    }


def duration(seconds: float | None) -> str | None:
    """Format a duration in the largest unit that it fills."""
    if seconds is None:
        return None
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.3g}{unit}"
    return f"{seconds * 1000:.3g}ms"


def amount(value: float, name: str) -> str:
    """Format a measurement whose name says its unit, as ``host.memory_bytes``."""
    if name.endswith(("_percent", ".percent")):
        return f"{value:.3g} %"
    unit = "B/s" if name.endswith("_bytes_per_s") else "B" if name.endswith("_bytes") else ""
    if not unit:
        return f"{value:.4g}"
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def ago(epoch_s: float | None) -> str | None:
    """Format a time as the duration since then."""
    return None if epoch_s is None else f"{duration(max(0.0, time.time() - epoch_s))} ago"


def gaps(columns: int, *, is_lined: bool) -> int:
    """Return the number of characters of a line of a table that belong to no column."""
    return 3 * columns + 1 if is_lined else 2 * (columns - 1)


def shown_width(text: str) -> int:
    """Return the width of a text on a terminal, where some characters take two cells."""
    return len(text) + sum(east_asian_width(char) in "WF" for char in text)


def text_table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table with aligned columns."""
    rows = [names, *rows]
    widths = [max(map(shown_width, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (
            text + " " * (width - shown_width(text))
            for text, width in zip(row, widths, strict=True)
        )
        yield "  ".join(padded).rstrip()
