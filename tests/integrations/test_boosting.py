"""Gradient boosting: what the store says is what the library says of the same training."""

import threading
from importlib.util import find_spec

import numpy as np
import pytest

from tests.integrations.support import only_trial, trials_in
from track import TrackClient
from track.structure import Status

pytestmark = pytest.mark.filterwarnings("ignore", "error::track.errors.TrackWarning")

rng = np.random.default_rng(0)
X = rng.normal(size=(200, 4))
Y = (X[:, 0] > 0).astype(int)


@pytest.fixture
def lgb():
    return pytest.importorskip("lightgbm")


@pytest.fixture
def xgb():
    return pytest.importorskip("xgboost")


def steps(values):
    return dict(enumerate(values))


LIGHT = {"objective": "binary", "verbose": -1, "metric": ["auc", "binary_logloss"], "num_leaves": 4}


def test_lightgbm_logs_what_it_records(lgb):
    """Each metric of each data set, and the parameters of the training."""
    from track.integrations.lightgbm import TrackCallback

    recorded = {}
    train = lgb.Dataset(X[:150], Y[:150])
    lgb.train(
        LIGHT,
        train,
        num_boost_round=5,
        valid_sets=[train, lgb.Dataset(X[150:], Y[150:], reference=train)],
        valid_names=["train", "valid"],
        callbacks=[TrackCallback("file:r.json", project="p"), lgb.record_evaluation(recorded)],
    )
    trial = only_trial("file:r.json")
    expected = {f"{d}/{m}": steps(v) for d, ms in recorded.items() for m, v in ms.items()}
    assert (trial.metrics, trial.status) == (expected, Status.Completed)
    assert trial.parameters["num_leaves"] == 4
    assert trial.metadata["verbose"] == -1
    assert trial.project_id == "p"


def test_lightgbm_stops_early(lgb):
    """The iteration that decided so is logged, and the trial ends with the block."""
    from track.integrations.lightgbm import TrackCallback

    train, valid = lgb.Dataset(X[:150], Y[:150]), lgb.Dataset(X[150:], rng.integers(0, 2, 50))
    recorded = {}
    with TrackCallback("file:r.json") as callback:
        lgb.train(
            LIGHT,
            train,
            num_boost_round=50,
            valid_sets=[valid],
            callbacks=[
                callback,
                lgb.record_evaluation(recorded),
                lgb.early_stopping(2, verbose=False),
            ],
        )
    trial = only_trial("file:r.json")
    assert trial.metrics["valid_0/auc"] == steps(recorded["valid_0"]["auc"])
    assert trial.status == Status.Completed


def test_lightgbm_cross_validation_and_failure(lgb):
    """A cross-validation has deviations; what fails in a block is kept with its error."""
    from track.integrations.lightgbm import TrackCallback

    callback = TrackCallback("file:r.json")
    found = lgb.cv(LIGHT, lgb.Dataset(X, Y), 3, nfold=2, callbacks=[callback])

    def boom(env):
        raise ValueError("boom")

    boom.order = 99
    with pytest.raises(ValueError, match="boom"), callback:
        lgb.train(LIGHT, lgb.Dataset(X, Y), 3, callbacks=[callback, boom])
    first, second = trials_in("file:r.json")
    assert first.metrics["valid/auc"] == steps(found["valid auc-mean"])
    assert first.metrics["valid/auc/stdv"] == steps(found["valid auc-stdv"])
    assert (first.status, second.status) == (Status.Completed, Status.Exception)
    assert "boom" in second.failure["message"]


def test_lightgbm_in_a_parallel_search(lgb):
    """The callback is cloned and sent to workers: each fit of a model is a trial."""
    pytest.importorskip("sklearn")
    from sklearn.model_selection import GridSearchCV

    from track.integrations.lightgbm import TrackCallback

    search = GridSearchCV(
        lgb.LGBMClassifier(n_estimators=3, verbose=-1), {"num_leaves": [3, 4]}, cv=2, n_jobs=2
    )
    search.fit(X, Y, callbacks=[TrackCallback("file:r.json")], eval_set=[(X, Y)])
    trials = trials_in("file:r.json")
    assert len(trials) == 2 * 2 + 1
    assert sorted(trial.parameters["num_leaves"] for trial in trials)[:2] == [3, 3]
    losses = [[v for n, v in t.metrics.items() if n.endswith("logloss")] for t in trials]
    assert [[len(values) for values in each] for each in losses] == [[3]] * len(trials)
    assert {trial.status for trial in trials} == {Status.Completed}


