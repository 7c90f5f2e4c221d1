"""What every integration does in a training that goes well, and in those that do not."""

import random
import resource
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.relays import PATIENCE_S, ServerProcess
from tests.unit.integrations.courses import COURSES, RANKED
from track.structure import Status

APART = ("catboost", "hydra", "lightgbm", "optuna", "ray", "xgboost")
"""Those that tell trainings apart, by the model, a number or the thread."""

TOLD = ("keras", "sklearn", "transformers")
"""Those that only know that another training has begun."""


@pytest.fixture
def rank():
    """Which process of a training this is."""
    return [0]


@pytest.fixture(params=COURSES)
def name(request):
    """Which integration is called."""
    return request.param


@pytest.fixture
def course(name, integration, rank):
    """How its framework calls it."""
    return COURSES[name](integration, rank)


def steps_of(all_metrics):
    """Return which steps there are of each metric."""
    found = {}
    for metrics in all_metrics:
        for name, values in metrics.items():
            found.setdefault(name, set()).update(values)
    return found


def halves(calls):
    """Return the calls in the first half of a training, those in the second, and the last."""
    *calls, last = calls
    middle = (len(calls) + 1) // 2
    return calls[:middle], calls[middle:], last


def test_a_training_is_one_trial(course, trials):
    """As the framework calls it."""
    for call in course.calls(course.make("file:r.json")):
        call()
    (trial,) = trials()
    assert (trial.metrics, trial.status) == (course.metrics, Status.Completed)


@pytest.mark.parametrize("name", RANKED)
def test_other_ranks_record_nothing(course, rank):
    """Whatever they call."""
    rank[0] = 1
    for call in course.calls(course.make("file:r.json")):
        call()
    assert list(Path().glob("r.json*")) == []


@pytest.mark.parametrize("seed", range(5))
def test_calls_in_odd_orders(course, trials, seed):
    """No order of calls disturbs a training, and whatever it logs is recorded."""
    calls = course.calls(course.make("file:r.json"))
    random.Random(seed).shuffle(calls)
    for call in calls:
        call()
    found = steps_of(trial.metrics for trial in trials())
    assert found.items() <= steps_of([course.metrics]).items()
    assert all(name in found for name, values in course.metrics.items() if isinstance(values, dict))


def test_two_trainings_at_once(name, course, trials, told):
    """In two threads with one callback: all is recorded, apart if the framework tells them apart.

    Where it says when a training begins, it is told that the callback has another one already.
    Loggers and writers are things to share.
    """
    callback = course.make("file:r.json")
    turn = threading.Barrier(2)

    def train(calls):
        for call in calls:
            turn.wait(PATIENCE_S)
            call()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(train, [course.calls(callback), course.calls(callback)]))
    found = trials()
    assert steps_of(trial.metrics for trial in found) == steps_of([course.metrics])
    assert {trial.status for trial in found} == {Status.Completed}
    assert len(found) == (2 if name in APART else 1)
    is_told = any("two trainings are logging to trial" in message for message in told)
    assert is_told == (name in TOLD)


@pytest.fixture
def server(tmp_path):
    """A relay in a process of its own."""
    running = ServerProcess(f"file:{tmp_path}/far.json")
    yield running
    running.kill()


def test_a_relay_that_is_killed_in_the_middle(course, server, trials, told):
    """Training goes on to its end; this is told, and what was logged arrives when it is back."""
    uri = server.uri(timeout=2)
    first, second, last = halves(course.calls(course.make(uri)))
    for call in first:
        call()
    server.kill()
    for call in (*second, last):
        call()
    assert "All logged events are safe in" in "".join(told)
    server.start()
    deadline = time.monotonic() + PATIENCE_S
    while [trial.status for trial in trials(uri)] != [Status.Completed]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (trial,) = trials(uri)
    assert trial.metrics == course.metrics


def test_a_disk_that_is_full_in_the_middle(course, trials, told):
    """Training goes on; this is told, and what was logged is written when there is room."""
    first, second, last = halves(course.calls(course.make("file:r.json")))
    for call in first:
        call()
    unlimited = resource.RLIM_INFINITY
    size = Path("r.json.journal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, unlimited))
    try:
        for call in second:
            call()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
    last()
    assert second == [] or "is kept in memory for now" in "".join(told)
    (trial,) = trials()
    assert (trial.metrics, trial.status) == (course.metrics, Status.Completed)
