"""The tracking store, as called by MLflow."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any
from uuid import uuid4

from mlflow.entities import LifecycleStage, RunStatus, ViewType
from mlflow.entities.metric import MetricWithRunId
from mlflow.entities.run_info import check_run_is_active
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking.abstract_store import AbstractStore
from mlflow.utils import validation
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_MODELS, MLFLOW_RUN_NAME
from mlflow.utils.name_utils import _generate_random_name
from mlflow.utils.search_utils import SearchUtils
from mlflow.utils.time import get_current_time_millis
from mlflow.utils.uri import append_to_uri_path, resolve_uri_if_local

from track.events.types import ArgumentsLogged, Event, MetadataLogged, MetricsLogged, TagsAdded
from track.exchange.copying import journaled
from track.exchange.mlflow_terms import TO_TRACK, value_of
from track.integrations.mlflow.answers import (
    check_max_results,
    invalid,
    missing,
    no_items,
    no_page,
    no_traces,
)
from track.integrations.mlflow.experiments import DEFAULT_NAME, Experiments, Known, homes_in
from track.integrations.mlflow.metrics import MS, Point, grouped, points_in, points_of, series_of
from track.integrations.mlflow.models import Models
from track.integrations.mlflow.places import SCHEME, artifacts_of
from track.integrations.mlflow.runs import (
    ARTIFACTS,
    END_TIME,
    MODEL_INPUT,
    MODEL_OUTPUT,
    RUN_NAME,
    START_TIME,
    USER,
    Draft,
    dataset_facts,
    datasets_in,
    handle_of,
    is_over,
    metric_of,
    stage_of,
    uid_of,
)
from track.persistence import get_protocol
from track.projections.objects import Objects
from track.projections.series import Series
from track.projections.trials import stream_of
from track.reader import Reader
from track.structure import Project, Status, Trial

SERVED = "_MLFLOW_SERVER_FILE_STORE"
"""The variable that MLflow's server sets for its workers, which are not the training processes."""

_CHECK_S = 1.0
"""How long a run is assumed to stay active after a check, unless this process deletes it."""

_LONG = 10_000
"""Series with more points than this are thinned here; MLflow samples shorter ones itself."""


