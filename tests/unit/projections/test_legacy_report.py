"""Reports of the old tracker, opened without a journal, become events."""

import json
import math
import os
import shutil
from multiprocessing import get_context

import pytest

from tests.programs import run_python
from track.errors import NotAReport
from track.persistence import get_protocol
from track.structure import CustomStatus, Project, Status, Trial, TrialGroup

STATSTREAM = {
    "dtype": "statstream",
    "sum": 4.5,
    "sum_sqr": 8.25,
    "first_obs": 1.0,
    "min": 0.5,
    "max": 4.0,
    "current_count": 15,
    "current_obs": 2.0,
    "drop_obs": 10,
}


def old_trial(digest, revision=0, **fields):
    return {
        "dtype": "trial",
        "uid": f"{digest}_{revision}",
        "hash": digest,
        "revision": revision,
        "name": None,
        "description": None,
        "tags": {},
        "version": None,
        "group_id": None,
        "project_id": "project",
        "parameters": {},
        "metadata": {},
        "metrics": {},
        "chronos": {},
        "errors": [],
        "status": {"value": 302, "name": "Completed"},
        **fields,
    }


def old_group(uid, trials, project="project"):
    return {
        "dtype": "trial_group",
        "uid": uid,
        "name": f"name of {uid}",
        "description": None,
        "metadata": {"space": {"/x": "uniform(0, 1)"}, "list": [1, None]},
        "trials": trials,
        "project_id": project,
    }


RICH = old_trial(
    "aaa",
    1,
    name="trial",
    description="what for",
    tags=["a", "b"],
    version="a8c3",
    group_id="g1",
    parameters={"lr": 0.1, "opt": {"name": "sgd"}, "nan": math.nan},
    metadata={"_update_count": 12, "_last_change": 1.5, "heartbeat": 0, "inf": math.inf},
    metrics={
        "epoch_loss": {"0": 2.5, "1": math.nan, "10": -math.inf},
        "cost": [1, 2.5, math.nan],
        "by_name": {"first": 1, "2": 2},
        "negative": {"-1": 1, "00": 2},
    },
    chronos={"runtime": 3142.5, "batch_time": STATSTREAM},
    errors=["<class 'ValueError'>"],
    status={"value": 2, "name": "reserved"},
)
OLD = [
    {
        "dtype": "project",
        "uid": "project",
        "name": "project",
        "description": "old",
        "metadata": {"owner": "me"},
        "trials": [RICH, old_trial("aaa"), old_trial("bbb", status={"value": 1, "name": "new"})],
        "groups": [old_group("g1", ["aaa_0", "aaa_1"]), old_group("g2", ["aaa_1", "ccc_0"])],
    },
    {
        "dtype": "project",
        "uid": "other",
        "name": "other",
        "description": None,
        "metadata": {},
        "trials": [RICH, old_trial("ccc", project_id="other")],
        "groups": [],
    },
]


@pytest.fixture
def text():
    """An old report in the working directory, with tokens that are no JSON."""
    text = json.dumps(OLD)
    assert "NaN" in text
    with open("old.json", "w", encoding="utf-8") as file:
        file.write(text)
    return text


def fetch(store, uid):
    (trial,) = store.fetch_trials({"uid": uid})
    return trial


def test_every_field_of_a_trial_survives(text):
    """Also what JSON could not say: numbers as steps, and numbers that are not finite."""
    store = get_protocol("file:old.json")
    trial = fetch(store, "aaa_1")
    assert (trial.name, trial.description, trial.version) == ("trial", "what for", "a8c3")
    assert (trial.tags, trial.group_id, trial.project_id) == (["a", "b"], "g1", "project")
    assert (trial.parameters["lr"], trial.parameters["opt"]) == (0.1, {"name": "sgd"})
    assert math.isnan(trial.parameters["nan"])
    assert trial.metadata == RICH["metadata"]
    loss = trial.metrics["epoch_loss"]
    assert list(loss) == [0, 1, 10]
    assert (loss[0], math.isnan(loss[1]), loss[10]) == (2.5, True, -math.inf)
    assert trial.metrics["cost"][:2] == [1, 2.5]
    assert trial.metrics["by_name"] == {"first": 1, 2: 2}
    assert trial.metrics["negative"] == {-1: 1, "00": 2}
    assert trial.chronos["runtime"] == 3142.5
    assert trial.chronos["batch_time"].to_json() == STATSTREAM
    assert (trial.status, trial.status.name) == (CustomStatus("reserved", 2), "reserved")
    assert trial.errors == ["<class 'ValueError'>"]
    assert fetch(store, "aaa_0").status is Status.Completed


def test_projects_and_groups_survive(text):
    """Who belongs where, and a trial that is in two projects and in two groups."""
    store = get_protocol("file:old.json")
    first, second = store.fetch_projects()
    assert (first.name, first.description, first.metadata) == ("project", "old", {"owner": "me"})
    assert {trial.uid for trial in first.trials} == {"aaa_0", "aaa_1", "bbb_0"}
    assert {trial.uid for trial in second.trials} == {"aaa_1", "ccc_0"}
    groups = {group.uid: group for group in store.fetch_groups()}
    assert groups["g1"].trials == {"aaa_0", "aaa_1"}
    assert groups["g2"].trials == {"aaa_1", "ccc_0"}
    assert groups["g1"].metadata == OLD[0]["groups"][0]["metadata"]
    assert groups["g1"].name == "name of g1"
    assert groups["g1"].project_id == "project"


