"""What neptune-exporter saves is imported: whole exports, interrupted and damaged ones."""

import math
import shutil

import pytest

from tests.imported import GOLDEN, NOTHING, added, imported
from track.reader import Reader
from track.structure import Status

pytest.importorskip("pyarrow")

START_NS = 1_795_784_000 * 10**9


@pytest.fixture
def exported(tmp_path):
    """The folder with the folders of data and of files."""
    return shutil.copytree(GOLDEN / "neptune", tmp_path / "exports")


def parts_of(exported, run):
    return sorted(exported.glob(f"data/*/{run}-*.parquet"))


@pytest.mark.parametrize("inner", [".", "data", "data/team_digits-0123456789abcdef"])
def test_a_run(exported, store, inner):
    """All that was exported is there, once, whichever folder is given."""
    done, trials = imported(exported / inner, store)
    (gone,) = done.problems
    assert "the file gone was left out" in gone
    trial = trials["first"]
    assert (trial.project_id, trial.description) == ("team/digits", "what for")
    assert trial.tags == {"baseline": None}
    assert trial.parameters == {
        "parameters/lr": 0.1,
        "parameters/layers": 2,
        "data/made": "2026-11-27T12:53:20.000000000Z",
        "data/is_small": False,
    }
    assert trial.metrics["train/loss"] == {step: 1 / (step + 1) for step in range(3)}
    assert math.isnan(trial.metrics["train/half"][0.5])
    assert trial.status is Status.Exception
    assert trial.metadata["sys"] == {"owner": "me"}
    reader = Reader(store)
    (times,) = reader.times([trial]).values()
    assert (times.started_at, times.finished_at) == (START_NS, START_NS + 60 * 10**9)
    assert times.metrics["train/loss"] == {step: START_NS + (step + 1) * 10**9 for step in range(3)}
    assert added(imported(exported / inner, store)[0]) == NOTHING


def test_media_files_and_what_the_machine_did(exported, store):
    """Files, texts and histograms by step are media; what Neptune monitored is the machine's."""
    trial = imported(exported, store)[1]["first"]
    reader = Reader(store)
    media = reader.media(trial)
    assert {(one.name, one.step, one.kind) for one in media} == {
        ("counts", 2, "histogram"),
        ("note", 1, "text"),
        ("pictures", 1, "image"),
    }
    assert {file.name for file in reader.files(trial)} == {"notes", "set/inner.txt", "texts/1"}
    (machine,) = reader.system_metrics(trial.uid)
    assert machine.values["cpu"].tolist() == [12.5]
    assert [(line.source, line.text) for line in reader.output(trial)] == [("stdout", "a line")]


def test_a_run_of_neptune_3_is_named_by_its_id(exported, store):
    """Its experiment is the group, and a run in the trash is archived."""
    imported(exported, store)
    (trial,) = store.fetch_archived_trials()
    (group,) = store.fetch_groups()
    assert (trial.name, group.name, trial.group_id) == ("my-run", "an experiment", group.uid)


def test_one_run_by_one_of_its_files(exported, store):
    done, trials = imported(parts_of(exported, "SAN-1")[1], store)
    assert (done.trials, [*trials]) == (1, ["first"])


def test_a_damaged_part_costs_what_is_in_it(exported, store):
    """It is told, and added when it was exported again."""
    _, second = parts_of(exported, "SAN-1")
    content = second.read_bytes()
    second.write_bytes(content[:1000])
    done, trials = imported(exported, store)
    assert any(problem.startswith(str(second)) for problem in done.problems)
    assert trials["first"].metrics == {"train/loss": {1: 0.5, 2: 1 / 3}}
    assert added(imported(exported, store)[0]) == NOTHING
    second.write_bytes(content)
    trials = imported(exported, store)[1]
    assert trials["first"].metrics["train/loss"] == {step: 1 / (step + 1) for step in range(3)}
    assert "train/half" in trials["first"].metrics
    assert added(imported(exported, store)[0]) == NOTHING


def test_an_interrupted_export_is_told(exported, store):
    """Its first part is named last."""
    first, _ = parts_of(exported, "SAN-1")
    first.unlink()
    done, trials = imported(exported, store)
    assert any("its export was interrupted" in problem for problem in done.problems)
    assert trials["SAN-1"].metrics["train/loss"] == {0: 1.0}


def test_files_outside_of_the_folder_are_not_taken(exported, store):
    """A link leads nowhere."""
    (picture,) = exported.glob("files/*/SAN-1/picture.png")
    outside = exported.parent / "outside.png"
    shutil.move(picture, outside)
    picture.symlink_to(outside)
    done, trials = imported(exported, store)
    assert any("is outside" in problem for problem in done.problems)
    assert "pictures" not in {one.name for one in Reader(store).media(trials["first"])}


def test_a_table_with_other_columns_is_told(exported, store):
    import pyarrow as pa
    from pyarrow import parquet

    (part,) = parts_of(exported, "my-run")
    parquet.write_table(pa.table({"step": [1.0]}), part)
    done, trials = imported(exported, store)
    assert any(problem.startswith(str(part)) for problem in done.problems)
    assert "first" in trials
