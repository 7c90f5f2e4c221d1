"""What a training script logs through."""

import hashlib
import json
import math
import sys
import threading
import time
from contextlib import nullcontext
from multiprocessing import get_context

import numpy as np
import pytest

from tests.databases import free_port
from tests.programs import run_at_once
from track import TrackClient
from track.aggregators.aggregator import RingAggregator, StatAggregator, ValueAggregator
from track.errors import EncodingError, JournalClosed, NotRecordedWarning, TrackError
from track.events.types import ChronoFinished
from track.logger import TrialLogger
from track.relay.server import SocketServer
from track.structure import CustomStatus, Status, Trial
from track.utils.stat import StatStream


@pytest.fixture
def client():
    """A client of a file, whose trial exists."""
    client = TrackClient("file:report.json")
    client.new_trial(parameters={"a": 1})
    yield client
    client.close()


@pytest.fixture
def trial(client):
    return client.logger


def stored(client):
    """Return the trial as anybody else would fetch it."""
    other = TrackClient("file:report.json")
    (found,) = other.protocol.fetch_trials({"uid": client.uid})
    other.close()
    return found


def test_what_is_logged_is_seen_at_once(client, trial):
    """Another reader of the store sees each call, and so does the trial of the logger."""
    trial.log_metrics(step=0, loss=1.5, acc=0)
    trial.log_metrics(final=0.5)
    trial.log_metadata(gpu="V100", nested={"list": [1, (2, None)]})
    trial.add_tags(workers=8)
    trial.set_status(CustomStatus("resting", 102), error="tired")
    found = stored(client)
    expected = {"loss": {0: 1.5}, "acc": {0: 0}, "final": [0.5]}
    assert found.metrics == expected == trial.metrics == trial.trial.metrics
    assert found.metadata["nested"] == {"list": [1, (2, None)]}
    assert found.tags == {"workers": 8} == trial.tags
    assert (found.status, found.errors) == (CustomStatus("resting", 102), ["tired"])
    assert (trial.status, trial.errors) == (CustomStatus("resting", 102), ["tired"])


def test_the_trial_shows_through(trial):
    """The attributes of the trial are attributes of the logger."""
    assert (trial.uid, trial.revision, trial.parameters) == (trial.trial.uid, 0, {"a": 1})
    assert trial.uid in repr(trial)
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = trial.no_such_thing


def test_values_are_frozen_at_the_call(client, trial):
    """What the script does to a value afterwards does not reach the store or the trial."""
    value = {"list": [1]}
    trial.log_metadata(value=value)
    trial.log_metrics(step=1, value=value)
    trial.log_metrics(value=value["list"])
    value["list"].append(2)
    found = stored(client)
    assert found.metadata["value"] == {"list": [1]}
    assert found.metrics["value"] == {1: {"list": [1]}, 2: [1]} == trial.metrics["value"]


def test_numpy_values_are_numbers(client, trial):
    """Scalars of any kind come back as plain ones, steps too."""
    trial.log_metrics(step=np.int64(3), loss=np.float32(0.5), done=np.bool_(True))
    trial.log_metadata(nan=np.float64("nan"), zero_d=np.array(2))
    found = stored(client)
    assert found.metrics == {"loss": {3: 0.5}, "done": {3: True}}
    assert {type(step) for step in found.metrics["loss"]} == {int}
    assert type(found.metrics["done"][3]) is bool
    assert math.isnan(found.metadata["nan"])
    assert type(found.metadata["zero_d"]) is int


@pytest.mark.parametrize(
    "call",
    [
        lambda trial: trial.log_metrics(good=1, bad=object()),
        lambda trial: trial.log_metrics(step={}, bad=1),
        lambda trial: trial.log_metrics(aggregator=StatAggregator.lazy(), bad="text"),
        lambda trial: trial.log_metrics(aggregator=int, bad=1),
        lambda trial: trial.log_metadata(good=1, bad={"x": {1, 2}}),
        lambda trial: trial.add_tags(bad=len),
        lambda trial: trial.chrono(["bad"]),
        lambda trial: trial.chrono("bad", aggregator=dict).__enter__(),
    ],
)
def test_what_cannot_be_logged_is_one_error(client, trial, call):
    """A TypeError says which it was, and nothing of the call is kept."""
    with pytest.raises(TypeError):
        call(trial)
    found = stored(client)
    assert (found.metrics, found.tags, found.metadata) == ({}, {}, {"_update_count": 0})
    trial.log_metrics(good=1)
    assert trial.metrics == {"good": [1]}


