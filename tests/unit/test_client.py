"""What a training script begins with: a backend, a project, a group, a trial."""

import json
import sys
import time
from argparse import ArgumentParser, Namespace

import pytest

import track
from tests.programs import run_python
from tests.stored import stored
from track import Project, TrackClient, TrialGroup
from track.client import TrialDoesNotExist
from track.errors import BackendError, EncodingError, TrackError
from track.persistence.local import FileProtocol
from track.structure import Status, Trial

# Backends


def test_a_backend_may_be_a_protocol():
    """Tests hand in what they made themselves."""
    protocol = FileProtocol("file:report.json")
    assert TrackClient(protocol).protocol is protocol


def test_a_backend_may_be_a_path(tmp_path):
    """As for :func:`track.open`: scripts compose theirs with pathlib."""
    client = TrackClient(tmp_path / "report.json")
    client.new_trial("t", parameters={}).log_metrics(loss=1)
    client.close()
    with track.open(tmp_path / "report.json") as store:
        assert [trial.name for trial in store.trials()] == ["t"]


@pytest.mark.parametrize("backend", ["", "'none'"])
def test_without_a_backend_one_warning_is_given(backend):
    """It is given once in the life of a process, since nothing is kept."""
    program = (
        "import warnings; warnings.simplefilter('always')\n"
        "from track import TrackClient\n"
        "for _ in range(2):\n"
        f"    client = TrackClient({backend})\n"
        "    client.log_metrics(loss=1)\n"
        "print(client.protocol.fetch_trials()[0].metrics)\n"
    )
    done = run_python(program)
    assert done.stderr.count("TrackClient('file:") == 1
    assert done.stdout == "{'loss': [1]}\n"


def test_the_backend_can_be_an_option(monkeypatch, tmp_path):
    """The environment chooses when the script does not."""
    monkeypatch.setenv("TRACK_LOG_BACKEND_NAME", "file:chosen.json")
    assert TrackClient().protocol.path == str(tmp_path / "chosen.json")
    with pytest.raises(BackendError, match="carrier-pigeon"):
        TrackClient("carrier-pigeon:coop")


# Projects and groups


def test_the_first_project_and_group_stay(client, told):
    """A second one is ignored unless it is forced."""
    project = client.set_project(name="a")
    assert client.set_project(name="b") is project
    assert client.set_project(Project(name="b")) is project
    group = client.set_group(name="g")
    assert client.set_group(name="h") is group
    assert client.set_project(name="b", force=True).name == "b"
    assert client.set_group(TrialGroup(name="h"), force=True).project_id == "b"
    assert [project.name for project in client.protocol.fetch_projects()] == ["a", "b"]


def test_what_stays_is_told(client, told):
    """Who meant another one has to say so, or to do it earlier."""
    client.set_project(name="a")
    client.set_project(name="a")
    client.set_group(name="g")
    client.set_group(name="g")
    trial = client.new_trial(parameters={"a": 1})
    client.new_trial()
    client.set_trial(uid=trial.uid)
    assert told == []
    client.set_project(name="b")
    client.set_group(name="h")
    client.new_trial(parameters={"a": 1})
    named = zip(("project", "group", "new_trial"), told, strict=True)
    assert all(name in message and "force=True" in message for name, message in named)


def test_parameters_may_be_those_of_a_command_line(client):
    assert client.new_trial(parameters=Namespace(lr=0.1)).trial.parameters == {"lr": 0.1}
    with pytest.raises(TypeError, match="a Namespace or a dictionary, not str"):
        client.new_trial(parameters="lr=0.1", force=True)


def test_a_group_that_comes_too_late_is_told(client, told):
    """It is for the next trial."""
    trial = client.new_trial()
    client.set_group(name="g")
    assert told == []
    trial.log_arguments(a=1)
    client.set_group(name="h", force=True)
    (message,) = told
    assert "already exists outside the group 'h'" in message
    trial.finish()
    client.set_group(name="i", force=True)
    assert len(told) == 1
    assert client.new_trial(parameters={}).trial.group_id == client.group.uid


def test_a_project_that_comes_too_late_is_told(client, told):
    """Its trial is in the common project already, where nobody will look for it."""
    with client:
        client.log_metrics(loss=1)
        assert client.set_project(name="orphan").name == "orphan"
        assert told == []
        assert client.set_project(name="digits").name == "orphan"
        assert client.set_project(Project(name="digits")).name == "orphan"
    assert len(told) == 2
    assert "the project is still 'orphan'" in told[0]
    assert client.set_project(name="digits", force=True).name == "digits"
    assert stored(client).project_id == "orphan"


