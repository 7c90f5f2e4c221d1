"""Repositories of Aim are imported: those that it writes today, and damaged ones."""

import hashlib
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.imported import NOTHING, added, imported
from tests.integrations.support import run_program
from track.errors import ImportFailed
from track.exchange import read_runs
from track.persistence import get_protocol
from track.reader import Reader
from track.structure import Status

pytest.importorskip("aim")

TOOL = Path(__file__).parents[2] / "tools" / "make_import_samples.py"

STARTS = """
    import os
    from aim import Run
    run = Run(repo="repository", system_tracking_interval=None, capture_terminal_logs=True)
    for step in range(3):
        run.track(1 / (step + 1), name="loss", step=step)
    print("a line")
    print("half of", end="", flush=True)
    run._system_resource_tracker._store_buffered_logs()
    open("hash", "w").write(run.hash)
    os.kill(os.getpid(), 9)
"""
GOES_ON = """
    from aim import Run
    run = Run(open("hash").read(), repo="repository", system_tracking_interval=None,
              capture_terminal_logs=False, force_resume=True)
    run.track(7.0, name="loss", step=1)
    run.track(0.25, name="loss", step=3)
    run["late"] = 1
    run.close()
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A repository that Aim wrote."""
    folder = tmp_path_factory.mktemp("aim") / "samples"
    subprocess.run([sys.executable, str(TOOL), str(folder), "aim"], check=True, timeout=300)
    return folder / "aim"


@pytest.fixture
def repository(written, tmp_path):
    return shutil.copytree(written, tmp_path / "repository")


@pytest.fixture
def store(tmp_path):
    made = get_protocol(f"file:{tmp_path / 'store.json'}")
    yield made
    made.close()


def contents_of(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run_folders(repository):
    return sorted((repository / ".aim" / "meta" / "chunks").iterdir())


def test_a_repository(written, store):
    """All that was tracked is there, once, and the repository is as it was."""
    before = contents_of(written)
    done, trials = imported(written, store)
    # Artifacts are found where they were logged to.
    assert (done.problems, done.trials, done.files) == ([], 2, 1)
    trial = trials["first"]
    assert (trial.project_id, trial.description) == ("digits", "what for")
    assert trial.tags == {"baseline": None}
    assert trial.parameters["hparams"] == {
        "lr": 0.1,
        "optimizer": {"name": "sgd"},
        "layers": [8, 4],
    }
    assert trial.metrics["train/loss"] == {step: 1 / (step + 1) for step in range(3)}
    assert trial.metrics["train/epoch"] == dict.fromkeys(range(3), 0)
    assert trial.metrics["fold=1/val/error"] == {step: step for step in range(3)}
    assert math.isnan(trial.metrics["accuracy"].pop(3))
    assert trial.metrics["accuracy"] == {step: step / 10 for step in range(3)}
    assert (trial.status, trial.version) == (Status.FinishedGroup, "0a1b2c3")
    reader = Reader(store)
    (times,) = reader.times([trial]).values()
    logged = [*times.metrics["train/loss"].values()]
    assert logged == sorted(logged)
    assert 1.7e18 < times.started_at <= logged[0] <= logged[-1] <= times.finished_at
    (machine,) = reader.system_metrics(trial.uid)
    assert sorted(machine.values["cpu"]) == [0.0, 1.0, 2.0]
    (alert,) = trial.alerts
    assert (alert.level, alert.title) == ("warning", "the loss is high")
    assert [file.name for file in reader.files(trial)] == ["notes.txt"]
    assert [one.name for one in store.fetch_archived_trials()] == ["hidden"]
    assert added(imported(written, store)[0]) == NOTHING
    assert contents_of(written) == before


def test_secrets_of_the_process_are_left_out(repository, store):
    """Aim keeps the environment and the command line."""
    trial = imported(repository, store)[1]["first"]
    assert trial.metadata["command"] == ["train.py", "--token", "***"]
    assert "somebody" not in repr([trial.parameters, trial.metadata])


def test_media(repository, store):
    """Each kind that Aim has is a medium by step."""
    pytest.importorskip("plotly")
    trial = imported(repository, store)[1]["first"]
    reader = Reader(store)
    media = reader.media(trial)
    assert sorted((one.name, one.step, one.kind, one.caption or "") for one in media) == [
        ("counts", 2, "histogram", ""),
        ("figure", 2, "figure", ""),
        ("picture", 1, "image", "black"),
        ("pictures", 1, "image", ""),
        ("pictures", 1, "image", "grey"),
        ("sound", 2, "audio", "still"),
        ("text", 2, "text", ""),
    ]
    contents = {one.name: reader.content_of(one) for one in media}
    assert contents["text"] == b"a text"
    assert contents["picture"].startswith(b"\x89PNG")
    assert json.loads(contents["counts"])["counts"] == [1.0, 3.0]


def test_one_run(repository, store):
    """Its folder is enough."""
    for folder in run_folders(repository):
        done, _ = imported(folder, store)
        assert (done.trials, done.continued) == (1, 0)
    again, _ = imported(repository / ".aim", store)
    assert added(again)[2:5] == (0, 0, 0)


def test_a_killed_run_that_goes_on(tmp_path, monkeypatch):
    """What it left is there; a value that replaces another one is added."""
    monkeypatch.chdir(tmp_path)
    run_program(STARTS, killed=True)
    store = get_protocol("file:store.json")
    done, trials = imported("repository", store)
    (trial,) = trials.values()
    assert trial.status is Status.Running
    assert trial.metrics == {"loss": {step: 1 / (step + 1) for step in range(3)}}
    lines = [(line.text, line.is_whole) for line in Reader(store).output(trial)]
    assert lines == [("a line", True), ("half of", False)]
    assert "still running" in done.problems[0]
    run_program(GOES_ON)
    done, trials = imported("repository", store)
    (trial,) = trials.values()
    assert (done.trials, done.continued) == (0, 1)
    assert trial.metrics == {"loss": {0: 1.0, 1: 7.0, 2: 1 / 3, 3: 0.25}}
    assert trial.parameters == {"late": 1}
    assert trial.status is Status.FinishedGroup
    assert added(imported("repository", store)[0]) == NOTHING


@pytest.mark.parametrize("kind", ["meta", "seqs"])
def test_a_damaged_run_costs_itself(repository, store, kind):
    """It is told, and the other one is imported."""
    damaged = run_folders(repository)[0]
    for path in (repository / ".aim" / kind / "chunks" / damaged.name).iterdir():
        path.write_bytes(b"damaged")
    done, trials = imported(repository, store)
    assert sum(problem.startswith(f"{damaged}: ") for problem in done.problems) == 1
    assert len(trials) + len(store.fetch_archived_trials()) == 1


@pytest.mark.parametrize("content", [b"", b"damaged" * 1000])
def test_runs_without_their_names_are_imported(repository, store, content):
    """They are called by their hashes."""
    (repository / ".aim" / "run_metadata.sqlite").write_bytes(content)
    done, trials = imported(repository, store)
    assert sum("run_metadata.sqlite" in problem for problem in done.problems) == 2
    assert trials.keys() == {path.name for path in run_folders(repository)}


def test_artifacts_elsewhere_are_told(repository, store):
    """The copy names those of the original, which is another folder."""
    done, _ = imported(repository, store)
    assert done.files == 0
    assert any("the artifact notes.txt is not below" in problem for problem in done.problems)


def test_a_folder_without_a_repository_is_an_error(tmp_path):
    with pytest.raises(ImportFailed, match=str(tmp_path)):
        next(read_runs(str(tmp_path), tool="aim"))
