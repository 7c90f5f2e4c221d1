"""Runs of trackio, Sacred and DVCLive are read: those they wrote, and damaged ones."""

import json
import math
import shutil
import sqlite3
from contextlib import closing

import pytest

from tests.imported import GOLDEN, NOTHING, added, imported
from track.errors import ImportFailed
from track.exchange import read_runs
from track.persistence import get_protocol
from track.reader import Reader
from track.structure import Status

LOSS = {step: 1 / (step + 1) for step in range(3)}
CONFIG = {"lr": 0.1, "optimizer": {"name": "sgd"}, "layers": [8, 4]}


@pytest.fixture
def trackio(tmp_path):
    """The database of a project of trackio, in a folder of its own."""
    folder = tmp_path / "trackio"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "digits.db")) as database:
        database.executescript((GOLDEN / "trackio.sql").read_text())
    return folder


@pytest.fixture
def sacred(tmp_path):
    """The folder of runs of Sacred."""
    return shutil.copytree(GOLDEN / "sacred", tmp_path / "sacred")


@pytest.fixture
def dvclive(tmp_path):
    """The folder of a run of DVCLive."""
    pytest.importorskip("yaml")
    return shutil.copytree(GOLDEN / "dvclive", tmp_path / "dvclive")


@pytest.fixture(params=["trackio", "sacred", "dvclive"])
def source(request):
    return request.getfixturevalue(request.param)


def change(folder, statement, *values):
    with closing(sqlite3.connect(folder / "digits.db")) as database:
        database.execute(statement, values)
        database.commit()


def test_importing_again_adds_nothing(source):
    """Each tool is told by its files."""
    store = get_protocol("file:store.json")
    done, _ = imported(source, store)
    assert done.trials in {1, 2}
    assert done.problems == []
    assert added(imported(source, store)[0]) == NOTHING


def test_runs_of_trackio(trackio):
    """A run that was resumed goes on with its steps."""
    store = get_protocol("memory:")
    _, trials = imported(trackio, store)
    assert trials.keys() == {"first", "second"}
    first = trials["first"]
    assert (first.project_id, first.parameters) == ("digits", CONFIG)
    assert [group.name for group in store.fetch_groups()] == ["sweep"]
    assert first.metrics["loss"] == {**LOSS, 3: 1.0, 4: 0.5, 5: 1 / 3}
    assert trials["second"].metrics["train/accuracy"] == {0: 0.0, 1: 0.1, 2: 0.2}
    (times,) = Reader(store).times([first]).values()
    assert 1.7e18 < times.started_at <= times.metrics["loss"][0]


def test_a_run_of_trackio_that_goes_on_is_continued(trackio):
    """With numbers that JSON does not have, the machine, and rows that make no sense."""
    store = get_protocol("memory:")
    imported(trackio, store)
    columns = "(run_id, run_name, timestamp, step, metrics)"
    select = "SELECT run_id, run_name, timestamp, ?, ? FROM metrics WHERE run_name='second' LIMIT 1"
    change(trackio, f"INSERT INTO metrics {columns} {select}", 7, '{"loss": "NaN", "b": "text"}')
    change(trackio, f"INSERT INTO metrics {columns} {select}", 8, "[1")
    change(trackio, f"INSERT INTO metrics {columns} {select}", 9, "[1]")
    change(
        trackio,
        "INSERT INTO system_metrics (run_id, run_name, timestamp, metrics) "
        'SELECT run_id, run_name, timestamp, \'{"cpu": {"utilization": 5}}\' '
        "FROM metrics WHERE run_name = 'second' LIMIT 1",
    )
    done, trials = imported(trackio, store)
    assert (done.continued, done.events, len(done.problems)) == (1, 2, 2)
    second = trials["second"]
    assert math.isnan(second.metrics["loss"][7])
    assert second.metrics["b"] == {7: "text"}
    (machine,) = Reader(store).system_metrics(second.uid)
    assert machine.values["cpu/utilization"].tolist() == [5.0]


def test_older_databases_of_trackio_have_no_ids(tmp_path):
    """Runs are told apart by their names."""
    with closing(sqlite3.connect(tmp_path / "old.db")) as database:
        database.executescript(
            "CREATE TABLE metrics (id INTEGER PRIMARY KEY, timestamp TEXT, run_name TEXT, "
            "step INTEGER, metrics TEXT);"
            "CREATE TABLE configs (id INTEGER PRIMARY KEY, run_name TEXT, config TEXT);"
            "INSERT INTO metrics VALUES (1, '2025-01-01T00:00:00', 'a', 0, '{\"loss\": 1.0}');"
            "INSERT INTO configs VALUES (1, 'a', '[]');"
        )
    done, trials = imported(tmp_path / "old.db")
    assert trials["a"].metrics == {"loss": {0: 1.0}}
    assert "config" in done.problems[0]


@pytest.mark.parametrize("name", ["..", "../../..", "/etc", "a/b", "."])
def test_pictures_of_trackio_are_found_by_the_name_of_the_run(trackio, name):
    """A name that is a path is only a name."""
    change(trackio, "UPDATE metrics SET run_name = ? WHERE run_name = 'first'", name)
    media = trackio / "media" / "digits" / "second" / "0"
    media.mkdir(parents=True)
    (media / "dot.png").write_bytes(b"png")
    done, trials = imported(trackio, get_protocol("file:store.json"))
    assert done.files == 1
    assert "file:media/digits/second/0/dot.png" in trials["second"].metadata
    assert trials[name].metrics["loss"]