def test_what_exists_is_found_again(client):
    """Setting what exists gives the stored one, without a second copy."""
    client.set_project(name="p", description="first")
    client.set_group(name="g", metadata={"a": 1})
    other = TrackClient(client.protocol)
    assert other.set_project(name="p").description == "first"
    assert other.set_group(name="g").metadata == {"a": 1}
    third = TrackClient(client.protocol)
    assert third.set_project(name="p", get_only=True).description == "first"
    assert third.set_group(name="g", get_only=True).metadata == {"a": 1}


@pytest.mark.parametrize("setter", ["set_project", "set_group"])
def test_names_are_needed_and_get_only_makes_nothing(client, setter):
    """No name is misuse, and a missing object is an error when it must exist."""
    with pytest.raises(AssertionError, match="name"):
        getattr(client, setter)()
    with pytest.raises(RuntimeError, match="missing"):
        getattr(client, setter)(name="missing", get_only=True)
    assert client.protocol.fetch_projects() == []
    assert (client.project, client.group) == (None, None)


@pytest.mark.parametrize("call", ["set_project", "set_group", "new_trial", "set_trial"])
def test_an_unknown_argument_is_named_with_the_call_that_does_not_take_it(client, call):
    """The class behind the call is nothing that the script wrote."""
    with pytest.raises(TypeError, match=f"{call} has no argument 'unknown': use one of"):
        getattr(client, call)(unknown=1)
    client.new_trial(name="open")
    with pytest.raises(TypeError, match="new_trial has no argument 'unknown'"):
        client.new_trial(unknown=1)
    assert client.trial.name == "open"


@pytest.mark.parametrize("given", ["name", "a_name", "short uid", "other revision"])
def test_the_uid_that_was_meant_is_told(client, given):
    """Lists show short uids, and a trial is found by its name only with ``name=``."""
    name = given if given.endswith("name") else "t"
    uid = client.new_trial(name=name, parameters={"a": 1}).uid
    client.new_trial(force=True, name="other", parameters={"a": 2})
    digits = uid.partition("_")[0]
    wanted = {"short uid": f"{digits[:8]}_0", "other revision": f"{digits}_7"}.get(given, given)
    with pytest.raises(TrialDoesNotExist, match=f"did you mean {uid}\\?$"):
        client.set_trial(wanted, force=True)
    with pytest.raises(TrialDoesNotExist, match="if it is archived, restore it first"):
        client.set_trial("nothing like it", force=True)


def test_trials_without_a_project_are_orphans(client):
    """They go to a common project."""
    client.log_arguments(a=1)
    assert stored(client).project_id == "orphan"
    assert client.protocol.get_project(Project(name="orphan")).trials == {client.trial}


# Trials


def test_a_trial_waits_for_its_arguments(client):
    """The logger shows the real trial once the arguments arrive, with the tags added before."""
    logger = client.new_trial(name="n")
    client.add_tags(a=1)
    logger.add_tags(b=2)
    assert client.protocol.fetch_trials() == []
    assert logger.is_delayed
    client.log_arguments(lr=0.1)
    assert not logger.is_delayed
    assert logger.uid == client.trial.uid == stored(client).uid == client.uid
    assert (stored(client).tags, stored(client).parameters) == ({"a": 1, "b": 2}, {"lr": 0.1})
    client.add_tags(c=3)
    assert client.trial.tags == stored(client).tags == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize(
    "use",
    [
        lambda trial: trial.log_metrics(loss=1),
        lambda trial: trial.log_metadata(a=1),
        lambda trial: trial.set_status(Status.Running),
        lambda trial: trial.chrono("x").__enter__(),
        lambda trial: trial.__enter__(),
        lambda trial: trial.finish(),
    ],
)
def test_without_arguments_the_first_call_makes_the_trial(client, use):
    """A script that has no arguments loses nothing."""
    trial = client.new_trial()
    use(trial)
    trial.finish()
    assert stored(client).uid == trial.uid


def test_a_trial_goes_on_until_another_one_is_asked_for(client, told):
    """The same arguments again are the current trial, unless another one is forced."""
    first = client.new_trial(parameters={"a": 1})
    assert client.new_trial() is client.new_trial(parameters={"a": 1}) is first
    (message,) = told
    assert "force=True" in message
    second = client.new_trial(force=True, parameters={"a": 1})
    assert (first.revision, second.revision) == (0, 1)
    assert client.trial is second.trial


