"""Functions and a callback that log fitted estimators and searches of scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from track.client import TrackClient
from track.integrations.packages import need
from track.integrations.run import Run
from track.loggable import plain
from track.logger import TrialLogger

_CURVES = {
    "loss_curve_": "loss",
    "validation_scores_": "validation_score",
    "train_score_": "train_score",
    "validation_score_": "validation_score",
    "oob_scores_": "oob_score",
}
"""Attributes of fitted estimators that hold one value per iteration, and their metric names."""

_RESULTS = {
    "best_score_": "best_score",
    "inertia_": "inertia",
    "loss_": "final_loss",
    "lower_bound_": "lower_bound",
    "n_iter_": "n_iter",
    "oob_score_": "oob_score",
}
"""Attributes of fitted estimators that hold a single value, and their metric names."""

_FACTS = ("n_features_in_", "n_features_", "n_outputs_", "classes_", "best_params_", "best_index_")


def log_estimator(
    to: str | TrackClient | TrialLogger | None,
    estimator: Any,
    X: Any = None,  # noqa: N803 - scikit-learn's name
    y: Any = None,
    **settings: Any,
) -> TrialLogger:
    """Log a fitted estimator: its parameters, its fitted attributes and its score.

    Parameters
    ----------
    to
        where to log, see :class:`track.integrations.run.Run`
    estimator
        a fitted estimator
    X, y
        data to compute a score on; without them, none is logged
    settings
        further arguments of :class:`~track.integrations.run.Run`

    Returns
    -------
    The logger of the trial, which is finished.
    """
    run = _run_of(to, estimator, settings)
    run.configure(estimator.get_params(deep=True))
    run.describe(_facts_of(estimator))
    run.start()
    for attribute, name in _CURVES.items():
        for step, value in enumerate(_list_of(getattr(estimator, attribute, None))):
            run.log({name: value}, step)
    results = {name: getattr(estimator, known, None) for known, name in _RESULTS.items()}
    run.log({name: value for name, value in results.items() if _is_number(value)})
    if X is not None:
        run.log({"score": estimator.score(X, y)})
    run.finish()
    return run.trial


def log_search(
    to: str | TrackClient | None, search: Any, *, group: str | None = None, **settings: Any
) -> list[TrialLogger]:
    """Log a fitted search as a group with one trial per candidate.

    Parameters
    ----------
    to
        where to log
    search
        a fitted ``GridSearchCV``, or any other object with ``cv_results_``
    group
        the name of the group, by default the name of the search's class
    settings
        further arguments of :class:`track.integrations.run.Run`

    Returns
    -------
    The loggers of the trials, one per candidate, in order; the best one has the tag ``best``.
    """
    settings = {"group": group or type(search).__name__, **settings}
    client = to if isinstance(to, TrackClient) else TrackClient(to)
    results: Mapping[str, Any] = search.cv_results_
    best = getattr(search, "best_index_", None)
    trials = []
    for index, parameters in enumerate(results["params"]):
        run = _run_of(TrackClient(client.protocol), search.estimator, settings)
        run.configure({**search.estimator.get_params(deep=True), **parameters})
        if index == best:
            run.tags = {**run.tags, "best": True}
        run.start()
        for name, value, fold in _candidate(results, index):
            run.log({name: value}, fold)
        run.finish()
        trials.append(run.trial)
    return trials


def _candidate(results: Mapping[str, Any], index: int) -> Iterator[tuple[str, Any, int | None]]:
    """Yield name, value and fold of each result of a candidate; folds become steps."""
    for name, values in results.items():
        if name == "params" or name.startswith("param_"):
            continue
        head, _, rest = name.partition("_")
        fold = head.removeprefix("split")
        if head != fold and fold.isdecimal():
            yield rest, values[index], int(fold)
        else:
            yield name, values[index], None


def _run_of(to: Any, estimator: Any, settings: Mapping[str, Any]) -> Run:
    return Run(to, **{"name": type(estimator).__name__, **settings})


def _facts_of(estimator: Any) -> dict[str, Any]:
    kind = type(estimator)
    facts: dict[str, Any] = {"estimator": f"{kind.__module__}.{kind.__qualname__}"}
    for name in _FACTS:
        value = getattr(estimator, name, None)
        if value is not None:
            facts[name.rstrip("_")] = value.tolist() if hasattr(value, "tolist") else value
    return facts


def _list_of(values: Any) -> list[Any]:
    return [] if values is None else list(values)


def _is_number(value: Any) -> bool:
    try:
        return isinstance(plain(value), (int, float))
    except Exception:  # noqa: BLE001 - an attribute of an estimator may be anything
        return False


class TrackCallback:
    """A callback for estimators that support callbacks (scikit-learn 1.9 or later).

    ``estimator.set_callbacks(TrackCallback("file:report.json"))`` logs how long each task of a fit
    took and, with ``scoring``, the score after it, in whichever process the task runs.

    Parameters
    ----------
    to
        where to log, see :class:`track.integrations.run.Run`
    scoring
        a scorer as in scikit-learn, called with a fitted estimator, X and y
    max_propagation_depth
        how many levels of nested estimators receive the callback
    settings
        further arguments of :class:`~track.integrations.run.Run`
    """

    def __init__(
        self,
        to: Any = None,
        *,
        scoring: Any = None,
        max_propagation_depth: int | None = 1,
        **settings: Any,
    ) -> None:
        need("sklearn.callback", install="'scikit-learn>=1.9'")
        self.run = Run(to, **settings)
        self.scoring = scoring
        self._depth = max_propagation_depth

    @property
    def max_propagation_depth(self) -> int | None:
        """Return how many levels of nested estimators receive the callback."""
        return self._depth

    def setup(self, estimator: Any, context: Any) -> None:
        self.run.name = self.run.name or type(estimator).__name__
        self.run.configure(estimator.get_params(deep=True))
        self.run.describe(_facts_of(estimator))
        self.run.start()

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing: a task is logged when it ends."""

    def on_fit_task_end(
        self,
        estimator: Any,
        context: Any,
        *,
        X: Any = None,  # noqa: N803 - scikit-learn's name
        y: Any = None,
        fitted_estimator: Any = None,
    ) -> None:
        path = _path_of(context)
        step = getattr(context, "task_id", None)
        values: dict[str, Any] = {f"{path}/done": 1}
        if self.scoring is not None and fitted_estimator is not None and X is not None:
            with self.run.guest("a score"):
                values[f"{path}/score"] = self.scoring(fitted_estimator, X, y)
        self.run.log(values, step if isinstance(step, int) else None)

    def teardown(self, estimator: Any, context: Any) -> None:
        self.run.finish()


def _path_of(context: Any) -> str:
    """Return the names and numbers of a task and its ancestors, outermost first."""
    names = [str(getattr(context, "task_name", "task"))]
    above = getattr(context, "parent", None)
    while above is not None:
        number = getattr(above, "task_id", None)
        is_one_of_many = isinstance(number, int) and getattr(above, "parent", None) is not None
        name = str(getattr(above, "task_name", "task"))
        names.append(f"{name} {number}" if is_one_of_many else name)
        above = getattr(above, "parent", None)
    return "/".join(reversed(names))
