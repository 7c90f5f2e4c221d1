"""Define the form in which importers describe a run of another tool."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from track.errors import ImportFailed, TrackError
from track.events.types import Event
from track.media import Medium
from track.structure import AnyStatus, Status

NS, MS = 10**9, 10**6
"""Nanoseconds in a second, and in a millisecond."""

_LAST_S = 2**33
"""A time in the year 2242; much later ones do not fit into 64 bits as nanoseconds."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

_DEEPEST = 50
"""The deepest nesting that is flattened; values nested deeper stay as they are."""

_LARGEST_TEXT = 2**28
"""The largest text file that is read, in characters."""


_UNREADABLE = (TrackError, OSError, AttributeError, KeyError, TypeError, ValueError)
"""What reading a part of a run raises if the part is missing, damaged or of an unknown form."""

_Errors = type[Exception] | tuple[type[Exception], ...]


class MediaFound(NamedTuple):
    """Holds the media of one call by name, as an event of a log."""

    step: Any
    media: dict[str, list[Medium]]


class Entry(NamedTuple):
    """An event of a log.

    Attributes
    ----------
    sequence
        its position in the log; positions start at 1, increase along the log and stay the same when
        the log grows, so that nothing is imported twice
    at_ns
        the time of the event, in nanoseconds since 1970-01-01
    event
        the event
    log
        the name of its log, None for the one that yields it; entries of several logs can be read
        together, and those of different logs may have the same position
    """

    sequence: int
    at_ns: int
    event: Event | MediaFound
    log: str | None = None


class Log(NamedTuple):
    """An append-only record of a tool: a file, a table, or the values of a metric.

    Attributes
    ----------
    name
        its name, unique among the logs of the run
    entries
        its events in order; they are iterated once, while they are recorded
    """

    name: str
    entries: Iterable[Entry]


@dataclass
class SourceRun:
    """A run of another tool, or a part of one that was resumed.

    Attributes
    ----------
    key
        identifies the run among those of all tools; it begins with the name of the tool. All parts
        of a run have the same key
    part
        identifies a part of a run
    uid
        the hash of the trial, None to compute it from the key
    project, group
        the names of the project and the group that the run belongs to
    name, description, version
        as of :class:`~track.structure.Trial`
    parameters, tags, metadata
        as known so far
    status, error
        the status of the run, and the error that ended it
    is_archived
        whether the tool hides it from lists
    started_ns, ended_ns
        when it started and ended, in nanoseconds since 1970-01-01, None if that is not known
    logs
        what the run logged
    files
        the names of its files in the store -> their paths, inside the imported folder
    problems
        problems that occurred -> how many times
    """

    key: str
    project: str
    part: str = ""
    uid: str | None = None
    group: str | None = None
    name: str | None = None
    description: str | None = None
    version: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    status: AnyStatus = Status.FinishedGroup
    error: str | None = None
    is_archived: bool = False
    started_ns: int | None = None
    ended_ns: int | None = None
    logs: list[Log] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    problems: dict[str, int] = field(default_factory=dict)

    def miss(self, what: str) -> None:
        """Count a problem, such as a value that cannot be imported."""
        self.problems[what] = self.problems.get(what, 0) + 1

    @contextmanager
    def leave_out(self, what: str, errors: _Errors = _UNREADABLE) -> Iterator[None]:
        """Count as a problem that a block, which reads a part of the run, raised an error."""
        try:
            yield
        except errors as error:
            self.miss(f"{what} was left out: {reason(error)}")

    def read(self, path: str, read: Callable[[str], Any]) -> Any:
        """Return the values in a file; none if it is missing or, as a problem, unreadable."""
        try:
            return read(path) if os.path.exists(path) else {}
        except ImportFailed as error:
            self.miss(str(error))
            return {}

    def add_files(self, folder: str, root: str, *, prefix: str = "") -> None:
        """Add all files below a folder, except links to files outside the imported folder.

        Parameters
        ----------
        folder
            a folder inside the imported one
        root
            the imported folder
        prefix
            the prefix of their names in the store
        """
        for name, path in files_below(folder):
            if not is_inside(path, root):
                self.miss(f"the file {name} links to a file outside {root}: copy that file")
            elif os.path.isfile(path):
                self.files[prefix + name] = path
            else:
                self.miss(f"{name} is not a file")


class Unreadable(NamedTuple):
    """Input that could not be read as a run."""

    where: str
    why: str


Source = SourceRun | Unreadable
"""What importers yield."""


def reason(error: Exception) -> str:
    """Return what an error says, in words."""
    if isinstance(error, KeyError):
        return f"it lacks {error}"
    is_sentence = isinstance(error, (TrackError, OSError, ValueError))
    return str(error) if is_sentence else f"{type(error).__name__}: {error}"


def dict_or_empty(value: Any) -> dict[Any, Any]:
    """Return a value if it is a dictionary, as files of other tools may hold something else."""
    return value if isinstance(value, dict) else {}


def files_below(folder: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the path of each file below a folder, with slashes in nested names."""
    for inner, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(inner, name)
            yield os.path.relpath(path, folder).replace(os.sep, "/"), path


def is_inside(path: str, root: str) -> bool:
    """Return whether a path, with all links followed, is below a folder."""
    real, top = os.path.realpath(path), os.path.realpath(root)
    return os.path.commonpath([real, top]) == top


def parse_time(text: Any) -> int | None:
    """Return the time in an ISO 8601 text in nanoseconds, None if the text is not a time.

    A time without an offset is in UTC.
    """
    try:
        time = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    time = time if time.tzinfo else time.replace(tzinfo=timezone.utc)
    return (time - _EPOCH) // timedelta(microseconds=1) * 1000


def parse_seconds(value: Any) -> int:
    """Return a time in seconds in nanoseconds, 0 if the value is not a time.

    It is exact to a microsecond, as floats of present times are.
    """
    is_time = isinstance(value, (int, float)) and abs(value) < _LAST_S
    return round(value * 1e6) * 1000 if is_time else 0


def flat(
    values: dict[str, Any], prefix: str = "", depth: int = _DEEPEST
) -> Iterator[tuple[str, Any]]:
    """Flatten nested values: yield names joined by slashes, and values.

    A value with a ``_type`` (an image, for example) stays as it is.
    """
    for name, value in values.items():
        if isinstance(value, dict) and depth and "_type" not in value:
            yield from flat(value, f"{prefix}{name}/", depth - 1)
        else:
            yield f"{prefix}{name}", value


def read_text(path: str) -> str:
    """Return the text in a file.

    Raises
    ------
    ImportFailed
        the file cannot be read, is too large, or is not text
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            text = file.read(_LARGEST_TEXT + 1)
    except (OSError, UnicodeError) as error:
        raise ImportFailed(f"cannot read {path}: {error}") from error
    if len(text) > _LARGEST_TEXT:
        raise ImportFailed(f"cannot read {path}: it has more than {_LARGEST_TEXT} characters")
    return text


def parse_json(text: str | bytes, where: str) -> Any:
    """Parse a JSON text, accepting NaN and Infinity as numbers.

    Raises
    ------
    ImportFailed
        the text is not JSON, or nested too deeply
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ImportFailed(f"cannot read {where}: {error}") from error


def read_json(path: str) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises
    ------
    ImportFailed
        see :func:`read_text` and :func:`parse_json`; or the value is not an object
    """
    value = parse_json(read_text(path), path)
    if not isinstance(value, dict):
        raise ImportFailed(f"cannot read {path}: it is not a JSON object")
    return value
