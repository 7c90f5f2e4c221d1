"""The trial of an integration: opened late, shared by copies, never in the way of a training."""

import copy
import pickle
import threading

import pytest

import track
from tests.programs import run_at_once
from track import TrackClient
from track.errors import BackendError, NotRecordedWarning, TrackError
from track.integrations.parameters import HIDDEN, describe, split
from track.integrations.run import Run
from track.persistence import register
from track.persistence.local import MemoryProtocol
from track.structure import Status


def trials_in(uri):
    with track.open(uri) as store:
        return store.trials()


def only_trial(uri):
    (trial,) = trials_in(uri)
    return trial


# Parameters that become known late


def test_parameters_are_what_is_said_before_the_first_value():
    """What comes later is metadata; what changes from run to run always is."""
    run = Run("file:r.json", name="t", project="p", parameters={"lr": 0.1}, volatile=["seed"])
    run.configure({"depth": 3, "seed": 7, "output_dir": "/tmp/x", "api_key": "hunter2"})
    assert run.trial.is_delayed
    run.configure({"width": 2})
    run.log({"loss": 1}, 0)
    run.configure({"lr": 0.1, "momentum": 0.9, "host": "h"})
    trial = only_trial("file:r.json")
    assert trial.parameters == {"lr": 0.1, "depth": 3, "width": 2}
    known = {name: trial.metadata[name] for name in ("seed", "output_dir", "momentum", "host")}
    assert known == {"seed": 7, "output_dir": "/tmp/x", "momentum": 0.9, "host": "h"}
    assert trial.metadata["api_key"] == HIDDEN
    assert (trial.name, trial.project_id) == ("t", "p")
    assert "lr" not in trial.metadata


def test_the_same_training_is_the_same_trial():
    """In another folder, at another time, with objects at other addresses."""
    for number in range(2):
        run = Run("file:r.json")
        run.configure(
            {"lr": 0.1, "act": object(), "run_name": f"n{number}", "log": {"rank": number}}
        )
        run.log({"loss": 1})
        run.finish()
    first, second = trials_in("file:r.json")
    assert (first.uid[:64], second.revision) == (second.uid[:64], 1)
    assert second.metadata["log"] == {"rank": 1}


class Net:
    def __repr__(self):
        return "Net(\n" + "x" * 1000


def test_settings_of_every_kind():
    """Nothing that a framework calls settings is too odd to be told apart."""

    def scheduled(step):
        return step

    found = split(
        {
            "schedule": scheduled,
            "kind": Net,
            "net": Net(),
            "nested": {"lr": 1, "port": 2, "auth_token": "t", "empty": {}},
            "url": "postgres://ada:secret@host/db",
            "list": ["https://u:pw@h", {"password": "p"}],
            "token": None,
            3: "three",
        }
    )
    assert found.parameters["schedule"].endswith("scheduled")
    assert found.parameters["kind"].endswith(".Net")
    assert len(found.parameters["net"]) < 300
    assert found.parameters["nested"] == {"lr": 1, "empty": {}}
    assert found.facts == {"nested": {"port": 2, "auth_token": HIDDEN}}
    assert "secret" not in str(found)
    assert found.parameters["list"][1] == {"password": HIDDEN}
    assert (found.parameters["token"], found.parameters["3"]) == (None, "three")
    assert split(None) == split(7) == ({}, {})
    assert describe(object()) == "<object object>"


# Which trial


def test_a_run_id_finds_its_trial_again():
    """After a restart, say; it goes on, with another attempt."""
    for step in range(2):
        run = Run("file:r.json", run_id="one", parameters={"lr": step})
        run.start()
        run.log({"loss": step}, step)
        run.finish()
    trial = only_trial("file:r.json")
    assert trial.metrics["loss"] == {0: 0, 1: 1}
    assert (trial.parameters, trial.metadata["run_id"]) == ({"lr": 0}, "one")
    assert trial.metadata["lr"] == 1


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("duplicate", [lambda run: pickle.loads(pickle.dumps(run)), copy.deepcopy])
def test_copies_log_to_one_trial(duplicate, opened):
    """Whichever is used first, and whether the trial was there when they were made."""
    run = Run("file:r.json", name="t")
    if opened:
        run.start()
    other = duplicate(run)
    other.log({"loss": 1}, 0)
    run.log({"loss": 2}, 1)
    other.finish()
    run.finish()
    trial = only_trial("file:r.json")
    assert trial.metrics["loss"] == {0: 1, 1: 2}
    assert trial.status == (Status.Completed if opened else Status.CreatedGroup)


def test_a_trial_that_runs_already_is_left_running():
    """It is of a script, which logs more itself."""
    client = TrackClient("file:r.json")
    with client.new_trial(parameters={"a": 1}) as trial:
        for to in (client, trial):
            run = Run(to, parameters={"b": 2})
            run.start()
            run.log({"loss": 1})
            run.finish()
        assert trial.is_running
    client.close()
    found = only_trial("file:r.json")
    assert (found.metrics["loss"], found.metadata["b"]) == ([1, 1], 2)


