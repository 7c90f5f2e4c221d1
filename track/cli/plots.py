"""Draw curves with characters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from math import isfinite

from track.display.texts import spread

_BARS = "▁▂▃▄▅▆▇█"
_BRAILLE = 0x2800
_LETTERS = 26
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""The bit of each dot of a braille character: column by column, from the top."""

Point = tuple[float, float]


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """Return one line of bars, scaled to the largest value, with gaps for non-finite values."""
    picked = spread(values, width)
    finite = [value for value in picked if isfinite(value)]
    if not finite:
        return " " * len(picked)
    low, high = min(finite), max(finite)
    return "".join(_bar(value, low, high) for value in picked)


def _bar(value: float, low: float, high: float) -> str:
    if not isfinite(value):
        return " "
    return _BARS[round(_fraction(value, low, high) * (len(_BARS) - 1))]


def _fraction(value: float, low: float, high: float) -> float:
    # Halve first, because the difference of two very large numbers may overflow.
    return 0.5 if high == low else (value / 2 - low / 2) / (high / 2 - low / 2)


def braille(dots: int, curve: int) -> str:
    """Return the braille character for the dots of a cell, regardless of their curve."""
    return chr(_BRAILLE + dots)


def letter(dots: int, curve: int) -> str:
    """Return the letter of a curve, ``a`` for the first one, or a blank without dots."""
    return chr(ord("a") + curve % _LETTERS) if dots else " "


def plot(
    curves: Sequence[Sequence[Point]],
    width: int = 72,
    height: int = 12,
    paint: Callable[[int, int], str] = braille,
) -> list[str]:
    """Return the lines of a plot of curves, labelled with its bounds.

    Parameters
    ----------
    curves
        the steps and values of each curve; non-finite values are left out
    width, height
        the size of the area, in characters
    paint
        returns the character for a cell, given its dots and the number of their curve; where curves
        cross, the last one wins
    """
    finite = [[(x, y) for x, y in points if isfinite(x) and isfinite(y)] for points in curves]
    if not any(finite):
        return ["(no finite values)"]
    steps, values = zip(*chain(*finite), strict=True)
    left, right, low, high = min(steps), max(steps), min(values), max(values)
    cells = [[(0, 0)] * width for _ in range(height)]
    for curve, points in enumerate(finite):
        dots = [
            (
                _fraction(x, left, right) * (2 * width - 1),
                (1 - _fraction(y, low, high)) * (4 * height - 1),
            )
            for x, y in points
        ]
        for column, row in _joined(dots):
            known, _ = cells[row // 4][column // 2]
            cells[row // 4][column // 2] = known | _DOTS[column % 2][row % 4], curve
    labels = {0: f"{high:.4g}", height - 1: f"{low:.4g}"}
    margin = max(map(len, labels.values()))
    lines = [
        f"{labels.get(number, ''):>{margin}} ┤{''.join(paint(*cell) for cell in row)}".rstrip()
        for number, row in enumerate(cells)
    ]
    ends = f"{left:.6g}", f"{right:.6g}"
    lines.append(" " * (margin + 2) + ends[0] + ends[1].rjust(width - len(ends[0])))
    return lines


def _joined(dots: Sequence[Point]) -> Iterator[tuple[int, int]]:
    """Yield the dots, and the dots on the straight lines between them."""
    previous = dots[0] if dots else (0, 0)
    for dot in dots:
        steps = max(1, round(max(abs(dot[0] - previous[0]), abs(dot[1] - previous[1]))))
        for step in range(steps + 1):
            part = step / steps
            yield (
                round(previous[0] + (dot[0] - previous[0]) * part),
                round(previous[1] + (dot[1] - previous[1]) * part),
            )
        previous = dot
