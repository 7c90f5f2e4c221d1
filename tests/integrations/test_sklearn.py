"""scikit-learn: estimators, searches, and callbacks over processes."""

from importlib.util import find_spec

import pytest

from tests.integrations.support import only_trial, run_program, trials_in
from track import TrackClient
from track.structure import Status

pytest.importorskip("sklearn")

from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from track.integrations.sklearn import TrackCallback, log_estimator, log_search

pytestmark = pytest.mark.filterwarnings("ignore", "error::track.errors.TrackWarning")

X, Y = make_classification(120, 6, random_state=0)


def test_an_estimator_with_its_curve_and_its_score():
    """Parameters are those of the estimator, whatever they are."""
    model = MLPClassifier((4,), max_iter=6, random_state=0).fit(X, Y)
    trial = log_estimator("file:r.json", model, X, Y, project="p", tags={"kind": "mlp"})
    found = only_trial("file:r.json")
    assert found.uid == trial.uid
    assert found.parameters["hidden_layer_sizes"] == (4,)
    assert found.metrics["loss"] == dict(enumerate(model.loss_curve_))
    assert found.metrics["score"] == [model.score(X, Y)]
    assert (found.name, found.status, found.tags) == (
        "MLPClassifier",
        Status.Completed,
        {"kind": "mlp"},
    )
    assert found.metadata["n_features_in"] == 6


def test_a_pipeline_is_the_same_trial_again():
    """Its steps are objects, which have no address in what identifies the trial."""
    for _ in range(2):
        pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.5))
        log_estimator("file:r.json", pipeline.fit(X, Y))
    first, second = trials_in("file:r.json")
    assert first.uid[:64] == second.uid[:64]
    assert first.parameters["logisticregression__C"] == 0.5


@pytest.mark.parametrize(
    "search",
    [
        GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=3, n_jobs=2),
        RandomizedSearchCV(LogisticRegression(), {"C": [0.1, 1, 10]}, n_iter=2, cv=3),
        GridSearchCV(
            LogisticRegression(), {"C": [0.1, 1.0]}, cv=3, scoring=["f1", "accuracy"], refit="f1"
        ),
    ],
)
def test_a_search_is_a_trial_for_each_candidate(search):
    """Folds are steps; the best is tagged."""
    search.fit(X, Y)
    client = TrackClient("file:r.json")
    trials = log_search(client, search, project="p")
    found = trials_in("file:r.json")
    assert [trial.uid for trial in found] == [trial.uid for trial in trials]
    results = search.cv_results_
    for index, trial in enumerate(found):
        assert trial.parameters["C"] == results["params"][index]["C"]
        for name in results:
            if name.startswith("mean_"):
                assert trial.metrics[name] == [results[name][index]]
        scored = next(name for name in results if name.startswith("split0_"))
        rest = scored.partition("_")[2]
        expected = {fold: results[f"split{fold}_{rest}"][index] for fold in range(3)}
        assert trial.metrics[rest] == expected
    assert [("best" in trial.tags) for trial in found] == [
        index == search.best_index_ for index in range(2)
    ]
    (group,) = client.protocol.fetch_groups()
    assert group.name == type(search).__name__
    client.close()


needs_callbacks = pytest.mark.skipif(
    find_spec("sklearn.callback") is None, reason="it has no callbacks"
)


@needs_callbacks
@pytest.mark.parametrize("jobs", [1, 2])
def test_callbacks_see_every_task_in_every_process(jobs):
    """They log from the worker that does the task, into one trial."""
    search = GridSearchCV(
        LogisticRegression(max_iter=7, tol=0), {"C": [0.1, 1.0]}, cv=2, n_jobs=jobs
    )
    search.set_callbacks(TrackCallback("file:r.json", max_propagation_depth=None))
    search.fit(X, Y)
    trial = only_trial("file:r.json")
    assert (trial.name, trial.status) == ("GridSearchCV", Status.Completed)
    done = {name: values for name, values in trial.metrics.items() if name.endswith("/done")}
    assert len(done) > 4
    assert trial.attempts == 1


KILLED = """
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from tests.integrations.said import maybe_die
from track.integrations.sklearn import TrackCallback

fits = 0

def scoring(estimator, X, y):
    global fits
    maybe_die(fits)
    fits += 1
    return estimator.score(X, y)

callback = TrackCallback(
    "file:r.json", run_id="one", scoring=scoring, max_propagation_depth=None)
X, y = make_classification(120, 6, random_state=0)
search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2)
search.set_callbacks(callback).fit(X, y)
"""


@needs_callbacks
def test_a_search_that_is_killed_and_run_again():
    """With one `run_id` it is one trial, which has what the first of them did."""
    run_program(KILLED, "killed", killed=True)
    killed = only_trial("file:r.json")
    assert killed.status != Status.Completed
    assert sum(map(len, killed.metrics.values())) > 0
    run_program(KILLED, "resumed")
    trial = only_trial("file:r.json")
    assert (trial.uid, trial.status, trial.attempts) == (killed.uid, Status.Completed, 2)
    assert set(killed.metrics) < set(trial.metrics)