def test_the_error_names_the_key(trial):
    """Deep inside a value the path to the culprit is shown."""
    with pytest.raises(EncodingError, match=r"bad\.x\[1\]"):
        trial.log_metadata(good=1, bad={"x": [0, object()]})


def test_a_closed_client_says_so(client, trial):
    """Nothing is logged into nowhere."""
    client.close()
    with pytest.raises(JournalClosed, match="open"):
        trial.log_metrics(loss=1)


def test_aggregators(client, trial):
    """Metrics and metadata can be accumulated instead of kept."""
    for value in range(5):
        trial.log_metrics(aggregator=RingAggregator.lazy(2, "i"), ring=value)
        trial.log_metrics(step=value, aggregator=StatAggregator.lazy(1), stat=value)
        trial.log_metadata(aggregator=ValueAggregator.lazy(), last=value)
    found = stored(client)
    assert found.metrics["ring"] == [3, 4]
    assert (found.metrics["stat"]["avg"], found.metrics["stat"]["count"]) == (2.5, 4)
    assert found.metadata["last"] == 4


# What it shows of its trial


def test_the_attributes_of_the_trial_are_those_of_its_logger(trial):
    """All that are public, and as they are at the moment."""
    names = [name for name in dir(Trial()) if not name.startswith("_")]
    assert {"uid", "hash", "status", "metrics", "failure", "compute_hash"} <= {*names}
    for name in names:
        assert getattr(trial, name) == getattr(trial.trial, name), name
    assert {*names} <= {*dir(trial)}
    trial.trial.description = "changed"
    assert trial.description == "changed"
    assert not hasattr(TrialLogger, "uid")


def test_names_of_other_trackers_are_no_attributes(trial):
    """They say what to write, but are not offered."""
    assert not hasattr(trial, "log_param")
    assert "log_param" not in dir(trial)
    with pytest.raises(AttributeError, match="TrialLogger has no attribute 'log_param': write"):
        _ = trial.log_param
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = trial.no_such_thing


# Times


def test_chronos_nest(client, trial):
    """Each block is counted under its name, inside others of other names or its own."""
    with trial.chrono("epoch") as epoch:
        for _ in range(3):
            with trial.chrono("batch"), trial.chrono("batch"):
                pass
    chronos = stored(client).chronos
    assert (chronos["epoch"].count, chronos["batch"].count) == (1, 6)
    assert isinstance(epoch, StatStream)
    assert epoch.avg >= chronos["batch"].sum / 2
    assert trial.chronos["batch"].count == 6


def test_a_chrono_may_be_entered_inside_itself(client, trial):
    """Each passage has its own time: the outer one is the longer one, whatever it is kept in."""
    chrono = trial.chrono("block")
    with chrono, chrono as timer:
        time.sleep(0.01)
    elapsed = [
        recorded.event.elapsed
        for recorded in client.protocol.trial_history(trial.trial)
        if isinstance(recorded.event, ChronoFinished)
    ]
    assert len(elapsed) == 2 == timer.count
    assert 0.01 <= elapsed[0] <= elapsed[1]
    assert (timer.min, timer.max) == tuple(elapsed)


def test_a_chrono_with_callbacks_and_an_aggregator(client, trial):
    """The callbacks are called around the block, and the aggregator keeps what it keeps."""
    called = []
    for index in range(3):
        with trial.chrono(
            "batch",
            aggregator=RingAggregator.lazy(2, "d"),
            start_callback=lambda: called.append("start"),
            end_callback=lambda: called.append("end"),
        ):
            called.append(index)
    assert called == ["start", 0, "end", "start", 1, "end", "start", 2, "end"]
    times = stored(client).chronos["batch"].to_json()
    assert len(times) == 2
    assert all(0 <= seconds < 10 for seconds in times)


def test_a_chrono_measures_blocks_that_fail(client, trial):
    """The exception goes on, and the time is kept."""
    with pytest.raises(ZeroDivisionError), trial.chrono("batch"):
        _ = 1 / 0
    assert stored(client).chronos["batch"].count == 1


