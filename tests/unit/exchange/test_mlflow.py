"""Stores of MLflow are read: those it wrote, and those made by hand from its schema."""

import json
import math
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.imported import NOTHING, added, imported
from track.errors import ImportFailed, MissingPackage
from track.exchange import read_runs
from track.persistence import get_protocol
from track.reader import Reader
from track.structure import Status

GOLDEN = Path(__file__).parents[2] / "golden" / "mlflow"
"""What MLflow 3.17 wrote of one program, with other names for the user and the folder."""


@pytest.fixture
def folder(tmp_path):
    """The folder of files."""
    pytest.importorskip("yaml")
    files = json.loads((GOLDEN / "files.json").read_text(encoding="utf-8"))
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "mlruns"


@pytest.fixture
def database(tmp_path):
    """The database, without the tables that nobody reads."""
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((GOLDEN / "database.sql").read_text(encoding="utf-8"))
    return path


@pytest.fixture(params=["folder", "database"])
def store(request):
    return request.getfixturevalue(request.param)


def change(database, statement, *values):
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(statement, values)
        connection.commit()


def read(path):
    """Return the trials by name."""
    return imported(path)[1]


def test_experiments_are_projects_and_runs_are_trials(store):
    """But for those without runs, and those that were deleted."""
    trials = read(store)
    assert sorted(trial.project_id for trial in trials.values()) == ["digits"] * 2 + ["other"] * 2
    assert {"first", "failing", "killed"} < trials.keys()
    first = trials["first"]
    assert first.project_id == "digits"
    assert first.description == "what for"
    assert (len(first.hash), first.revision) == (32, 0)


def test_metrics_have_their_steps(store):
    """The last value of a step counts, and values without steps are a list."""
    first = read(store)["first"]
    assert first.metrics["loss"] == {0: 1.0, 1: 9.5, 2: 1 / 3}
    assert first.metrics["inf"] == {5: -math.inf}
    assert first.metrics["nostep"] == [3.0, 2.0, 1.0]
    assert math.isnan(first.metrics["train/acc"][0])


def test_parameters_get_their_types_back(store):
    """What reads as Python writes it; text stays text."""
    assert read(store)["first"].parameters == {
        "lr": 0.01,
        "epochs": 3,
        "name": "sgd: 'x'",
        "flag": True,
        "none": None,
        "model/depth": 3,
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e3", "1e3"), ("007", "007"), ("1_0", "1_0"), (" 1", " 1"), ("1.0", 1.0), ("true", "true")],
)
def test_what_python_would_not_write_stays_text(database, text, value):
    """An identifier that looks like a number is none."""
    change(database, "UPDATE params SET value = ? WHERE key = 'name'", text)
    found = read(database)["first"].parameters["name"]
    assert (found, type(found)) == (value, type(value))


def test_tags_status_and_times_are_kept(store):
    """Times are in seconds."""
    trials = read(store)
    assert trials["first"].tags["owner"] == "mé: #1\n two"
    assert trials["first"].tags["mlflow.user"] == "me"
    statuses = {name: trials[name].status for name in ("first", "failing", "killed")}
    assert statuses == {
        "first": Status.Completed,
        "failing": Status.Exception,
        "killed": Status.Interrupted,
    }
    assert 0 < trials["first"].chronos["runtime"] < 1
    assert trials["first"].metadata["artifact_uri"].endswith("/artifacts")


def test_times_are_those_of_mlflow(store):
    """Of the start, the end and each value."""
    target = get_protocol("memory:")
    first = imported(store, target)[1]["first"]
    reader = Reader(target)
    (attempt,) = reader.attempts(first.uid)
    (times,) = reader.times([first]).values()
    assert attempt.started_at > 1.7e18
    assert attempt.runtime == first.chronos["runtime"]
    logged = [*times.metrics["loss"].values()]
    assert all(attempt.started_at <= at <= attempt.finished_at for at in logged)


def test_artifacts_are_kept_if_they_are_in_the_folder(folder, database, tmp_path):
    """Elsewhere they are told, and left where they are."""
    for run in folder.glob("*/*/meta.yaml"):
        (run.parent / "artifacts" / "model").mkdir(parents=True, exist_ok=True)
        (run.parent / "artifacts" / "model" / "weights").write_text(run.parent.name)
    done, trials = imported(folder, get_protocol("file:store.json"))
    assert done.files == len(trials) == 4
    assert trials["first"].metadata["file:model/weights"]["size"] == 32
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    change(database, "UPDATE runs SET artifact_uri = ? WHERE name = 'first'", str(outside))
    done, trials = imported(database, get_protocol("file:other.json"))
    assert done.files == 0
    assert any("links to a file outside" in problem for problem in done.problems)


