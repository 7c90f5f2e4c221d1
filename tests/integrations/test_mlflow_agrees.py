"""Whatever is asked of them, Track's store answers as MLflow's own database does."""

import shutil
import sys
from math import isnan
from pathlib import Path

import pytest

mlflow = pytest.importorskip("mlflow")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.entities import Metric, Param, RunStatus, RunTag, ViewType
from mlflow.exceptions import MlflowException

from tests.integrations.conftest import _sql_store
from track.integrations.mlflow.store import TrackStore

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(
        tuple(map(int, mlflow.__version__.split(".")[:2])) < (3, 17),
        reason="databases of older versions answer otherwise in corners, names of experiments say",
    ),
]

LARGEST = sys.float_info.max
GOOD_NAMES = st.sampled_from(["a", "b", "c/d", "a b", "x:y", "é"])
NAMES = st.one_of(GOOD_NAMES, GOOD_NAMES, st.sampled_from(["", "../up", "/a", "a@b", "n" * 251]))
TEXTS = st.sampled_from(["1", "0.10", "True", "", "é", "x y", "t" * 300])
NUMBERS = st.sampled_from([0.0, 1.0, -2.5, 1e300, float("nan"), float("inf"), -float("inf")])
STEPS = st.sampled_from([0, 1, 2, 7, -3])
TIMES = st.integers(1, 4)
RUNS = st.integers(0, 2)
METRICS = st.builds(Metric, NAMES, NUMBERS, TIMES, STEPS)
STATUSES = st.sampled_from(["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"])
VIEWS = st.sampled_from([ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY, ViewType.ALL])
FILTERS = st.sampled_from(
    [
        "",
        "metrics.a > 0.5",
        "metrics.a = 1",
        "metrics.`c/d` <= 1",
        "params.a = '1'",
        "params.a != '1'",
        "params.a LIKE '%1%'",
        "tags.a = 'x y'",
        "tags.a ILIKE '%X%'",
        "tags.`a b` != '1'",
        "attributes.status = 'FINISHED'",
        "attributes.status != 'FINISHED'",
        "attributes.run_name LIKE 'r%'",
        "run_name IN ('r0', 'r1')",
        "attributes.start_time >= 2",
        "attributes.end_time < 3",
        "params.a = '1' AND metrics.b > 0",
        "params.a = 1",
        "metrics.a LIKE '1'",
        "nothing.a = '1'",
        "tags.a",
    ]
)
ORDERS = st.sampled_from(
    [
        [],
        ["metrics.a"],
        ["metrics.a DESC"],
        ["params.a ASC", "attributes.start_time"],
        ["tags.a DESC"],
        ["attributes.end_time", "attributes.start_time DESC"],
        ["attributes.status", "start_time"],
        ["metrics.`c/d` ASC"],
        ["a"],
    ]
)

NAMED = {"BAD_REQUEST": "RESOURCE_ALREADY_EXISTS"}
"""What a name that is taken is called by a database of MLflow, and by its other store and ours."""

CALLS = st.one_of(
    st.tuples(st.just("create_run"), st.integers(0, 1), st.integers(1, 3)),
    st.tuples(st.just("log_metric"), RUNS, METRICS),
    st.tuples(st.just("log_param"), RUNS, st.builds(Param, NAMES, TEXTS)),
    st.tuples(st.just("set_tag"), RUNS, st.builds(RunTag, NAMES, TEXTS)),
    st.tuples(st.just("delete_tag"), RUNS, NAMES),
    st.tuples(
        st.just("log_batch"),
        RUNS,
        st.lists(METRICS, max_size=4),
        st.lists(st.builds(Param, NAMES, TEXTS), max_size=3),
        st.lists(st.builds(RunTag, NAMES, TEXTS), max_size=3),
    ),
    # Without a time for its end, Track says when it was told of it, MLflow nothing.
    st.tuples(st.just("update_run_info"), RUNS, STATUSES, TIMES, st.none() | TEXTS),
    st.tuples(st.just("delete_run"), RUNS),
    st.tuples(st.just("restore_run"), RUNS),
    st.tuples(st.just("create_experiment"), NAMES),
    st.tuples(st.just("rename_experiment"), st.integers(0, 1), NAMES),
    st.tuples(st.just("delete_experiment"), st.integers(0, 1)),
    st.tuples(st.just("restore_experiment"), st.integers(0, 1)),
    st.tuples(st.just("get_metric_history"), RUNS, GOOD_NAMES),
    st.tuples(st.just("search_runs"), FILTERS, VIEWS, ORDERS),
    st.tuples(st.just("search_experiments"), VIEWS),
)