def test_a_trial_that_waits_gets_the_parameters():
    """Those of the integration are its own."""
    client = TrackClient("memory:")
    trial = client.new_trial("t")
    run = Run(trial)
    run.configure({"lr": 0.1})
    run.start()
    run.finish()
    assert client.protocol.fetch_trials()[0].parameters == {"lr": 0.1}
    assert trial.trial.status == Status.Completed


def test_a_run_can_go_on_after_its_end():
    """As trainers fit, and then test."""
    run = Run("file:r.json")
    for step in range(2):
        run.start_once()
        run.log({"loss": step}, step)
        run.finish()
        run.finish()
    with track.open("file:r.json") as store:
        (trial,) = store.trials()
        assert len(store.attempts(trial)) == 2
    assert trial.status == Status.Completed


# What cannot be recorded


def test_an_odd_value_is_told_and_the_others_are_logged():
    """When it comes, and how often at the end."""
    run = Run("file:r.json")
    with pytest.warns(NotRecordedWarning, match="cannot log 'odd': a value of type object"):
        run.log({"loss": 1, "odd": object()}, 0)
    run.log({"loss": 2, "odd": object()}, 1)
    with pytest.warns(NotRecordedWarning, match="2 x 'odd'"):
        run.finish()
    assert only_trial("file:r.json").metrics == {"loss": {0: 1, 1: 2}}


class Failing(MemoryProtocol):
    """A backend whose store goes away in the middle of a training."""

    gone = False

    def log_trial_metadata(self, *args, **kwargs):
        if self.gone:
            raise OSError("no space left on device")
        super().log_trial_metadata(*args, **kwargs)

    def metrics_sink(self, trial):
        sink = super().metrics_sink(trial)

        def checked(*args):
            if self.gone:
                raise OSError("no space left on device")
            sink(*args)

        return checked


def test_a_store_that_goes_away_in_the_middle(recwarn):
    """Training goes on, and at the end it is said what is missing."""
    protocol = Failing()
    run = Run(TrackClient(protocol))
    run.start()
    run.log({"loss": 0}, 0)
    protocol.gone = True
    for step in range(1, 4):
        run.log({"loss": step}, step)
    run.metadata({"a": 1})
    protocol.gone = False
    run.log({"loss": 4}, 4)
    run.finish()
    told = [str(one.message) for one in recwarn]
    assert "not recorded: 3 x metrics: no space left" in told[-1]
    assert "1 x metadata" in told[-1]
    (trial,) = protocol.fetch_trials()
    assert (trial.metrics, trial.status) == ({"loss": {0: 0, 4: 4}}, Status.Completed)


def test_a_disk_that_is_full_in_the_middle():
    """What could not be written waits, and is written when there is room."""
    import os

    run = Run("file:r.json")
    run.start()
    journal = run.trial.protocol.journal.journal.file
    good = os.dup(journal.descriptor())
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, journal.descriptor())
    with pytest.warns(NotRecordedWarning):
        run.log({"loss": 1}, 0)
    os.dup2(good, journal.descriptor())
    run.log({"loss": 2}, 1)
    run.finish()
    assert only_trial("file:r.json").metrics["loss"] == {0: 1, 1: 2}
    for descriptor in (good, full):
        os.close(descriptor)


def test_a_store_that_cannot_be_opened():
    """Before a training that is an error; in its middle, one wait and one warning."""
    opened = []

    def opens(uri):
        opened.append(uri)
        raise BackendError("nobody is there")

    register("absent", opens)
    with pytest.raises(BackendError, match="nobody is there"):
        Run("absent:x").start()
    opened.clear()
    run = Run("absent:x")
    with pytest.warns(NotRecordedWarning) as told:
        run.start_once()
        for step in range(5):
            run.log({"loss": 1}, step)
        run.finish()
    assert len(opened) == 1
    assert "5 x metrics" in str(told[-1].message)


def test_many_different_things_are_summed_up(recwarn):
    """A training of a day does not end with a page of warnings."""
    run = Run("memory:")
    for number in range(50):
        run.log({f"m{number}": object(), "good": 1})
    run.finish()
    assert "40 x other problems" in str(recwarn[-1].message)
    assert len(recwarn) == 11


def test_what_a_training_ended_with():
    """An exception, or the lack of one."""
    run = Run("file:r.json")
    run.start()
    try:
        raise ValueError("boom")
    except ValueError as error:
        run.finish(type(error), error, error.__traceback__)
    trial = only_trial("file:r.json")
    assert (trial.status, trial.failure["message"]) == (Status.Exception, "ValueError: boom")


def test_threads_share_a_run():
    """Each value is there once."""
    run = Run("file:r.json")
    run.start()

    def work(number):
        for step in range(50):
            run.log({f"m{number}": step}, step)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    run_at_once(threads)
    run.finish()
    trial = only_trial("file:r.json")
    assert {name: len(values) for name, values in trial.metrics.items()} == {
        f"m{number}": 50 for number in range(4)
    }


def test_a_uid_that_does_not_exist():
    """Is said before the training begins."""
    with pytest.raises(TrackError, match="abc_0"):
        Run("file:r.json", uid="abc_0").start()
