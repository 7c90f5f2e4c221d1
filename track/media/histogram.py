"""Count values in intervals."""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import isfinite
from typing import Any, ClassVar

from track.media.medium import Medium, as_array

MOST_BINS = 512

_NARROWEST = 1e-300
"""Of half a range: the inverse of a narrower one is no double."""


class Histogram(Medium):
    """How many values are in each of some intervals of equal width.

    Its content is JSON: ``edges``, one more than there are ``counts``, and how many values are
    ``nan``, or infinite (``infinite``), which no interval holds.

    Parameters
    ----------
    values
        an array, a tensor or any numbers
    bins
        number of intervals, at most :data:`MOST_BINS`
    caption
        a line to be shown with it

    Raises
    ------
    EncodingError
        the values are no numbers, or there are too many intervals
    """

    kind: ClassVar[str] = "histogram"

    __slots__ = ()

    def __init__(self, values: Any, bins: int = 64, caption: str | None = None) -> None:
        if not 1 <= bins <= MOST_BINS:
            raise self.refuse(f"it has {bins} bins; there can be 1 to {MOST_BINS}")
        array = as_array(values)
        try:
            numbers = [*map(float, values if array is None else array.ravel().tolist())]
        except (TypeError, ValueError) as error:
            raise self.refuse(f"these are no numbers ({error})") from error
        finite = [number for number in numbers if isfinite(number)]
        edges, counts = count(finite, bins)
        nans = sum(number != number for number in numbers)  # noqa: PLR0124 - only NaN is not itself
        facts = {"nan": nans, "infinite": len(numbers) - len(finite) - nans}
        content = {"edges": edges, "counts": counts, **facts}
        super().__init__(json.dumps(content).encode(), "application/json", caption)

    @classmethod
    def counted(
        cls, edges: Iterable[float], counts: Iterable[float], caption: str | None = None
    ) -> Histogram:
        """Return a histogram of values that somebody else counted.

        Parameters
        ----------
        edges, counts
            of the intervals, which may be of any width; there is one edge more than counts

        Raises
        ------
        EncodingError
            there are too many intervals, or too few edges
        """
        edges, counts = [*map(float, edges)], [*map(float, counts)]
        if not 1 <= len(counts) == len(edges) - 1 <= MOST_BINS:
            raise cls.refuse(
                f"it has {len(counts)} counts and {len(edges)} edges; there are 1 to {MOST_BINS} "
                "counts, and one more edge"
            )
        made = cls.__new__(cls)
        content = {"edges": edges, "counts": counts, "nan": 0, "infinite": 0}
        Medium.__init__(made, json.dumps(content).encode(), "application/json", caption)
        return made


def count(numbers: Iterable[float], bins: int) -> tuple[list[float], list[int]]:
    """Return the edges of intervals between the least and the largest number, and the counts.

    A number on an edge is in the interval above it, but the largest in the last one.
    """
    numbers = [*numbers]
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    # Divided before they are subtracted, as the range of doubles is wider than a double.
    if high / 2 - low / 2 < _NARROWEST:
        low, high = low - 0.5, high + 0.5
    scale = bins / (high / 2 - low / 2)
    counts = [0] * bins
    for number in numbers:
        counts[min(bins - 1, max(0, int((number / 2 - low / 2) * scale)))] += 1
    edges = [low + (high / bins - low / bins) * place for place in range(bins)]
    return [*edges, high], counts
