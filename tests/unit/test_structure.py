"""Projects, groups, trials and their status."""

import copy
import pickle
from argparse import Namespace
from fractions import Fraction

import numpy as np
import pytest

from tests.programs import run_python
from track.structure import CustomStatus, Project, Status, Trial, TrialGroup, get_status
from track.utils.stat import StatStream


def test_status_values_are_the_documented_ones():
    """Stored values never change their meaning."""
    assert {status.name: status.value for status in Status} == {
        "CreatedGroup": 0,
        "RunningGroup": 100,
        "Running": 101,
        "ErrorGroup": 200,
        "Interrupted": 201,
        "Exception": 202,
        "Broken": 203,
        "FinishedGroup": 300,
        "Suspended": 301,
        "Completed": 302,
    }


@pytest.mark.parametrize(
    ("status", "text"),
    [(Status.Interrupted, "interrupted"), (CustomStatus("Reserved", 2), "reserved")],
)
def test_a_status_as_text_is_its_name_in_lower_case(status, text):
    """Queries compare this text."""
    assert str(status) == text


@pytest.mark.parametrize(
    "equal", ["new", {"name": "new", "value": 1}, CustomStatus("new", 1)], ids=type
)
def test_a_custom_status_equals_its_name_or_both(equal):
    """Texts, dictionaries and statuses are compared, from either side."""
    status = CustomStatus("new", 1)
    assert status == equal
    assert equal == status
    assert not status != equal  # noqa: SIM202 - the other operator is tested, too


@pytest.mark.parametrize(
    "other",
    [
        "New",
        {"name": "new"},
        {"name": "new", "value": 2},
        CustomStatus("new", 2),
        CustomStatus("old", 1),
        Status.Running,
        1,
        None,
    ],
)
def test_a_custom_status_differs_from_everything_else(other):
    """One of name and value is not enough, except for a text."""
    assert CustomStatus("new", 1) != other
    assert other != CustomStatus("new", 1)


def test_a_custom_status_like_one_of_ours_equals_it():
    """Which class a status came back as does not matter."""
    assert CustomStatus("Running", 101) == Status.Running
    assert Status.Running == CustomStatus("Running", 101)
    assert hash(CustomStatus("Running", 101)) == hash(Status.Running)
    assert {"new": 1}[CustomStatus("new", 1)] == 1


def test_get_status_finds_ours_or_makes_one():
    """A stored name and value become the status they were."""
    assert get_status("Completed", 302) is Status.Completed
    assert get_status("Completed", 3) == CustomStatus("Completed", 3)
    assert get_status("new", 1) == CustomStatus("new", 1)


@pytest.mark.parametrize("status", [CustomStatus("new", 1), Status.Running])
def test_statuses_are_copied_and_pickled(status):
    """Other frameworks copy trials whole."""
    for twin in (copy.deepcopy(status), pickle.loads(pickle.dumps(status))):
        assert twin == status
        assert (twin.name, twin.value) == (status.name, status.value)


def test_a_trial_needs_nothing():
    """A trial without arguments is legal, created, and revision 0 of its hash."""
    trial = Trial()
    assert trial.status is Status.CreatedGroup
    assert trial.uid == f"{trial.hash}_0"
    assert (trial.tags, trial.parameters, trial.metadata, trial.metrics) == ({}, {}, {}, {})
    assert (trial.chronos, trial.errors) == ({}, [])
    assert Trial().metadata is not trial.metadata


@pytest.mark.parametrize(
    ("uid", "digest", "revision"),
    [
        ("abc_3", "abc", 3),
        ("a_b_c_12", "a_b_c", 12),
        ("abc", "abc", 0),
        ("does_not_exist", "does_not", "exist"),
        ("_1", "", 1),
        ("abc_-1", "abc", "-1"),
    ],
)
def test_setting_the_uid_splits_it_at_the_last_underscore(uid, digest, revision):
    """Whatever stands behind the last underscore is the revision."""
    trial = Trial()
    trial.uid = uid
    assert (trial.hash, trial.revision) == (digest, revision)
    assert trial.uid in {uid, f"{uid}_0"}


def test_trials_are_equal_when_their_uid_is():
    """A revision read from a text is the same revision."""
    assert Trial(_hash="a", revision="0") == Trial(_hash="a", revision=0, name="other")
    assert len({Trial(_hash="a", revision="0"), Trial(_hash="a")}) == 1
    assert Trial(_hash="a") != Trial(_hash="a", revision=1)
    assert Trial(_hash="a") != "a_0"