def test_runs_of_sacred(sacred):
    """How they ended is kept, and what was run."""
    store = get_protocol("file:store.json")
    done, trials = imported(sacred, store)
    assert trials.keys() == {"digits-1", "digits-2"}
    good, bad = trials["digits-1"], trials["digits-2"]
    assert good.metrics == bad.metrics == {"loss": LOSS}
    assert good.parameters.items() >= CONFIG.items()
    assert (good.status, bad.status) == (Status.Completed, Status.Exception)
    assert bad.failure["message"] == "ValueError: the loss is too high"
    assert good.metadata["result"] == 0.5
    assert 0 < good.chronos["runtime"] < 10
    assert good.metadata["file:notes.txt"]["size"] == 11
    assert any(name.startswith("file:source/make") for name in good.metadata)
    (times,) = Reader(store).times([good]).values()
    assert times.started_at < times.metrics["loss"][0] < times.finished_at
    assert done.files == 6


def test_a_run_of_sacred_that_goes_on_is_continued(sacred):
    """Its lists grow."""
    shutil.rmtree(sacred / "2")
    said = json.loads((sacred / "1" / "run.json").read_text())
    over = dict(said)
    said.update(status="RUNNING", stop_time=None, result=None)
    (sacred / "1" / "run.json").write_text(json.dumps(said))
    store = get_protocol("file:store.json")
    assert imported(sacred, store)[1]["digits-1"].status is Status.Running
    metrics = json.loads((sacred / "1" / "metrics.json").read_text())
    for name, value in (("steps", 3), ("values", 0.25), ("timestamps", "2026-11-26T22:00:00")):
        metrics["loss"][name].append(value)
    (sacred / "1" / "metrics.json").write_text(json.dumps(metrics))
    (sacred / "1" / "run.json").write_text(json.dumps(over))
    done, trials = imported(sacred, store)
    assert (done.continued, done.events) == (1, 4)
    assert trials["digits-1"].metrics["loss"] == {**LOSS, 3: 0.25}
    assert trials["digits-1"].status is Status.Completed


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metrics.json", '{"loss": {"steps": [0], "val'),
        ("metrics.json", '{"loss": {"steps": 3}}'),
        ("metrics.json", '{"loss": 1}'),
        ("metrics.json", '{"loss": {"steps": [[]], "values": [1], "timestamps": [1]}}'),
        ("config.json", "[]"),
        ("run.json", "{"),
        ("run.json", '{"experiment": {"sources": [["a", "../../../etc/passwd"]]}}'),
    ],
)
def test_a_damaged_file_of_sacred_costs_what_is_in_it(sacred, name, text):
    """It is told, and the other run is imported."""
    (sacred / "1" / name).write_text(text)
    done, trials = imported(sacred, get_protocol("file:store.json"))
    assert len(done.problems) == 1
    assert trials["digits-2"].metrics == {"loss": LOSS}


def test_a_run_of_dvclive(dvclive):
    """It has the name of its folder."""
    store = get_protocol("memory:")
    _, trials = imported(dvclive, store, project="p")
    trial = trials["p"]
    assert (trial.project_id, trial.parameters) == ("p", CONFIG)
    assert trial.metrics == {"loss": LOSS, "train/accuracy": {0: 0.0, 1: 0.1, 2: 0.2}}
    assert trial.metadata["summary"]["best"] == 0.25
    (times,) = Reader(store).times([trial]).values()
    assert times.metrics["loss"][0] == 1795729183012 * 10**6


def test_runs_of_dvclive_below_a_folder(dvclive):
    """Each is named by its path; what is new is added."""
    shutil.copytree(dvclive, dvclive.parent / "all" / "a" / "b")
    shutil.move(dvclive, dvclive.parent / "all" / "c")
    store = get_protocol("memory:")
    folder = dvclive.parent / "all"
    assert imported(folder, store)[1].keys() == {"a/b", "c"}
    with (folder / "c" / "plots" / "metrics" / "loss.tsv").open("a") as file:
        file.write("1795729183012\t3\t0.25\nnonsense\n")
    done, trials = imported(folder, store)
    assert (done.continued, done.events, len(done.problems)) == (1, 1, 1)
    assert trials["c"].metrics["loss"][3] == 0.25


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.getcwd []\n",
        "a: &a [1]\nb: *a\n",
        "[" * 5000,
        "- 1\n",
        "a: 1\na: [\n",
        "\x00",
    ],
)
def test_settings_that_are_no_data_are_told(dvclive, text):
    """Nothing is evaluated, and nothing grows."""
    (dvclive / "params.yaml").write_text(text)
    done, trials = imported(dvclive)
    assert "params.yaml" in done.problems[0]
    assert trials["dvclive"].metrics["loss"] == LOSS


@pytest.mark.parametrize("tool", ["clearml", "dvclive", "neptune", "sacred", "trackio", "wandb"])
def test_a_folder_without_runs_is_an_error(tool, tmp_path):
    """It names the folder."""
    (tmp_path / "other.db").write_text("no database")
    with pytest.raises(ImportFailed, match=str(tmp_path)):
        next(read_runs(str(tmp_path), tool=tool))