class TrackStore(AbstractStore):  # type: ignore[misc]  # MLflow has no types here
    """Stores the experiments and runs of MLflow in a Track store.

    Parameters
    ----------
    store_uri
        ``track+`` followed by the URI of a store
    artifact_uri
        URI of the artifact folder; by default ``<path>.artifacts`` next to a store on a local
        disk, and ``./mlruns`` for others, as with MLflow's own databases

    Raises
    ------
    BackendError
        the kind of store is unknown, or it has no journal
    """

    def __init__(self, store_uri: str, artifact_uri: str | None = None) -> None:
        super().__init__()
        uri = store_uri.removeprefix(SCHEME)
        self.protocol = journaled(get_protocol(uri))
        self.reader = Reader(self.protocol)
        self.artifact_root_uri = resolve_uri_if_local(artifact_uri or artifacts_of(uri))
        self.experiments = Experiments(self.protocol, self.artifact_root_uri)
        self.models = Models(self.experiments)
        self._writers: dict[str, tuple[Callable[[list[Any]], None], float]] = {}

    # Features that Track lacks, but which MLflow's UI queries

    search_traces = no_traces
    search_datasets = search_issues = no_page
    list_scorers = list_scorers_across_experiments = list_scorer_versions = no_items
    get_online_scoring_configs = get_active_online_scorers = no_items
    find_completed_sessions = query_trace_metrics = no_page
    list_label_schemas = list_review_queues = list_review_queue_items = no_page

    # Experiments

    def search_experiments(self, *args: Any, **kwargs: Any) -> Any:
        return self.experiments.search(*args, **kwargs)

    def create_experiment(
        self, name: str, artifact_location: str | None = None, tags: Iterable[Any] | None = None
    ) -> str:
        return self.experiments.create(name, artifact_location, tags)

    def get_experiment(self, experiment_id: str | None) -> Any:
        return self.experiments.entity(self.experiments.find(experiment_id))

    def get_experiment_by_name(self, experiment_name: str) -> Any:
        known = self.experiments.named(experiment_name)
        return None if known is None else self.experiments.entity(known)

    def delete_experiment(self, experiment_id: str) -> None:
        self.experiments.delete(experiment_id)
        self._writers.clear()

    def restore_experiment(self, experiment_id: str) -> None:
        self.experiments.restore(experiment_id)

    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        self.experiments.rename(experiment_id, new_name)

    def set_experiment_tag(self, experiment_id: str, tag: Any) -> None:
        self.experiments.set_tag(experiment_id, tag.key, tag.value)

    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        self.experiments.delete_tag(experiment_id, key)

    # Runs

    def create_run(
        self,
        experiment_id: str | None,
        user_id: str | None,
        start_time: int | None,
        tags: Iterable[Any] | None,
        run_name: str | None,
    ) -> Any:
        experiment = self.experiments.active(experiment_id)
        texts = {tag.key: str(tag.value) for tag in tags or ()}
        named = texts.get(MLFLOW_RUN_NAME)
        if run_name and named and run_name != named:
            raise invalid(
                "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with "
                f"different values (run_name={run_name!r}, mlflow.runName={named!r})."
            )
        texts[MLFLOW_RUN_NAME] = name = run_name or named or _generate_random_name()
        start = get_current_time_millis() if start_time is None else start_time
        # MLflow logs the parameters later, so they cannot identify the run.
        digest = uuid4().hex
        location = append_to_uri_path(self.experiments.location(experiment), digest, "artifacts")
        trial = Trial(
            _hash=digest,
            name=name,
            project_id=experiment.project,
            tags=texts,
            metadata={START_TIME: start / 1000, USER: user_id or "", ARTIFACTS: location},
        )
        self.protocol.new_project(Project(name=experiment.project))
        self.protocol.new_trial(trial)
        self._go_on(trial)
        return self.get_run(digest)

    def _go_on(self, trial: Trial) -> None:
        """Record that a trial runs, in this process unless it is MLflow's server."""
        if SERVED not in os.environ:
            self.protocol.log_trial_start(trial)
        self.protocol.set_trial_status(trial, Status.Running)

    def get_run(self, run_id: str) -> Any:
        return self._runs([self._draft(run_id)])[0]

    def _draft(self, run_id: str, *, active: bool = False) -> Draft:
        """Return the draft of a run, or raise if it does not exist."""
        validation._validate_run_id(run_id)
        uid = uid_of(run_id)
        with self.protocol.read_state() as objects:
            trial = objects.trials.get(uid)
            known = None if trial is None else objects.known(trial)
            if known is None or known.is_archived is None:
                raise missing(f"Run with id={run_id} not found")
            draft = self._drafted(objects, known, homes_in(objects))
        if active:
            check_run_is_active(draft.info)
        return draft

    def _drafted(self, objects: Objects, known: Any, homes: Mapping[str, Known]) -> Draft:
        home = homes.get(known.trial.project_id) or homes[DEFAULT_NAME]
        status = self.reader.status_in(objects)(known)
        return Draft(known, status, home.experiment_id, self.experiments.location(home))

    def _runs(self, drafts: Sequence[Draft]) -> list[Any]:
        return [draft.run(self._history(draft.uid) if draft.unread else {}) for draft in drafts]

    def _history(self, uid: str) -> dict[str, list[Point]]:
        return points_in(self.protocol.trial_history(handle_of(uid)))

    def _search_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str | None,
        run_view_type: Any,
        max_results: int,
        order_by: list[str] | None,
        page_token: str | None,
    ) -> tuple[list[Any], str | None]:
        check_max_results(max_results)
        runs = self._runs(self._drafts(experiment_ids, run_view_type))
        found = SearchUtils.sort(SearchUtils.filter(runs, filter_string), order_by)
        page, token = SearchUtils.paginate(found, page_token, max_results)
        return page, token

    def _drafts(self, experiment_ids: Sequence[str], run_view_type: Any) -> list[Draft]:
        wanted = {str(experiment_id) for experiment_id in experiment_ids}
        with self.protocol.read_state() as objects:
            homes = homes_in(objects)
            projects = {name for name, home in homes.items() if home.experiment_id in wanted}
            return [
                self._drafted(objects, known, homes)
                for known in objects.known_trials()
                if known.trial.project_id in projects
                and known.is_archived is not None
                and LifecycleStage.matches_view_type(run_view_type, stage_of(known))
            ]

    def _search_datasets(self, experiment_ids: Sequence[str]) -> list[Any]:
        return datasets_in(self._drafts(experiment_ids, ViewType.ALL))

    def update_run_info(
        self, run_id: str, run_status: int | None, end_time: int | None, run_name: str | None
    ) -> Any:
        before = self._draft(run_id, active=True)
        trial = handle_of(before.uid)
        if run_name:
            self._record(before.uid, TagsAdded({MLFLOW_RUN_NAME: run_name}))
        if end_time is not None:
            self._record(before.uid, MetadataLogged({END_TIME: end_time / 1000}, None))
        status = None if run_status is None else RunStatus.to_string(run_status)
        if status == "RUNNING" and before.info.status != "RUNNING":
            self._go_on(trial)
        elif status is not None and status != before.info.status:
            self.protocol.set_trial_status(trial, TO_TRACK[status])
            if is_over(status):
                self.protocol.log_trial_finish(trial)
        return self._draft(run_id).info

    def delete_run(self, run_id: str) -> None:
        self.protocol.archive_trial(handle_of(self._draft(run_id).uid))
        self._writers.pop(run_id, None)

    def restore_run(self, run_id: str) -> None:
        self.protocol.restore_trial(handle_of(self._draft(run_id).uid))

    # What is logged to a run

    def _record(self, uid: str, event: Event) -> None:
        """Record an event directly, because MLflow allows keys that Track's calls do not."""
        self.protocol.producer.record(stream_of(uid), event)

    def _writer(self, run_id: str) -> Callable[[list[Any]], None]:
        """Return a function that records metrics of an active run."""
        write, checked = self._writers.get(run_id, (None, 0.0))
        now = monotonic()
        if write is None or now - checked > _CHECK_S:
            uid = self._draft(run_id, active=True).uid
            write = write or self.protocol.producer.recorder(stream_of(uid), MetricsLogged)
            self._writers[run_id] = write, now
        return write

    def log_metric(self, run_id: str, metric: Any) -> None:
        validation._validate_run_id(run_id)
        validation._validate_metric(metric.key, metric.value, metric.timestamp, metric.step)
        self._log_metrics(run_id, [metric])

    def _log_metrics(self, run_id: str, metrics: Sequence[Any]) -> None:
        write = self._writer(run_id)
        for step, timestamp, values in grouped(metrics):
            write([step, values, None, timestamp * MS])
        self.models.log_metrics(run_id, metrics)

    def log_param(self, run_id: str, param: Any) -> None:
        self.log_batch(run_id, [], [param], [])

    def set_tag(self, run_id: str, tag: Any) -> None:
        self.log_batch(run_id, [], [], [tag])

    def delete_tag(self, run_id: str, key: str) -> None:
        """Delete a tag of a run."""
        draft = self._draft(run_id, active=True)
        if key not in {tag.key for tag in draft.tags}:
            raise missing(f"No tag with name: {key} in run with id {run_id}")
        if key == MLFLOW_RUN_NAME:  # the run keeps its name, but not as a tag
            self._record(draft.uid, MetadataLogged({RUN_NAME: draft.info.run_name}, None))
        self._record(draft.uid, TagsAdded({key: None}))

    def log_batch(
        self, run_id: str, metrics: Sequence[Any], params: Sequence[Any], tags: Sequence[Any]
    ) -> None:
        """Log metrics, parameters and tags, or nothing if any of them is invalid."""
        validation._validate_run_id(run_id)
        metrics, params, tags = validation._validate_batch_log_data(metrics, params, tags)
        validation._validate_batch_log_limits(metrics, params, tags)
        validation._validate_param_keys_unique(params)
        if params or tags:
            draft = self._draft(run_id, active=True)
            known = {param.key: param.value for param in draft.params}
            texts = {param.key: str(param.value) for param in params}
            for key, text in texts.items():
                if known.get(key, text) != text:
                    raise invalid(
                        f"Changing param values is not allowed. Param with key={key!r} was already "
                        f"logged with value={known[key]!r} for run ID={run_id!r}. Attempted "
                        f"logging new value {text!r}."
                    )
            new = {key: value_of(text) for key, text in texts.items() if key not in known}
            if new:
                self._record(draft.uid, ArgumentsLogged(new))
            if tags:
                self._record(draft.uid, TagsAdded({tag.key: str(tag.value) for tag in tags}))
        if metrics:
            self._log_metrics(run_id, metrics)

    def log_inputs(
        self,
        run_id: str,
        datasets: Iterable[Any] | None = None,
        models: Iterable[Any] | None = None,
    ) -> None:
        validation._validate_dataset_inputs(datasets or ())
        draft = self._draft(run_id, active=True)
        facts = dataset_facts(datasets or ())
        facts |= {f"{MODEL_INPUT}{model.model_id}": {} for model in models or ()}
        known = {*facts} & draft.metadata_keys
        self._log_facts(draft.uid, {key: of for key, of in facts.items() if key not in known})

    def log_outputs(self, run_id: str, models: Iterable[Any]) -> None:
        uid = self._draft(run_id, active=True).uid
        facts = {f"{MODEL_OUTPUT}{model.model_id}": {"step": model.step} for model in models or ()}
        self._log_facts(uid, facts)

    def _log_facts(self, uid: str, facts: dict[str, Any]) -> None:
        if facts:
            self._record(uid, MetadataLogged(facts, None))

    def record_logged_model(self, run_id: str, mlflow_model: Any) -> None:
        draft = self._draft(run_id, active=True)
        tags = {tag.key: tag.value for tag in draft.tags}
        models = [*json.loads(tags.get(MLFLOW_LOGGED_MODELS, "[]")), mlflow_model.get_tags_dict()]
        self._record(draft.uid, TagsAdded({MLFLOW_LOGGED_MODELS: json.dumps(models)}))

    # Logged models

    def create_logged_model(self, *args: Any, **kwargs: Any) -> Any:
        return self.models.create(*args, **kwargs)

    def search_logged_models(self, *args: Any, **kwargs: Any) -> Any:
        return self.models.search(*args, **kwargs)

    def get_logged_model(self, model_id: str, allow_deleted: bool = False) -> Any:
        return self.models.get(model_id, allow_deleted)

    def finalize_logged_model(self, model_id: str, status: Any) -> Any:
        return self.models.finalize(model_id, status)

    def set_logged_model_tags(self, model_id: str, tags: Iterable[Any]) -> None:
        self.models.set_tags(model_id, tags)

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        self.models.delete_tag(model_id, key)

    def delete_logged_model(self, model_id: str) -> None:
        self.models.delete(model_id)

    # The history of metrics

    def get_metric_history(
        self,
        run_id: str,
        metric_key: str,
        max_results: int | None = None,
        page_token: str | None = None,
    ) -> Any:
        validation._validate_metric_name(metric_key)
        draft = self._draft(run_id)
        series = self._series(draft.uid, metric_key)
        found = (
            self._history(draft.uid).get(metric_key, []) if series is None else points_of(series)
        )
        first = SearchUtils.parse_start_offset_from_page_token(page_token)
        last = len(found) if max_results is None else first + max_results
        token = SearchUtils.create_page_token(last) if last < len(found) else None
        points = found[first:last]
        return PagedList([metric_of(metric_key, point, run_id) for point in points], token)

    def _series(self, uid: str, name: str) -> Series | None:
        """Return a metric as a series, None if it has to be read from events."""
        with self.protocol.read_state() as objects:
            return series_of(objects.trials[uid].metrics.get(name))

    def get_metric_history_bulk_interval(
        self,
        run_ids: Sequence[str],
        metric_key: str,
        max_results: int,
        start_step: int | None,
        end_step: int | None,
    ) -> list[Any]:
        """Return points of several runs, thinning long series to what a plot needs."""
        found = []
        for run_id in run_ids:
            series = self._series(self._draft(run_id).uid, metric_key)
            if series is None or len(series) <= _LONG:
                found += super().get_metric_history_bulk_interval(
                    [run_id], metric_key, max_results, start_step, end_step
                )
            else:
                thin = series.sample(max(2, max_results), first=start_step, last=end_step)
                found += [
                    MetricWithRunId(metric_of(metric_key, point, run_id), run_id)
                    for point in points_of(thin)
                ]
        return found
