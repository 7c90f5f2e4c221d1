"""Tasks of ClearML are read: those it wrote offline, and damaged ones."""

import json
import shutil
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from tests.imported import GOLDEN, NOTHING, added, imported
from track.errors import ImportFailed
from track.exchange import read_runs
from track.reader import Reader


@pytest.fixture
def folder(tmp_path):
    """The folder of a task that ClearML wrote."""
    (task,) = (GOLDEN / "clearml").iterdir()
    return shutil.copytree(task, tmp_path / "offline" / task.name)


def zipped(folder, path):
    with ZipFile(path, "w", ZIP_DEFLATED) as file:
        for each in folder.rglob("*"):
            file.write(each, each.relative_to(folder))
    return path


@pytest.mark.parametrize("how", ["folder", "above", "zip"])
def test_a_task_is_a_trial(folder, store, tmp_path, how):
    """All that was logged is there, once."""
    source = {"folder": folder, "above": folder.parent}.get(how)
    source = source or zipped(folder, tmp_path / "offline-1.zip")
    done, trials = imported(source, store)
    assert done.problems == []
    trial = trials["first"]
    assert (trial.project_id, trial.description) == ("digits", "what for")
    assert trial.parameters == {"lr": 0.1, "optimizer/name": "sgd", "layers": [8, 4]}
    assert trial.tags == {"baseline": None}
    assert trial.metrics["train/loss"] == {step: 1 / (step + 1) for step in range(3)}
    assert trial.metrics["accuracy"] == {step: step / 10 for step in range(3)}
    (picture,) = Reader(store).media(trial)
    assert (picture.name, picture.step, picture.mime) == ("pic/a", 1, "image/jpeg")
    names = {file.name for file in Reader(store).files(trial)}
    assert names == {"artifacts/notes/notes.txt", "metrics/pic/a/pic_a_00000000.jpeg", "log.jsonl"}
    (times,) = Reader(store).times([trial]).values()
    assert 1.7e18 < times.started_at <= times.metrics["train/loss"][0]
    assert added(imported(source, store)[0]) == NOTHING


def test_a_task_that_goes_on_is_continued(folder, store):
    """A line that is not whole yet is told, and taken when it is."""
    imported(folder, store)
    event = {"timestamp": 1_800_000_000_000, "type": "training_stats_scalar", "iter": 3}
    line = json.dumps([{**event, "metric": "train", "variant": "loss", "value": 0.25}])
    path = folder / "metrics.jsonl"
    before = path.read_text().rstrip("\n") + "\n"
    path.write_text(before + line[:40])
    done, _ = imported(folder, store)
    assert (done.events, len(done.problems)) == (0, 1)
    path.write_text(f"{before}{line}\n")
    done, trials = imported(folder, store)
    assert (done.continued, done.events) == (1, 1)
    assert trials["first"].metrics["train/loss"][3] == 0.25


@pytest.mark.parametrize("tags", [5, "one", {"a": 1}, True, None])
def test_tags_that_are_no_list_cost_nothing_else(folder, store, tags):
    """A number as tags ended the import of all tasks."""
    task = json.loads((folder / "task.json").read_text())
    (folder / "task.json").write_text(json.dumps({**task, "tags": tags}))
    _, trials = imported(folder, store)
    assert trials["first"].tags == {}


def test_what_makes_no_sense_is_told(folder, store):
    """Odd lines, odd events and plots cost only themselves."""
    odd = [7, [7], [{"type": "plot", "timestamp": 1}], [{"timestamp": "x"}], {"a": 1}]
    with (folder / "metrics.jsonl").open("a") as file:
        file.write("\n" + "\n".join(map(json.dumps, odd)) + "\nnot JSON\n" + "[" * 100_000 + "\n")
    done, trials = imported(folder, store)
    assert len(trials["first"].metrics["train/loss"]) == 3
    assert any("plot" in problem for problem in done.problems)


def test_a_picture_outside_of_the_folder_is_not_taken(folder, store):
    """Nor one that is gone."""
    path = folder / "metrics.jsonl"
    for key in ("../../../../etc/passwd", "gone.jpeg"):
        event = {"type": "training_debug_image", "timestamp": 1, "iter": 1, "key": key}
        with path.open("a") as file:
            file.write(json.dumps([{**event, "metric": "m", "variant": "v"}]) + "\n")
    done, trials = imported(folder, store)
    assert len(done.problems) == 2
    assert len(Reader(store).media(trials["first"])) == 1


def test_a_zip_bomb_is_refused(tmp_path):
    path = tmp_path / "offline-1.zip"
    with ZipFile(path, "w", ZIP_DEFLATED) as file:
        file.writestr("task.json", "{}")
        file.writestr("metrics.jsonl", bytes(2**27))
    with pytest.raises(ImportFailed, match="too large to unpack"):
        list(read_runs(str(path)))


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"PK\x03\x04damaged"])
def test_a_zip_that_is_none_is_refused(tmp_path, content):
    path = tmp_path / "offline-1.zip"
    path.write_bytes(content)
    with pytest.raises(ImportFailed):
        list(read_runs(str(path), tool="clearml"))


def test_names_in_a_zip_cannot_lead_out(folder, store, tmp_path):
    path = zipped(folder, tmp_path / "offline-1.zip")
    with ZipFile(path, "a") as file:
        file.writestr("data/../../../outside.txt", "x")
        file.writestr("/etc/outside.txt", "x")
    imported(path, store)
    assert not [*tmp_path.rglob("outside.txt")]