def test_two_trainings_at_once_with_one_callback(lgb):
    """In two threads: their values do not mix."""
    from track.integrations.lightgbm import TrackCallback

    callback = TrackCallback("file:r.json")

    def train(leaves):
        data = lgb.Dataset(X, Y)
        settings = {**LIGHT, "num_leaves": leaves, "num_threads": 1}
        lgb.train(settings, data, 20, valid_sets=[data], callbacks=[callback])

    threads = [threading.Thread(target=train, args=(leaves,)) for leaves in (3, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trials = {trial.parameters["num_leaves"]: trial for trial in trials_in("file:r.json")}
    assert set(trials) == {3, 6}
    assert [list(t.metrics["training/auc"]) for t in trials.values()] == [list(range(20))] * 2


def test_xgboost_logs_what_it_records(xgb):
    """And a training that goes on with a model goes on with its rounds."""
    from track.integrations.xgboost import TrackCallback

    data = xgb.DMatrix(X, Y)
    settings = {"objective": "binary:logistic", "max_depth": 3, "eval_metric": ["auc", "logloss"]}
    recorded, more = {}, {}
    callback = TrackCallback("file:r.json")
    model = xgb.train(
        settings, data, 4, evals=[(data, "train")], evals_result=recorded, callbacks=[callback],
        verbose_eval=False,
    )  # fmt: skip
    xgb.train(
        settings, data, 2, evals=[(data, "train")], evals_result=more, callbacks=[callback],
        xgb_model=model, verbose_eval=False,
    )  # fmt: skip
    first, second = trials_in("file:r.json")
    assert first.metrics == {f"train/{m}": steps(v) for m, v in recorded["train"].items()}
    assert second.metrics["train/auc"] == dict(zip((4, 5), more["train"]["auc"], strict=True))
    assert first.parameters["max_depth"] == 3
    assert first.parameters["objective"] == "binary:logistic"
    assert [first.status, second.status] == [Status.Completed] * 2


def test_xgboost_cross_validation(xgb):
    """Means, and deviations under a name of their own."""
    from track.integrations.xgboost import TrackCallback

    found = xgb.cv(
        {"objective": "binary:logistic"}, xgb.DMatrix(X, Y), 3, nfold=2, metrics="auc",
        callbacks=[TrackCallback("file:r.json")], as_pandas=False,
    )  # fmt: skip
    trial = only_trial("file:r.json")
    assert trial.metrics["test/auc"] == steps(found["test-auc-mean"])
    assert trial.metrics["test/auc/std"] == steps(found["test-auc-std"])


def test_xgboost_in_a_parallel_search(xgb):
    """The callback is an argument of the estimator, which is cloned and sent to workers."""
    pytest.importorskip("sklearn")
    from sklearn.model_selection import cross_val_score

    from track.integrations.xgboost import TrackCallback

    model = xgb.XGBClassifier(n_estimators=3, callbacks=[TrackCallback("file:r.json")], n_jobs=1)
    cross_val_score(model, X, Y, cv=4, n_jobs=2)
    trials = trials_in("file:r.json")
    assert [trial.status for trial in trials] == [Status.Completed] * 4
    assert len({trial.uid for trial in trials}) == 4


def test_a_client_of_ones_own(lgb):
    """The trial that a script has going is not ended by a callback."""
    from track.integrations.lightgbm import TrackCallback

    client = TrackClient("file:r.json")
    with client.new_trial(parameters={"mine": 1}) as trial:
        data = lgb.Dataset(X, Y)
        lgb.train(LIGHT, data, 3, valid_sets=[data], callbacks=[TrackCallback(client)])
        assert trial.is_running
        trial.log({"mine": 1})
    client.close()
    found = only_trial("file:r.json")
    assert (found.parameters, found.metadata["num_leaves"]) == ({"mine": 1}, 4)
    assert found.metrics["mine"] == [1]
    assert len(found.metrics["training/auc"]) == 3


@pytest.mark.skipif(find_spec("catboost") is None, reason="catboost is not installed")
def test_catboost_logs_what_it_records():
    from catboost import CatBoostClassifier

    from track.integrations.catboost import TrackCallback

    with TrackCallback("file:r.json", parameters={"depth": 2}) as callback:
        model = CatBoostClassifier(iterations=4, depth=2, verbose=False, allow_writing_files=False)
        model.fit(X, Y, callbacks=[callback])
    trial = only_trial("file:r.json")
    recorded = model.get_evals_result()
    assert trial.metrics == {
        f"{d}/{m}": steps(v) for d, ms in recorded.items() for m, v in ms.items()
    }
    assert (trial.parameters, trial.status) == ({"depth": 2}, Status.Completed)
