"""Read media among the logged values of W&B and trackio, which are references to files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

from track.errors import ImportFailed
from track.events.types import MetricsLogged
from track.exchange.source_run import Entry, MediaFound, SourceRun, is_inside, parse_json
from track.media import Audio, Histogram, Html, Image, Medium, Table
from track.media.medium import LARGEST

_SEVERAL, _TRACKIO_TABLE = "images/separated", "trackio.table"
"""The types of a list of images, and of a table that is not stored as a file."""


def _table(data: bytes, _caption: str | None) -> Medium:
    said = parse_json(data, "a table")
    return Table(said["data"], said["columns"])


_READ: dict[str, Callable[[bytes, str | None], Medium]] = {
    "image-file": Image,
    "audio-file": lambda data, caption: Audio(data, caption=caption),
    "html-file": lambda data, _: Html(data.decode("utf-8", "replace")),
    "table-file": _table,
    "trackio.image": Image,
    "trackio.audio": lambda data, caption: Audio(data, caption=caption),
}
"""Functions that convert the content of a file to a medium, by the type of the reference."""


def kind_of(value: Any) -> str | None:
    """Return the type of a logged value if it is a medium, otherwise None."""
    kind = value.get("_type") if isinstance(value, dict) else None
    is_medium = isinstance(kind, str) and (
        kind in {*_READ, _SEVERAL, _TRACKIO_TABLE} or kind.endswith("histogram")
    )
    return kind if is_medium else None


def is_shown(value: Any) -> bool:
    """Return whether a logged value is a medium or a list that contains one."""
    return any(map(kind_of, _several(value)))


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


class MediaFolder:
    """The folder that holds the media of a run.

    Parameters
    ----------
    run
        receives the problems that occur
    folder
        the folder that references are relative to
    root
        the imported folder; references must not lead out of it
    """

    def __init__(self, run: SourceRun, folder: str, root: str) -> None:
        self._run, self._folder, self._root = run, folder, root

    def entries(
        self, place: int, at_ns: int, step: Any, values: dict[str, Any], media_log: str
    ) -> Iterator[Entry]:
        """Yield an entry for the media among the values of one call, and one for the others."""
        metrics = {name: value for name, value in values.items() if not is_shown(value)}
        if metrics:
            yield Entry(place, at_ns, MetricsLogged(step, metrics, None))
        found = {name: self._read(name, values[name]) for name in values if name not in metrics}
        if media := {name: several for name, several in found.items() if several}:
            yield Entry(place, at_ns, MediaFound(step, media), media_log)

    def _read(self, name: str, value: Any) -> list[Medium]:
        media: list[Medium] = []
        for one in filter(kind_of, _several(value)):
            with self._run.leave_out(f"a medium of {name!r}"):
                media += self._media_of(one)
        return media

    def _media_of(self, value: dict[str, Any]) -> list[Medium]:
        kind, caption = str(value["_type"]), value.get("caption")
        if kind == _TRACKIO_TABLE:
            return [Table(value["_value"])]
        if kind.endswith("histogram"):
            return [Histogram.counted(value["bins"], value["values"])]
        if kind == _SEVERAL:
            paths, captions = value["filenames"], value.get("captions") or []
            captions = [*captions, *[None] * (len(paths) - len(captions))]
            pairs = zip(paths, captions, strict=False)
            return [Image(self.content(path), caption or None) for path, caption in pairs]
        path = value["path"] if "path" in value else value["file_path"]
        data = self.content(path)
        if value.get("sha256", digest := sha256(data).hexdigest()) != digest:
            raise ImportFailed(f"{path} has changed since it was logged")
        return [_READ[kind](data, caption if isinstance(caption, str) else None)]

    def content(self, path: Any) -> bytes:
        """Return the content of a file of the folder.

        Raises
        ------
        ImportFailed
            the file does not exist, is too large, or is outside of the imported folder
        OSError
            the file cannot be read
        """
        found = os.path.join(self._folder, str(path))
        if "\0" in found or not is_inside(found, self._root):
            raise ImportFailed(f"{path} is outside {self._root}")
        if not os.path.isfile(found):
            raise ImportFailed(f"{path} does not exist")
        with open(found, "rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ImportFailed(f"{path} has more than {LARGEST} bytes")
        return data
