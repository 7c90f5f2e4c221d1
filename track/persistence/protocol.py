"""Define the calls of a storage backend."""

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
    from track.media import Medium
    from track.persistence.artifacts import ContentStore

AggregatorFactory = Callable[[], Aggregator]
Query = Mapping[str, Any] | list[tuple[str, Any]] | None

MetricsSink = Callable[[Any, AggregatorFactory | None, dict[str, Any]], None]


class ChronoSink(NamedTuple):
    """Where the timed blocks of a trial are recorded."""

    start: Callable[[str], None]
    """Is called with the name of a chrono as it starts."""
    finish: Callable[..., None]
    """Is called with its name, its seconds, and type, value and traceback of an exception."""


DEFAULT_CHRONO: AggregatorFactory = StatAggregator.lazy(0)
"""Every time counts: avg, min, max, sd and count of all."""

DEFAULT_METADATA: AggregatorFactory = ValueAggregator.lazy()
"""The last value counts."""


class Protocol:
    """Base class of storage backends; extend it to bring your own.

    Parameters
    ----------
    uri
        where the backend keeps things, as given to :class:`~track.client.TrackClient`
    """

    content: ContentStore | None = None
    """Where the contents of logged files are, if the backend keeps them."""

    def __init__(self, uri: str | None = None) -> None:
        self.uri = uri

    def new_project(self, project: Project) -> Project:
        """Insert a new project.

        Returns
        -------
        The project passed in, or the one that has its uid already.
        """
        raise self._missing("new_project")

    def get_project(self, project: Project) -> Project | None:
        """Fetch the project with the uid of the given one, or None."""
        raise self._missing("get_project")

    def new_trial_group(self, group: TrialGroup) -> TrialGroup | None:
        """Insert a new group.

        Returns
        -------
        The group passed in; None if its uid exists.

        Raises
        ------
        ProjectDoesNotExist
            its project is unknown
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
            definition used for the insert
        auto_increment
            if its uid exists, take the next revision of its hash

        Returns
        -------
        The trial passed in; None if its uid exists and auto_increment is False.

        Raises
        ------
        ProjectDoesNotExist, GroupDoesNotExist
            its project or group is unknown
        """
        raise self._missing("new_trial")

    def get_trial(self, trial: Trial) -> list[Trial] | None:
        """Fetch all revisions of the given trial's hash, or None when its uid does not exist."""
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
        """Record that a trial started so many seconds ago; by default, that it starts."""
        self.log_trial_start(trial)

    def log_trial_finish(
        self, trial: Trial, exc_type: Any = None, exc_val: Any = None, exc_tb: Any = None
    ) -> None:
        """Record that a trial ended, and how long it took."""
        raise self._missing("log_trial_finish")

    def log_trial_chrono_start(
        self,
        trial: Trial,
        name: str,
        aggregator: AggregatorFactory = DEFAULT_CHRONO,
        start_callback: Callable[[], Any] | None = None,
        end_callback: Callable[[], Any] | None = None,
    ) -> None:
        """Start timing something.

        Parameters
        ----------
        trial
            trial the time belongs to
        name
            what is timed
        aggregator
            how the elapsed times are accumulated
        start_callback, end_callback
            called when the timer starts and when it ends
        """
        raise self._missing("log_trial_chrono_start")

    def log_trial_chrono_finish(
        self, trial: Trial, name: str, exc_type: Any = None, exc_val: Any = None, exc_tb: Any = None
    ) -> None:
        """Stop timing something and record the elapsed time, in seconds."""
        raise self._missing("log_trial_chrono_finish")

    def log_trial_arguments(self, trial: Trial, **kwargs: Any) -> None:
        """Save arguments of a trial."""
        raise self._missing("log_trial_arguments")

    def log_trial_metadata(
        self, trial: Trial, aggregator: AggregatorFactory | None = DEFAULT_METADATA, **kwargs: Any
    ) -> None:
        """Save metadata of a trial. The trial passed in stays as it is."""
        raise self._missing("log_trial_metadata")

    def log_trial_metrics(
        self,
        trial: Trial,
        step: Any = None,
        aggregator: AggregatorFactory | None = None,
        **kwargs: Any,
    ) -> None:
        """Save metrics of a trial, and add them to the metrics of the trial passed in.

        Parameters
        ----------
        trial
            trial the metrics belong to
        step
            when it was (an epoch, a time, …); None appends to a list
        aggregator
            how the values are accumulated instead
        kwargs
            name and value of each metric
        """
        raise self._missing("log_trial_metrics")

    def log_trial_system_metrics(
        self, trial: Trial, values: dict[str, float], rank: int | None = None
    ) -> None:
        """Save what this process measured of its machine just now. The trial stays as it is.

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

    def log_trial_media(
        self, trial: Trial, step: Any, media: Mapping[str, Sequence[Medium]]
    ) -> None:
        """Save media of a trial, some of each name. The trial passed in stays as it is."""
        raise self._missing("log_trial_media")

    def metrics_sink(self, trial: Trial) -> MetricsSink:
        """Return what a trial that logs over and over gives its metrics to.

        Returns
        -------
        A function of step, aggregator and a dictionary of metrics, that does what
        :meth:`log_trial_metrics` does; whether the trial passed in keeps the values too is the
        backend's choice, as long as its ``metrics`` show them.
        """

        def sink(step: Any, aggregator: AggregatorFactory | None, values: dict[str, Any]) -> None:
            self.log_trial_metrics(trial, step, aggregator, **values)

        return sink

    def chrono_sink(self, trial: Trial, **options: Any) -> ChronoSink:
        """Return what a trial that times blocks over and over, by itself, gives its times to.

        Parameters
        ----------
        trial
            trial the times belong to
        options
            aggregator and callbacks, as of :meth:`log_trial_chrono_start`

        Returns
        -------
        Functions that do what :meth:`log_trial_chrono_start` and :meth:`log_trial_chrono_finish`
        do. A backend may measure the seconds again.
        """

        def finish(name: str, _seconds: float, *exc_info: Any) -> None:
            self.log_trial_chrono_finish(trial, name, *exc_info)

        return ChronoSink(partial(self.log_trial_chrono_start, trial, **options), finish)

    def set_trial_status(self, trial: Trial, status: AnyStatus, error: Any = None) -> None:
        """Change the status of a trial; an error is appended to its errors as text."""
        raise self._missing("set_trial_status")

    def archive_trial(self, trial: Trial) -> None:
        """Leave a trial out of listings and reports, until it is restored.

        It keeps its uid, its events and what is still logged about it.
        """
        raise self._missing("archive_trial")

    def restore_trial(self, trial: Trial) -> None:
        """Show a trial again that was archived."""
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
        """Update the first trial that matches a query, before anybody else can.

        Parameters
        ----------
        query
            what to look for
        attr
            name of the method that updates it, as ``set_trial_status``
        *args, **kwargs
            its further arguments

        Returns
        -------
        The updated trial.

        Raises
        ------
        ItemNotFound
            nothing matches
        AttributeError
            there is no such method
        """
        raise self._missing("fetch_and_update_trial")

    def fetch_and_update_group(
        self, query: Query, attr: str, *args: Any, **kwargs: Any
    ) -> TrialGroup:
        """Update the first group that matches, see :meth:`fetch_and_update_trial`."""
        raise self._missing("fetch_and_update_group")

    def commit(self, **kwargs: Any) -> None:
        """Persist every change; by default do nothing, for backends that always do."""

    def close(self) -> None:
        """Release what the backend holds."""

    def status_of(self, trial: Trial) -> AnyStatus | None:
        """Return the status of a trial as it is now, whatever the trial passed says.

        Returns
        -------
        :data:`~track.structure.LOST` for a trial that is said to run while its process is dead; a
        backend that keeps no heartbeats cannot know, and returns what was set.
        """
        for found in self.get_trial(trial) or ():
            if found.uid == trial.uid:
                return found.status
        return None

    def when_idle(self, callback: Callable[[], None]) -> None:
        """Call a function now or, when this thread is in the middle of a call, at its end.

        Signal handlers record through it: they come between any two steps of their thread.
        """
        callback()

    def forgive_failed_writes(self) -> None:
        """Warn instead of raising, from now on, if something logged cannot be written.

        A backend that has a journal keeps it in memory, and writes it as soon as it can. What is
        decided, say a new trial or a conditional update, is recorded when its call returns, or the
        call raises.
        """

    def keep_content(self, path: str) -> tuple[int, str]:
        """Keep the content of a file; warn where the backend has no place for it.

        Returns
        -------
        Its size in bytes and its SHA-256, in hexadecimal.
        """
        if self.content is not None:
            return self.content.keep(path)
        warn(
            f"the contents of logged files are not kept by {type(self).__name__}, only their "
            "names, sizes and SHA-256: keep the files, or log to a store on this machine (file:, "
            "lmdb:)",
            NotRecordedWarning,
        )
        return os.path.getsize(path), file_hash(path)

    def _missing(self, name: str) -> NotImplementedError:
        return NotImplementedError(f"the backend {type(self).__name__} does not implement {name}")


DECISIONS = (
    *("fetch_and_update_group", "fetch_and_update_trial"),
    *("new_project", "new_trial", "new_trial_group"),
)
"""Methods that change something if others have not done so before."""

CHANGES = (
    *("add_group_trial", "add_project_trial", "add_trial_tags", "archive_trial", "commit"),
    *("keep_content", "log_late_start", "log_trial_arguments", "log_trial_chrono_finish"),
    *("log_trial_chrono_start", "log_trial_finish", "log_trial_media", "log_trial_metadata"),
    *(
        "log_trial_metrics",
        "log_trial_start",
        "log_trial_system_metrics",
        "restore_trial",
        "set_group_metadata",
    ),
    "set_trial_status",
)
"""Methods that change something, whatever others do."""

QUESTIONS = (
    *("fetch_archived_trials", "fetch_groups", "fetch_projects", "fetch_trials"),
    *("get_project", "get_trial", "get_trial_group", "status_of"),
)
"""Methods that change nothing."""
