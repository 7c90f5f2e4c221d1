"""The course of a client's trial: where it belongs, how it ends, what is shown of it."""

import copy
import json
import logging
import os
import sys
from argparse import Namespace
from contextlib import redirect_stdout
from io import StringIO

import pytest

from tests.stored import stored
from track import TrackClient
from track.client import TrialDoesNotExist
from track.structure import CustomStatus, Status

# The environment of a hyper-parameter search


@pytest.mark.parametrize("by_uid", [True, False])
@pytest.mark.parametrize("replaced", [True, False])
def test_the_environment_names_what_was_prepared(monkeypatch, caplog, replaced, by_uid):
    """Project, group and trial are taken from it, also when it was replaced by a dictionary."""
    search = TrackClient("file:report.json")
    search.set_project(name="p")
    group = search.set_group(name="g")
    uid = search.new_trial(parameters={"a": 1}).uid
    experiment = group.uid if by_uid else "g"
    prepared = {"ORION_PROJECT": "p", "ORION_EXPERIMENT": experiment, "ORION_TRIAL_ID": uid}
    if replaced:
        monkeypatch.setattr(os, "environ", prepared)
    else:
        for name, value in prepared.items():
            monkeypatch.setenv(name, value)
    client = TrackClient("file:report.json")
    assert (client.project.name, client.group, client.trial.uid) == ("p", group, uid)
    client.set_project(name="of the script")
    client.set_group(name="of the script")
    client.new_trial(parameters={"a": 2})
    client.log_metrics(loss=0.5)
    assert stored(search).metrics == {"loss": [0.5]}
    assert caplog.messages == []  # it is as the search wanted it


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("ORION_PROJECT", RuntimeError),
        ("ORION_EXPERIMENT", RuntimeError),
        ("ORION_TRIAL_ID", TrialDoesNotExist),
    ],
)
def test_what_the_environment_names_must_exist(monkeypatch, name, error):
    """Nothing is made in its stead."""
    monkeypatch.setattr(os, "environ", {name: "does_not_exist"})
    with pytest.raises(error, match="does_not_exist"):
        TrackClient("file:report.json")
    monkeypatch.setattr(os, "environ", {})
    assert TrackClient("file:report.json").protocol.fetch_projects() == []


# Versions, the course of a trial, results


def test_versions_identify_a_trial(client):
    """Set before the arguments it is part of the identity, and it is given or computed."""
    assert client.set_version("a8c3") is client
    client.log_arguments(a=1)
    assert stored(client).version == "a8c3"
    other = TrackClient("memory:")
    other.new_trial()
    other.set_version(version_fun=lambda: "computed")
    other.log_arguments(a=1)
    assert stored(other).version == "computed"


def test_a_late_version_is_metadata(client, told):
    """The identity of a trial that exists cannot change."""
    uid = client.new_trial(parameters={}).uid
    client.set_version("late")
    assert (stored(client).uid, stored(client).version) == (uid, None)
    assert stored(client).metadata["version"] == "late"
    assert "set_version" in told[0]


def test_the_client_runs_its_trial(client):
    """Running inside the block, Completed after it, and everything is reachable on the client."""
    with client as entered:
        assert entered is client
        assert client.trial.status is Status.Running
        client.log_metrics(loss=1)
        assert stored(client).status is Status.Running
        client.set_status(CustomStatus("resting", 102))
        assert client.status == "resting"
    assert stored(client).status is client.trial.status is Status.Completed
    assert stored(client).metrics == client.metrics == {"loss": [1]}
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = client.no_such_thing
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = TrackClient("memory:").no_such_thing


