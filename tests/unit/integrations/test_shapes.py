"""The shapes of TensorBoard's writer and of W&B's module: scripts run with one import changed."""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Pillow

import track
from track import TrackClient
from track.errors import NotRecordedWarning, TrackError
from track.integrations.tensorboard import SummaryWriter
from track.media import Image
from track.reader import Reader
from track.structure import Status

# TensorBoard


def test_a_writer_of_scalars(trials):
    """With tags, groups, texts, hyperparameters, and steps of any order."""
    with SummaryWriter("runs/first", comment="-a", to="file:r.json", project="p") as writer:
        writer.add_hparams({"lr": 0.1}, {"hparam/acc": 0.5})
        writer.add_scalar("loss/train", np.float32(0.5), 3)
        writer.add_scalar("loss/train", 0.25, global_step=1, walltime=1.0)
        writer.add_scalars("loss", {"valid": 2, "test": 3}, 1)
        writer.add_text("note", "hello", 0)
        writer.add_hparams({"late": 1}, {})
        writer.flush()
        assert writer.get_logdir() == "runs/first"
    (trial,) = trials()
    assert trial.metrics == {
        "hparam/acc": [0.5], "loss/train": {3: 0.5, 1: 0.25}, "loss/valid": {1: 2},
        "loss/test": {1: 3},
    }  # fmt: skip
    assert (trial.name, trial.project_id, trial.parameters) == ("first-a", "p", {"lr": 0.1})
    assert (trial.metadata["late"], trial.status) == (1, Status.Completed)
    assert not Path("runs").exists()


def test_a_writer_shows_pictures_and_sounds():
    """Whatever the order of the axes is."""
    array = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)

    class Plot:
        def savefig(self, file, **options):
            Pillow.fromarray(array).save(file, **options)

    client = TrackClient("memory:")
    with SummaryWriter(to=client) as writer:
        writer.add_image("hwc", array, 1, dataformats="HWC")
        writer.add_image("chw", array.transpose(2, 0, 1), 1)
        writer.add_images("batch", np.stack([array, array]), 1, dataformats="NHWC")
        writer.add_figure("figure", [Plot(), Plot()], 1)
        writer.add_histogram("weights", np.arange(10.0), 1, bins="auto")
        writer.add_audio("beep", np.zeros((1, 100)), 1, sample_rate=8000)
        writer.add_text("note", "hello", 0)
    store = Reader(client.protocol)
    found = store.media(store.trials()[0].uid)
    assert [(one.name, one.kind, one.place) for one in found] == [
        ("hwc", "image", 0), ("chw", "image", 0), ("batch", "image", 0), ("batch", "image", 1),
        ("figure", "figure", 0), ("figure", "figure", 1), ("weights", "histogram", 0),
        ("beep", "audio", 0), ("note", "text", 0),
    ]  # fmt: skip
    expected = Image(array).data
    assert [store.content_of(one) for one in found[:4]] == [expected] * 4


def test_what_a_writer_does_not_keep():
    """Said once for each kind, and the script goes on."""
    writer = SummaryWriter(to="memory:")
    with pytest.warns(NotRecordedWarning) as told:
        for step in range(3):
            writer.add_graph(object())
            writer.add_image("image", np.full((3, 2, 2), 7.0), step)
    assert [str(one.message).partition(":")[0] for one in told] == [
        "cannot log graph", "cannot log 'image'",
    ]  # fmt: skip
    with pytest.raises(AttributeError, match="no_such_method"):
        writer.no_such_method()
    with pytest.warns(NotRecordedWarning, match="3 x graph"):
        writer.close()


def test_a_writer_whose_script_fails(trials):
    """The exception is kept."""
    with pytest.raises(ValueError, match="boom"), SummaryWriter(to="file:r.json") as writer:
        writer.add_scalar("loss", 1)
        raise ValueError("boom")
    (trial,) = trials()
    assert trial.status == Status.Exception


