"""Define what a bridge to another tool does, and what it is given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from track.errors import TrackError
from track.projections.media import LoggedMedium
from track.structure import AnyStatus

Content = Callable[[LoggedMedium], bytes]
"""Returns the content of a medium; raises a TrackError if it cannot be had."""


class Refused(TrackError):
    """The other tool does not take something of a trial; the message says what and why."""


class Point(NamedTuple):
    """One value of a metric."""

    name: str
    step: int
    value: float


class Row(NamedTuple):
    """What one call logged: values, or media.

    Attributes
    ----------
    number
        its place among the rows of its trial, from 1, which is the same in every copy of a store
    at_ns
        when it was measured, in nanoseconds since 1970-01-01 UTC
    points, media
        what was logged
    """

    number: int
    at_ns: int
    points: tuple[Point, ...] = ()
    media: tuple[LoggedMedium, ...] = ()


class Description(NamedTuple):
    """What a trial is now, besides its rows.

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
        how it stands, and whether it will not go on
    started_ns, ended_ns
        when it began and ended, in nanoseconds since 1970-01-01 UTC; None if that is not known
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
    """What a trial is at the other tool."""

    rows: int
    """The number of the last row that the other tool has, 0 without any."""

    @abstractmethod
    def add(self, rows: Sequence[Row], content: Content) -> None:
        """Add rows, in order; they are there when this returns, and :attr:`rows` says so.

        Raises
        ------
        Refused
            the tool does not take them
        PushFailed
            it cannot be reached
        """

    @abstractmethod
    def describe(self, description: Description) -> None:
        """Say what the trial is called and has, if that is news; raises what :meth:`add` raises."""

    @abstractmethod
    def conclude(self, description: Description) -> None:
        """Say how the trial stands, if that is news; raises what :meth:`add` raises."""

    def close(self) -> None:  # noqa: B027 - most have nothing to release
        """Release what is held for this trial, which may be opened again."""


class Target(ABC):
    """Another tool that trials are pushed to."""

    name: str
    """What it is called in messages, without secrets."""

    def __init__(self) -> None:
        self.problems: dict[str, None] = {}
        """What was left out, in sentences, in the order in which it was noticed."""

    def miss(self, what: str) -> None:
        """Note something that is left out."""
        self.problems.setdefault(what)

    @abstractmethod
    def open(self, description: Description) -> Counterpart:
        """Return the counterpart of a trial, made if it is missing.

        Raises
        ------
        Refused
            the tool does not take such a trial
        PushFailed
            it cannot be reached
        """