def test_what_was_imported_goes_on(text):
    """Steps, statistics and counts continue where the old tracker left them."""
    store = get_protocol("file:old.json")
    trial = Trial(_hash="aaa", revision=1)
    store.log_trial_metrics(trial, step=11, epoch_loss=0.5)
    store.log_trial_chrono_start(trial, "batch_time")
    store.log_trial_chrono_finish(trial, "batch_time")
    store.log_trial_metadata(trial, new=1)
    found = fetch(store, "aaa_1")
    assert list(found.metrics["epoch_loss"]) == [0, 1, 10, 11]
    assert found.chronos["batch_time"].count == 6
    assert found.metadata["_update_count"] == 16
    assert store.new_trial(Trial(_hash="aaa", project_id="project"), auto_increment=True)
    assert [trial.revision for trial in store.get_trial(Trial(_hash="aaa"))] == [0, 1, 2]


def test_the_import_happens_once(text):
    """The report stays as it was until something is logged, and is not imported again."""
    store = get_protocol("file:old.json")
    events = len(list(store.events()))
    store.close()
    with open("old.json", encoding="utf-8") as file:
        assert file.read() == text
    again = get_protocol("file:old.json")
    assert len(list(again.events())) == events
    again.commit()
    with open("old.json", encoding="utf-8") as file:
        written = json.load(file, parse_constant=pytest.fail)
    assert [project["name"] for project in written] == ["project", "other"]


def test_our_own_report_can_be_imported_too(text):
    """A report whose journal was lost brings back the objects."""
    store = get_protocol("file:old.json")
    store.new_project(Project(name="new"))
    store.new_trial_group(TrialGroup(_uid="g3", name="n", project_id="new"))
    trial = store.new_trial(Trial(_hash="ddd", project_id="new", group_id="g3"))
    store.log_trial_metrics(trial, step=0, loss=math.nan)
    before = {found.uid: found.metadata["_update_count"] for found in store.fetch_trials()}
    store.close()
    os.unlink("old.json.journal")
    again = get_protocol("file:old.json")
    assert {t.uid: t.metadata["_update_count"] for t in again.fetch_trials()} == before
    assert math.isnan(fetch(again, "ddd_0").metrics["loss"][0])
    assert again.get_trial_group(TrialGroup(_uid="g3")).trials == {"ddd_0"}
    assert fetch(again, "aaa_1").chronos["batch_time"].to_json() == STATSTREAM


def open_at_once(start, counts):
    start.wait()
    counts.put(len(list(get_protocol("file:old.json").events())))


def test_processes_that_import_at_once_import_once(text):
    """They all end up with one journal."""
    context = get_context("fork")
    start, counts = context.Barrier(4), context.Queue()
    openers = [context.Process(target=open_at_once, args=(start, counts)) for _ in range(4)]
    for opener in openers:
        opener.start()
    seen = {counts.get() for _ in openers}
    for opener in openers:
        opener.join()
    assert len(seen) == 1
    assert sorted(os.listdir()) == ["old.json", "old.json.journal"]


@pytest.mark.parametrize("calls", [0, 1, 5])
def test_an_import_that_is_killed_leaves_nothing_half_done(text, calls, tmp_path):
    """The next one imports everything, and uses nothing that the dead process left behind."""
    program = (
        "import itertools, os\n"
        "from track.journals.file import FileJournal\n"
        "append, count = FileJournal.append, itertools.count()\n"
        f"def dying(*args): return os._exit(7) if next(count) == {calls} else append(*args)\n"
        "FileJournal.append = dying\n"
        "from track.persistence import get_protocol\n"
        "get_protocol('file:old.json')\n"
    )
    run_python(program, status=7)
    assert not os.path.exists("old.json.journal")
    whole = tmp_path / "whole"
    whole.mkdir()
    shutil.copy("old.json", whole)
    expected = [one.event for one in get_protocol(f"file:{whole}/old.json").events()]
    survivor = program.replace("os._exit(7)", "append(*args)")
    run_python(survivor)
    assert list(map(repr, expected)) == [
        repr(one.event) for one in get_protocol("file:old.json").events()
    ]
    (left,) = (name for name in os.listdir() if name.endswith(".tmp"))
    assert left.startswith("old.json.journal.")


@pytest.mark.parametrize(
    "broken",
    [
        '[{"dtype": "project", "name": "p", "trials": [{"dtype": "trial", "metrics": [1]}]}]',
        '[{"dtype": "project", "name": "p", "trials": [1]}]',
        '[{"dtype": "project", "name": null}]',
        '[{"dtype": "project", "name": "p", "trials": [{"dtype": "trial", "status": {}}]}]',
        '[{"dtype": "project", "name": "p"',
    ],
)
def test_what_cannot_be_imported_is_left_as_it_is(broken):
    """One error names the file, and nothing is made of it."""
    with open("old.json", "w", encoding="utf-8") as file:
        file.write(broken)
    with pytest.raises(NotAReport, match=r"old\.json"):
        get_protocol("file:old.json")
    with open("old.json", encoding="utf-8") as file:
        assert file.read() == broken
    assert os.listdir() == ["old.json"]
