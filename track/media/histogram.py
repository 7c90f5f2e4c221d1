"""Histograms: counts of values per bin."""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import isfinite
from typing import Any, ClassVar

from track.media.medium import Medium, as_array

MOST_BINS = 512

_NARROWEST = 1e-300
"""The least half of a range, since the inverse of a smaller one overflows a double."""


class Histogram(Medium):
    """A histogram: the counts of values in bins of equal width.

    The content is JSON: ``counts``, ``edges`` (one more than counts), and the numbers of values
    that fall into no bin: ``nan`` and ``infinite``.

    Parameters
    ----------
    values
        an array, a tensor or any numbers
    bins
        the number of bins, at most :data:`MOST_BINS`
    caption
        a line to show with it

    Raises
    ------
    EncodingError
        the values are not numbers, or there are too many bins
    """

    kind: ClassVar[str] = "histogram"

    __slots__ = ()

    def __init__(self, values: Any, bins: int = 64, caption: str | None = None) -> None:
        if not 1 <= bins <= MOST_BINS:
            raise self.refuse(f"bins={bins} is not between 1 and {MOST_BINS}")
        array = as_array(values)
        try:
            numbers = [*map(float, values if array is None else array.ravel().tolist())]
        except (TypeError, ValueError) as error:
            raise self.refuse(f"the values are not numbers ({error})") from error
        finite = [number for number in numbers if isfinite(number)]
        edges, counts = count(finite, bins)
        nans = sum(number != number for number in numbers)  # noqa: PLR0124 - only NaN is not itself
        data = _content(edges, counts, nans, len(numbers) - len(finite) - nans)
        super().__init__(data, "application/json", caption)

    @classmethod
    def counted(
        cls, edges: Iterable[float], counts: Iterable[float], caption: str | None = None
    ) -> Histogram:
        """Return a histogram from counts.

        Parameters
        ----------
        edges, counts
            the edges of the bins, of any width, and their counts; one edge more than counts

        Raises
        ------
        EncodingError
            there are too many bins, or the numbers of edges and counts do not match
        """
        edges, counts = [*map(float, edges)], [*map(float, counts)]
        if not 1 <= len(counts) == len(edges) - 1 <= MOST_BINS:
            raise cls.refuse(
                f"{len(counts)} counts and {len(edges)} edges do not match: give 1 to {MOST_BINS} "
                "counts, and one more edge"
            )
        made = cls.__new__(cls)
        Medium.__init__(made, _content(edges, counts), "application/json", caption)
        return made


def _content(edges: Any, counts: Any, nans: int = 0, infinite: int = 0) -> bytes:
    values = {"edges": edges, "counts": counts, "nan": nans, "infinite": infinite}
    return json.dumps(values).encode()


def count(numbers: Iterable[float], bins: int) -> tuple[list[float], list[int]]:
    """Return the edges and the counts of bins between the least and the largest number.

    A number on an edge belongs to the bin above it; the largest one belongs to the last bin.
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
