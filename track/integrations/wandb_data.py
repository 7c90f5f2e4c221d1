"""Convert what scripts hand to W&B beside numbers, see :mod:`track.integrations.wandb`."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any

_MAX_ROWS = 10_000
"""Rows of a table that are kept; W&B keeps as many."""


class Media:
    """Something to be seen or heard.

    Parameters
    ----------
    data
        what it is
    caption
        what is said of it
    """

    def __init__(self, data: Any = None, caption: Any = None, **kwargs: Any) -> None:
        self.data = data
        self.caption = caption


class Table:
    """Rows of values under named columns, of a data frame if one is given."""

    def __init__(
        self,
        columns: list[Any] | None = None,
        data: Iterable[Iterable[Any]] | None = None,
        rows: Iterable[Iterable[Any]] | None = None,
        dataframe: Any = None,
        **kwargs: Any,
    ) -> None:
        if dataframe is not None:
            columns, data = list(dataframe.columns), dataframe.to_numpy().tolist()
        self.columns = ["Input", "Output", "Expected"] if columns is None else list(columns)
        self.data = [list(row) for row in (data if data is not None else rows or ())]

    def add_data(self, *row: Any) -> None:
        """Add a row.

        Raises
        ------
        ValueError
            it has another number of values than there are columns
        """
        if len(row) != len(self.columns):
            raise ValueError(f"{len(row)} values for the columns {self.columns}")
        self.data.append(list(row))

    def add_column(self, name: str, data: Iterable[Any]) -> None:
        """Add a column."""
        self.columns.append(name)
        for row, value in zip(self.data, data, strict=True):
            row.append(value)


class Histogram:
    """How often values are in which range.

    Parameters
    ----------
    sequence
        the values
    np_histogram
        the counts and the edges, in place of values
    num_bins
        how many ranges
    """

    def __init__(self, sequence: Any = None, np_histogram: Any = None, num_bins: int = 64) -> None:
        if np_histogram is not None:
            counts, edges = np_histogram
            self.histogram, self.bins = list(counts), list(edges)
        else:
            flat = sequence.reshape(-1).tolist() if hasattr(sequence, "reshape") else [*sequence]
            self.histogram, self.bins = _counted([float(value) for value in flat], num_bins)


def _counted(values: list[float], count: int) -> tuple[list[int], list[float]]:
    values = [value for value in values if value - value == 0]  # neither infinite nor no number
    if not values:
        return [], []
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = [low + (high - low) * index / count for index in range(count + 1)]
    counts = [0] * count
    for value in values:
        counts[min(bisect_right(edges, value) - 1, count - 1)] += 1
    return counts, edges


class Artifact:
    """Files that belong together.

    Parameters
    ----------
    name, type, description, metadata
        what is said of them
    """

    def __init__(
        self,
        name: str,
        type: str = "file",  # noqa: A002 - as it is called
        description: str | None = None,
        metadata: Any = None,
        **kwargs: Any,
    ) -> None:
        self.name = name
        self.type = type
        self.description = description
        self.metadata = metadata or {}
        self.paths: list[str] = []

    def add_file(self, local_path: Any, name: str | None = None, **kwargs: Any) -> None:
        """Add a file."""
        self.paths.append(os.fspath(local_path))

    def add_dir(self, local_path: Any, name: str | None = None, **kwargs: Any) -> None:
        """Add all files under a folder."""
        for folder, _, names in sorted(os.walk(local_path)):
            self.paths += [os.path.join(folder, each) for each in sorted(names)]

    def described(self) -> dict[str, Any]:
        """Return what is said of it, and its files."""
        return {
            "type": self.type,
            "description": self.description,
            "metadata": self.metadata,
            "files": self.paths,
        }


def plain_of(value: Any, miss: Callable[[str], None]) -> Any:
    """Return a value as it can be logged; what is not kept is told."""
    if isinstance(value, Histogram):
        return {"counts": value.histogram, "edges": value.bins}
    if isinstance(value, Table):
        if len(value.data) > _MAX_ROWS:
            miss(f"rows of a table: only the first {_MAX_ROWS} are kept")
        return {"columns": value.columns, "data": value.data[:_MAX_ROWS]}
    if isinstance(value, Media):
        miss(f"{type(value).__name__}: only its caption is kept")
        return value.caption
    if isinstance(value, list) and value and isinstance(value[0], Media):
        return [plain_of(one, miss) for one in value]
    return value