# W&B


@pytest.fixture
def wandb(monkeypatch):
    import track.integrations.wandb as module

    monkeypatch.setenv("TRACK_LOG_BACKEND_NAME", "file:r.json")
    yield module
    module.finish()


def test_a_script_as_it_is(wandb, trials):
    """Configuration, steps that count themselves, summary, and the end."""
    run = wandb.init(
        project="p", name="first", config={"lr": 0.1, "model": {"depth": 2}}, tags=["a"]
    )
    assert wandb.init(project="other") is run is wandb.run
    wandb.config.update(Namespace(epochs=3), allow_val_change=True)
    assert (wandb.config.lr, wandb.config["epochs"], run.project) == (0.1, 3, "p")
    wandb.config.seed = 7
    for epoch in range(2):
        wandb.log({"loss": epoch, "nested": {"acc": 1}})
    wandb.log({"late": 1}, commit=False)
    wandb.log({"later": 2})
    wandb.log({"given": 5}, step=10)
    wandb.log({"same": 6})
    wandb.log({"next": 7})
    wandb.config.batch = 4
    wandb.summary["best"] = 0.5
    assert wandb.summary["loss"] == 1
    wandb.finish()
    assert wandb.run is None
    (trial,) = trials()
    assert trial.metrics == {
        "loss": {0: 0, 1: 1}, "nested/acc": {0: 1, 1: 1}, "late": {2: 1}, "later": {2: 2},
        "given": {10: 5}, "same": {10: 6}, "next": {11: 7},
    }  # fmt: skip
    assert trial.parameters == {"lr": 0.1, "model": {"depth": 2}, "epochs": 3, "seed": 7}
    assert (trial.metadata["batch"], trial.metadata["summary/best"]) == (4, 0.5)
    assert (trial.name, trial.project_id, trial.tags) == ("first", "p", {"a": None})
    assert trial.status == Status.Completed


def test_an_axis_of_ones_own(wandb, trials):
    """`define_metric` names the metric whose value is the step."""
    wandb.init()
    wandb.define_metric("epoch")
    wandb.define_metric("valid/*", step_metric="epoch")
    wandb.log({"epoch": 3, "valid/loss": 0.5, "loss": 1})
    wandb.log({"valid/acc": 0.9})
    wandb.finish()
    (trial,) = trials()
    assert trial.metrics == {
        "epoch": {0: 3}, "valid/loss": {3: 0.5}, "loss": {0: 1}, "valid/acc": {3: 0.9}
    }  # fmt: skip


