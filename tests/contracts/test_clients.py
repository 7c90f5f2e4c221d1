"""What the clients that exist rely on, beyond what the documentation says.

The suites of the Protocol (``protocol_contract.py``, ``query_contract.py``, run by
``test_protocols.py``) hold most of it. The rest is tested beside what does it:

* names to import: ``tests/unit/test_exported.py``
* status, uids, hashes, copies: ``tests/unit/test_structure.py``
* forms of the report JSON: ``tests/unit/test_serialization.py``
* URIs: ``tests/unit/persistence/test_uri.py``
* the report file and its journal: ``tests/unit/persistence/test_store_files.py``
* the client: ``tests/unit/test_client*.py``, ``test_logger*.py``, ``test_configuration.py``
* numbers: ``tests/unit/test_aggregators.py``, ``test_throttle.py``, ``test_versioning.py``
* many processes: ``tests/e2e/test_reservations.py``, ``test_worker_pools.py``

Here is what only shows when all of it works together, on every backend. ``make orion`` runs one of
these clients itself.
"""

import copy
import inspect
import json
import pickle
import threading
from contextlib import nullcontext
from importlib import import_module

import pytest

from tests.contracts.backends import BACKENDS
from track import TrackClient
from track.aggregators.aggregator import StatAggregator
from track.client import TrialDoesNotExist
from track.errors import ConcurrentWrite
from track.persistence import make_local
from track.persistence.multiplexer import ProtocolMultiplexer
from track.persistence.protocol import Protocol
from track.serialization import from_json, to_json
from track.structure import CustomStatus, Project, Status, Trial, TrialGroup

NEW, RESERVED = CustomStatus("new", 1), CustomStatus("reserved", 2)


@pytest.fixture(params=BACKENDS)
def store(request, tmp_path):
    """A fresh store of each backend."""
    opened = BACKENDS[request.param](tmp_path)
    yield opened
    opened.close()


@pytest.fixture(params=[name for name in BACKENDS if name not in ("memory", "multiplexer")])
def shared(request, tmp_path):
    """A fresh store of each backend that others can open by its URI."""
    opened = BACKENDS[request.param](tmp_path)
    yield opened
    opened.close()


def fetch(store):
    """Return the only trial there is."""
    (trial,) = store.fetch_trials()
    return trial


def run_trial(store):
    """Insert a project, a group and a trial, and do something of each kind to the trial."""
    store.new_project(Project(name="p", description="d", metadata={"m": [1, {"n": None}]}))
    group = TrialGroup(name="g", project_id="p", metadata={"space": {"/x": "uniform(0, 1)"}})
    store.new_trial_group(group)
    trial = Trial(
        _hash="h",
        name="t",
        version="v",
        tags={"a": 1},
        project_id="p",
        group_id=group.uid,
        parameters={"a.b": 1, "c": -2},
        status=NEW,
    )
    store.new_trial(trial)
    store.log_trial_start(trial)
    store.log_trial_metrics(trial, step=0, loss=0.5)
    store.log_trial_metrics(trial, cost=[1])
    store.log_trial_chrono_start(trial, "batch", aggregator=StatAggregator.lazy(1))
    store.log_trial_chrono_finish(trial, "batch", None, None, None)
    store.log_trial_finish(trial, None, None, None)
    store.set_trial_status(trial, RESERVED, error=ValueError("odd"))
    return trial


# Imports


def test_a_search_finds_all_that_it_imports():
    """One missing name among the ten, and Oríon says that Track is not installed."""
    for module, name in (
        ("client", "TrackClient"),
        ("persistence.local", "ConcurrentWrite"),
        ("persistence.utils", "parse_uri"),
        ("serialization", "to_json"),
        ("structure", "CustomStatus"),
        ("structure", "Project"),
        ("structure", "Status"),
        ("structure", "Trial"),
        ("structure", "TrialGroup"),
        ("utils", "ItemNotFound"),
    ):
        assert callable(getattr(import_module(f"track.{module}"), name))


def test_a_local_store_is_made_with_these_arguments():
    """By position or by name, with these defaults."""
    parameters = inspect.signature(make_local).parameters.values()
    assert [(one.name, one.default) for one in parameters] == [
        ("uri", inspect.Parameter.empty),
        ("strict", True),
        ("eager", True),
    ]