@pytest.mark.parametrize(
    ("name", "status"), [("RUNNING", "Running"), ("SCHEDULED", "CreatedGroup")]
)
def test_a_run_that_has_not_ended(database, name, status):
    """Has no end, and no runtime."""
    change(database, "UPDATE runs SET status = ?, end_time = NULL WHERE name = 'first'", name)
    first = read(database)["first"]
    assert first.status is Status[status]
    assert first.chronos == {}


def test_importing_again_adds_what_is_new(store, database):
    """Nothing, or what MLflow logged meanwhile."""
    target = get_protocol("memory:")
    done, _ = imported(store, target)
    assert (done.projects, done.groups, done.trials) == (2, 0, 4)
    assert added(imported(store, target)[0]) == NOTHING
    if store == database:
        change(
            database,
            "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) "
            "SELECT 'loss', 0.1, 1700000000000, run_uuid, 99, 0 FROM runs WHERE name = 'first'",
        )
        done, trials = imported(store, target)
        assert added(done) == (0, 0, 0, 1, 1, 0)
        assert trials["first"].metrics["loss"][99] == 0.1


def test_a_database_stays_as_it_is(database):
    """It is opened for reading only."""
    before = database.read_bytes()
    imported(database)
    assert database.read_bytes() == before
    assert [path.name for path in database.parent.iterdir()] == [database.name]


def test_folders_of_older_versions(tmp_path):
    """Points had no steps, and a run kept its name in a tag."""
    pytest.importorskip("yaml")
    run = tmp_path / "0" / "abc"
    for name, text in {
        "../meta.yaml": "experiment_id: '0'\nlifecycle_stage: active\nname: Default\n",
        "meta.yaml": "run_id: abc\nstatus: 3\nstart_time: 1500000000000\nend_time: null\n",
        "metrics/loss": "1500000000000 0.5\n1500000000001 2.5\n",
        "tags/mlflow.runName": "old",
    }.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(text)
    (trial,) = read(tmp_path).values()
    assert (trial.name, trial.metrics) == ("old", {"loss": [0.5, 2.5]})
    assert trial.project_id == "Default"


@pytest.mark.parametrize("name", ["missing", "empty", "text", "nothing", "other.db"])
def test_what_is_no_store_is_one_error(name, tmp_path):
    """It names the path."""
    pytest.importorskip("yaml")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("no database at all, but long enough" * 99)
    (tmp_path / "nothing").write_text("")
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE experiments (id INTEGER)")
    with pytest.raises(ImportFailed, match=name):
        next(read_runs(str(tmp_path / name), tool="mlflow"))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("*/*/metrics/loss", b"1500000000000 0.5 0\nnonsense\n"),
        ("*/*/metrics/loss", b"1500000000000 0.5 x\n"),
        ("*/*/params/lr", b"\xff"),
        ("*/*/meta.yaml", b"run_id: [\n"),
        ("*/*/meta.yaml", b"just text\n"),
        ("*/meta.yaml", b"!!python/object/apply:os.getcwd []\n"),
    ],
)
def test_a_damaged_file_costs_what_is_in_it(folder, pattern, text):
    """It is told, the others are read, and nothing is evaluated."""
    path = next(iter(sorted(folder.glob(pattern))))
    path.write_bytes(text)
    done, trials = imported(folder)
    (problem,) = done.problems
    assert str(path) in problem or path.name in problem
    assert len(trials) >= 2


def test_a_damaged_database_is_one_error(database):
    """SQLite finds it out while it reads."""
    data = bytearray(database.read_bytes())
    data[4096:] = b"\xaa" * (len(data) - 4096)
    database.write_bytes(data)
    with pytest.raises(ImportFailed, match=r"mlflow\.db"):
        imported(database)


def test_a_missing_package_is_named_with_its_remedy(folder, database, monkeypatch):
    """A database needs none."""
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingPackage, match=r"track-journal\[mlflow\]"):
        imported(folder)
    assert len(read(database)) == 4


@pytest.mark.parametrize("status", ["[1]", "{a: 1}", "99", "null"])
def test_a_status_that_makes_no_sense_costs_no_run(folder, status):
    """A list could not be looked up, which ended the import of all runs."""
    path = next(folder.glob("*/*/meta.yaml"))
    path.write_text(re.sub(r"(?m)^status: .*", f"status: {status}", path.read_text()))
    assert len(read(folder)) == 4


def test_what_is_no_time_is_none(folder):
    """Somebody edited the store by hand."""
    path = next(folder.glob("*/*/meta.yaml"))
    path.write_text(path.read_text().replace("start_time: 1", "start_time: long ago 1"))
    assert len(read(folder)) == 4


@pytest.mark.parametrize("column", ["timestamp", "step", "value"])
def test_points_of_a_database_are_numbers(database, column):
    """SQLite keeps anything in any column; what is no number is told."""
    change(database, f"UPDATE metrics SET {column} = 'high' WHERE key = 'loss'")
    done, trials = imported(database)
    assert any("high" in problem for problem in done.problems)
    assert len(trials) == 4
