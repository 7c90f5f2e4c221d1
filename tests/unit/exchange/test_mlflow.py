"""Stores of MLflow are read: those it wrote, and those made by hand from its schema."""

import json
import math
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from track.errors import ImportFailed, MissingPackage
from track.exchange import import_projects, read_mlflow
from track.persistence import get_protocol
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
    """Return the projects by name, and the trials by name."""
    projects = {project.name: project for project in read_mlflow(str(path))}
    return projects, {trial.name: trial for one in projects.values() for trial in one.trials}


def test_experiments_are_projects_and_runs_are_trials(store):
    """But for those without runs, and those that were deleted."""
    projects, trials = read(store)
    assert {name: len(project.trials) for name, project in projects.items()} == {
        "digits": 2,
        "other": 2,
    }
    assert {"first", "failing", "killed"} < trials.keys()
    first = trials["first"]
    assert first.project_id == "digits"
    assert first.description == "what for"
    assert (len(first.hash), first.revision) == (32, 0)


def test_metrics_have_their_steps(store):
    """The last value of a step counts, and values without steps are a list."""
    first = read(store)[1]["first"]
    assert first.metrics["loss"] == {0: 1.0, 1: 9.5, 2: 1 / 3}
    assert first.metrics["inf"] == {5: -math.inf}
    assert first.metrics["nostep"] == [3.0, 2.0, 1.0]
    assert math.isnan(first.metrics["train/acc"][0])


def test_parameters_get_their_types_back(store):
    """What reads as Python writes it; text stays text."""
    assert read(store)[1]["first"].parameters == {
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
    found = read(database)[1]["first"].parameters["name"]
    assert (found, type(found)) == (value, type(value))


def test_tags_status_and_times_are_kept(store):
    """Times are in seconds."""
    trials = read(store)[1]
    assert trials["first"].tags["owner"] == "mé: #1\n two"
    assert trials["first"].tags["mlflow.user"] == "me"
    statuses = {name: trials[name].status for name in ("first", "failing", "killed")}
    assert statuses == {
        "first": Status.Completed,
        "failing": Status.Exception,
        "killed": Status.Interrupted,
    }
    about = trials["first"].metadata
    assert 0 < about["end_time"] - about["start_time"] < 1
    assert about["start_time"] > 1.7e9
    runtime = trials["first"].chronos["runtime"]
    assert runtime == pytest.approx(about["end_time"] - about["start_time"], abs=1e-5)
    assert "first" not in about["artifact_uri"]
    assert about["artifact_uri"].endswith("/artifacts")


@pytest.mark.parametrize(
    ("name", "status"), [("RUNNING", "Running"), ("SCHEDULED", "CreatedGroup")]
)
def test_a_run_that_has_not_ended(database, name, status):
    """Has no end, and no runtime."""
    change(database, "UPDATE runs SET status = ?, end_time = NULL WHERE name = 'first'", name)
    first = read(database)[1]["first"]
    assert first.status is Status[status]
    assert "end_time" not in first.metadata
    assert first.chronos == {}


def test_importing_twice_adds_nothing(store):
    """What is recorded is what was read."""
    target = get_protocol("memory:")
    assert import_projects(target, read_mlflow(str(store))) == (2, 0, 4)
    assert import_projects(target, read_mlflow(str(store))) == (0, 0, 0)
    first = read(store)[1]["first"]
    (found,) = target.fetch_trials({"uid": first.uid})
    assert repr(found.metrics) == repr(first.metrics)
    assert (found.parameters, found.tags, found.status) == (
        *(first.parameters, first.tags, first.status),
    )


def test_a_database_stays_as_it_is(database):
    """It is opened for reading only."""
    before = database.read_bytes()
    read_mlflow(str(database))
    assert database.read_bytes() == before
    assert [path.name for path in database.parent.iterdir()] == [database.name]


def test_folders_of_older_versions(tmp_path):
    """Points had no steps, and a run kept its name in a tag."""
    pytest.importorskip("yaml")
    run = tmp_path / "0" / "abc"
    for name, text in {
        "../meta.yaml": "experiment_id: '0'\nlifecycle_stage: active\nname: Default\n",
        "meta.yaml": "run_id: abc\nstatus: 3\nstart_time: 1500000000000\nend_time: null\n",
        "metrics/loss": "1500000000001 2.5\n1500000000000 0.5\n",
        "tags/mlflow.runName": "old",
    }.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(text)
    (trial,) = read(tmp_path)[0]["Default"].trials
    assert (trial.name, trial.metrics) == ("old", {"loss": [0.5, 2.5]})


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
        read_mlflow(str(tmp_path / name))


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
def test_a_damaged_file_is_one_error_that_names_it(folder, pattern, text):
    """Nothing is read of a store that cannot be read whole, and nothing is evaluated."""
    path = next(iter(sorted(folder.glob(pattern))))
    path.write_bytes(text)
    with pytest.raises(ImportFailed, match=str(path)):
        read_mlflow(str(folder))


def test_a_damaged_database_is_one_error(database):
    """SQLite finds it out while it reads."""
    data = bytearray(database.read_bytes())
    data[4096:] = b"\xaa" * (len(data) - 4096)
    database.write_bytes(data)
    with pytest.raises(ImportFailed, match=r"mlflow\.db"):
        read_mlflow(str(database))


def test_a_missing_package_is_named_with_its_remedy(folder, database, monkeypatch):
    """A database needs none."""
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingPackage, match=r"track-journal\[mlflow\]"):
        read_mlflow(str(folder))
    assert len(read_mlflow(str(database))) == 2


def test_what_is_no_time_is_none(folder, database):
    """Somebody edited the store by hand."""
    path = next(folder.glob("*/*/meta.yaml"))
    path.write_text(path.read_text().replace("start_time: 1", "start_time: long ago 1"))
    assert any("start_time" not in trial.metadata for trial in read(folder)[1].values())
    change(database, "UPDATE metrics SET value = 'high' WHERE key = 'a'")
    with pytest.raises(ImportFailed, match="high"):
        read(database)


@pytest.mark.parametrize("column", ["timestamp", "step", "value"])
def test_points_of_a_database_are_numbers(database, column):
    """SQLite keeps anything in any column."""
    change(database, f"UPDATE metrics SET {column} = 'high' WHERE key = 'loss'")
    with pytest.raises(ImportFailed, match=r"mlflow\.db.*high"):
        read(database)
