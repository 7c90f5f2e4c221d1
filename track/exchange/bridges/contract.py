"""The interface of bridges to other tools, and the data they receive."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

from track.errors import PushFailed, TrackError
from track.projections.media import LoggedMedium
from track.structure import AnyStatus

Content = Callable[[LoggedMedium], bytes]
"""A function that returns the content of a medium, or raises a TrackError if it is unavailable."""


class SentFile(NamedTuple):
    """A logged file.

    Attributes
    ----------
    path
        its path in the other tool, relative and with slashes, the same in every copy of a store
    size, sha256
        the size in bytes, and the SHA-256 of the content
    artifact
        the name of the artifact that it belongs to, None if it was logged by itself
    """

    path: str
    size: int
    sha256: str
    artifact: str | None = None


OpenFile = Callable[[SentFile], BinaryIO]
"""A function that opens the content of a file, or raises a TrackError if it is unavailable."""


class Unreachable(PushFailed):
    """A request got no response, or one that says to try again; it may have been carried out."""


class Refused(TrackError):
    """The other tool rejected part of a trial; the message says which part and why."""


class Point(NamedTuple):
    """One value of a metric."""

    name: str
    step: int
    value: float


class Row(NamedTuple):
    """The values, media or files that one call logged.

    Attributes
    ----------
    number
        its number among the rows of its trial, from 1, which is the same in every copy of a store
    at_ns
        the time of measurement, in nanoseconds since 1970-01-01 UTC
    points, media, files
        the logged values, media or files
    """

    number: int
    at_ns: int
    points: tuple[Point, ...] = ()
    media: tuple[LoggedMedium, ...] = ()
    files: tuple[SentFile, ...] = ()


class Description(NamedTuple):
    """The current state of a trial, except for its rows.

    Attributes
    ----------
    uid, name, description, version
        as of :class:`~track.structure.Trial`
    project, group
        the names of the project and the group
    parameters
        by dotted name
    tags, metadata
        by name
    status, is_over
        the status, and whether the trial has ended
    started_ns, ended_ns
        when it started and ended, in nanoseconds since 1970-01-01 UTC, None if unknown
    """

    uid: str
    name: str | None
    description: str | None
    version: str | None
    project: str
    group: str | None
    parameters: dict[str, Any]
    tags: dict[str, Any]
    metadata: dict[str, Any]
    status: AnyStatus | None
    is_over: bool
    started_ns: int | None
    ended_ns: int | None


class Counterpart(ABC):
    """The counterpart of a trial in the other tool."""

    rows: int
    """The number of the last row that the other tool has, 0 if it has none."""

    @abstractmethod
    def add(self, rows: Sequence[Row], content: Content, open_file: OpenFile) -> None:
        """Add rows in order; once this returns, the tool has them and :attr:`rows` is up to date.

        Raises
        ------
        Refused
            the tool rejects them
        PushFailed
            the tool cannot be reached
        """

    @abstractmethod
    def describe(self, description: Description) -> None:
        """Update everything but the status if it changed; raises the errors of :meth:`add`."""

    @abstractmethod
    def conclude(self, description: Description) -> None:
        """Update the status if it changed; raises the errors of :meth:`add`."""

    def close(self) -> None:  # noqa: B027 - most have nothing to release
        """Release the resources of this trial, which may be opened again."""


class Target(ABC):
    """Another tool that trials are pushed to."""

    name: str
    """Its name in messages, without secrets."""

    def __init__(self) -> None:
        self.problems: dict[str, None] = {}
        """Descriptions of everything that was left out, in the order of occurrence."""

    def miss(self, what: str) -> None:
        """Record that something is left out."""
        self.problems.setdefault(what)

    @contextmanager
    def leave_out(self, what: str) -> Iterator[None]:
        """Record that something is left out if a block, which reads or converts it, fails."""
        try:
            yield
        except PushFailed:
            raise
        except (TrackError, OSError, KeyError, TypeError, ValueError) as error:
            self.miss(f"{what} is left out: {error}")

    @abstractmethod
    def open(self, description: Description) -> Counterpart:
        """Return the counterpart of a trial, creating it if it is missing.

        Raises
        ------
        Refused
            the tool rejects the trial
        PushFailed
            the tool cannot be reached
        """
