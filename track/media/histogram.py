"""Count values in intervals."""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import isfinite
from typing import Any, ClassVar

from track.media.medium import Medium, as_array

MOST_BINS = 512

_NARROWEST = 1e-300
"""The least half of a range; the inverse of a smaller one does not fit into a double."""


class Histogram(Medium):
    """Counts how many values are in each of several intervals of equal width.

    The content is JSON: ``counts``, ``edges`` (one more than counts), and the numbers of values
    that are not in any interval: ``nan`` and ``infinite``.

    Parameters
    ----------
    values
        an array, a tensor or any numbers
    bins
        the number of intervals, at most :data:`MOST_BINS`
    caption
        a line to show with it

    Raises
    ------
    EncodingError
        the values are not numbers, or there are too many intervals
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
        data = _content(edges, counts, nans, len(numbers) - len(finite) - nans)
        super().__init__(data, "application/json", caption)

    @classmethod
    def counted(
        cls, edges: Iterable[float], counts: Iterable[float], caption: str | None = None
    ) -> Histogram:
        """Return a histogram of values that are already counted.

        Parameters
        ----------
        edges, counts
            the intervals, which may have any width, and their values; one edge more than counts

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
        Medium.__init__(made, _content(edges, counts), "application/json", caption)
        return made


def _content(edges: Any, counts: Any, nans: int = 0, infinite: int = 0) -> bytes:
    values = {"edges": edges, "counts": counts, "nan": nans, "infinite": infinite}
    return json.dumps(values).encode()


def count(numbers: Iterable[float], bins: int) -> tuple[list[float], list[int]]:
    """Return the edges of intervals between the least and the largest number, and the counts.

    A number on an edge belongs to the interval above it; the largest one belongs to the last.
    """
    numbers = [*numbers]
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    # Divide before subtracting, because the difference of two doubles may overflow.
    if high / 2 - low / 2 < _NARROWEST:
        low, high = low - 0.5, high + 0.5
    scale = bins / (high / 2 - low / 2)
    counts = [0] * bins
    for number in numbers:
        counts[min(bins - 1, max(0, int((number / 2 - low / 2) * scale)))] += 1
    edges = [low + (high / bins - low / bins) * place for place in range(bins)]
    return [*edges, high], counts
