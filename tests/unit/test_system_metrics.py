"""System metrics: sampled while a trial runs, kept beside it, and never in its way."""

import logging
import os
import sys
import time

import pytest

import track
from tests.programs import run_python
from track import TrackClient
from track.errors import MissingPackage, TrackError, TrialDoesNotExist
from track.events.types import SystemSampled, TrialFinished
from track.machine.sampler import Sampler, rank_of_this_process
from track.projections.system import system_metrics
from track.reader import Reader


def wait_for(condition):
    """Wait until something is true, for a minute at most."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def samples_of(client, trial):
    found = Reader(client.protocol).system_metrics(trial.trial)
    return [len(metrics.times) for metrics in found]


def test_a_trial_samples_until_it_finishes(tmp_path):
    """The last sample is taken at the end, and none comes behind it."""
    client = TrackClient(f"file:{tmp_path}/s.json")
    with client.new_trial(name="t", parameters={"lr": 0.1}) as trial:
        trial.log_system_metrics(interval=0.1)
        wait_for(lambda: samples_of(client, trial) > [2])
    kinds = [type(recorded.event) for recorded in client.protocol.events()]
    assert kinds[-1] is TrialFinished
    client.close()
    with track.open(f"file:{tmp_path}/s.json") as store:
        (found,) = store.system_metrics("t")
        assert (found.pid, found.rank) == (os.getpid(), None)
        assert {len(values) for values in found.values.values()} == {len(found.times)}
        assert found.values["process.memory_bytes"][-1] > 1e6
        whole = store.trial("t")
        assert (whole.metrics, whole.parameters) == ({}, {"lr": 0.1})
        (earlier,) = store.system_metrics("t", at=found.times[1] / 1e9)
        assert earlier.times == found.times[: len(earlier.times)]
        assert len(earlier.times) < len(found.times)


def test_the_option_has_each_trial_sampled(tmp_path, monkeypatch):
    """From its start; a trial that is over in no time has one sample."""
    monkeypatch.setenv("TRACK_SYSTEM_INTERVAL", "10")
    client = TrackClient("memory:")
    with client.new_trial(name="t", parameters={"lr": 0.1}) as trial:
        trial.log_metrics(loss=1.0)
    assert samples_of(client, trial) == [1]


@pytest.mark.parametrize("interval", ["soon", "0.01", "nan", "-1"])
def test_an_interval_that_makes_no_sense_is_told(monkeypatch, interval):
    """Before the trial runs on without what was asked for."""
    monkeypatch.setenv("TRACK_SYSTEM_INTERVAL", interval)
    with pytest.raises(TrackError, match=r"SYSTEM_INTERVAL|is too short"):
        TrackClient("memory:").new_trial(parameters={"lr": 0.1}).start()


def test_without_psutil_the_error_names_the_package(monkeypatch):
    """And how to install it."""
    monkeypatch.setitem(sys.modules, "psutil", None)
    trial = TrackClient("memory:").new_trial(parameters={})
    with pytest.raises(MissingPackage, match=r"psutil.*track-journal\[system\]"):
        trial.log_system_metrics()


def test_a_forked_child_samples_nothing(tmp_path):
    """What it logs belongs to the trial of its parent, whose thread it does not have."""
    program = f"""
import os, time
from track import TrackClient
trial = TrackClient("file:{tmp_path}/s.json").new_trial(name="t", parameters={{}})
trial.start()
trial.log_system_metrics(interval=0.1)
child = os.fork()
if not child:
    trial.log_metrics(loss=1.0)
    time.sleep(0.5)
    os._exit(0)
os.waitpid(child, 0)
trial.finish()
print(os.getpid())
"""
    done = run_python(program)
    with track.open(f"file:{tmp_path}/s.json") as store:
        (found,) = store.system_metrics("t")
        assert found.pid == int(done.stdout)
        assert store.trial("t").metrics == {"loss": [1.0]}


def test_another_process_samples_beside_the_first(tmp_path, monkeypatch):
    """As each rank of a distributed training does, with a copy of the trial."""
    client = TrackClient(f"file:{tmp_path}/s.json")
    trial = client.new_trial(name="t", parameters={})
    client.protocol.log_trial_system_metrics(trial.trial, {"host.load_1m": 0.5}, rank=0)
    client.protocol.log_trial_system_metrics(trial.trial, {"host.load_1m": 0.7}, rank=1)
    client.protocol.log_trial_system_metrics(trial.trial, {"gpu.0.percent": 9.0}, rank=0)
    first, second = Reader(client.protocol).system_metrics(trial.trial)
    assert (first.rank, second.rank) == (0, 1)
    assert [*map(str, first.values["host.load_1m"])] == ["0.5", "nan"]
    assert [*map(str, first.values["gpu.0.percent"])] == ["nan", "9.0"]
    assert [*second.values["host.load_1m"]] == [0.7]


@pytest.mark.parametrize(
    ("environment", "rank"),
    [({}, None), ({"RANK": "3"}, 3), ({"SLURM_PROCID": "2"}, 2), ({"RANK": "first"}, None)],
)
def test_the_rank_is_what_the_launcher_says(monkeypatch, environment, rank):
    """Of a distributed training, or of a batch job."""
    for name in ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert rank_of_this_process() == rank


def test_a_store_that_fails_ends_the_sampling_alone(caplog):
    """A training is not interrupted; the log says it once."""
    seen = []

    def record(sample):
        seen.append(sample)
        raise OSError(28, "No space left on device")

    sampler = Sampler(record, 0.1)
    wait_for(lambda: caplog.records)
    sampler.stop()
    (message,) = caplog.records
    assert message.levelno == logging.WARNING
    assert "no longer recorded" in message.getMessage()
    assert len(seen) == 1


def test_a_trial_that_does_not_exist_is_told(tmp_path):
    """As everywhere."""
    client = TrackClient(f"file:{tmp_path}/s.json")
    client.new_trial(name="t", parameters={})
    with pytest.raises(TrialDoesNotExist):
        Reader(client.protocol).system_metrics("u")


def test_samples_of_other_programs_do_no_harm(tmp_path):
    """A value that is no number is left out."""
    client = TrackClient("memory:")
    trial = client.new_trial(name="t", parameters={})
    odd = {"host.load_1m": "much", "gpu.0.percent": 1.0}
    client.protocol.log_trial_system_metrics(trial.trial, odd)
    (found,) = system_metrics(client.protocol.events())
    assert {name: [*values] for name, values in found.values.items()} == {"gpu.0.percent": [1.0]}
    assert any(isinstance(one.event, SystemSampled) for one in client.protocol.events())