def test_a_concurrent_write_can_be_caught():
    """A search catches it around what it writes."""
    assert issubclass(ConcurrentWrite, Exception)


# Structure


def test_a_trial_takes_these_arguments():
    """In this order, all of them optional."""
    parameters = inspect.signature(Trial).parameters.values()
    expected = (
        "_hash revision name description tags version group_id project_id parameters metadata "
        "metrics chronos status errors"
    )
    assert " ".join(one.name for one in parameters) == expected
    assert inspect.Parameter.empty not in [one.default for one in parameters]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_what_was_fetched_is_copied_whole(store, duplicate):
    """Trials with their chronos, groups and projects; the copy goes its own way."""
    run_trial(store)
    for original in (fetch(store), *store.fetch_groups(), *store.fetch_projects()):
        twin = duplicate(original)
        assert twin == original
        assert to_json(twin) == to_json(original)
    trial = fetch(store)
    twin = duplicate(trial)
    twin.chronos["batch"].append(1.0)
    twin.metrics["loss"][1] = 0.25
    assert trial.chronos["batch"].stat.current_count == 1
    assert trial.metrics["loss"] == {0: 0.5}


def test_a_status_is_true_and_comes_back(store):
    """Whatever its value is, zero too; it equals what was stored, and has its name."""
    for status in (NEW, RESERVED, *Status):
        store.new_trial(Trial(_hash=f"made {status}", status=status))
        set_later = store.new_trial(Trial(_hash=f"set {status}", status=CustomStatus("other", 1)))
        store.set_trial_status(set_later, status)
        found = store.fetch_trials({"status": status})
        assert found == store.fetch_trials({"status": {"$in": [str(status)]}})
        assert [trial.hash for trial in found] == [f"made {status}", f"set {status}"]
        for trial in found:
            assert trial.status
            assert (trial.status, trial.status.name) == (status, status.name)
            assert trial.status.value == status.value


def test_a_group_of_a_numbered_project_has_a_uid():
    """The number is enough for a uid; nobody has to look the project up."""
    assert TrialGroup(name="g", project_id=3).uid == TrialGroup(name="g", project_id=3).uid


def test_a_trial_that_does_not_exist_is_named(store):
    """Whatever its uid looks like, the error is that there is none."""
    run_trial(store)
    client = TrackClient(store)
    for uid in ("does_not_exist", "does_not", "x", "h_1", "h_final"):
        with pytest.raises(TrialDoesNotExist, match=uid):
            client.set_trial(uid=uid)
    assert client.set_trial(uid="h_0").uid == "h_0"


# Serialization


def test_the_full_form_of_what_was_fetched(store):
    """Every key that clients read in a report is there, from every backend."""
    trial = run_trial(store)
    (project,) = store.fetch_projects()
    written = json.loads(json.dumps(to_json(project)))
    assert written.keys() == {
        *("dtype", "uid", "name", "description", "metadata", "trials", "groups")
    }
    (group,), (shown,) = written["groups"], written["trials"]
    assert (written["dtype"], group["dtype"], shown["dtype"]) == ("project", "trial_group", "trial")
    assert group.keys() == {
        *("dtype", "uid", "name", "description", "metadata", "project_id", "trials")
    }
    assert (group["trials"], group["project_id"]) == ([trial.uid], "p")
    assert shown.keys() == {
        *("dtype", "uid", "revision", "hash", "name", "description", "version", "tags"),
        *("group_id", "project_id", "parameters", "metadata", "metrics", "chronos", "errors"),
        "status",
    }
    assert shown["parameters"] == {"a": {"b": 1}, "c": -2}
    assert shown["status"] == {"name": "reserved", "value": 2}
    assert (shown["errors"], shown["metrics"]) == (["odd"], {"loss": {"0": 0.5}, "cost": [[1]]})


def test_stored_chronos_have_their_whole_state(store):
    """The run time is a number, any other has everything that its statistics need."""
    run_trial(store)
    chronos = to_json(fetch(store))["chronos"]
    assert type(chronos["runtime"]) is float
    assert chronos["batch"].keys() == {
        *("dtype", "sum", "sum_sqr", "first_obs", "min", "max", "current_count", "current_obs"),
        "drop_obs",
    }
    assert (chronos["batch"]["dtype"], chronos["batch"]["drop_obs"]) == ("statstream", 1)


