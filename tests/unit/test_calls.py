"""Calls as people write them who know other trackers: they work, or say what to write."""

from argparse import Namespace

import pytest

import track
from tests.stored import stored
from track import TrackClient
from track.errors import EncodingError


def test_values_may_be_in_a_dictionary(client):
    """Alone, with a step, and together with keywords; a name may be any text then."""
    client.log_metrics({"loss": 1})
    client.log_metrics({"val/loss": 2, "step": 7}, step=3, acc=0.5)
    client.log_metrics(4, acc=0.25)
    client.log_metadata({"a b": 1}, c=2)
    client.add_tags({"kind": "demo"}, "baseline", d=3)
    trial = stored(client)
    assert trial.metrics == {
        "loss": [1],
        "val/loss": {3: 2},
        "step": {3: 7},
        "acc": {3: 0.5, 4: 0.25},
    }
    assert (trial.metadata["a b"], trial.metadata["c"]) == (1, 2)
    assert trial.tags == {"kind": "demo", "baseline": None, "d": 3}


def test_names_that_backends_have_for_parameters_are_refused(client):
    """A study may well have trials of its own; the error says which name it is."""
    trial = client.new_trial(parameters={})
    with pytest.raises(TypeError, match="log_metadata cannot take the name 'trial'"):
        trial.log_metadata(trial=3)
    with pytest.raises(TypeError, match="log_metadata cannot take the name 'aggregator'"):
        trial.log_metadata({"aggregator": "mean"})
    with pytest.raises(TypeError, match="add_tags cannot take the name 'trial'"):
        trial.add_tags(trial="first")
    trial.log_metrics(trial=3)
    assert stored(client).metadata["_update_count"] == 1


def test_a_step_that_is_not_named_says_how_to_name_it(client):
    """Other trackers take it after the dictionary, where ours have the aggregator."""
    with pytest.raises(TypeError, match=r"a step is named, as in log_metrics\(values, step=3\)"):
        client.log_metrics({"loss": 1}, 3)
    assert stored(client).metrics == {}


def test_a_word_for_a_status_says_what_to_use(client):
    """Other trackers take words."""
    with pytest.raises(EncodingError, match=r"track\.Status, or CustomStatus"):
        client.set_status("completed")
    client.set_status(track.Status.Completed)


@pytest.mark.parametrize("arguments", [{"lr": 1}, Namespace(lr=1)])
def test_a_trial_takes_arguments_as_its_client_does(client, arguments):
    """Both are called log_arguments, after all."""
    client.new_trial().log_arguments(arguments, depth=2)
    assert stored(client).parameters == {"lr": 1, "depth": 2}


def test_names_may_come_first(client):
    """Of projects, groups and trials."""
    assert client.set_project("p").name == "p"
    assert client.set_group("g", description="d").description == "d"
    trial = client.new_trial("n")
    trial.log_metrics(loss=1)
    assert (stored(client).name, stored(client).project_id) == ("n", "p")
    assert TrackClient(client.protocol).set_trial(trial.uid).uid == trial.uid
    assert client.new_trial(True).trial.name is None  # force used to be the first


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        (lambda client: client.log_metric("loss", 1, step=3), "log_metrics(loss=0.1, step=3)"),
        (lambda client: client.log_params({"lr": 1}), "log_arguments(lr=0.1)"),
        (lambda client: client.set_experiment("p"), "client.set_project(name=…)"),
        (lambda client: client.start_run(), "client.new_trial(name=…, parameters={…})"),
        (lambda client: client.new_trial().log_param("lr", 1), "trial.log_arguments(lr=0.1)"),
        (lambda client: track.init(project="p"), "client.new_trial("),
        (lambda client: track.log({"loss": 1}), "client.log({'loss': 0.1}, step=3)"),
    ],
)
def test_names_of_other_trackers_say_what_to_write(client, call, instead):
    """On the client, on a trial and on the package; nothing is made on the way."""
    with pytest.raises(AttributeError) as caught:
        call(client)
    assert f": write {instead}" in str(caught.value) or instead in str(caught.value)
    assert "\n" not in str(caught.value)
    assert client.protocol.fetch_trials() == []


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.log_metrics("loss", 0.1),
        lambda client: client.log_metrics(0.1),
        lambda client: client.log_metadata("best"),
        lambda client: client.add_tags(3),
    ],
)
def test_values_without_names_say_how_to_name_them(client, call):
    """They would be lost otherwise."""
    with pytest.raises(TypeError, match=r"takes names and values: write \w+\(a=1\)"):
        call(client)


def test_what_is_nowhere_is_still_missing(client):
    """Also for those who ask politely."""
    assert not hasattr(client, "no_such_thing")
    assert not hasattr(client, "log_all")
    assert not hasattr(track, "no_such_thing")
    with pytest.raises(AttributeError, match="TrackClient has no attribute 'no_such_thing'"):
        _ = client.no_such_thing
