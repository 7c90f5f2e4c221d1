"""Projects of other tools get into a store, once."""

import math
import os
import subprocess
import sys

import pytest

import track
from tests.relays import served
from track.errors import ImportFailed
from track.events import values as encoding
from track.exchange import import_projects, recording
from track.persistence import get_protocol
from track.projections.validation import trial_created
from track.structure import Project, Status, Trial, TrialGroup

ROOT = os.path.dirname(os.path.dirname(track.__file__))


def sample():
    """Return two projects: a trial is in both, and groups have members made elsewhere."""
    first = Trial(
        _hash="aaa",
        project_id="p",
        group_id="g1",
        metrics={"loss": {0: 1.0, 5: math.inf}, "cost": [1, 2]},
        metadata={"start_time": 20.0},
        chronos={"runtime": 1.5},
        status=Status.Completed,
    )
    second = Trial(_hash="bbb", revision=1, project_id="p", metadata={"start_time": 10.0})
    third = Trial(_hash="ccc", project_id="q")
    groups = {
        TrialGroup(_uid="g1", name="one", project_id="p", trials={"aaa_0", "bbb_1", "gone_0"}),
        TrialGroup(_uid="g2", name="two", project_id="p", metadata={"a": [1]}),
    }
    return [
        Project(name="p", description="what", groups=groups, trials={first, second}),
        Project(name="q", metadata={"k": 1}, trials={third, first}),
    ]


def check_sample(store):
    """Make sure that a store holds all of it."""
    projects = {project.uid: project for project in store.fetch_projects()}
    assert {trial.uid for trial in projects["p"].trials} == {"aaa_0", "bbb_1"}
    assert {trial.uid for trial in projects["q"].trials} == {"ccc_0", "aaa_0"}
    assert (projects["p"].description, projects["q"].metadata) == ("what", {"k": 1})
    groups = {group.uid: group for group in store.fetch_groups()}
    assert groups["g1"].trials == {"aaa_0", "bbb_1"}
    assert (groups["g2"].name, groups["g2"].metadata) == ("two", {"a": [1]})
    (trial,) = store.fetch_trials({"uid": "aaa_0"})
    assert trial.metrics == {"loss": {0: 1.0, 5: math.inf}, "cost": [1, 2]}
    assert (trial.chronos, trial.status) == ({"runtime": 1.5}, Status.Completed)


@pytest.mark.parametrize("uri", ["memory:", "file:store.json", "lmdb:store.lmdb"])
def test_importing_twice_adds_nothing(uri):
    """The numbers say what was added."""
    store = get_protocol(uri)
    assert import_projects(store, sample()) == (2, 2, 3)
    check_sample(store)
    events = len([*store.events()])
    assert import_projects(store, sample()) == (0, 0, 0)
    assert len([*store.events()]) == events
    check_sample(store)


def test_a_server_takes_an_import_too():
    """It makes the decisions, one by one."""
    with served("memory:") as running:
        store = get_protocol(running.uri())
        assert import_projects(store, sample()) == (2, 2, 3)
        assert import_projects(store, sample()) == (0, 0, 0)
        check_sample(store)
        store.close()


def test_trials_are_made_in_the_order_they_started_in():
    """As far as their metadata says."""
    store = get_protocol("memory:")
    import_projects(store, sample())
    assert [trial.uid for trial in store.fetch_trials()] == ["ccc_0", "bbb_1", "aaa_0"]


def test_what_was_passed_in_stays_as_it_is():
    """Counts of changes are the store's business."""
    projects = sample()
    import_projects(get_protocol("memory:"), projects)
    assert {trial.uid: trial.metadata for trial in projects[0].trials} == {
        "aaa_0": {"start_time": 20.0},
        "bbb_1": {"start_time": 10.0},
    }


def test_what_is_there_already_stays_as_it_is():
    """A trial with the same uid is not touched, and the rest is added around it."""
    store = get_protocol("memory:")
    store.new_project(Project(name="p", description="mine"))
    store.new_trial(Trial(_hash="aaa", project_id="p", metrics={"loss": [7]}))
    assert import_projects(store, sample()) == (1, 2, 2)
    (trial,) = store.fetch_trials({"uid": "aaa_0"})
    assert trial.metrics == {"loss": [7]}
    assert store.get_project(Project(name="p")).description == "mine"
    assert "aaa_0" in store.get_trial_group(TrialGroup(_uid="g1")).trials


def unloggable():
    return Trial(_hash="zzz", project_id="q", parameters={"what": object()})


def deep():
    value = 1
    for _ in range(200):
        value = [value]
    return Trial(_hash="zzz", project_id="q", metadata={"deep": value})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (unloggable, "what"),
        (deep, "nested"),
        (lambda: Trial(_hash="zzz", project_id="elsewhere"), "'elsewhere'"),
        (lambda: Trial(_hash="zzz", project_id="q", group_id="nowhere"), "'nowhere'"),
        (lambda: Trial(_hash="zzz", project_id="q", metadata={"b": b"x" * 2**24}), "bytes"),
    ],
)
def test_nothing_is_recorded_of_what_cannot_all_be(wrong, message):
    """One error says what is wrong, and the store stays as it was."""
    projects = sample()
    projects[1].trials.add(wrong())
    store = get_protocol("memory:")
    with pytest.raises(ImportFailed, match=message):
        import_projects(store, projects)
    assert [*store.events()] == []


@pytest.mark.parametrize("broken", [Project(), Project(name=3)])
def test_projects_are_named_by_text(broken):
    """Nobody could find another one."""
    store = get_protocol("memory:")
    with pytest.raises(ImportFailed):
        import_projects(store, [*sample(), broken])
    assert [*store.events()] == []


@pytest.fixture
def tiny_events(monkeypatch):
    """Events hold so little that the first trial of the sample does not fit into one."""
    first = next(trial for trial in sample()[0].trials if trial.uid == "aaa_0")
    size = len(encoding.pack_values([first.metrics], ("metrics",)))
    event = len(encoding.pack_values([*trial_created(first, "aaa", 0)], ()))
    monkeypatch.setattr(recording, "MAX_BODY", event - size // 2)


def test_a_trial_too_large_for_an_event_is_recorded_in_several(tiny_events):
    """It says the same in the end."""
    store = get_protocol("memory:")
    assert import_projects(store, sample()) == (2, 2, 3)
    check_sample(store)
    assert sum(type(one.event).__name__ == "MetricsLogged" for one in store.events()) == 4
    events = len([*store.events()])
    assert import_projects(store, sample()) == (0, 0, 0)
    assert len([*store.events()]) == events


@pytest.mark.parametrize("calls", range(0, 14, 2))
def test_an_import_that_was_killed_is_finished_by_the_next(calls, tiny_events):
    """Wherever it was, nothing is there twice."""
    program = (
        "import itertools, os\n"
        "write, count = os.write, itertools.count()\n"
        f"def dying(*args): return os._exit(7) if next(count) == {calls} else write(*args)\n"
        "os.write = dying\n"
        "from tests.unit.exchange import test_recording as tests\n"
        f"tests.recording.MAX_BODY = {recording.MAX_BODY}\n"
        "tests.import_projects(tests.get_protocol('file:store.json'), tests.sample())\n"
    )
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": ROOT}, check=False)
    assert ended.returncode == 7
    store = get_protocol("file:store.json")
    import_projects(store, sample())
    check_sample(store)
    whole = get_protocol("memory:")
    import_projects(whole, sample())
    assert len([*store.events()]) == len([*whole.events()])
