"""The event files of TensorBoard grow by what is new, and by nothing else."""

import json
import struct

import pytest

from track import TrackClient
from track.exchange import Pusher, open_target

pytest.importorskip("tensorboardX")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "tb"


def push(client, folder):
    with Pusher(client.protocol, open_target(f"tensorboard:{folder}")) as pusher:
        return pusher.push()


def log_steps(trial, steps):
    for step in steps:
        trial.log_metrics(step=step, loss=float(step))


def events_of(folder):
    """Return what TensorBoard itself reads, by run."""
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    found = {}
    for path in folder.rglob("*tfevents*"):
        found[path] = [*loader.EventFileLoader(str(path)).Load()]
    return found


def scalars_of(folder):
    (events,) = events_of(folder).values()
    return [
        (value.tag, event.step, value.tensor.float_val[0])
        for event in events
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "scalars"
    ]


def test_a_file_grows_by_what_is_new(client, folder):
    """Its beginning stays as it is, for the TensorBoard that reads it meanwhile."""
    trial = client.new_trial(parameters={"lr": 0.1})
    log_steps(trial, range(3))
    assert push(client, folder).rows == 3
    (path,) = folder.rglob("*tfevents*")
    before = path.read_bytes()
    assert push(client, folder).rows == 0
    assert path.read_bytes() == before
    log_steps(trial, range(3, 5))
    assert push(client, folder).rows == 2
    assert path.read_bytes().startswith(before)
    assert scalars_of(folder) == [("loss", step, float(step)) for step in range(5)]
    assert path.parent.parent == folder / "digits"


@pytest.mark.parametrize("torn", [b"\0", b"half a record", struct.pack("<Q", 2**40)])
def test_what_was_not_counted_is_written_again(client, folder, torn):
    """A push that was killed may leave anything behind the last record that counts."""
    trial = client.new_trial(parameters={})
    log_steps(trial, range(3))
    push(client, folder)
    (path,) = folder.rglob("*tfevents*")
    with path.open("ab") as file:
        file.write(torn)
    log_steps(trial, range(3, 5))
    push(client, folder)
    assert [step for _, step, _ in scalars_of(folder)] == [*range(5)]


@pytest.mark.parametrize("said", ["", "{}", "[]", '{"rows": "x", "size": 1, "parameters": null}'])
def test_what_is_counted_may_be_damaged(client, folder, said):
    """The run is written anew."""
    trial = client.new_trial(parameters={})
    log_steps(trial, range(3))
    push(client, folder)
    (path,) = folder.rglob("track-pushed.json")
    path.write_text(said)
    log_steps(trial, range(3, 5))
    push(client, folder)
    assert [step for _, step, _ in scalars_of(folder)] == [*range(5)]


def test_a_run_that_was_deleted_comes_back_whole(client, folder):
    """When the trial has news."""
    trial = client.new_trial(parameters={})
    log_steps(trial, range(3))
    push(client, folder)
    (path,) = folder.rglob("*tfevents*")
    path.unlink()
    log_steps(trial, range(3, 5))
    push(client, folder)
    assert [step for _, step, _ in scalars_of(folder)] == [*range(5)]


def test_media_are_shown_by_tensorboard(client, folder):
    """Pictures, sounds, histograms, texts and tables; what it cannot show is told."""
    numpy = pytest.importorskip("numpy")
    with client.new_trial(parameters={}) as trial:
        trial.log_image("pic", numpy.zeros((4, 6, 3), "uint8"), step=7)
        trial.log_audio("snd", numpy.zeros(8, "int16"), 8000, step=1)
        trial.log_histogram("hist", [1, 2, 2, 3], step=2, bins=2)
        trial.log_text("note", "hello", 3)
        trial.log_table("rows", {"a": [1], "b|c": ["x"]}, step=4)
        trial.log_html("page", "<b>x</b>", 5)
    done = push(client, folder)
    (events,) = events_of(folder).values()
    values = {value.tag: (event.step, value) for event in events for value in event.summary.value}
    plugins = {tag: value.metadata.plugin_data.plugin_name for tag, (_, value) in values.items()}
    assert plugins == {
        "pic": "images",
        "snd": "audio",
        "hist": "histograms",
        "note/text_summary": "text",
        "rows/text_summary": "text",
    }
    assert values["pic"][0] == 7
    assert values["pic"][1].tensor.string_val[:2] == [b"6", b"4"]
    assert b"b\\|c" in values["rows/text_summary"][1].tensor.string_val[0]
    assert ["html" in problem for problem in done.problems] == [True]


def test_parameters_are_hparams(client, folder):
    """Once, and again if they change."""
    trial = client.new_trial(parameters={"lr": 0.1})
    log_steps(trial, range(2))
    push(client, folder)
    log_steps(trial, range(2, 4))
    push(client, folder)
    (events,) = events_of(folder).values()
    plugins = [
        value.metadata.plugin_data.plugin_name for event in events for value in event.summary.value
    ]
    assert plugins.count("hparams") == 3  # an experiment, a session, and its end


def test_names_cannot_lead_out_of_the_folder(tmp_path, folder):
    """Neither those of projects, nor those of groups."""
    client = TrackClient(f"file:{tmp_path / 'odd.json'}")
    client.set_project("../../out")
    client.set_group("..")
    with client.new_trial(parameters={}) as trial:
        log_steps(trial, range(2))
    push(client, folder)
    client.close()
    (path,) = tmp_path.rglob("*tfevents*")
    assert path.is_relative_to(folder)
    assert not (tmp_path.parent / "out").exists()


def test_what_is_counted_agrees_with_the_file(client, folder):
    trial = client.new_trial(parameters={})
    log_steps(trial, range(3))
    push(client, folder)
    (path,) = folder.rglob("*tfevents*")
    said = json.loads(next(folder.rglob("track-pushed.json")).read_text())
    assert (said["rows"], said["size"]) == (3, path.stat().st_size)
