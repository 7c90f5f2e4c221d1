"""Pictures, tables and sounds of other trackers become media by step."""

import json
import shutil
import sqlite3
from contextlib import closing

import pytest

from tests.imported import GOLDEN, NOTHING, added, imported
from track import TrackClient
from track.cli.app import run
from track.reader import Reader


def shown(store, trial):
    """Return what media a trial has, and their contents, by name."""
    reader = Reader(store)
    media = reader.media(trial)
    return (
        [(one.name, one.step, one.place, one.kind, one.caption) for one in media],
        {one.name: reader.content_of(one) for one in media},
    )


@pytest.fixture
def wandb(tmp_path):
    """A run that W&B wrote, with media of each kind."""
    return shutil.copytree(GOLDEN / "wandb_media", tmp_path / "wandb")


@pytest.fixture
def trackio(tmp_path):
    """A run that trackio wrote, with media of each kind."""
    folder = shutil.copytree(GOLDEN / "trackio_media", tmp_path / "trackio")
    with closing(sqlite3.connect(folder / "digits.db")) as database:
        database.executescript((folder / "digits.sql").read_text())
    (folder / "digits.sql").unlink()
    return folder


def test_media_of_wandb(wandb, store):
    """In the order of the calls; they are not among the metrics."""
    done, trials = imported(wandb, store)
    trial = trials["shown"]
    assert done.problems == [
        f"{trial.metadata['source']}: the artifact run-run2-table is not imported"
    ]
    media, contents = shown(store, trial)
    assert media == [
        ("nested/picture", 3, 0, "image", "black"),
        ("pictures", 4, 0, "image", None),
        ("pictures", 4, 1, "image", None),  # W&B drops captions if the first has none
        ("sound", 4, 0, "audio", "still"),
        ("table", 5, 0, "table", None),
        ("page", 6, 0, "html", None),
        ("counts", 7, 0, "histogram", None),
    ]
    assert contents["nested/picture"].startswith(b"\x89PNG")
    assert json.loads(contents["table"]) == {"columns": ["a", "b"], "rows": [[1, "x"]]}
    assert json.loads(contents["counts"])["counts"] == [1.0, 3.0]
    assert contents["page"] == b"<b>x</b>"
    assert trial.metrics == {"loss": {3: 1.0}}


def test_media_of_trackio(trackio, store):
    done, trials = imported(trackio, store)
    assert done.problems == []
    media, contents = shown(store, trials["shown"])
    assert media == [
        ("picture", 0, 0, "image", "black"),
        ("sound", 1, 0, "audio", None),
        ("table", 2, 0, "table", None),
        ("counts", 3, 0, "histogram", None),
    ]
    assert json.loads(contents["table"]) == {"columns": ["a", "b"], "rows": [[1, "x"]]}
    assert trials["shown"].metrics == {"loss": {0: 1.0}}


@pytest.mark.parametrize("source", ["wandb", "trackio"])
def test_media_are_imported_once(source, store, request):
    folder = request.getfixturevalue(source)
    _, trials = imported(folder, store)
    before = shown(store, trials["shown"])
    assert added(imported(folder, store)[0]) == NOTHING
    assert shown(store, trials["shown"]) == before


def test_a_medium_that_is_gone_changed_or_no_medium_is_told(wandb, store):
    """The others are there."""
    (sound,) = wandb.rglob("sound_*.wav")
    (page,) = wandb.rglob("page_*.html")
    (table,) = wandb.rglob("table_*.json")
    sound.unlink()
    page.write_text("something else")
    table.write_text("[")
    done, trials = imported(wandb, store)
    assert sum("does not exist" in problem for problem in done.problems) == 1
    assert sum("has changed since" in problem for problem in done.problems) == 2
    names = {name for name, *_ in shown(store, trials["shown"])[0]}
    assert names == {"nested/picture", "pictures", "counts"}


def test_no_medium_is_taken_from_outside(trackio, store, tmp_path):
    """Whatever path a database or a link names."""
    secret = tmp_path / "secret.png"
    shutil.copy(next(trackio.rglob("*.png")), secret)
    link = trackio / "media" / "link.png"
    link.symlink_to(secret)
    paths = ["../../secret.png", str(secret), "link.png", "\0", 7, None, "digits"]
    with closing(sqlite3.connect(trackio / "digits.db")) as database:
        (run,) = database.execute("SELECT DISTINCT run_id FROM metrics").fetchone()
        for step, path in enumerate(paths):
            value = json.dumps({f"bad{step}": {"_type": "trackio.image", "file_path": path}})
            database.execute(
                "INSERT INTO metrics (run_id, run_name, timestamp, step, metrics) "
                "VALUES (?, 'shown', '2026-01-01T00:00:00', ?, ?)",
                [run, step, value],
            )
        database.commit()
    done, trials = imported(trackio, store)
    names = {name for name, *_ in shown(store, trials["shown"])[0]}
    assert names == {"picture", "sound", "table", "counts"}
    assert sum("'bad" in problem for problem in done.problems) == len(paths)