def test_the_hash_identifies_a_configuration():
    """Name, version, project and parameters count; what is learnt later does not."""
    base = {"name": "n", "version": "v", "project_id": "p", "parameters": {"a": 1}}
    digest = Trial(**base).hash
    assert len(digest) == 64
    later = {"description": "d", "tags": {"t": 1}, "metadata": {"m": 1}, "metrics": {"l": [1]}}
    assert Trial(**base, **later, group_id="g", revision=3).hash == digest
    for name in base:
        other = {**base, name: {"a": 2} if name == "parameters" else "other"}
        assert Trial(**other).hash != digest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}),
        ({"a": [1, 2]}, {"a": (1, 2)}),
        ({"a": np.float64(0.5)}, {"a": 0.5}),
        ({"a": np.int32(-7)}, {"a": -7}),
        ({"a": np.array(3)}, {"a": 3}),
        ({"a": np.str_("x")}, {"a": "x"}),
        ({"a": {"x", "y"}}, {"a": {"y", "x"}}),
    ],
)
def test_the_hash_depends_neither_on_order_nor_on_wrapping(one, other):
    """The same values in another order, or from NumPy, are the same configuration."""
    assert Trial(parameters=one).hash == Trial(parameters=other).hash


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": "1"}),
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {1: "a"}),
        ({"a": [1, [2]]}, {"a": [[1], 2]}),
        ({"a": "x,y"}, {"a": ["x", "y"]}),
        ({"a": None}, {}),
        ({"a": -1}, {"a": 1}),
        ({"a": 2**64}, {"a": 2**64 + 1}),
    ],
)
def test_different_configurations_have_different_hashes(one, other):
    """What is written alike but is not the same is told apart."""
    assert Trial(parameters=one).hash != Trial(parameters=other).hash


@pytest.mark.parametrize(
    "value", [-1, -(10**30), float("nan"), "\ud800", b"\xff", {"a": {"b": [None]}}, Fraction(1, 3)]
)
def test_odd_parameters_have_a_hash(value):
    """Negative, large, nested and unprintable values identify a trial like any other."""
    assert Trial(parameters={"a": value}).hash == Trial(parameters={"a": value}).hash


def test_the_hash_is_the_same_in_another_process():
    """Hash randomisation of the interpreter does not reach it."""
    code = "from track import Trial; print(Trial(parameters={'a': {'x', 'y'}, 'b': 'c'}).hash)"
    hashes = {run_python(code, PYTHONHASHSEED=seed).stdout for seed in "12"}
    assert hashes == {Trial(parameters={"a": {"x", "y"}, "b": "c"}).hash + "\n"}


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_trials_are_copied_whole(duplicate):
    """Chronos and metrics are copied with the trial, and are independent of it."""
    trial = Trial(_hash="a", revision=2, metrics={"loss": [1]}, status=CustomStatus("new", 1))
    trial.chronos["batch"] = StatStream(0)
    trial.chronos["batch"].update(1.0)
    twin = duplicate(trial)
    assert twin == trial
    assert (twin.metrics, twin.status) == ({"loss": [1]}, CustomStatus("new", 1))
    assert twin.chronos == trial.chronos
    twin.chronos["batch"].update(2.0)
    twin.metrics["loss"].append(2)
    assert trial.chronos["batch"].count == 1
    assert trial.metrics == {"loss": [1]}


def test_metrics_may_be_read_from_elsewhere():
    """A trial can show metrics that a storage keeps; a copy has its own."""
    kept = {"loss": [1.0]}
    trial = Trial(_hash="a")
    trial.read_metrics_from(lambda: dict(kept))
    kept["acc"] = [0.5]
    assert trial.metrics == {"loss": [1.0], "acc": [0.5]}
    twin = pickle.loads(pickle.dumps(copy.deepcopy(trial)))
    kept.clear()
    assert (trial.metrics, twin.metrics) == ({}, {"loss": [1.0], "acc": [0.5]})
    trial.metrics = {"own": [1]}
    assert trial.metrics == {"own": [1]}


def test_a_group_has_the_uid_of_its_name_and_project():
    """The uid is computed from both, and numbers are fine."""
    group = TrialGroup(name="g", project_id=1)
    assert group.uid == TrialGroup(name="g", project_id=1, metadata={"a": 1}).uid
    assert len({TrialGroup(name="g", project_id=p).uid for p in (1, 2, "1")}) == 3
    assert TrialGroup(_uid="given").uid == "given"
    assert TrialGroup(_uid="given") == TrialGroup(_uid="given", name="other")
    assert TrialGroup(_uid="given") != "given"
    assert len({TrialGroup(_uid="given"), TrialGroup(_uid="given")}) == 1


@pytest.mark.parametrize("fields", [{}, {"name": "g"}, {"project_id": "p"}])
def test_a_group_without_name_or_project_has_no_uid(fields):
    """What is missing is said."""
    with pytest.raises(AssertionError, match=r"name|project_id"):
        _ = TrialGroup(**fields).uid


def test_the_uid_of_a_project_is_its_name():
    """Either way of naming a project makes the same one."""
    assert Project(name="p").uid == "p" == Project(_uid="p").name
    assert Project(name="p") == Project(name="p", description="other")
    assert Project(name="p") != "p"
    assert len({Project(name="p"), Project(_uid="p")}) == 1
    with pytest.raises(AssertionError, match="name"):
        _ = Project().uid


@pytest.mark.parametrize("kind", [Project, TrialGroup])
def test_collections_are_not_shared_between_objects(kind):
    """Each object has dictionaries and sets of its own."""
    one, other = kind(_uid="1"), kind(_uid="2")
    assert one.metadata is not other.metadata
    assert one.trials is not other.trials


def test_namespaces_are_no_mappings():
    """Parameters of a kind that has no stable text are still hashed by what they print."""
    namespace = Namespace(a=1)
    assert Trial(parameters={"n": namespace}).hash == Trial(parameters={"n": Namespace(a=1)}).hash
