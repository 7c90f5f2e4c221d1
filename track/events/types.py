"""Define the catalogue of events.

An event is an immutable tuple of plain values, named in the past tense. Its fields, in this order,
are its body on disk (``docs/format.md``). So a class evolves by adding fields with defaults at its
end; any other change is a new schema version with an upcaster in :mod:`track.events.codec`.
Wire tags are numbers that are never reused; class names may change.
"""

from __future__ import annotations

from typing import Any, NamedTuple

AggregatorSpec = list[Any] | None
"""``[name, parameters]`` of an aggregator, or None for the default of the call."""


class ProjectCreated(NamedTuple):
    """Stream: the project, whose uid is its name."""

    name: str
    description: str | None
    metadata: dict[str, Any]


class GroupCreated(NamedTuple):
    """Stream: the group."""

    uid: str
    name: str | None
    description: str | None
    metadata: dict[str, Any]
    project_id: Any


class TrialCreated(NamedTuple):
    """Stream: the trial. ``status`` is ``[name, value]``; chronos are numbers or stat streams."""

    hash: str
    revision: int
    name: str | None
    description: str | None
    tags: Any
    version: str | None
    group_id: Any
    project_id: Any
    parameters: Any
    metadata: dict[str, Any]
    metrics: dict[str, Any]
    chronos: dict[str, Any]
    status: list[Any] | None
    errors: list[Any]
    failure: dict[str, str] | None = None


class TrialAddedToProject(NamedTuple):
    """Stream: the project."""

    trial_uid: str


class TrialAddedToGroup(NamedTuple):
    """Stream: the group."""

    trial_uid: str


class TrialStarted(NamedTuple):
    """Stream: the trial. ``waited`` is the delay of the recording in seconds, if any."""

    waited: float | None = None


class TrialFinished(NamedTuple):
    """Stream: the trial. ``elapsed`` is in seconds; None if the start is unknown."""

    elapsed: float | None
    exception: str | None
    failure: dict[str, str] | None = None


class ChronoStarted(NamedTuple):
    """Stream: the trial."""

    name: str
    aggregator: AggregatorSpec


class ChronoFinished(NamedTuple):
    """Stream: the trial. ``elapsed`` is in seconds; None if the start is unknown."""

    name: str
    elapsed: float | None
    exception: str | None


class ArgumentsLogged(NamedTuple):
    """Stream: the trial."""

    values: dict[str, Any]


class MetadataLogged(NamedTuple):
    """Stream: the trial."""

    values: dict[str, Any]
    aggregator: AggregatorSpec


class MetricsLogged(NamedTuple):
    """Stream: the trial. Without a step, each value is appended to the list of its metric.

    ``at`` is when the values were measured, in nanoseconds since 1970-01-01 UTC, if that is not the
    time of the call.
    """

    step: Any
    values: dict[str, Any]
    aggregator: AggregatorSpec
    at: int | None = None


class TagsAdded(NamedTuple):
    """Stream: the trial."""

    values: dict[str, Any]


class StatusChanged(NamedTuple):
    """Stream: the trial. ``error`` is appended to the trial's errors."""

    name: str
    value: int
    error: str | None


class GroupMetadataSet(NamedTuple):
    """Stream: the group."""

    values: dict[str, Any]


class Heartbeat(NamedTuple):
    """Stream: the trial. The process that runs it is alive, see :mod:`track.utils.process`."""

    host: str
    place: str
    pid: int
    started: int


class ProcessDescribed(NamedTuple):
    """Stream: the process, see :meth:`track.utils.process.ProcessId.name`. Facts about it."""

    host: str
    place: str
    pid: int
    started: int
    facts: dict[str, Any]


class TrialArchived(NamedTuple):
    """Stream: the trial. Lists and reports leave it out from now on."""


class TrialRestored(NamedTuple):
    """Stream: the trial. Lists and reports include it again."""


class TrialRedacted(NamedTuple):
    """Stream: the trial. Its earlier content was erased from the journal."""


class Redacted(NamedTuple):
    """Stream: the same as before. Replaces an erased event; producer and time are unchanged."""


class SearchLogged(NamedTuple):
    """Stream: the search. The state of the library that runs it; trials do not depend on it."""

    operations: list[Any]


class SystemSampled(NamedTuple):
    """Stream: the machines of the trial. What one process saw of its machine, as numbers by name.

    ``rank`` is the number of the process among those that train together, None if it has none.
    """

    host: str
    pid: int
    rank: int | None
    values: dict[str, float]


