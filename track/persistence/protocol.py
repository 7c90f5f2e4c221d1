"""Define the calls of storage backends."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from track.aggregators.aggregator import Aggregator, StatAggregator, ValueAggregator
from track.errors import NotRecordedWarning, warn
from track.structure import AnyStatus, Project, Trial, TrialGroup
from track.versioning import file_hash

if TYPE_CHECKING:
    from track.attachments.kept_artifacts import KeptArtifact
    from track.contents.store import ContentStore
    from track.media import Medium

AggregatorFactory = Callable[[], Aggregator]
Query = Mapping[str, Any] | list[tuple[str, Any]] | None

MetricsSink = Callable[[Any, AggregatorFactory | None, dict[str, Any]], None]


class ChronoSink(NamedTuple):
    """Records the timed blocks of a trial."""

    start: Callable[[str], None]
    """Called with the name of a chrono as it starts."""
    finish: Callable[..., None]
    """Called with its name, its seconds, and the type, value and traceback of an exception."""


DEFAULT_CHRONO: AggregatorFactory = StatAggregator.lazy(0)
"""Keeps avg, min, max, sd and count of all times."""

DEFAULT_METADATA: AggregatorFactory = ValueAggregator.lazy()
"""Keeps the last value."""


class Protocol:
    """The base class of storage backends; extend it to write your own.

    Parameters
    ----------
    uri
        the URI of the store, as given to :class:`~track.client.TrackClient`
    """

    content: ContentStore | None = None
    """The contents of logged files, if the backend keeps them."""

    def __init__(self, uri: str | None = None) -> None:
        self.uri = uri

    def new_project(self, project: Project) -> Project:
        """Insert a new project.

        Returns
        -------
        The given project, or the existing one with its uid.
        """
        raise self._missing("new_project")

    def get_project(self, project: Project) -> Project | None:
        """Fetch the project with the uid of the given one, or None."""
        raise self._missing("get_project")

    def new_trial_group(self, group: TrialGroup) -> TrialGroup | None:
        """Insert a new group.

        Returns
        -------
        The given group, None if its uid exists.

        Raises
        ------
        ProjectDoesNotExist
            its project does not exist
        """
        raise self._missing("new_trial_group")

    def get_trial_group(self, group: TrialGroup) -> TrialGroup | None:
        """Fetch the group with the uid, or the name and project_id, of the given one, or None."""
        raise self._missing("get_trial_group")

    def new_trial(self, trial: Trial, auto_increment: bool = False) -> Trial | None:
        """Insert a new trial.

        Parameters
        ----------
        trial
            the trial to insert
        auto_increment
            if its uid exists, take the next revision of its hash

        Returns
        -------
        The given trial, None if its uid exists and auto_increment is False.

        Raises
        ------
        ProjectDoesNotExist, GroupDoesNotExist
            its project or group does not exist
        """
        raise self._missing("new_trial")

    def get_trial(self, trial: Trial) -> list[Trial] | None:
        """Fetch all revisions of the given trial's hash, or None if its uid does not exist."""
        raise self._missing("get_trial")

    def add_project_trial(self, project: Project, trial: Trial) -> None:
        """Add a trial to a project."""
        raise self._missing("add_project_trial")

    def add_group_trial(self, group: TrialGroup, trial: Trial) -> None:
        """Add a trial to a group. A trial may be in many."""
        raise self._missing("add_group_trial")

    def add_trial_tags(self, trial: Trial, **kwargs: Any) -> None:
        """Add tags to a trial."""
        raise self._missing("add_trial_tags")

    def log_trial_start(self, trial: Trial) -> None:
        """Record that a trial starts."""
        raise self._missing("log_trial_start")

    def log_late_start(self, trial: Trial, waited_s: float) -> None:
        """Record that a trial started some seconds ago; by default, record that it starts."""
        self.log_trial_start(trial)

    def log_trial_finish(
        self, trial: Trial, exc_type: Any = None, exc_val: Any = None, exc_tb: Any = None
    ) -> None:
        """Record the end and the duration of a trial."""
        raise self._missing("log_trial_finish")

    def log_trial_chrono_start(
        self,
        trial: Trial,
        name: str,
        aggregator: AggregatorFactory = DEFAULT_CHRONO,
        start_callback: Callable[[], Any] | None = None,
        end_callback: Callable[[], Any] | None = None,
    ) -> None:
        """Start a chrono.

        Parameters
        ----------
        trial
            the trial of the chrono
        name
            the name of the chrono
        aggregator
            how to accumulate the elapsed times
        start_callback, end_callback
            called when the timer starts and when it ends
        """
        raise self._missing("log_trial_chrono_start")

    def log_trial_chrono_finish(
        self, trial: Trial, name: str, exc_type: Any = None, exc_val: Any = None, exc_tb: Any = None
    ) -> None:
        """Stop a chrono, and record the elapsed time in seconds."""
        raise self._missing("log_trial_chrono_finish")

    def log_trial_arguments(self, trial: Trial, **kwargs: Any) -> None:
        """Save arguments of a trial."""
        raise self._missing("log_trial_arguments")

    def log_trial_metadata(
        self, trial: Trial, aggregator: AggregatorFactory | None = DEFAULT_METADATA, **kwargs: Any
    ) -> None:
        """Save metadata of a trial. The given trial does not change."""
        raise self._missing("log_trial_metadata")

    def log_trial_metrics(
        self,
        trial: Trial,
        step: Any = None,
        aggregator: AggregatorFactory | None = None,
        **kwargs: Any,
    ) -> None:
        """Save metrics of a trial, and add them to the metrics of the given trial.

        Parameters
        ----------
        trial
            the trial of the metrics
        step
            the step (an epoch, a time, …); None appends to a list
        aggregator
            how to accumulate the values instead
        kwargs
            name and value of each metric
        """
        raise self._missing("log_trial_metrics")

    def log_trial_system_metrics(
        self, trial: Trial, values: dict[str, float], rank: int | None = None
    ) -> None:
        """Save what this process just measured of its machine. The given trial does not change.

        Parameters
        ----------
        trial
            trial that the process works on
        values
            name and value of each measurement
        rank
            number of the process among those that train together
        """
        raise self._missing("log_trial_system_metrics")

    def log_trial_output(
        self, trial: Trial, lines: list[list[Any]], rank: int | None = None
    ) -> None:
        """Save lines that this process or its children printed. The given trial does not change.

        Parameters
        ----------
        trial
            trial that the process works on
        lines
            as in :class:`track.events.types.OutputCaptured`
        rank
            number of the process among those that train together
        """
        raise self._missing("log_trial_output")

    def log_process_code(self) -> None:
        """Save the code that this process runs, once. By default, do nothing."""

    def log_trial_media(
        self, trial: Trial, step: Any, media: Mapping[str, Sequence[Medium]]
    ) -> None:
        """Save media of a trial, one or more under each name. The given trial does not change."""
        raise self._missing("log_trial_media")

    def log_trial_artifact(
        self, trial: Trial, path: str | Mapping[str, str], name: str | None = None
    ) -> str:
        """Save files as a version of an artifact, and return its SHA-256."""
        raise self._missing("log_trial_artifact")

    def use_trial_artifact(self, trial: Trial, name: str, version: Any = "latest") -> KeptArtifact:
        """Save that a trial uses a version of an artifact, and return it."""
        raise self._missing("use_trial_artifact")

    def raise_trial_alert(
        self, trial: Trial, title: str, text: str = "", level: Any = "warning"
    ) -> None:
        """Save an alert of a trial. The given trial does not change."""
        raise self._missing("raise_trial_alert")

    def define_trial_metric(
        self, trial: Trial, name: str, summary: str | None = None, goal: str | None = None
    ) -> None:
        """Save which value summarises a metric of a trial. The given trial does not change."""
        raise self._missing("define_trial_metric")

    def metrics_sink(self, trial: Trial) -> MetricsSink:
        """Return a function for a trial that logs metrics many times.

        Returns
        -------
        A function of step, aggregator and a dictionary of metrics that does the same as
        :meth:`log_trial_metrics`. Whether the given trial keeps the values, too, is the backend's
        choice, as long as its ``metrics`` show them.
        """

        def sink(step: Any, aggregator: AggregatorFactory | None, values: dict[str, Any]) -> None:
            self.log_trial_metrics(trial, step, aggregator, **values)

        return sink

    def chrono_sink(self, trial: Trial, **options: Any) -> ChronoSink:
        """Return functions for a trial that times blocks many times.

        Parameters
        ----------
        trial
            the trial of the times
        options
            the aggregator and callbacks, as for :meth:`log_trial_chrono_start`

        Returns
        -------
        Functions that do the same as :meth:`log_trial_chrono_start` and
        :meth:`log_trial_chrono_finish`. A backend may measure the seconds itself.
        """

        def finish(name: str, _seconds: float, *exc_info: Any) -> None:
            self.log_trial_chrono_finish(trial, name, *exc_info)

        return ChronoSink(partial(self.log_trial_chrono_start, trial, **options), finish)

    def set_trial_status(self, trial: Trial, status: AnyStatus, error: Any = None) -> None:
        """Change the status of a trial; an error is appended to its errors as text."""
        raise self._missing("set_trial_status")

    def archive_trial(self, trial: Trial) -> None:
        """Leave a trial out of listings and reports, until it is restored.

        It keeps its uid and its events, and can still be logged to.
        """
        raise self._missing("archive_trial")

    def restore_trial(self, trial: Trial) -> None:
        """Show an archived trial again."""
        raise self._missing("restore_trial")

    def set_group_metadata(self, group: TrialGroup, **kwargs: Any) -> None:
        """Set metadata of a group."""
        raise self._missing("set_group_metadata")

    def fetch_trials(self, query: Query = None) -> list[Trial]:
        """Fetch the trials that match a query; None and ``{}`` match all."""
        raise self._missing("fetch_trials")

    def fetch_archived_trials(self, query: Query = None) -> list[Trial]:
        """Fetch the archived trials that match a query; None and ``{}`` match all."""
        raise self._missing("fetch_archived_trials")

    def fetch_groups(self, query: Query = None) -> list[TrialGroup]:
        """Fetch the groups that match a query; None and ``{}`` match all."""
        raise self._missing("fetch_groups")

    def fetch_projects(self, query: Query = None) -> list[Project]:
        """Fetch the projects that match a query; None and ``{}`` match all."""
        raise self._missing("fetch_projects")

    def fetch_and_update_trial(self, query: Query, attr: str, *args: Any, **kwargs: Any) -> Trial:
        """Update the first trial that matches a query, atomically.

        Parameters
        ----------
        query
            the query
        attr
            the name of the updating method, such as ``set_trial_status``
        *args, **kwargs
            the further arguments of the method

        Returns
        -------
        The updated trial.

        Raises
        ------
        ItemNotFound
            no trial matches
        AttributeError
            the method does not exist
        """
        raise self._missing("fetch_and_update_trial")

    def fetch_and_update_group(
        self, query: Query, attr: str, *args: Any, **kwargs: Any
    ) -> TrialGroup:
        """Update the first group that matches, see :meth:`fetch_and_update_trial`."""
        raise self._missing("fetch_and_update_group")

    def commit(self, **kwargs: Any) -> None:
        """Persist every change; by default do nothing, for backends that always persist."""

    def close(self) -> None:
        """Release the resources of the backend."""

    def status_of(self, trial: Trial) -> AnyStatus | None:
        """Return the current status of a trial, regardless of the given object.

        Returns
        -------
        :data:`~track.structure.LOST` for a trial that is recorded as running but whose process is
        dead. A backend without heartbeats cannot know, and returns the recorded status.
        """
        for found in self.get_trial(trial) or ():
            if found.uid == trial.uid:
                return found.status
        return None

    def when_idle(self, callback: Callable[[], None]) -> None:
        """Call a function now, or after the current call of this thread.

        Signal handlers record through it, since they may interrupt any step of their thread.
        """
        callback()

    def forgive_failed_writes(self) -> None:
        """From now on, warn instead of raising if a logged event cannot be written.

        A backend with a journal keeps the event in memory, and writes it as soon as possible. A
        decision, such as a new trial or a conditional update, is recorded when its call returns,
        or the call raises.
        """

    def keep_content(self, path: str) -> tuple[int, str]:
        """Store the content of a file, or warn if the backend has no place for it.

        Returns
        -------
        The size in bytes and the SHA-256, in hexadecimal.
        """
        content = self.content
        if content is not None and content.limit is None:
            return content.keep(path)
        size = os.path.getsize(path)
        if content is not None and content.limit is not None and size <= content.limit:
            return content.keep(path)
        why = (
            f"the contents of logged files are not kept by {type(self).__name__}"
            if content is None
            else f"{path} has {size} bytes, but {content} keeps contents of up to {content.limit}"
        )
        warn(
            f"{why}: only name, size and SHA-256 are recorded. Keep the file, or log to a store "
            "that keeps it (file:, lmdb:, socket:, or a database with the option contents)",
            NotRecordedWarning,
        )
        return size, file_hash(path)

    def _missing(self, name: str) -> NotImplementedError:
        return NotImplementedError(f"the backend {type(self).__name__} does not implement {name}")


DECISIONS = (
    *("fetch_and_update_group", "fetch_and_update_trial"),
    *("new_project", "new_trial", "new_trial_group"),
)
"""Methods that make a decision."""

CHANGES = (
    *("add_group_trial", "add_project_trial", "add_trial_tags", "archive_trial", "commit"),
    *("define_trial_metric", "keep_content", "log_late_start", "log_process_code"),
    *("log_trial_arguments", "log_trial_artifact", "log_trial_chrono_finish"),
    *("log_trial_chrono_start", "log_trial_finish", "log_trial_media", "log_trial_metadata"),
    *("log_trial_metrics", "log_trial_output", "log_trial_start", "log_trial_system_metrics"),
    *("raise_trial_alert", "restore_trial", "set_group_metadata", "set_trial_status"),
    *("use_trial_artifact",),
)
"""Methods that change something without a decision."""

QUESTIONS = (
    *("fetch_archived_trials", "fetch_groups", "fetch_projects", "fetch_trials"),
    *("get_project", "get_trial", "get_trial_group", "status_of"),
)
"""Methods that only read."""