class Answers:
    """Asks a store, and tells what it answers without the ids that it makes up."""

    def __init__(self, store):
        self.store = store
        self.experiments = [store.create_experiment(name) for name in ("one", "two")]
        self.runs = []
        for experiment in (0, 0, 1):
            self.create_run(experiment, len(self.runs) + 1)

    def ask(self, name, *arguments):
        """Return the answer to a call, or the code of its error."""
        try:
            return getattr(self, name)(*arguments)
        except MlflowException as error:
            return NAMED.get(error.error_code, error.error_code)

    def create_run(self, experiment, start):
        name = f"r{len(self.runs)}"
        run = self.store.create_run(self.experiments[experiment], "me", start, [], name)
        self.runs.append(run.info.run_id)

    def update_run_info(self, run, status, end, name):
        status = RunStatus.from_string(status)
        info = self.store.update_run_info(self.runs[run], status, end, name)
        return info.status, info.end_time, info.run_name

    def create_experiment(self, name):
        self.experiments.append(self.store.create_experiment(name))

    def search_experiments(self, view):
        found = self.store.search_experiments(view, order_by=["name"])
        return [(each.name, each.lifecycle_stage) for each in found]

    def get_metric_history(self, run, name):
        found = self.store.get_metric_history(self.runs[run], name)
        return sorted((shown(one.value), one.step, one.timestamp) for one in found)

    def search_runs(self, filter_string, view, order_by):
        found = self.store.search_runs(self.experiments[:2], filter_string, view, order_by=order_by)
        names = [self.runs.index(run.info.run_id) for run in found]
        return names if order_by else sorted(names)

    def __getattr__(self, name):
        if name.endswith("_experiment"):
            return lambda number, *rest: getattr(self.store, name)(self.experiments[number], *rest)
        return lambda run, *rest: getattr(self.store, name)(self.runs[run], *rest)

    def state(self):
        """Return all that is kept of the runs."""
        return [self._run(self.store.get_run(run_id)) for run_id in self.runs]

    @staticmethod
    def _run(run):
        info, data = run.info, run.data
        metrics = {name: shown(value) for name, value in data.metrics.items()}
        return (
            *(info.status, info.start_time, info.end_time, info.lifecycle_stage, info.run_name),
            *(metrics, data.params, data.tags),
        )


def shown(value):
    """Return a number as text; databases of MLflow keep the infinities as the largest numbers."""
    return "nan" if isnan(value) else repr(max(min(value, LARGEST), -LARGEST))


@given(st.lists(CALLS, max_size=25))
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,  # MLflow changes, and a new difference should be found by a new version of it
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_track_answers_as_mlflow_does(database, tmp_path_factory, calls):
    """The same sequence of calls on both: the same answers, errors and runs."""
    folder = tmp_path_factory.mktemp("stores")
    theirs = _sql_store(Path(shutil.copy(database, folder / "mlflow.db")))
    ours = TrackStore(f"track+file:{folder / 'runs.json'}")
    try:
        one, other = Answers(ours), Answers(theirs)
        for call in calls:
            assert one.ask(*call) == other.ask(*call), call
        assert one.state() == other.state()
    finally:
        theirs.engine.dispose()
        ours.protocol.close()