def test_the_remaining_time_is_shown(trial, capsys):
    """The value of a chrono is what the estimate takes, for one loop and for nested ones."""
    with pytest.raises(RuntimeError, match="set_eta_total"):
        trial.show_eta(0, StatStream(0))
    trial.set_eta_total((2, 3))
    for epoch in range(2):
        for batch in range(3):
            with trial.chrono("batch") as timer:
                pass
            trial.show_eta((epoch, batch), timer, msg="now")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert lines[0].startswith("now [1/6]")
    assert lines[-1].startswith("now [6/6]")
    trial.set_eta_total(10)
    for step in range(10):
        trial.show_eta(step, timer, throttle=5)
    assert len(capsys.readouterr().out.splitlines()) == 2


# Output


def test_output_is_captured_until_the_end(client, trial, capsys):
    """The last writes are kept, text and newline apart, and still reach the terminal."""
    before = sys.stdout
    with trial:
        trial.capture_output(4)
        for word in ("one", "two", "three"):
            print(word)
        assert trial.stdout.raw() == ["two", "\n", "three", "\n"]
        assert client.stdout is trial.stdout
    assert sys.stdout is before
    assert capsys.readouterr().out == "one\ntwo\nthree\n"
    assert stored(client).metadata["stdout"] == "two\nthree\n"
    print("after")
    assert "after" not in trial.stdout.output()


def test_output_that_somebody_else_took_is_left_to_them(trial, monkeypatch):
    """Only what was put in place is taken away."""
    trial.capture_output()
    other = object()
    monkeypatch.setattr(sys, "stdout", other)
    trial.finish()
    assert sys.stdout is other


# Files


def digest_of(content):
    return hashlib.sha256(content).hexdigest()


def test_files_are_kept_by_what_they_hold(client, trial, tmp_path):
    """Name, size and hash are metadata; identical files share one content."""
    (tmp_path / "data" / "deep").mkdir(parents=True)
    for name in ("one.txt", "data/two.txt", "data/deep/three.txt"):
        (tmp_path / name).write_bytes(b"content")
    (tmp_path / "data" / "other.bin").write_bytes(b"\x00" * 70_000)
    trial.log_file("one.txt")
    trial.log_directory(tmp_path / "data")
    trial.log_code(tmp_path / "one.txt")
    metadata = stored(client).metadata
    digest = digest_of(b"content")
    facts = {"name": "one.txt", "size": 7, "sha256": digest}
    assert metadata["file:one.txt"] == facts == metadata["code"]
    directory = metadata["directory:data"]
    assert (directory["name"], directory["size"]) == ("data", 70_014)
    assert list(directory["files"]) == ["deep/three.txt", "other.bin", "two.txt"]
    assert directory["files"]["two.txt"] == {"size": 7, "sha256": digest}
    manifest = "".join(f"{f['sha256']}  {name}\n" for name, f in directory["files"].items())
    assert directory["sha256"] == digest_of(manifest.encode())
    content = client.protocol.content
    assert sorted(content.digests()) == sorted([digest, digest_of(b"\x00" * 70_000)])
    with content.open(digest) as kept:
        assert kept.read() == b"content"


def test_the_executed_file_is_the_code(client, trial):
    """Without a path it is the program that runs."""
    trial.log_code()
    assert stored(client).metadata["code"]["size"] > 0


@pytest.mark.parametrize("method", ["log_file", "log_directory", "log_code"])
def test_what_is_no_file_cannot_be_kept(client, trial, method):
    """The path is named, and nothing is logged."""
    with pytest.raises((TrackError, OSError), match="missing"):
        getattr(trial, method)("missing")
    assert stored(client).metadata == {"_update_count": 0}


def test_a_store_without_room_for_a_content_says_so(tmp_path):
    """It still records what was used."""
    (tmp_path / "one.txt").write_bytes(b"x" * (2**20 + 1))
    client = TrackClient("memory:")
    with pytest.warns(NotRecordedWarning, match="memory keeps contents of up to") as caught:
        client.log_file("one.txt")
    assert caught[0].filename == __file__
    assert client.protocol.fetch_trials()[0].metadata["file:one.txt"]["size"] == 2**20 + 1