def test_an_exception_is_recorded_and_goes_on(client):
    """The status says Exception, the error its type, and the traceback leads to its origin."""
    with pytest.raises(ValueError, match="message") as caught, client:
        raise ValueError("message")
    assert [entry.name for entry in caught.traceback] == [
        "test_an_exception_is_recorded_and_goes_on"
    ]
    assert (client.trial.status, client.trial.errors) == (
        Status.Exception,
        ["<class 'ValueError'>"],
    )
    assert (stored(client).status, stored(client).errors) == (
        Status.Exception,
        ["<class 'ValueError'>"],
    )
    output = StringIO()
    with redirect_stdout(output):
        client.report()
    assert json.loads(output.getvalue())["errors"] == ["<class 'ValueError'>"]


def test_start_and_finish_without_a_block(client):
    """The same, for scripts that are not built around a block."""
    client.start()
    client.start()
    client.log_arguments()
    assert stored(client).status is Status.Running
    client.finish()
    assert stored(client).status is Status.Completed
    assert stored(client).chronos["runtime"] >= 0


def test_the_full_report(client, capsys):
    """Not short, it has what machines need; before its arguments a trial can be shown, too."""
    client.new_trial(name="waiting")
    client.report()
    assert json.loads(capsys.readouterr().out)["name"] == "waiting"
    client.log_arguments(a=1)
    client.report(short=False)
    printed = json.loads(capsys.readouterr().out)
    assert (printed["uid"], printed["dtype"]) == (client.uid, "trial")
    assert "_update_count" in printed["metadata"]


def test_a_trial_reports_itself(client, capsys):
    """As the client does of the current one, before and after another trial begins."""
    trial = client.new_trial(name="first", parameters={"a": 1})
    trial.report()
    client.report()
    first, second = capsys.readouterr().out.split("}\n{")
    assert json.loads(first + "}") == json.loads("{" + second)
    client.new_trial(force=True, name="second", parameters={"a": 2})
    trial.log_metrics(loss=0.5)
    trial.report(short=False)
    printed = json.loads(capsys.readouterr().out)
    assert (printed["name"], printed["metrics"]) == ("first", {"loss": [0.5]})


def test_saving_elsewhere(tmp_path):
    """The report goes to another file, and the store's own is written all the same later."""
    with TrackClient("file:report.json") as client:
        client.log_metrics(loss=1)
        client.save(file_name_override="other.json")
        (project,) = json.loads((tmp_path / "other.json").read_text())
        assert project["trials"][0]["metrics"] == {"loss": [1]}
        assert json.loads((tmp_path / "report.json").read_text()) == []
    client.close()
    assert json.loads((tmp_path / "report.json").read_text())[0]["name"] == "orphan"
    memory = TrackClient("memory:")
    memory.save()
    memory.save("memory.json")
    assert json.loads((tmp_path / "memory.json").read_text()) == []


def test_a_device_is_found_with_and_without_torch(client, monkeypatch):
    """Where torch is missing it is the CPU, by name."""
    monkeypatch.setitem(sys.modules, "torch", None)
    assert client.get_device() == "cpu"
    fake = Namespace(cuda=Namespace(is_available=lambda: True), device=lambda name: (name,))
    monkeypatch.setitem(sys.modules, "torch", fake)
    assert TrackClient.get_device() == ("cuda",)


def test_the_library_is_quiet(capsys, caplog):
    """Nothing is printed, and the root logger is left alone."""
    handlers = list(logging.getLogger().handlers)
    client = TrackClient("file:report.json")
    with client:
        client.log_metrics(loss=1)
    client.close()
    assert capsys.readouterr() == ("", "")
    assert caplog.records == []
    assert logging.getLogger().handlers == handlers


def test_a_trial_can_be_looked_at_after_its_client_was_closed():
    """Its metrics are those that were in the store at the end; copies work as before."""
    client = TrackClient("file:report.json")
    trial = client.new_trial(parameters={})
    with trial:
        trial.log_metrics(step=1, loss=0.5)
    client.close()
    assert client.trial.metrics == {"loss": {1: 0.5}}
    assert copy.deepcopy(client.trial).metrics == {"loss": {1: 0.5}}