def parameters_in(client):
    """Return the parameters and the losses of each trial."""
    trials = client.protocol.fetch_trials()
    return [(trial.parameters, trial.metrics.get("loss")) for trial in trials]


def test_other_arguments_are_another_trial(client):
    """Three settings of a loop are three trials, also without a block around each."""
    for number in range(3):
        client.new_trial(parameters={"a": number})
        client.log_metrics(loss=number)
    assert parameters_in(client) == [({"a": number}, [number]) for number in range(3)]
    first = client.new_trial("n", parameters={"a": 2})
    second = client.new_trial("m", parameters={"a": 2})
    assert (first.name, second.name) == ("n", "m")


def test_another_trial_does_not_begin_in_the_middle_of_one(client):
    """It would be unclear which of the two goes on. The message says what to do."""
    with client.new_trial(parameters={"a": 1}) as trial:
        with pytest.raises(TrackError, match=r"is still running: call finish\(\)"):
            client.new_trial(parameters={"a": 2})
        with pytest.raises(TrackError, match="force=True"):
            client.set_trial("another_0")
        assert client.new_trial() is trial
        trial.log_metrics(loss=1)
    client.new_trial(parameters={"a": 2}).log_metrics(loss=2)
    assert parameters_in(client) == [({"a": 1}, [1]), ({"a": 2}, [2])]


def test_a_waiting_trial_takes_what_is_said_of_it(client):
    """Tags that came first, and a name and arguments that come later, are one trial."""
    trial = client.new_trial()
    client.add_tags(a=1)
    assert client.new_trial(name="n", tags={"b": 2}) is trial
    assert client.new_trial(parameters={"lr": 1}) is trial
    assert (stored(client).name, stored(client).tags) == ("n", {"a": 1, "b": 2})
    assert stored(client).parameters == {"lr": 1}


@pytest.mark.parametrize("block", [lambda client: client.new_trial(), lambda client: client])
def test_arguments_may_be_logged_in_the_block(client, block):
    """The trial is inserted when they are known, and its runtime counts from the block's start."""
    with block(client) as trial:
        assert client.protocol.fetch_trials() == []
        assert trial.status is Status.Running
        before = time.perf_counter()
        while time.perf_counter() - before < 0.01:
            pass  # what loads the data
        trial.log_arguments(lr=1)
        assert stored(client).parameters == {"lr": 1}
        assert stored(client).status is Status.Running
    assert stored(client).status is Status.Completed
    assert stored(client).chronos["runtime"] >= 0.01


def test_a_block_in_which_nothing_is_logged_is_a_trial(client):
    """It ran, after all."""
    with client:
        pass
    assert stored(client).status is Status.Completed


def test_arguments_after_the_end_of_a_trial_are_those_of_the_next(client):
    """A loop that begins with them makes a trial each time."""
    for number in range(2):
        client.log_arguments(a=number)
        with client:
            client.log_metrics(loss=number)
    assert parameters_in(client) == [({"a": 0}, [0]), ({"a": 1}, [1])]


def test_after_the_end_of_a_trial_another_one_begins(client):
    """As in a loop: what is over is not gone on with by accident."""
    for number in range(3):
        with client.new_trial(parameters={"a": number}) as trial:
            trial.log_metrics(loss=number)
    trials = client.protocol.fetch_trials()
    assert [trial.parameters["a"] for trial in trials] == [0, 1, 2]
    assert [trial.metrics["loss"] for trial in trials] == [[0], [1], [2]]


def test_a_trial_that_was_finished_can_be_started_again(client):
    """Then it is not over any more."""
    trial = client.new_trial(parameters={"a": 1})
    for _ in range(2):
        with trial:
            assert client.new_trial() is trial
    assert client.trial is trial.trial
    client.log_metrics(late=1)
    assert stored(client).metrics["late"] == [1]


@pytest.mark.parametrize(
    "arguments", [Namespace(lr=1), {"lr": 1}, ArgumentParser()], ids=lambda a: type(a).__name__
)
def test_arguments_of_every_kind_make_the_trial_at_once(client, arguments, monkeypatch):
    """A parser, what it parsed, and a dictionary are all taken, and added to parameters."""
    monkeypatch.setattr(sys, "argv", ["main.py", "--lr", "1"])
    if isinstance(arguments, ArgumentParser):
        arguments.add_argument("--lr", type=int)
    trial = client.new_trial(arguments=arguments, parameters={"depth": 2})
    assert not trial.is_delayed
    assert stored(client).parameters == {"depth": 2, "lr": 1}


