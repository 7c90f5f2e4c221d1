"""MLflow's logged models, stored along with the attributes of their experiment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import uuid4

from mlflow.entities import LifecycleStage, LoggedModel, LoggedModelStatus, Metric
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking import SEARCH_LOGGED_MODEL_MAX_RESULTS_DEFAULT
from mlflow.utils.name_utils import _generate_random_name
from mlflow.utils.search_utils import SearchLoggedModelsUtils
from mlflow.utils.time import get_current_time_millis
from mlflow.utils.uri import append_to_uri_path
from mlflow.utils.validation import (
    _validate_logged_model_name,
    _validate_param,
    _validate_tag_name,
)

from track.integrations.mlflow.answers import invalid, missing
from track.integrations.mlflow.experiments import Experiments, Known

_MODEL, _METRIC = "model:", "metric:"
"""The prefixes of an experiment's attributes that describe a model, or a metric of a model."""

_STAGE = "lifecycle_stage"


class Models:
    """The logged models of a store.

    Parameters
    ----------
    experiments
        the experiments of the store
    """

    def __init__(self, experiments: Experiments) -> None:
        self.experiments = experiments

    def create(
        self,
        experiment_id: str | None = None,
        name: str | None = None,
        source_run_id: str | None = None,
        tags: Iterable[Any] | None = None,
        params: Iterable[Any] | None = None,
        model_type: str | None = None,
    ) -> Any:
        """Create a model with the status PENDING."""
        _validate_logged_model_name(name)
        params = [_validate_param(param.key, param.value) for param in params or ()]
        home = self.experiments.active(experiment_id)
        model_id, now = f"m-{uuid4().hex}", get_current_time_millis()
        location = self.experiments.location(home)
        facts = {
            "name": name or _generate_random_name(),
            "artifact_location": append_to_uri_path(location, "models", model_id, "artifacts"),
            "creation_timestamp": now,
            "last_updated_timestamp": now,
            "model_type": model_type,
            "source_run_id": source_run_id,
            "status": LoggedModelStatus.PENDING.to_int(),
            "tags": _texts(tags),
            "params": {param.key: str(param.value) for param in params},
        }
        self.experiments.change(home.project, **{_MODEL + model_id: facts})
        return self.get(model_id)

    def _find(self, model_id: str, *, allow_deleted: bool = False) -> tuple[Known, dict[str, Any]]:
        for home in self.experiments.all().values():
            facts = home.facts.get(_MODEL + model_id)
            if facts is not None and (allow_deleted or _STAGE not in facts):
                return home, dict(facts)
        raise missing(f"Model {model_id!r} not found")

    def get(self, model_id: str, allow_deleted: bool = False) -> Any:
        """Return a model by id, or raise if it does not exist."""
        home, facts = self._find(model_id, allow_deleted=allow_deleted)
        return _entity(home, model_id, facts)

    def change(self, model_id: str, **facts: Any) -> Any:
        """Change attributes of a model and return it."""
        home, known = self._find(model_id)
        known |= {"last_updated_timestamp": get_current_time_millis(), **facts}
        self.experiments.change(home.project, **{_MODEL + model_id: known})
        return self.get(model_id, allow_deleted=True)

    def finalize(self, model_id: str, status: Any) -> Any:
        """Set the final status of a model: ready or failed."""
        return self.change(model_id, status=LoggedModelStatus(status).to_int())

    def delete(self, model_id: str) -> None:
        """Delete a model."""
        self.change(model_id, **{_STAGE: LifecycleStage.DELETED})

    def set_tags(self, model_id: str, tags: Iterable[Any]) -> None:
        """Set tags of a model."""
        tags = [*tags]
        for tag in tags:
            _validate_tag_name(tag.key)
        self.change(model_id, tags={**self._find(model_id)[1]["tags"], **_texts(tags)})

    def delete_tag(self, model_id: str, key: str) -> None:
        """Delete a tag of a model."""
        tags = dict(self._find(model_id)[1]["tags"])
        if tags.pop(key, None) is None:
            raise missing(f"No tag with key {key!r} found for model with ID {model_id!r}.")
        self.change(model_id, tags=tags)

    def log_metrics(self, run_id: str, metrics: Iterable[Any]) -> None:
        """Keep the last values of metrics that name a model."""
        for metric in metrics:
            if metric.model_id is not None:
                home, _ = self._find(metric.model_id)
                key = f"{_METRIC}{metric.model_id}:{metric.key}:{metric.dataset_digest or ''}"
                facts = {**metric.to_dictionary(), "run_id": run_id}
                self.experiments.change(home.project, **{key: facts})

    def search(
        self,
        experiment_ids: Iterable[str],
        filter_string: str | None = None,
        datasets: list[dict[str, Any]] | None = None,
        max_results: int | None = None,
        order_by: list[dict[str, Any]] | None = None,
        page_token: str | None = None,
    ) -> Any:
        """Return one page of the matching models."""
        if datasets and not all(dataset.get("dataset_name") for dataset in datasets):
            raise invalid("`dataset_name` in the `datasets` clause must be specified.")
        of_datasets = [datasets] if datasets else []  # MLflow 3.0 does not accept them
        matching = SearchLoggedModelsUtils.filter_logged_models(
            [*self._in({*experiment_ids})], filter_string, *of_datasets
        )
        found = SearchLoggedModelsUtils.sort(matching, order_by)
        limit = max_results or SEARCH_LOGGED_MODEL_MAX_RESULTS_DEFAULT
        return PagedList(*SearchLoggedModelsUtils.paginate(found, page_token, limit))

    def _in(self, experiment_ids: set[str]) -> Iterator[Any]:
        for home in self.experiments.all().values():
            if home.experiment_id in experiment_ids:
                for key, facts in home.facts.items():
                    if key.startswith(_MODEL) and _STAGE not in facts:
                        yield _entity(home, key.removeprefix(_MODEL), facts)


def _entity(home: Known, model_id: str, facts: dict[str, Any]) -> Any:
    prefix = f"{_METRIC}{model_id}:"
    return LoggedModel(
        experiment_id=home.experiment_id,
        model_id=model_id,
        metrics=[Metric(**of) for key, of in home.facts.items() if key.startswith(prefix)] or None,
        **{key: fact for key, fact in facts.items() if key != _STAGE},
    )


def _texts(tags: Iterable[Any] | None) -> dict[str, str]:
    return {tag.key: str(tag.value) for tag in tags or ()}