class MediaLogged(NamedTuple):
    """Stream: the media of the trial. ``values`` are the media of each name, as lists of facts.

    The facts of a medium are ``kind``, ``mime``, ``size``, ``sha256``; ``data`` unless its content
    is kept elsewhere; ``caption`` and others if there are any.
    """

    step: Any
    values: dict[str, list[dict[str, Any]]]


class ArtifactLogged(NamedTuple):
    """Stream: the trial. A version of an artifact: ``size`` and ``sha256`` of its files.

    ``artifact`` is a number made from the name, which remains if the name is erased.
    """

    artifact: int
    sha256: str
    name: str
    files: dict[str, dict[str, Any]]


class ArtifactUsed(NamedTuple):
    """Stream: the trial. A version of an artifact that the trial uses."""

    name: str
    sha256: str


class OutputCaptured(NamedTuple):
    """Stream: the output of the trial. Lines that one process and its children printed.

    Each is ``[at, source, text]``: nanoseconds since 1970-01-01 UTC; 1 for stdout, 2 for stderr, 0
    where both go to the same place; and the line with its newline. Without one it is unfinished,
    and the next line of this source replaces it. An integer in place of the text is the number of
    lines that were left out.
    """

    host: str
    pid: int
    rank: int | None
    lines: list[list[Any]]


class AlertRaised(NamedTuple):
    """Stream: the trial. A message to people; ``level`` is ``info``, ``warning`` or ``error``."""

    level: str
    title: str
    text: str


class MetricDefined(NamedTuple):
    """Stream: the trial. Which value summarises a metric: ``last``, ``min`` or ``max``.

    ``name`` may be a pattern of names, as ``val/*``. ``goal`` is ``minimize`` or ``maximize``, None
    if it was not said.
    """

    name: str
    summary: str
    goal: str | None = None


class Unknown(NamedTuple):
    """An event that this version does not know, kept by journals and skipped by projections.

    If the payload is not an event at all, ``tag`` is 0 and ``body`` is the payload itself.
    """

    tag: int
    version: int
    body: Any


Event = (
    ProjectCreated
    | GroupCreated
    | TrialCreated
    | TrialAddedToProject
    | TrialAddedToGroup
    | TrialStarted
    | TrialFinished
    | ChronoStarted
    | ChronoFinished
    | ArgumentsLogged
    | MetadataLogged
    | MetricsLogged
    | TagsAdded
    | StatusChanged
    | GroupMetadataSet
    | Heartbeat
    | ProcessDescribed
    | TrialArchived
    | TrialRestored
    | TrialRedacted
    | Redacted
    | SearchLogged
    | SystemSampled
    | MediaLogged
    | ArtifactLogged
    | ArtifactUsed
    | OutputCaptured
    | AlertRaised
    | MetricDefined
    | Unknown
)


class Kind(NamedTuple):
    """The wire tag of an event class and the current version of its schema."""

    tag: int
    version: int


CATALOGUE: dict[type[Any], Kind] = {
    ProjectCreated: Kind(1, 1),
    GroupCreated: Kind(2, 1),
    TrialCreated: Kind(3, 1),
    TrialAddedToProject: Kind(4, 1),
    TrialAddedToGroup: Kind(5, 1),
    TrialStarted: Kind(6, 1),
    TrialFinished: Kind(7, 1),
    ChronoStarted: Kind(8, 1),
    ChronoFinished: Kind(9, 1),
    ArgumentsLogged: Kind(10, 1),
    MetadataLogged: Kind(11, 1),
    MetricsLogged: Kind(12, 1),
    TagsAdded: Kind(13, 1),
    StatusChanged: Kind(14, 1),
    GroupMetadataSet: Kind(15, 1),
    Heartbeat: Kind(16, 1),
    ProcessDescribed: Kind(17, 1),
    TrialArchived: Kind(18, 1),
    TrialRestored: Kind(19, 1),
    TrialRedacted: Kind(20, 1),
    Redacted: Kind(21, 1),
    SearchLogged: Kind(22, 1),
    SystemSampled: Kind(23, 1),
    MediaLogged: Kind(24, 1),
    ArtifactLogged: Kind(25, 1),
    ArtifactUsed: Kind(26, 1),
    OutputCaptured: Kind(27, 1),
    AlertRaised: Kind(28, 1),
    MetricDefined: Kind(29, 1),
}


class Recorded(NamedTuple):
    """An event as stored in a journal.

    Attributes
    ----------
    position
        the place in the total order of the journal; the unit depends on the journal
    at
        the wall time of the call, in nanoseconds since 1970-01-01 UTC
    producer, sequence
        the writer of the event and its running number there, together unique for ever
    stream
        the subject of the event, see :func:`track.events.codec.stream_id`
    event
        the event itself
    """

    position: int
    at: int
    producer: int
    sequence: int
    stream: int
    event: Event
