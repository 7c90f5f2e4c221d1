"""Runs of TensorBoard: what is written is read back, by us and by TensorBoard itself."""

import math
import re
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import track
from tests.imported import added, imported
from track import TrackClient
from track.errors import ImportFailed, MissingPackage
from track.exchange import export_tensorboard, read_runs
from track.persistence import get_protocol
from track.projections.copies import copy_trial
from track.reader import Reader
from track.structure import Status, Trial, TrialGroup

pytest.importorskip("tensorboardX")

LOSS = {0: 1.0, 1: 0.5, 10: 0.25}


def only_trial(folder):
    (trial,) = imported(folder)[1].values()
    return trial


def single(value):
    """Return a number in the precision of TensorBoard."""
    try:
        return struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


@pytest.fixture
def run(tmp_path):
    """Write a run, and return its file."""
    export_tensorboard([Trial(_hash="aaa", project_id="p", metrics={"loss": LOSS})], str(tmp_path))
    (path,) = tmp_path.glob("p/aaa_0/*")
    return path


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9),
        st.dictionaries(
            st.integers(-(2**63), 2**63 - 1),
            st.floats() | st.integers(-(2**70), 2**70),
            min_size=1,
            max_size=5,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_what_is_written_is_read_back(tmp_path_factory, metrics):
    """Steps as they are, and values in single precision."""
    folder = tmp_path_factory.mktemp("runs")
    assert export_tensorboard([Trial(_hash="aaa", metrics=metrics)], str(folder)) == 0
    expected = {
        name: {step: single(value) for step, value in metric.items()}
        for name, metric in metrics.items()
    }
    assert repr(only_trial(folder).metrics) == repr(expected)


def test_a_run_is_named_by_project_group_and_trial(tmp_path):
    """Reading makes a trial of each run, in the group of its folder."""
    group = TrialGroup(_uid="g1", name="a group")
    trials = [
        Trial(_hash="aaa", project_id="p", group_id="g1", metrics={"loss": LOSS}),
        Trial(_hash="bbb", project_id="p", metrics={"loss": LOSS}),
        Trial(_hash="ccc", metrics={"loss": LOSS}),
    ]
    export_tensorboard(trials, str(tmp_path), groups=[group])
    store = get_protocol("memory:")
    _, found = imported(tmp_path, store, project="mine")
    assert found.keys() == {"p/a group/aaa_0", "p/bbb_0", "orphan/ccc_0"}
    groups = {group.uid: group for group in store.fetch_groups()}
    assert {group.name for group in groups.values()} == {"p/a group", "p", "orphan"}
    for trial in found.values():
        assert trial.project_id == "mine"
        assert groups[trial.group_id].trials == {trial.uid}
        assert trial.status is Status.FinishedGroup
        assert trial.metrics == {"loss": LOSS}


@pytest.mark.parametrize(
    "name", ["a/b", "..", ".", "", "a%2Fb", "a\\b", "a\0b", "\ud800", ".a", "ü"]
)
def test_any_name_is_a_folder_below_the_given_one(name, tmp_path):
    """And no two names are the same folder."""
    folder = tmp_path / "runs"
    names = {name, "plain", "a_b", "%"}
    trials = [Trial(_hash="aaa", project_id=project, metrics={"x": [1]}) for project in names]
    export_tensorboard(trials, str(folder))
    assert len([*folder.iterdir()]) == len(names)
    assert [*tmp_path.iterdir()] == [folder]
    assert all((place / "aaa_0").is_dir() for place in folder.iterdir())


def test_exporting_again_replaces_what_was_written(tmp_path):
    """Other files stay."""
    trial = Trial(_hash="aaa", metrics={"loss": {0: 1.0, 1: 2.0}})
    export_tensorboard([trial], str(tmp_path))
    trial.metrics = {"loss": {0: 3.0}}
    export_tensorboard([trial], str(tmp_path))
    assert only_trial(tmp_path).metrics == {"loss": {0: 3.0}}
    assert len([*tmp_path.glob("*/*/*")]) == 1


def test_steps_that_are_no_integers_are_numbered(tmp_path):
    """In the order they were logged in; those of a list are its indexes."""
    metrics = {
        "epochs": {0.5: 1.0, 1: 2.0},
        "names": {"first": 3.0, "last": 4.0},
        "huge": {2**63: 5.0},
        "list": [6.0, 7],
        "bare": 8,
        "flags": {5: True},
    }
    assert export_tensorboard([Trial(_hash="aaa", metrics=metrics)], str(tmp_path)) == 0
    assert only_trial(tmp_path).metrics == {
        "epochs": {0: 1.0, 1: 2.0},
        "names": {0: 3.0, 1: 4.0},
        "huge": {0: 5.0},
        "list": {0: 6.0, 1: 7.0},
        "bare": {0: 8.0},
        "flags": {5: 1.0},
    }


def test_series_are_written_as_their_dictionaries(tmp_path):
    """From columns, with the times that they hold themselves."""
    client = TrackClient("file:store.json")
    trial = client.new_trial(name="t", parameters={"lr": 0.1})
    for step in range(5000):
        trial.log_metrics(step=step, loss=step / 7)
    for step in (3, 1, 2.5):
        trial.log_metrics(step=step, again=1.0)
    client.close()
    with track.open("file:store.json") as reader:
        trials = reader.trials()
        with reader.protocol.read_state() as objects:
            plain = [copy_trial(one) for one in objects.trials.values()]
        for name, found in (("series", trials), ("plain", plain)):
            export_tensorboard(found, str(tmp_path / name), times=reader.times(trials))
    files = [sorted((tmp_path / name).rglob("*tfevents*")) for name in ("series", "plain")]
    ((written,), (expected,)) = files
    assert written.read_bytes() == expected.read_bytes()


def test_values_that_are_no_numbers_are_left_out_and_counted(tmp_path):
    """The others keep their steps."""
    metrics = {"loss": [0.5, "x", None, 10**400, 1.0], "text": {0: "y"}}
    assert export_tensorboard([Trial(_hash="aaa", metrics=metrics)], str(tmp_path)) == 4
    assert only_trial(tmp_path).metrics == {"loss": {0: 0.5, 4: 1.0}}


def test_parameters_are_hparams(tmp_path):
    """By dotted name, as numbers, texts and booleans."""
    parameters = {
        "lr": 0.1,
        "opt": {"name": "sgd", "flag": True},
        "n": 3,
        "list": [1, 2],
        "no": None,
    }
    export_tensorboard([Trial(_hash="aaa", parameters=parameters)], str(tmp_path))
    assert only_trial(tmp_path).parameters == {
        "lr": 0.1,
        "opt.name": "sgd",
        "opt.flag": True,
        "n": 3,
        "list": "[1, 2]",
        "no": "",
    }


def test_tensorboard_reads_what_is_written(tmp_path):
    """Its own reader finds the same scalars, at the time of the last change."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    trial = Trial(
        _hash="aaa",
        project_id="p",
        metrics={"loss": LOSS, "nan": [math.nan]},
        parameters={"lr": 0.1},
        metadata={"_last_change": 1234.5},
    )
    export_tensorboard([trial], str(tmp_path))
    found = accumulator.EventAccumulator(str(tmp_path / "p" / "aaa_0"))
    found.Reload()
    assert found.Tags()["scalars"] == ["loss", "nan"]
    points = found.Scalars("loss")
    assert {point.step: point.value for point in points} == LOSS
    assert {point.wall_time for point in points} == {1234.5}
    assert set(found.summary_metadata) == {
        *(f"_hparams_/{name}" for name in ("experiment", "session_start_info", "session_end_info")),
    }


def write_messages(path, *messages):
    """Write an event file as TensorBoard's writers do."""
    from tensorboardX.record_writer import RecordWriter

    writer = RecordWriter(str(path))
    for message in messages:
        writer.write(message if isinstance(message, bytes) else message.SerializeToString())
    writer.close()


def tensor_event(step, wall_time=0.0, tag="loss", **tensor):
    """Return an event as TensorFlow 2 and JAX write it."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary
    from tensorboardX.proto.tensor_pb2 import TensorProto

    value = Summary.Value(tag=tag, tensor=TensorProto(**tensor))
    return Event(step=step, wall_time=wall_time, summary=Summary(value=[value]))


def test_scalars_may_be_tensors_too(tmp_path):
    """Of any type of number, as bytes or as fields."""
    write_messages(
        tmp_path / "events.out.tfevents.1.host",
        tensor_event(0, 100.0, dtype=1, tensor_content=struct.pack("<f", 0.5)),
        tensor_event(1, 101.0, dtype=2, tensor_content=struct.pack("<d", 0.1)),
        tensor_event(2, 102.0, dtype=1, float_val=[0.25]),
        tensor_event(3, 103.0, dtype=9, int64_val=[7]),
        tensor_event(4, 104.5, dtype=10, bool_val=[True]),
    )
    store = get_protocol("memory:")
    (trial,) = imported(tmp_path, store)[1].values()
    assert trial.metrics == {"loss": {0: 0.5, 1: 0.1, 2: 0.25, 3: 7.0, 4: 1.0}}
    (times,) = Reader(store).times([trial]).values()
    assert times.metrics["loss"] == {
        0: 100 * 10**9,
        1: 101 * 10**9,
        2: 102 * 10**9,
        3: 103 * 10**9,
        4: 1045 * 10**8,
    }
    assert times.started_at == 100 * 10**9
    assert trial.name == tmp_path.name, "a run in the folder itself has the name of the folder"


def test_what_is_no_scalar_is_left_out_with_a_count(tmp_path):
    """Tensors with more than one number, strange ones, and a picture that is none."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary
    from tensorboardX.proto.tensor_shape_pb2 import TensorShapeProto

    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
    image = Summary.Value(tag="image", image=Summary.Image(height=1))
    write_messages(
        tmp_path / "events.out.tfevents.1.host",
        tensor_event(0, dtype=7, tensor_shape=shape, string_val=[b"text"]),
        tensor_event(0, dtype=7, string_val=[b"text"]),
        tensor_event(0, dtype=1, tensor_content=b"xxx"),
        tensor_event(0, dtype=1, tensor_shape=shape, float_val=[1.0]),
        Event(summary=Summary(value=[image, Summary.Value(tag="loss", simple_value=0.5)])),
    )
    done, trials = imported(tmp_path)
    assert [trial.metrics for trial in trials.values()] == [{"loss": {0: 0.5}}]
    left_out, damaged = done.problems
    assert left_out.endswith("are not imported (4 times)")
    assert "'image'" in damaged


def test_a_run_in_several_files_is_one_trial(tmp_path):
    """The last value of a step counts: a run that was started again logs some twice."""
    for number, value in ((1, 1.0), (2, 2.0)):
        write_messages(
            tmp_path / f"events.out.tfevents.{number}.host",
            *(tensor_event(step, dtype=1, float_val=[value]) for step in (number, 5)),
        )
    assert only_trial(tmp_path).metrics == {"loss": {1: 1.0, 5: 2.0, 2: 2.0}}


def test_a_file_that_is_still_written_is_read_so_far(run):
    """Wherever it ends; it is told."""
    folder, data = run.parent.parent, run.read_bytes()
    export_tensorboard([Trial(_hash="bbb", metrics={"loss": LOSS})], str(folder))
    seen = set()
    for length in range(1, len(data)):
        run.write_bytes(data[:length])
        done, trials = imported(folder)
        found = [
            trial.metrics["loss"]
            for name, trial in trials.items()
            if "aaa" in name and trial.metrics
        ]
        assert all(loss.items() <= LOSS.items() for loss in found)
        seen |= {len(loss) for loss in found}
        assert len(done.problems) <= 1
    assert seen == {1, 2}
    assert "incomplete" in done.problems[0]


def test_damage_costs_what_is_behind_it(run):
    """Every flipped byte is found, and told with its place."""
    data = run.read_bytes()
    for place in range(len(data)):
        run.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        done, trials = imported(run.parent)
        (problem,) = done.problems
        assert re.search(r"tfevents.* is damaged: only \d+ bytes were read", problem)
        assert all(trial.metrics.get("loss", {}) != LOSS for trial in trials.values())


def test_a_message_that_is_none_is_damage(tmp_path):
    """Though its checksum holds."""
    write_messages(tmp_path / "events.out.tfevents.1.host", b"\xff\xff\xff")
    (problem,) = imported(tmp_path)[0].problems
    assert "damaged: only 0 bytes" in problem


@pytest.mark.parametrize("name", ["missing", "empty", "file"])
def test_a_folder_without_runs_is_one_error(name, tmp_path):
    """It names the folder."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(ImportFailed, match=name):
        next(read_runs(str(tmp_path / name), tool="tensorboard"))


def test_importing_again_adds_what_is_new(run, tmp_path):
    """Of a file that grew, and of files that came."""
    store = get_protocol("memory:")
    whole = run.read_bytes()
    run.write_bytes(whole[:-20])
    done, _ = imported(tmp_path, store)
    assert (done.projects, done.groups, done.trials) == (1, 1, 1)
    run.write_bytes(whole)
    assert added(imported(tmp_path, store)[0]) == (0, 0, 0, 1, 1, 0)
    write_messages(run.parent / "events.out.tfevents.9", tensor_event(99, dtype=1, float_val=[1]))
    done, trials = imported(tmp_path, store)
    assert added(done) == (0, 0, 0, 1, 1, 0)
    assert trials["p/aaa_0"].metrics == {"loss": {**LOSS, 99: 1.0}}


def test_a_missing_package_is_named_with_its_remedy(tmp_path, monkeypatch):
    """By reading and by writing, before anything is written."""
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingPackage, match=r"track-journal\[tensorboard\]"):
        imported(tmp_path, tool="tensorboard")
    with pytest.raises(MissingPackage, match=r"track-journal\[tensorboard\]"):
        export_tensorboard([Trial(_hash="aaa", metrics={"loss": LOSS})], str(tmp_path / "out"))
    assert [*tmp_path.iterdir()] == []


def test_what_programs_write_is_read(tmp_path):
    """Through the class they use: nested runs, texts and histograms among the scalars, hparams."""
    from tensorboardX import SummaryWriter

    for run in ("deep/first", "second"):
        with SummaryWriter(str(tmp_path / run)) as writer:
            for step in range(3):
                writer.add_scalar("train/loss", 1 / (step + 1), step, walltime=100.0 + step)
            writer.add_text("note", "hello", 0)
            writer.add_histogram("weights", [1.0, 2.0, 3.0], 0)
    with SummaryWriter(str(tmp_path / "tuned")) as writer:
        writer.add_hparams({"lr": 0.1, "name": "sgd", "n": 3}, {"accuracy": 0.5}, name="run")
    store = get_protocol("memory:")
    done, trials = imported(tmp_path, store, project="p")
    assert done.problems == []
    assert trials.keys() == {"deep/first", "second", "tuned/run"}, "the run 'tuned' is empty"
    for name in ("deep/first", "second"):
        loss = trials[name].metrics["train/loss"]
        assert loss == {step: single(1 / (step + 1)) for step in range(3)}
    assert trials["tuned/run"].parameters == {"lr": 0.1, "name": "sgd", "n": 3}
    assert trials["tuned/run"].metrics["accuracy"].popitem()[1] == 0.5
    assert {group.name for group in store.fetch_groups()} == {"deep", "tuned"}
    shown = {(one.name, one.kind) for one in Reader(store).media(trials["second"])}
    assert shown == {("note", "text"), ("weights", "histogram")}
