"""Projects in the form of MLflow's experiments.

The id of an experiment is derived from the name of its project, so all processes agree on it. What
MLflow can change about an experiment, such as its name, is kept in the metadata of a group in the
project, which is created on demand.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple

from mlflow.entities import Experiment, ExperimentTag, LifecycleStage, ViewType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_STATE
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking import SEARCH_MAX_RESULTS_DEFAULT
from mlflow.utils.search_utils import SearchExperimentsUtils, SearchUtils
from mlflow.utils.time import get_current_time_millis
from mlflow.utils.uri import append_to_uri_path, resolve_uri_if_local
from mlflow.utils.validation import (
    _validate_experiment_artifact_location_length,
    _validate_experiment_id,
    _validate_experiment_name,
    _validate_experiment_tag,
)

from track.events.codec import decode, stream_id
from track.integrations.mlflow.answers import check_max_results, exists, invalid, missing
from track.integrations.mlflow.metrics import MS
from track.integrations.mlflow.runs import handle_of
from track.persistence.journaled import JournaledProtocol
from track.projections.objects import Objects
from track.structure import Project, Trial, TrialGroup

DEFAULT_ID = "0"
DEFAULT_NAME = Experiment.DEFAULT_EXPERIMENT_NAME
GROUP = "mlflow"
"""The name of the group whose metadata holds the attributes of an experiment."""

_TAG = "tag:"
_DIGITS = 18


class Known(NamedTuple):
    """A project, and the attributes of its experiment."""

    project: str
    facts: dict[str, Any]

    @property
    def experiment_id(self) -> str:
        return id_of(self.project)

    @property
    def name(self) -> str:
        return str(self.facts.get("name", self.project))

    @property
    def stage(self) -> str:
        return str(self.facts.get("lifecycle_stage", LifecycleStage.ACTIVE))


def id_of(project: str) -> str:
    """Return the id of a project's experiment: up to 18 digits, like MLflow's own ids."""
    if project == DEFAULT_NAME:
        return DEFAULT_ID
    return str(int(sha256(project.encode("utf-8", "surrogatepass")).hexdigest(), 16) % 10**_DIGITS)


def group_of(project: str) -> TrialGroup:
    """Return the group of a project that holds the attributes of its experiment."""
    return TrialGroup(name=GROUP, project_id=project)


def known_experiments(objects: Objects) -> dict[str, Known]:
    """Return all experiments by id, including the default one, which may have no project yet."""
    names = dict.fromkeys((DEFAULT_NAME, *objects.projects))
    found = (Known(name, _facts(objects, name)) for name in names)
    return {one.experiment_id: one for one in found}


def homes_in(objects: Objects) -> dict[str, Known]:
    """Return all experiments by project name."""
    return {known.project: known for known in known_experiments(objects).values()}


def _facts(objects: Objects, project: str) -> dict[str, Any]:
    group = objects.groups.get(group_of(project).uid)
    return {} if group is None else dict(group.metadata)


class Experiments:
    """The experiments of a store.

    Parameters
    ----------
    protocol
        the store
    artifact_root
        URI of the artifact folder for experiments without one of their own
    """

    def __init__(self, protocol: JournaledProtocol, artifact_root: str) -> None:
        self.protocol = protocol
        self.artifact_root = artifact_root
        self._created: dict[str, int] = {}

    def all(self) -> dict[str, Known]:
        """Return all experiments by id."""
        with self.protocol.read_state() as objects:
            return known_experiments(objects)

    def entity(self, known: Known) -> Any:
        """Return an experiment as an entity of MLflow."""
        facts = known.facts
        created = facts.get("creation_time") or self._created_at(known.project)
        tags = (
            ExperimentTag(key.removeprefix(_TAG), value)
            for key, value in facts.items()
            if key.startswith(_TAG) and value is not None
        )
        return Experiment(
            known.experiment_id,
            known.name,
            self.location(known),
            known.stage,
            tags=[*tags],
            creation_time=created,
            last_update_time=facts.get("last_update_time", created),
        )

    def location(self, known: Known) -> str:
        """Return the URI of the artifact folder of an experiment."""
        location = known.facts.get("artifact_location")
        return str(location or append_to_uri_path(self.artifact_root, known.experiment_id))

    def _created_at(self, project: str) -> int:
        """Return the creation time of a project that was not created through MLflow."""
        if project not in self._created:
            batches = [*self.protocol.journal.read_stream(stream_id("project", project))]
            made = decode(0, batches[0][1][0]).at // MS if batches else get_current_time_millis()
            self._created[project] = made
        return self._created[project]

    def search(
        self,
        view_type: Any = ViewType.ACTIVE_ONLY,
        max_results: int = SEARCH_MAX_RESULTS_DEFAULT,
        filter_string: str | None = None,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> Any:
        """Return one page of the matching experiments."""
        if not isinstance(max_results, int) or max_results < 1:
            raise invalid(f"Invalid value {max_results} for max_results: it must be positive")
        check_max_results(max_results)
        shown = [
            self.entity(known)
            for known in self.all().values()
            if LifecycleStage.matches_view_type(view_type, known.stage)
        ]
        found = SearchExperimentsUtils.sort(
            SearchExperimentsUtils.filter(shown, filter_string),
            order_by or ["creation_time DESC", "experiment_id ASC"],
        )
        return PagedList(*SearchUtils.paginate(found, page_token, max_results))

    def named(self, name: str) -> Known | None:
        """Return the experiment with a name, None if there is none."""
        return next((known for known in self.all().values() if known.name == name), None)

    def find(self, experiment_id: str | None, stage: str | None = None) -> Known:
        """Return an experiment by id, or raise unless it exists at the given stage."""
        experiment_id = DEFAULT_ID if experiment_id is None else str(experiment_id)
        _validate_experiment_id(experiment_id)
        known = self.all().get(experiment_id)
        if known is None or stage not in {None, known.stage}:
            kind = "" if stage is None else f"{stage} "
            raise missing(f"No {kind}Experiment with id={experiment_id} exists")
        return known

    def active(self, experiment_id: str | None) -> Known:
        """Return an active experiment by id, or raise."""
        known = self.find(experiment_id)
        if known.stage != LifecycleStage.ACTIVE:
            raise invalid(
                f"The experiment {known.experiment_id} must be in the 'active' state. "
                f"Current state is {known.stage}."
            )
        return known

    def create(self, name: str, location: str | None, tags: Iterable[Any] | None) -> str:
        """Create an experiment and return its id."""
        _validate_experiment_name(name)
        facts = {}
        for tag in tags or ():
            _validate_experiment_tag(tag.key, tag.value)
            facts[f"{_TAG}{tag.key}"] = str(tag.value)
        if location:
            _validate_experiment_artifact_location_length(location)
            facts["artifact_location"] = resolve_uri_if_local(location)
        project = Project(name=name)
        number = 1
        self._check_is_free(name)
        while self.protocol.new_project(project) is not project:
            self._check_is_free(name)  # another process may have created it in the meantime
            number += 1  # a renamed experiment still occupies the project of this name
            project = Project(name=f"{name} ({number})")
        now = get_current_time_millis()
        self.change(project.uid, name=name, creation_time=now, last_update_time=now, **facts)
        return id_of(project.uid)

    def _check_is_free(self, name: str) -> None:
        known = self.named(name)
        if known is not None:
            is_deleted = known.stage == LifecycleStage.DELETED
            how = " in deleted state: restore it, or use another name" if is_deleted else ""
            raise exists(f"Experiment {name!r} already exists{how}.")

    def delete(self, experiment_id: str) -> None:
        """Delete an experiment and archive its trials."""
        if str(experiment_id) == DEFAULT_ID:
            raise invalid(f"Cannot delete the default experiment {DEFAULT_ID!r}.")
        known = self.find(experiment_id, LifecycleStage.ACTIVE)
        self._set(known, lifecycle_stage=LifecycleStage.DELETED)
        for trial in self._trials_of(known, archived=False):
            self.protocol.archive_trial(trial)

    def restore(self, experiment_id: str) -> None:
        """Restore an experiment and its trials."""
        known = self.find(experiment_id, LifecycleStage.DELETED)
        self._set(known, lifecycle_stage=LifecycleStage.ACTIVE)
        for trial in self._trials_of(known, archived=True):
            self.protocol.restore_trial(trial)

    def _trials_of(self, home: Known, *, archived: bool) -> list[Trial]:
        with self.protocol.read_state() as objects:
            return [
                handle_of(known.trial.uid)
                for known in objects.known_trials()
                if known.is_archived is archived and known.trial.project_id == home.project
            ]

    def rename(self, experiment_id: str, name: str) -> None:
        """Rename an experiment; its project keeps its name."""
        _validate_experiment_name(name)
        known = self.find(experiment_id)
        if known.stage != LifecycleStage.ACTIVE:
            raise MlflowException("Cannot rename a non-active experiment.", INVALID_STATE)
        if name != known.name:
            self._check_is_free(name)
        self._set(known, name=name)

    def set_tag(self, experiment_id: str, key: str, value: Any) -> None:
        """Set a tag of an experiment."""
        _validate_experiment_tag(key, value)
        known = self.active(experiment_id)
        self.change(known.project, **{f"{_TAG}{key}": str(value)})

    def delete_tag(self, experiment_id: str, key: str) -> None:
        """Delete a tag of an experiment."""
        known = self.active(experiment_id)
        if known.facts.get(f"{_TAG}{key}") is None:
            raise missing(f"No tag with name: {key} in experiment with id {experiment_id}")
        self.change(known.project, **{f"{_TAG}{key}": None})

    def _set(self, known: Known, **facts: Any) -> None:
        self.change(known.project, last_update_time=get_current_time_millis(), **facts)

    def change(self, project: str, **facts: Any) -> None:
        """Set attributes of an experiment."""
        self.protocol.new_project(Project(name=project))  # the default project may not exist yet
        group = group_of(project)
        self.protocol.new_trial_group(group)
        self.protocol.set_group_metadata(group, **facts)
