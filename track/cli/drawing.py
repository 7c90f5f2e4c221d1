"""Curves made of characters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite

_BARS = "▁▂▃▄▅▆▇█"
_BRAILLE = 0x2800
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""The bit of each dot of a braille character: column by column, from the top."""

Point = tuple[float, float]


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """Return one line of bars: the highest is the largest value, gaps are not finite."""
    picked = _spread(values, width)
    finite = [value for value in picked if isfinite(value)]
    if not finite:
        return " " * len(picked)
    low, high = min(finite), max(finite)
    return "".join(_bar(value, low, high) for value in picked)


def _spread(values: Sequence[float], width: int) -> Sequence[float]:
    """Return at most so many of the values, the first and the last among them."""
    if len(values) <= width:
        return values
    last = len(values) - 1
    return [values[round(place * last / (width - 1))] for place in range(width)]


def _bar(value: float, low: float, high: float) -> str:
    if not isfinite(value):
        return " "
    return _BARS[round(_fraction(value, low, high) * (len(_BARS) - 1))]


def _fraction(value: float, low: float, high: float) -> float:
    # Halved, as the difference of two very large numbers may be too large for one.
    return 0.5 if high == low else (value / 2 - low / 2) / (high / 2 - low / 2)


def plot(points: Sequence[Point], width: int = 72, height: int = 12) -> list[str]:
    """Return the lines of a plot, with its bounds.

    Parameters
    ----------
    points
        steps and values; those that are not finite are left out
    width, height
        of the area, in characters
    """
    finite = [(x, y) for x, y in points if isfinite(x) and isfinite(y)]
    if not finite:
        return ["(no finite values)"]
    steps, values = zip(*finite, strict=True)
    left, right, low, high = min(steps), max(steps), min(values), max(values)
    cells = [[0] * width for _ in range(height)]
    dots = [
        (
            _fraction(x, left, right) * (2 * width - 1),
            (1 - _fraction(y, low, high)) * (4 * height - 1),
        )
        for x, y in finite
    ]
    for column, row in _joined(dots):
        cells[row // 4][column // 2] |= _DOTS[column % 2][row % 4]
    labels = {0: f"{high:.4g}", height - 1: f"{low:.4g}"}
    margin = max(map(len, labels.values()))
    lines = [
        f"{labels.get(number, ''):>{margin}} ┤{''.join(chr(_BRAILLE + cell) for cell in row)}"
        for number, row in enumerate(cells)
    ]
    ends = f"{left:.6g}", f"{right:.6g}"
    lines.append(" " * (margin + 2) + ends[0] + ends[1].rjust(width - len(ends[0])))
    return lines


def _joined(dots: Sequence[Point]) -> Iterator[tuple[int, int]]:
    """Yield the dots, and those on the straight lines from each to the next."""
    previous = dots[0]
    for dot in dots:
        steps = max(1, round(max(abs(dot[0] - previous[0]), abs(dot[1] - previous[1]))))
        for step in range(steps + 1):
            part = step / steps
            yield (
                round(previous[0] + (dot[0] - previous[0]) * part),
                round(previous[1] + (dot[1] - previous[1]) * part),
            )
        previous = dot
