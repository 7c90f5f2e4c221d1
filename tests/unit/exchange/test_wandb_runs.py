"""Run folders of W&B are read: those it wrote, and damaged ones."""

import json
import math
import shutil
import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.imported import GOLDEN, NOTHING, added, imported
from track.exchange.sources.protobuf import BadMessage, fields
from track.persistence import get_protocol
from track.reader import Reader
from track.structure import Status

MAGIC = b":W&B\xe1\xbe\x00"
BLOCK = 2**15


def field(number, value):
    """Return a field of a protobuf message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value):
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def run_record(uid="r1", project="digits", **more):
    message = field(1, uid) + field(3, project) + field(17, field(1, 1_700_000_000))
    for name, value in more.items():
        item = field(1, field(1, name) + field(16, json.dumps(value)))
        message += field(4, item)
    return field(17, message)


def history_record(step, **values):
    items = {"_step": step, "_timestamp": 1_700_000_000.5 + step, **values}
    message = b"".join(
        field(1, field(2, name) + field(16, json.dumps(value))) for name, value in items.items()
    )
    return field(2, message)


def exit_record(code=0, runtime=5):
    return field(18, field(1, code) + field(2, runtime))


def framed(records):
    """Return a file of records, as W&B writes it."""
    out = bytearray(MAGIC)
    for record in records:
        is_first = True
        while True:
            left = BLOCK - len(out) % BLOCK
            if left < 7:
                out += bytes(left)
                left = BLOCK
            piece, record = record[: left - 7], record[left - 7 :]
            kind = (1 if is_first else 4) if not record else (2 if is_first else 3)
            head = struct.pack("<HB", len(piece), kind)
            out += struct.pack("<I", crc32(head[2:] + piece)) + head + piece
            is_first = False
            if not record:
                break
    return bytes(out)


def write(folder, *records):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run-r1.wandb"
    path.write_bytes(framed(records))
    return path


@pytest.fixture
def folder(tmp_path):
    """The folder that W&B wrote."""
    return shutil.copytree(GOLDEN / "wandb", tmp_path / "wandb")


@pytest.fixture
def bare(folder):
    """The same without the files of runs, which a store in memory does not keep."""
    for files in folder.glob("*/files"):
        shutil.rmtree(files)
    return folder


def test_a_run_that_was_resumed_is_one_trial(folder):
    """All that was logged is there."""
    store = get_protocol("file:store.json")
    done, trials = imported(folder, store)
    assert (done.projects, done.groups, done.trials, done.files) == (1, 1, 1, 2)
    assert done.problems == []
    trial = trials["first"]
    assert (trial.project_id, trial.status, trial.description) == (
        *("digits", Status.Completed, "what for"),
    )
    assert trial.tags == {"baseline": None}
    assert trial.parameters == {
        "lr": 0.1,
        "optimizer": {"name": "sgd"},
        "layers": [8, 4],
        "late": 1,
    }
    assert trial.metrics["loss"] == {step: 1 / (step + 1) for step in range(6)}
    assert trial.metrics["train/accuracy"] == {step: step / 10 for step in range(6)}
    (weights,) = Reader(store).media(trial)
    assert (weights.name, weights.step, weights.kind) == ("weights", 2, "histogram")
    assert math.isnan(trial.metrics["bad"][2])
    assert trial.metadata["summary"]["best"] == 0.25
    assert trial.metadata["source"] == "wandb:team/digits/run1"
    names = [name for name in trial.metadata if name.startswith("file:")]
    assert sorted(names) == [
        *("file:notes.txt", "file:offline-run-20261126_213928-run1/notes.txt"),
    ]
    assert added(imported(folder, store)[0]) == NOTHING


def test_times_attempts_and_the_machine_are_those_of_the_run(bare):
    """Each folder is an attempt."""
    store = get_protocol("memory:")
    _, trials = imported(bare, store)
    reader = Reader(store)
    attempts = reader.attempts(trials["first"].uid)
    assert [attempt.status for attempt in attempts] == [Status.Completed] * 2
    assert all(0 < attempt.runtime < 10 for attempt in attempts)
    (times,) = reader.times([*trials.values()]).values()
    logged = times.metrics["loss"]
    assert attempts[0].started_at < logged[0] < attempts[0].finished_at
    assert attempts[1].started_at < logged[5] <= attempts[1].finished_at
    (machine,) = reader.system_metrics(trials["first"].uid)
    assert machine.host == "host"
    assert "memory_percent" in machine.values


@pytest.mark.parametrize("name", ["", "offline-run-20261126_213924-run1", "file"])
def test_one_run_may_be_named_alone(bare, name):
    """By its folder, or its file."""
    path = next(bare.rglob("*.wandb")) if name == "file" else bare / name
    assert imported(path)[1].keys() == {"first"}


def test_a_run_still_being_written_is_continued(tmp_path):
    """By what is new, when it is imported again."""
    records = [run_record(lr=0.1), *(history_record(step, loss=step / 2) for step in range(4))]
    path = write(tmp_path, *records[:3])
    path.write_bytes(path.read_bytes() + framed(records)[path.stat().st_size :][:9])
    store = get_protocol("memory:")
    done, trials = imported(path, store)
    assert trials["r1"].metrics["loss"] == {0: 0.0, 1: 0.5}
    assert trials["r1"].status is Status.Running
    assert "still being written" in done.problems[0]
    write(tmp_path, *records, exit_record())
    done, trials = imported(path, store)
    assert (done.continued, done.problems) == (1, [])
    assert trials["r1"].metrics["loss"] == {0: 0.0, 1: 0.5, 2: 1.0, 3: 1.5}
    assert trials["r1"].status is Status.Completed
    assert trials["r1"].chronos == {"runtime": 5.0}


def test_any_beginning_of_a_file_can_be_imported(bare):
    """And importing the whole later gives what importing it at once gives."""
    path = min(bare.rglob("*.wandb"))
    whole = path.read_bytes()
    expected = imported(path)[1]["first"]
    for size in range(7, len(whole), 97):
        path.write_bytes(whole[:size])
        store = get_protocol("memory:")
        done, _ = imported(path, store)
        assert done.problems
        path.write_bytes(whole)
        trial = imported(path, store)[1]["first"]
        assert repr(trial.metrics) == repr(expected.metrics)
        assert (trial.parameters, trial.status) == (expected.parameters, expected.status)


def test_damage_costs_what_is_in_its_block(tmp_path):
    """The rest is taken, and has the same places as before."""
    records = [run_record(), *(history_record(n, text="x" * 1000) for n in range(100))]
    path = write(tmp_path, *records, exit_record())
    whole = path.read_bytes()
    path.write_bytes(whole[: BLOCK + 5000] + b"\xff" * 10 + whole[BLOCK + 5010 :])
    store = get_protocol("memory:")
    done, trials = imported(path, store)
    assert any("a block is damaged" in problem for problem in done.problems)
    assert 50 < len(trials["r1"].metrics["text"]) < 100
    assert trials["r1"].status is Status.Completed


def test_a_record_may_be_longer_than_a_block(tmp_path):
    """It is put together of its pieces."""
    path = write(tmp_path, run_record(), history_record(0, text="x" * 100_000), exit_record())
    assert imported(path)[1]["r1"].metrics["text"] == {0: "x" * 100_000}


def test_failure_is_told_by_the_exit_code(tmp_path):
    """It is all that W&B keeps of it."""
    path = write(tmp_path, run_record(), exit_record(1))
    trial = imported(path)[1]["r1"]
    assert (trial.status, trial.errors) == (Status.Exception, ["exit code 1"])


def test_runs_of_one_id_in_two_projects_are_two_trials(tmp_path):
    """An id is unique in its project."""
    write(tmp_path / "a", run_record(project="one"), exit_record())
    write(tmp_path / "b", run_record(project="two"), exit_record())
    assert imported(tmp_path)[0].trials == 2


def test_names_that_are_paths_are_only_names(tmp_path):
    """Nothing is written anywhere."""
    evil = "../../etc"
    write(tmp_path / "a", run_record(uid=evil, project=evil, **{evil: 1}), exit_record())
    store = get_protocol("file:store.json")
    _, trials = imported(tmp_path / "a", store)
    assert trials[evil].parameters == {evil: 1}
    assert {path.name for path in tmp_path.iterdir()} == {"a"} | {
        path.name for path in tmp_path.iterdir() if path.name.startswith("store.json")
    }


def test_files_outside_the_folder_are_not_read(folder, tmp_path):
    """A link may lead anywhere; it is told."""
    (tmp_path / "secret").write_text("secret")
    (min(folder.glob("*/files")) / "link").symlink_to(tmp_path / "secret")
    done, trials = imported(folder, get_protocol("file:store.json"))
    assert any("links to a file outside" in problem for problem in done.problems)
    assert "file:link" not in trials["first"].metadata


@pytest.mark.parametrize(
    "record",
    [
        b"\xff" * 20,
        field(2, b"\xff" * 20),
        field(2, field(1, field(1, "x") + field(16, "not json"))),
        field(2, field(1, field(1, "x") + field(16, "[" * 100_000))),
        field(2, field(1, field(1, "x") + field(16, '{"a":' * 400 + "1" + "}" * 400))),
        field(2, field(1, field(1, "x") + field(16, '{"a":' * 900 + "1" + "}" * 900))),
        field(2, field(1, field(2, "x") * 100_000 + field(16, "1"))),
        field(2, b"\x0b" * 1000),
    ],
)
def test_a_record_that_makes_no_sense_costs_only_itself(tmp_path, record):
    """However deep it is nested."""
    path = write(tmp_path, run_record(), record, history_record(1, loss=1.0), exit_record())
    assert imported(path)[1]["r1"].metrics["loss"] == {1: 1.0}


@pytest.mark.parametrize(
    ("number", "value", "expected"),
    [(4, varint(1), True), (5, varint(2**64 - 7), -7), (6, struct.pack("<d", 2.5), 2.5)],
)
def test_values_of_newer_versions_have_types(tmp_path, number, value, expected):
    """In place of JSON."""
    typed = varint(number << 3 | (1 if number == 6 else 0)) + value
    record = field(2, field(1, field(1, "x") + typed) + field(2, field(1, 3)))
    assert imported(write(tmp_path, run_record(), record))[1]["r1"].metrics["x"] == {3: expected}


@pytest.mark.parametrize("data", [b"", b"text", MAGIC, MAGIC + bytes(100), MAGIC + b"\xff" * 99])
def test_a_file_that_is_none_is_told(tmp_path, data):
    """The other runs are imported."""
    (tmp_path / "bad.wandb").write_bytes(data)
    write(tmp_path / "good", run_record(), exit_record())
    done, trials = imported(tmp_path)
    assert trials.keys() == {"r1"}
    assert "bad.wandb" in done.problems[0]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_not(message):
    """There is no third."""
    try:
        found = [*fields(message)]
    except BadMessage:
        return
    assert all(isinstance(value, (int, bytes)) for _, value in found)


@given(st.binary(max_size=300))
def test_any_bytes_may_follow_a_good_beginning(tmp_path_factory, data):
    """What came before them is imported."""
    path = write(tmp_path_factory.mktemp("w"), run_record(), history_record(0, loss=1.0))
    path.write_bytes(path.read_bytes() + data)
    assert imported(path)[1]["r1"].metrics["loss"] == {0: 1.0}
