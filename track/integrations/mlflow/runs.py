"""Trials in the form of MLflow's runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LifecycleStage,
    LoggedModelInput,
    LoggedModelOutput,
    Metric,
    Param,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
    RunStatus,
    RunTag,
)
from mlflow.entities.dataset_summary import _DatasetSummary
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT as CONTEXT
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE, MLFLOW_USER

from track.exchange.bridges.describing import span_of
from track.exchange.mlflow_terms import status_of
from track.integrations.mlflow.metrics import MS, Point, latest_of, series_of
from track.projections.index import Known
from track.structure import AnyStatus, Trial

START_TIME, END_TIME = "start_time", "end_time"
"""The metadata keys for the times that MLflow reported, in seconds since 1970-01-01."""

ARTIFACTS, USER, RUN_NAME = "artifact_uri", "user_id", "run_name"
DATASET, MODEL_INPUT, MODEL_OUTPUT = "mlflow.dataset:", "mlflow.input:", "mlflow.output:"
"""The prefixes of metadata keys that hold the inputs and outputs of a run."""

_MOST_DATASETS = 1000
"""The most datasets that MLflow's own stores list."""

_OF_MLFLOW = re.compile("[0-9a-f]{32}")


def run_id_of(trial: Trial) -> str:
    """Return the run id of a trial: the one that MLflow generated, otherwise the uid."""
    digest = str(trial._hash)
    return digest if trial.revision == 0 and _OF_MLFLOW.fullmatch(digest) else trial.uid


def uid_of(run_id: str) -> str:
    """Return the uid of the trial with a run id."""
    return f"{run_id}_0" if _OF_MLFLOW.fullmatch(run_id) else run_id


def handle_of(uid: str) -> Trial:
    """Return a trial that only carries a uid, to pass to the store."""
    trial = Trial()
    trial.uid = uid
    return trial


def stage_of(known: Known) -> str:
    """Return the lifecycle stage of a run: active or deleted."""
    return str(LifecycleStage.DELETED if known.is_archived else LifecycleStage.ACTIVE)


def is_over(status: str) -> bool:
    """Return whether a status is a final one."""
    return bool(RunStatus.is_terminated(RunStatus.from_string(status)))


def tags_of(trial: Trial) -> dict[str, str]:
    """Return the tags of a run, without deleted ones, whose value is None."""
    own = trial.tags if isinstance(trial.tags, dict) else {str(tag): "" for tag in trial.tags}
    tags = {str(key): str(value) for key, value in own.items() if value is not None}
    if trial.name and MLFLOW_RUN_NAME not in own:
        tags.setdefault(MLFLOW_RUN_NAME, str(trial.name))
    if trial.description:
        tags.setdefault(MLFLOW_RUN_NOTE, str(trial.description))
    return tags


def _info(known: Known, status: AnyStatus | None, experiment_id: str, location: str) -> Any:
    trial, facts = known.trial, known.trial.metadata
    tags, run_id, text = tags_of(trial), run_id_of(trial), status_of(status)
    started, ended = span_of(known)
    return RunInfo(
        run_id=run_id,
        experiment_id=experiment_id,
        user_id=str(facts.get(USER) or tags.get(MLFLOW_USER, "")),
        status=text,
        start_time=_ms(facts.get(START_TIME), started) or 0,
        end_time=_ms(facts.get(END_TIME), ended) if is_over(text) or END_TIME in facts else None,
        lifecycle_stage=stage_of(known),
        artifact_uri=str(facts.get(ARTIFACTS) or f"{location}/{run_id}/artifacts"),
        run_name=tags.get(MLFLOW_RUN_NAME) or str(facts.get(RUN_NAME) or trial.name or ""),
    )


def _ms(seconds: Any, at_ns: int | None) -> int | None:
    if isinstance(seconds, (int, float)):
        return round(seconds * 1000)
    return None if at_ns is None else at_ns // MS


class Draft:
    """A run that may still lack metrics whose points have to be read from events.

    It is built while the state of a store is held, and shares no objects with that state.

    Parameters
    ----------
    known
        the trial
    status
        its current status
    experiment_id, location
        of its experiment
    """

    def __init__(
        self, known: Known, status: AnyStatus | None, experiment_id: str, location: str
    ) -> None:
        trial = known.trial
        self.info = _info(known, status, experiment_id, location)
        self.params = [Param(str(name), str(value)) for name, value in trial.parameters.items()]
        self.tags = [RunTag(key, value) for key, value in tags_of(trial).items()]
        self.inputs, self.outputs = inputs_of(trial), outputs_of(trial)
        self.uid, self.metadata_keys = trial.uid, {*trial.metadata}
        self.latest: dict[str, Point] = {}
        self.unread: set[str] = set()
        """The metrics that logged a step more than once, or values without a step."""
        for name, metric in trial.metrics.items():
            series = series_of(metric)
            if series is None:
                self.unread.add(name)
            elif (point := latest_of(series)) is not None:
                self.latest[name] = point

    def run(self, history: dict[str, list[Point]]) -> Any:
        """Return the complete run, given all points of the metrics that it lacks."""
        for name in self.unread & history.keys():
            self.latest[name] = max(history[name], key=_order)
        metrics = [metric_of(name, point, self.info.run_id) for name, point in self.latest.items()]
        data = RunData(metrics, self.params, self.tags)
        return Run(self.info, data, self.inputs, self.outputs)


def _order(point: Point) -> tuple[int, int, bool, float]:
    """Return the sort key by which the latest point is the greatest; NaN sorts first."""
    is_number = point.value == point.value
    return point.step, point.timestamp, is_number, point.value if is_number else 0.0


def metric_of(name: str, point: Point, run_id: str) -> Any:
    """Return a point as an entity of MLflow."""
    return Metric(name, point.value, point.timestamp, point.step, run_id=run_id)


def dataset_facts(inputs: Iterable[Any]) -> dict[str, Any]:
    """Return the metadata that represents dataset inputs."""
    return {
        f"{DATASET}{one.dataset.name}:{one.dataset.digest}": {
            "dataset": one.dataset.to_dictionary(),
            "tags": {tag.key: tag.value for tag in one.tags},
        }
        for one in inputs
    }


def datasets_in(drafts: Iterable[Draft]) -> list[Any]:
    """Return what is known of the datasets of runs, each once for each use of it."""
    found = {
        (draft.info.experiment_id, one.dataset.name, one.dataset.digest, tags.get(CONTEXT)): None
        for draft in drafts
        for one in draft.inputs.dataset_inputs
        for tags in [{tag.key: tag.value for tag in one.tags}]
    }
    return [_DatasetSummary(*facts) for facts in islice(found, _MOST_DATASETS)]


def inputs_of(trial: Trial) -> Any:
    """Return the datasets and models that a run used."""
    datasets = [
        DatasetInput(Dataset(**facts["dataset"]), [InputTag(*tag) for tag in facts["tags"].items()])
        for _, facts in _facts(trial, DATASET)
    ]
    models = [LoggedModelInput(name) for name, _ in _facts(trial, MODEL_INPUT)]
    return RunInputs(dataset_inputs=datasets, model_inputs=models)


def outputs_of(trial: Trial) -> Any:
    """Return the models that a run produced."""
    found = _facts(trial, MODEL_OUTPUT)
    return RunOutputs([LoggedModelOutput(name, facts["step"]) for name, facts in found])


def _facts(trial: Trial, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, facts in trial.metadata.items():
        if str(key).startswith(prefix) and isinstance(facts, dict):
            yield key.removeprefix(prefix), facts