def test_a_failed_insertion_can_be_tried_again(client):
    """Arguments that cannot be logged leave the trial waiting, as if they had not been given."""
    trial = client.new_trial(name="n")
    with pytest.raises(EncodingError, match="bad"):
        client.log_arguments(good=1, bad=object())
    assert trial.is_delayed
    trial.log_arguments(good=2)
    assert stored(client).parameters == {"good": 2}


def test_logging_arguments_returns_its_own_argument(client, monkeypatch):
    """Of a parser it is what was parsed; the documented alias does the same."""
    namespace, dictionary = Namespace(a=1), {"b": 2}
    assert client.log_arguments(namespace) is namespace
    client.new_trial(force=True)
    assert client.get_arguments(dictionary, c=3) is dictionary
    assert dictionary == {"b": 2}
    assert client.trial.parameters == {"b": 2, "c": 3}
    monkeypatch.setattr(sys, "argv", ["main.py", "--d", "4"])
    parser = ArgumentParser()
    parser.add_argument("--d", type=int)
    client.new_trial(force=True)
    assert client.get_arguments(parser) == Namespace(d=4)
    client.new_trial(force=True)
    assert client.log_arguments(e=5) == Namespace(e=5)
    with pytest.raises(TypeError, match="Namespace"):
        client.log_arguments(3)


def test_arguments_can_be_shown(client, capsys):
    """They are printed only when that is asked for."""
    client.log_arguments({"lr": 0.1}, show=True, b=float("nan"))
    assert json.loads(capsys.readouterr().out) == {"lr": 0.1, "b": "NaN"}
    client.log_arguments(lr=0.1)
    assert capsys.readouterr().out == ""


def test_arguments_of_a_trial_that_exists_change_nothing(client, told):
    """It says so, and where to put what is learnt later."""
    trial = client.new_trial(parameters={"a": 1})
    client.log_arguments(b=2)
    trial.log_arguments(c=3)
    assert stored(client).parameters == {"a": 1}
    trial.log_arguments(a=1)  # which it has
    assert ["log_metadata" in message for message in told] == [True, True]


def test_the_same_script_twice_makes_a_second_revision():
    """Names, version, project and parameters identify a trial, so the second run continues it."""
    hashes = set()
    for revision in range(3):
        client = TrackClient("file:report.json")
        client.set_project(name="p")
        trial = client.new_trial(name="n")
        client.log_arguments(lr=0.1, layers=[1, {"a": None}], seed=-(2**70))
        assert trial.revision == revision
        hashes.add(trial.hash)
        client.close()
    assert len(hashes) == 1


def test_set_trial_by_name_continues_the_latest_revision(client, told):
    """And says so; in the project that is set, if one is."""
    client.set_project(name="p")
    for _ in range(2):
        with client.new_trial(name="baseline", parameters={"lr": 0.1}) as trial:
            trial.log_metrics(step=0, loss=1.0)
    latest = trial.trial.uid
    other = TrackClient(client.protocol)
    other.set_project(name="q")
    other.new_trial(name="baseline", parameters={"lr": 0.1})
    with pytest.raises(TrialDoesNotExist, match="is ambiguous"):
        TrackClient(client.protocol).set_trial(name="baseline")
    again = TrackClient(client.protocol)
    again.set_project(name="p")
    assert again.set_trial(name="baseline").trial.uid == latest
    assert "'baseline' has 2 revisions: this is the latest one" in told[0]
    with pytest.raises(TrialDoesNotExist, match="no trial 'nobody'"):
        TrackClient(client.protocol).set_trial(name="nobody")


def test_set_trial_continues_one_that_exists(client):
    """By uid, by hash and revision, or by a trial."""
    uid = client.new_trial(parameters={"a": 1}).uid
    digest = uid.removesuffix("_0")
    for wanted in ({"uid": uid}, {"hash": digest}, {"hash": digest, "revision": "0"}):
        other = TrackClient(client.protocol)
        assert other.set_trial(**wanted).parameters == {"a": 1}
        other.log_metrics(loss=1)
    other.set_trial(Trial(_hash=digest), force=True).log_metrics(loss=2)
    assert other.set_trial(uid=uid).uid == other.set_trial(uid).uid == uid
    assert stored(client).metrics == {"loss": [1, 1, 1, 2]}
    for missing in ("does_not_exist", "unknown", f"{digest}_1"):
        with pytest.raises(TrialDoesNotExist, match="no trial"):
            TrackClient(client.protocol).set_trial(uid=missing)
        with pytest.raises(TrialDoesNotExist, match="no trial"):
            other.set_trial(uid=missing)