def test_media_of_tensorboard(tmp_path, store):
    """As its writers log them, and as our own export writes them."""
    tensorboard = pytest.importorskip("tensorboardX")
    numpy = pytest.importorskip("numpy")
    with tensorboard.SummaryWriter(str(tmp_path / "runs" / "one")) as writer:
        writer.add_image("pic", numpy.zeros((3, 4, 6), "uint8"), 7)
        writer.add_histogram("weights", numpy.arange(1000.0), 2)
        writer.add_text("note", "hello", 3)
    done, trials = imported(tmp_path / "runs", store)
    assert done.problems == []
    media, contents = shown(store, trials["one"])
    assert [(name, step, kind) for name, step, _, kind, _ in media] == [
        ("pic", 7, "image"),
        ("weights", 2, "histogram"),
        ("note", 3, "text"),
    ]
    histogram = json.loads(contents["weights"])
    assert sum(histogram["counts"]) == 1000
    assert (histogram["edges"][0], histogram["edges"][-1]) == (0.0, 999.0)
    assert contents["note"] == b"hello"
    assert added(imported(tmp_path / "runs", store)[0]) == NOTHING


def test_pictures_of_mlflow(tmp_path, store):
    """Those of log_image, of today's names and of older ones, once each."""
    pytest.importorskip("yaml")
    picture = next(GOLDEN.rglob("*.png"))
    run = tmp_path / "mlruns" / "1" / ("a" * 32)
    images = run / "artifacts" / "images"
    images.mkdir(parents=True)
    (run.parent / "meta.yaml").write_text(
        "experiment_id: '1'\nname: digits\nlifecycle_stage: active\n"
    )
    (run / "meta.yaml").write_text(
        f"run_id: {'a' * 32}\nrun_name: shown\nstatus: 3\nstart_time: 1000\nend_time: 2000\n"
        f"lifecycle_stage: active\nexperiment_id: '1'\nartifact_uri: {run / 'artifacts'}\n"
    )
    shutil.copy(picture, images / "a~b+step+3+timestamp+1500+0f-1.png")
    shutil.copy(picture, images / "a~b+step+3+timestamp+1500+0f-1+compressed.webp")
    shutil.copy(picture, images / "c%step%4%timestamp%1600%0f-2.png")
    (images / "d+step+5+timestamp+1700+0f-3.png").write_bytes(b"no picture")
    done, trials = imported(tmp_path / "mlruns", store)
    assert ["is no" in one or "are no" in one for one in done.problems] == [True]
    media, _ = shown(store, trials["shown"])
    assert [(name, step) for name, step, *_ in media] == [("a/b", 3), ("c", 4)]
    assert Reader(store).media(trials["shown"])[0].at == 1_500_000_000
    assert added(imported(tmp_path / "mlruns", store)[0]) == NOTHING


def test_what_is_exported_to_tensorboard_is_imported_again(tmp_path, store):
    """By the command line; media that TensorBoard cannot show are left out."""
    pytest.importorskip("tensorboardX")
    numpy = pytest.importorskip("numpy")
    client = TrackClient(f"file:{tmp_path / 'runs.json'}")
    with client.new_trial(name="n", parameters={"lr": 0.1}) as trial:
        trial.log_metrics(step=0, loss=1.0)
        trial.log_image("pic", numpy.zeros((4, 6, 3), "uint8"), 7)
        trial.log_audio("snd", numpy.zeros(8, "int16"), 8000, 1)
        trial.log_histogram("hist", [1, 2, 2, 3], 2, bins=2)
        trial.log_text("note", "hello", 3)
        trial.log_html("page", "<b>x</b>", 4)
    client.close()
    folder = str(tmp_path / "tb")
    assert run(["export", "-s", client.protocol.uri, "-f", "tensorboard", "-o", folder]) == 0
    done, trials = imported(folder, store)
    (found,) = trials.values()
    assert (done.problems, found.metrics) == ([], {"loss": {0: 1.0}})
    media, contents = shown(store, found)
    assert [(name, step, kind) for name, step, _, kind, _ in media] == [
        ("pic", 7, "image"),
        ("snd", 1, "audio"),
        ("hist", 2, "histogram"),
        ("note", 3, "text"),
    ]
    assert json.loads(contents["hist"]) == {
        "edges": [1.0, 2.0, 3.0],
        "counts": [1.0, 3.0],
        "nan": 0,
        "infinite": 0,
    }