def test_histograms_tables_and_artifacts(wandb, trials):
    """Numbers and files are kept; what is to be seen is told."""
    Path("data").mkdir()
    Path("data/a.txt").write_text("a")
    Path("b.txt").write_text("b")
    run = wandb.init()
    table = wandb.Table(columns=["x", "y"])
    table.add_data(1, "a")
    table.add_column("z", [2.0])
    with pytest.raises(ValueError, match="2 values for the columns"):
        table.add_data(1, 2)
    wandb.log(
        {
            "h": wandb.Histogram(np.array([[0.0, 1.0], [1.0, float("nan")]]), num_bins=2),
            "given": wandb.Histogram(np_histogram=([1], [0, 1])),
            "t": table,
            "frame": wandb.Table(dataframe=pd.DataFrame({"a": [1]})),
        }
    )
    wandb.log({"image": [wandb.Image(np.zeros((2, 2)), caption="zero")], "loss": 1.0})
    wandb.log({"page": wandb.Html("<b>"), "beep": wandb.Audio(np.zeros(9), sample_rate=8000)})
    with pytest.warns(NotRecordedWarning, match="'film'.*not supported"):
        wandb.log({"film": wandb.Video("film.mp4"), "acc": 0.5})
    artifact = wandb.Artifact("set", type="dataset", metadata={"rows": 1})
    artifact.add_dir("data")
    artifact.add_file("b.txt")
    wandb.log_artifact(artifact)
    run.log_artifact("b.txt", name="alone")
    wandb.save("*.txt")
    assert wandb.use_artifact("team/p/set:latest").download("out") == "out"
    wandb.alert("slow", "very", level=wandb.AlertLevel.WARN)
    wandb.define_metric("acc", summary="max")
    wandb.define_metric("lo*", summary="best")
    with pytest.warns(NotRecordedWarning, match="watch has no effect"):
        wandb.watch(object())
    wandb.unwatch()
    with pytest.warns(NotRecordedWarning, match="training continued"):
        wandb.finish()
    (trial,) = trials()
    assert trial.metrics == {"loss": {1: 1.0}, "acc": {3: 0.5}}
    with track.open("file:r.json") as store:
        found = {one.name: (one, store.content_of(one)) for one in store.media(trial.uid)}
    assert {name: one.step for name, (one, _) in found.items()} == {
        "h": 0, "given": 0, "t": 0, "frame": 0, "image": 1, "page": 2, "beep": 2,
    }  # fmt: skip
    assert json.loads(found["h"][1])["counts"] == [1, 2]
    assert json.loads(found["given"][1])["edges"] == [0, 1]
    assert json.loads(found["t"][1])["rows"] == [[1, "a", 2.0]]
    assert json.loads(found["frame"][1])["columns"] == ["a"]
    assert found["image"][0].caption == "zero"
    with track.open("file:r.json") as store:
        (alone, both) = store.artifacts()
        assert ([alone.name, both.name], both.used_by) == (["alone", "set"], [trial.uid])
        assert [file.name for file in both.files()] == ["a.txt", "b.txt"]
        (summary,) = store.summaries().trials
    assert Path("out/a.txt").read_text() == "a"
    assert [one[1:] for one in trial.alerts] == [("warning", "slow", "very")]
    assert trial.metadata["_metrics"] == {"acc": "max", "lo*": "min"}
    assert summary.metrics == {"loss": 1.0, "acc": 0.5}
    assert trial.metadata["artifact:set"]["files"] == ["data/a.txt", "b.txt"]
    assert {"file:b.txt", "artifact:alone"} <= set(trial.metadata)


def test_a_run_that_is_resumed_and_one_that_fails(wandb, trials):
    """By its id; and an exit code is a failure."""
    with wandb.init(id="one") as run:
        run.log({"loss": 1})
    with pytest.raises(ValueError, match="boom"), wandb.init(id="one") as run:
        run.log({"loss": 2}, step=1)
        raise ValueError("boom")
    wandb.init(id="two").log({"loss": 1})
    wandb.finish(exit_code=3)
    first, second = trials()
    assert (first.metrics, first.status) == ({"loss": {0: 1, 1: 2}}, Status.Exception)
    assert "exit code 3" in second.failure["message"]


def test_calls_without_a_run_and_runs_in_a_row(wandb, trials, tmp_path):
    """As W&B: an error that says what to call; `reinit` begins another."""
    for call in (lambda: wandb.log({"a": 1}), lambda: wandb.config, lambda: wandb.summary):
        with pytest.raises(TrackError, match=r"call wandb.init\(\)"):
            call()
    with pytest.raises(AttributeError, match="no_such_name"):
        wandb.no_such_name  # noqa: B018 - the access is what is tested
    assert wandb.login()
    assert wandb.Settings(quiet=True).quiet
    wandb.init(mode="disabled").log({"a": 1})
    wandb.finish()
    assert not (tmp_path / "r.json").exists()
    first = wandb.init(name="a")
    first.log({"x": 1})
    wandb.init(name="b", reinit=True, notes="n").log({"x": 2})
    wandb.finish()
    assert [(t.name, t.status) for t in trials()] == [
        ("a", Status.Completed), ("b", Status.Completed),
    ]  # fmt: skip
    assert trials()[1].metadata["wandb"] == {"notes": "n"}