def test_a_server_keeps_contents_in_its_backend(tmp_path):
    """When the program that it is part of logs files."""
    (tmp_path / "one.txt").write_bytes(b"content")
    server = SocketServer(f"socket://127.0.0.1:{free_port()}?backend=file:report.json")
    TrackClient(server).log_file("one.txt")
    with server.backend.content.open(digest_of(b"content")) as kept:
        assert kept.read() == b"content"
    server.backend.close()


# How a trial ends


@pytest.mark.parametrize(
    ("exception", "status", "errors"),
    [
        (None, Status.Completed, []),
        (ValueError("x"), Status.Exception, ["<class 'ValueError'>"]),
        (KeyboardInterrupt(), Status.Interrupted, []),
        (SystemExit(0), Status.Completed, []),
        (SystemExit(None), Status.Completed, []),
        (SystemExit("message"), Status.Exception, ["<class 'SystemExit'>"]),
        (SystemExit(3), Status.Exception, ["<class 'SystemExit'>"]),
    ],
)
def test_the_last_status_tells_how_it_ended(client, tmp_path, exception, status, errors):
    """In the store, in the report and in the trial; the exception goes on as it is."""
    trial = client.logger
    outside = pytest.raises(type(exception)) if exception else nullcontext()
    with outside as caught, trial as entered:
        assert entered is trial
        assert stored(client).status is Status.Running
        if exception is not None:
            raise exception
    assert exception is None or caught.value is exception
    found = stored(client)
    assert (found.status, found.errors) == (status, errors) == (trial.status, trial.errors)
    assert found.chronos["runtime"] >= 0
    ((written,),) = (p["trials"] for p in json.loads((tmp_path / "report.json").read_text()))
    assert written["status"] == {"name": status.name, "value": status.value}


def test_a_trial_can_run_again(client, trial):
    """A second block starts it anew."""
    with pytest.raises(ValueError), trial:
        raise ValueError
    with trial:
        assert stored(client).status is Status.Running
    assert stored(client).status is Status.Completed


def test_the_exception_of_the_block_matters_more(client, trial, told):
    """When the end cannot be recorded either, the block's own exception is the one that goes on."""
    outside = pytest.raises(ZeroDivisionError)
    with outside, trial:
        client.close()
        _ = 1 / 0
    assert "was not recorded" in told[0]
    with pytest.raises(JournalClosed):
        trial.finish()


# Several at once


def test_threads_share_a_logger(client, trial):
    """No value of any thread is lost, and each measures its own times."""
    start = threading.Barrier(8)

    def work(number):
        start.wait()
        for step in range(100):
            with trial.chrono("batch"):
                trial.log_metrics(step=step, **{f"loss{number}": step / 2})
            trial.log_metrics(shared=1)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    run_at_once(threads)
    found = stored(client)
    for number in range(8):
        assert found.metrics[f"loss{number}"] == {step: step / 2 for step in range(100)}
    assert len(found.metrics["shared"]) == 800 == found.chronos["batch"].count
    assert found.metadata["_update_count"] == 8 * 100 * 4


def log_in_child(logger, number):
    for step in range(50):
        logger.log_metrics(step=step, **{f"loss{number}": step / 2})
        with logger.chrono("batch"):
            pass


def log_by_uid(uid, number):
    client = TrackClient("file:report.json")
    log_in_child(client.set_trial(uid=uid), number)
    client.close()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_log_into_one_trial(client, trial, method):
    """Forked children go on with the logger they inherited, spawned ones name the trial."""
    context = get_context(method)
    target, what = (log_in_child, trial) if method == "fork" else (log_by_uid, trial.uid)
    children = [context.Process(target=target, args=(what, number)) for number in range(4)]
    for child in children:
        child.start()
    log_in_child(trial, "own")
    for child in children:
        child.join()
        assert child.exitcode == 0
    found = stored(client)
    for number in (*range(4), "own"):
        assert found.metrics[f"loss{number}"] == {step: step / 2 for step in range(50)}
    assert found.chronos["batch"].count == 250
    assert found.metadata["_update_count"] == 5 * 50 * 3
    assert trial.metrics == found.metrics
