"""W&B's data types and their conversion to media, see :mod:`track.integrations.wandb`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from track import media
from track.exchange.source_run import files_below
from track.media.histogram import MOST_BINS

if TYPE_CHECKING:
    from track.attachments.kept_artifacts import KeptArtifact


class Media:
    """An image, a sound, a video or a page.

    Parameters
    ----------
    data
        the content
    caption
        a text shown with it
    """

    def __init__(self, data: Any = None, caption: Any = None, **kwargs: Any) -> None:
        self.data = data
        self.caption = caption
        self.options = kwargs


class Table:
    """Rows of values under named columns, taken from a data frame if one is given."""

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
            the row does not have one value per column
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
    """A histogram: how many values fall into each bin.

    Parameters
    ----------
    sequence
        the values
    np_histogram
        the counts and the edges, instead of values
    num_bins
        the number of bins
    """

    def __init__(self, sequence: Any = None, np_histogram: Any = None, num_bins: int = 64) -> None:
        self.sequence, self.np_histogram, self.num_bins = sequence, np_histogram, num_bins


class Artifact:
    """A named set of files.

    Parameters
    ----------
    name, type, description, metadata
        recorded along with the files
    """

    def __init__(
        self,
        name: str,
        type: str = "file",  # noqa: A002 - W&B's name
        description: str | None = None,
        metadata: Any = None,
        **kwargs: Any,
    ) -> None:
        self.name = name
        self.type = type
        self.description = description
        self.metadata = metadata or {}
        self.files: dict[str, str] = {}
        """The paths of the files, by their names in the artifact."""

    def add_file(self, local_path: Any, name: str | None = None, **kwargs: Any) -> None:
        """Add a file."""
        path = os.fspath(local_path)
        self.files[name or os.path.basename(path)] = path

    def add_dir(self, local_path: Any, name: str | None = None, **kwargs: Any) -> None:
        """Add all files under a folder."""
        for inner, path in files_below(os.fspath(local_path)):
            self.files[(Path(name or "") / inner).as_posix()] = path

    def described(self) -> dict[str, Any]:
        """Return the description of the artifact and the paths of its files."""
        return {
            "type": self.type,
            "description": self.description,
            "metadata": self.metadata,
            "files": [*self.files.values()],
        }


class UsedArtifact:
    """An artifact that a run uses.

    Parameters
    ----------
    kept
        the version of the artifact
    """

    def __init__(self, kept: KeptArtifact) -> None:
        self.name, self.version = f"{kept.name}:{kept.version}", kept.version
        self.digest, self.size = kept.sha256, kept.size
        self._kept = kept

    def download(self, root: Any = None, **kwargs: Any) -> str:
        """Write the files below a folder, by default ``artifacts/name:version``, and return it."""
        folder = os.path.join("artifacts", self.name) if root is None else os.fspath(root)
        self._kept.save(folder, force=True)
        return folder


def shown_of(value: Any) -> Any:
    """Convert a value for logging: W&B's data types become media, other values stay as they are.

    Raises
    ------
    TypeError, EncodingError
        the type is not supported, or the content does not match it
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
    raise TypeError(f"{kind} is not supported; keep a file with log_artifact")
