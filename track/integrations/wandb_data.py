"""Convert what scripts hand to W&B beside numbers, see :mod:`track.integrations.wandb`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from track import media
from track.media.histogram import MOST_BINS


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
        self.options = kwargs


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
        self.sequence, self.np_histogram, self.num_bins = sequence, np_histogram, num_bins


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


def shown_of(value: Any) -> Any:
    """Return a value as it can be logged: as a medium, or a list of media, if it is to be seen.

    Raises
    ------
    TypeError, EncodingError
        it is not kept, or is not what it is said to be
    """
    if isinstance(value, list) and value and isinstance(value[0], Media):
        return [_medium_of(one) for one in value]
    return _medium_of(value)


def _medium_of(value: Any) -> Any:
    kind = type(value).__name__
    if isinstance(value, Histogram):
        if value.np_histogram is None:
            return media.Histogram(value.sequence, min(value.num_bins, MOST_BINS))
        counts, edges = ([*map(float, part)] for part in value.np_histogram)
        return media.Histogram.counted(edges, counts)
    if isinstance(value, Table):
        return media.Table(value.data, value.columns)
    if not isinstance(value, Media):
        return value
    if kind == "Image":
        return media.Image(value.data, value.caption)
    if kind == "Audio":
        return media.Audio(value.data, value.options.get("sample_rate"), value.caption)
    if kind == "Html":
        return media.Html(value.data.read() if hasattr(value.data, "read") else str(value.data))
    raise TypeError("it is not kept; log_artifact keeps a file")