def test_what_was_fetched_survives_the_way_through_json(store):
    """Also with tags in a list and plain numbers as chronos."""
    store.new_project(Project(name="p"))
    store.new_trial(
        Trial(_hash="h", project_id="p", tags=["a", "b"], chronos={"x": 1.5}, metrics={"l": [1]})
    )
    for original in (fetch(store), *store.fetch_projects()):
        read = from_json(json.loads(json.dumps(to_json(original))))
        assert read == original
        assert to_json(read) == to_json(original)
    assert from_json(to_json(fetch(store))).tags == ["a", "b"]
    assert from_json(to_json(fetch(store))).chronos == {"x": 1.5}


def test_a_query_goes_through_json_unharmed(store):
    """A search turns its queries into JSON first: statuses in a list stay statuses."""
    run_trial(store)
    query = to_json({"status": {"$in": [NEW, RESERVED]}, "group_id": fetch(store).group_id})
    assert query["status"]["$in"] == [NEW, RESERVED]
    assert query["status"]["$in"][0] is NEW
    assert [trial.uid for trial in store.fetch_trials(query)] == ["h_0"]


def test_the_short_form_shows_what_people_read(store):
    """What only machines need is gone, also of the metadata."""
    trial = run_trial(store)
    store.log_trial_metadata(trial, heartbeat=1.5, gpu="V100")
    short = to_json(fetch(store), short=True)
    assert not {"dtype", "hash", "uid", "project_id", "group_id"} & short.keys()
    assert short["metadata"] == {"gpu": "V100"}
    assert short["chronos"]["batch"]["unit"] == "s"


# The protocol

KEYWORDS = {
    "new_project": "project",
    "get_project": "project",
    "fetch_projects": "query",
    "new_trial_group": "group",
    "get_trial_group": "group",
    "fetch_groups": "query",
    "fetch_and_update_group": "query attr *args **kwargs",
    "set_group_metadata": "group **kwargs",
    "new_trial": "trial auto_increment",
    "get_trial": "trial",
    "fetch_trials": "query",
    "fetch_and_update_trial": "query attr *args **kwargs",
    "add_project_trial": "project trial",
    "add_group_trial": "group trial",
    "add_trial_tags": "trial **kwargs",
    "log_trial_arguments": "trial **kwargs",
    "log_trial_metadata": "trial aggregator **kwargs",
    "log_trial_metrics": "trial step aggregator **kwargs",
    "log_trial_start": "trial",
    "log_trial_finish": "trial exc_type exc_val exc_tb",
    "log_trial_chrono_start": "trial name aggregator start_callback end_callback",
    "log_trial_chrono_finish": "trial name exc_type exc_val exc_tb",
    "set_trial_status": "trial status error",
}
"""What each method of a backend is called with, by name."""


def test_keywords_of_every_method(store):
    """The documented names, on the contract and on what keeps it."""
    for owner in (Protocol, store):
        if isinstance(owner, ProtocolMultiplexer):
            continue  # hands on what it is given
        for name, expected in KEYWORDS.items():
            parameters = list(inspect.signature(getattr(owner, name)).parameters.values())
            words = [str(one).split(":")[0].split("=")[0].strip() for one in parameters]
            assert [word for word in words if word != "self"] == expected.split(), name


def test_no_condition_means_all(store):
    """Of trials, groups and projects; each time in a list of its own."""
    run_trial(store)
    for find in (store.fetch_trials, store.fetch_groups, store.fetch_projects):
        for query in (None, {}, []):
            assert len(find(query)) == len(find(query=query)) == len(find()) == 1
            assert find(query) is not find(query)
            assert find(query)[0] is not find(query)[0]


LOGGED = [
    lambda store, trial: store.log_trial_metrics(trial, step=1, loss=0.25),
    lambda store, trial: store.log_trial_metadata(trial, heartbeat=2.5),
    lambda store, trial: store.add_trial_tags(trial, b=2),
    lambda store, trial: store.set_trial_status(trial, Status.Completed),
    lambda store, trial: store.set_group_metadata(TrialGroup(_uid=trial.group_id), n=1),
]
"""Calls that a server may hear of later."""

DECIDED = [
    lambda store, trial: store.new_trial(Trial(_hash="other", project_id="p")),
    lambda store, trial: store.fetch_and_update_trial({}, "set_trial_status", status=NEW),
    lambda store, trial: store.log_trial_finish(trial, None, None, None),
]
"""Calls that every server has heard of when they return."""


def test_what_was_recorded_is_seen_by_others(shared):
    """When the call has returned; logged to a server, when the writer has read or committed."""
    trial = run_trial(shared)
    other = TrackClient(shared.uri).protocol
    for change in [*DECIDED, *LOGGED]:
        before = [to_json(project) for project in other.fetch_projects()]
        change(shared, trial)
        if change in LOGGED and not shared.uri.startswith(("file:", "lmdb:")):
            shared.commit()
        after = [to_json(project) for project in other.fetch_projects()]
        assert after == [to_json(project) for project in shared.fetch_projects()] != before
    other.close()


def test_the_time_of_the_last_change_comes_with_the_first(store):
    """A trial that was only inserted has not been changed."""
    trial = store.new_trial(Trial(_hash="h", metadata={"heartbeat": 0}))
    assert fetch(store).metadata == {"heartbeat": 0, "_update_count": 0}
    store.log_trial_metadata(trial, heartbeat=1)
    assert fetch(store).metadata.keys() == {"heartbeat", "_update_count", "_last_change"}


@pytest.mark.parametrize(
    "parameters",
    [
        {"seed": -1},
        {"seed": 2**64, "large": -(10**30)},
        {"nested": {"list": [1, [2, {"x": -3}]], "none": None}, "empty": {}},
        {"": "", "/x": 0.5, "a.b": 1, "ü": "ü\ud800"},
    ],
)
def test_odd_parameters_are_taken(store, parameters):
    """Negative, large and nested ones, through the client; their order does not count."""
    store.new_project(Project(name="p"))
    client = TrackClient(store)
    client.set_project(name="p")
    uid = client.new_trial(parameters=parameters).uid
    assert fetch(store).parameters == parameters
    again = TrackClient(store)
    again.set_project(name="p")
    turned = dict(reversed(parameters.items()))
    assert again.new_trial(parameters=turned).trial.hash == client.trial.hash
    assert uid != again.trial.uid


# The client


def test_a_search_puts_its_own_option_on_any_uri(shared):
    """Which metric is the objective is its own business."""
    uri = shared.uri
    client = TrackClient(uri + ("&" if "?" in uri else "?") + "objective=loss")
    client.log_metrics(loss=0.5)
    assert fetch(client.protocol).metrics == {"loss": [0.5]}
    client.close()


def test_a_report_after_the_end_and_after_a_crash(store, capsys):
    """It shows how it went; the status of the trial is true."""
    odd = ValueError("odd")
    for error, name in ((None, "Completed"), (odd, "Exception")):
        client = TrackClient(store)
        client.log_arguments(kind=name)
        expected = nullcontext() if error is None else pytest.raises(ValueError, match="odd")
        with expected as caught, client:
            client.log_metrics(step=0, loss=0.5)
            if error is not None:
                raise error
        assert caught is None or (caught.value is odd and caught.tb is not None)
        client.report()
        shown = json.loads(capsys.readouterr().out)
        assert shown["status"]["name"] == name
        assert shown["errors"] == ([] if error is None else ["<class 'ValueError'>"])
        assert client.trial.status
        assert str(client.trial.status) == name.lower()


def test_a_thread_trains_like_the_main_one(store):
    """A client made, used and ended elsewhere than in the main thread."""
    shown = []

    def train():
        client = TrackClient(store)
        with client:
            for step in range(3):
                with client.chrono("batch"):
                    client.log_metrics(step=step, loss=1 / (step + 1))
        shown.append(client.trial.status)

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert shown == [Status.Completed]
    trial = fetch(store)
    assert list(trial.metrics["loss"]) == [0, 1, 2]
    assert trial.chronos["batch"].count == 3
