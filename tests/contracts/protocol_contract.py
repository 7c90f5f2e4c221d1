"""What every storage backend promises about objects and what is logged of them.

A backend's test module makes a class of :class:`ProtocolContract` and gives it a fixture ``store``.
"""

import copy
import math
import time
from datetime import datetime

import numpy as np
import pytest

from track.aggregators.aggregator import (
    RingAggregator,
    StatAggregator,
    TimeSeriesAggregator,
    ValueAggregator,
)
from track.errors import EncodingError, TrackError, TrialDoesNotExist
from track.structure import CustomStatus, Project, Status, Trial, TrialGroup
from track.utils import ItemNotFound

PROJECT = Project(name="project", description="what for", metadata={"owner": "me"})
GROUP = TrialGroup(name="group", project_id="project", metadata={"lr": [0.1, 0.2]})
TRIAL = Trial(
    _hash="hash",
    name="trial",
    project_id="project",
    parameters={"lr": 0.1, "model": {"depth": 3}},
    metadata={"heartbeat": 0, "params_types": {"lr": "real"}},
    metrics={"loss": [3.0]},
    status=CustomStatus("new", 1),
)


def fill(store, **kwargs):
    """Insert a project and a trial of it, and return the trial."""
    store.new_project(Project(name="project"))
    trial = Trial(**{"_hash": "hash", "project_id": "project", **kwargs})
    assert store.new_trial(trial) is trial
    return trial


def fetch(store):
    """Return the only trial there is."""
    (trial,) = store.fetch_trials()
    return trial


class ProtocolContract:
    """The suite."""

    def test_new_project_returns_what_was_passed_then_what_exists(self, store):
        """A project is inserted once; the second time the stored one comes back."""
        project = Project(name="project", description="first")
        assert store.new_project(project=project) is project
        again = store.new_project(Project(name="project", description="second"))
        assert (again.uid, again.description) == ("project", "first")
        assert len(store.fetch_projects()) == 1

    def test_get_project_finds_it_or_gives_none(self, store):
        """A project is found by its name, with everything it was made of."""
        assert store.get_project(PROJECT) is None
        store.new_project(PROJECT)
        found = store.get_project(project=Project(name="project"))
        assert found == PROJECT
        assert (found.description, found.metadata) == ("what for", {"owner": "me"})

    def test_new_trial_group_returns_none_when_it_exists(self, store):
        """A group is inserted once, and its metadata comes back exactly as given."""
        store.new_project(PROJECT)
        metadata = {"name": "project", "space": {"/x": "uniform(0, 1)"}, "refers": [None]}
        group = TrialGroup(name="group", project_id="project", metadata=copy.deepcopy(metadata))
        assert store.new_trial_group(group=group) is group
        assert group.metadata == metadata
        assert store.new_trial_group(TrialGroup(name="group", project_id="project")) is None
        (found,) = store.fetch_groups()
        assert found.metadata == metadata

    def test_get_trial_group_by_uid_or_by_name_and_project(self, store):
        """Either way leads to the group, and an unknown one to None."""
        store.new_project(PROJECT)
        store.new_trial_group(GROUP)
        assert store.get_trial_group(group=TrialGroup(_uid=GROUP.uid)).name == "group"
        assert store.get_trial_group(TrialGroup(name="group", project_id="project")) == GROUP
        assert store.get_trial_group(TrialGroup(_uid="unknown")) is None
        assert store.get_trial_group(TrialGroup(name="other", project_id="project")) is None

    def test_new_trial_comes_back_exactly_as_given(self, store):
        """Metadata gets an update count of zero and nothing else."""
        store.new_project(PROJECT)
        store.new_trial_group(GROUP)
        trial = copy.deepcopy(TRIAL)
        trial.group_id = GROUP.uid
        expected = {**trial.metadata, "_update_count": 0}
        assert store.new_trial(trial=trial, auto_increment=False) is trial
        assert trial.metadata == expected
        found = fetch(store)
        assert found.metadata == expected
        assert (found.name, found.parameters) == ("trial", TRIAL.parameters)
        assert found.metrics == {"loss": [3.0]}
        assert (found.status, found.status.name) == (CustomStatus("new", 1), "new")
        assert (found.project_id, found.group_id, found.revision) == ("project", GROUP.uid, 0)

    def test_new_trial_returns_none_when_it_exists(self, store):
        """The second trial of one uid is refused, unless its revision may be counted up."""
        fill(store, parameters={"a": 1})
        assert store.new_trial(Trial(_hash="hash", project_id="project")) is None
        for revision in (1, 2):
            trial = Trial(_hash="hash", project_id="project")
            assert store.new_trial(trial, auto_increment=True) is trial
            assert (trial.revision, trial.uid) == (revision, f"hash_{revision}")
        assert [trial.revision for trial in store.fetch_trials()] == [0, 1, 2]

    def test_revisions_as_text_and_number_are_the_same(self, store):
        """A revision that was read from a text still names the trial."""
        fill(store)
        assert [t.uid for t in store.get_trial(Trial(_hash="hash", revision="0"))] == ["hash_0"]
        assert store.new_trial(Trial(_hash="hash", revision="0", project_id="project")) is None

    def test_get_trial_gives_all_revisions_or_none(self, store):
        """All revisions of a hash come back when the very uid exists."""
        fill(store)
        store.new_trial(Trial(_hash="hash", project_id="project"), auto_increment=True)
        found = store.get_trial(trial=Trial(_hash="hash", revision=1))
        assert sorted(trial.uid for trial in found) == ["hash_0", "hash_1"]
        assert store.get_trial(Trial(_hash="hash", revision=2)) is None
        assert store.get_trial(Trial(_hash="other")) is None

    def test_unknown_project_or_group_leaves_nothing_behind(self, store):
        """What belongs to nothing is refused whole."""
        store.new_project(PROJECT)
        for refused in (Trial(project_id="unknown"), Trial(group_id="unknown", _hash="h")):
            with pytest.raises(ItemNotFound, match="unknown"):
                store.new_trial(refused)
        with pytest.raises(ItemNotFound, match="unknown"):
            store.new_trial_group(TrialGroup(name="group", project_id="unknown"))
        assert store.fetch_trials() == []
        assert store.fetch_groups() == []
        (project,) = store.fetch_projects()
        assert (project.trials, project.groups) == (set(), set())

    def test_inserting_attaches_nothing_to_other_objects(self, store):
        """A project or group passed earlier does not grow when a trial is inserted."""
        project, group = copy.deepcopy(PROJECT), copy.deepcopy(GROUP)
        store.new_project(project)
        store.new_trial_group(group)
        trial = Trial(project_id="project", group_id=group.uid)
        store.new_trial(trial)
        assert (project.trials, project.groups, group.trials) == (set(), set(), set())
        (found,) = store.fetch_projects()
        assert (found.trials, found.groups) == ({trial}, {group})
        assert store.get_trial_group(group).trials == {trial.uid}

    @pytest.mark.parametrize("turn", [1, 2])
    def test_module_level_objects_can_be_inserted_again(self, store, turn):
        """The same objects go into one fresh store after the other."""
        assert store.new_project(PROJECT) is PROJECT
        assert store.new_trial_group(GROUP) is GROUP
        assert store.new_trial(TRIAL) is TRIAL
        assert TRIAL.metadata.keys() == {"heartbeat", "params_types", "_update_count"}
        assert fetch(store).metrics == {"loss": [3.0]}

    def test_reads_give_fresh_objects(self, store):
        """What a reader does to an object reaches neither the store nor another reader."""
        trial = fill(store, metadata={"nested": {"list": [1]}})
        store.log_trial_metrics(trial, loss=1.0)
        found = fetch(store)
        found.metadata["nested"]["list"].append(2)
        found.metrics["loss"].append(2.0)
        found.tags["new"] = 1
        found.errors.append("none")
        again = fetch(store)
        assert again.metadata["nested"] == {"list": [1]}
        assert (again.metrics, again.tags, again.errors) == ({"loss": [1.0]}, {}, [])
        store.fetch_projects()[0].metadata["x"] = 1
        assert store.fetch_projects()[0].metadata == {}

    def test_trials_join_other_projects_and_groups(self, store):
        """A trial may be added to a project and to many groups after it was made."""
        trial = fill(store)
        store.new_project(Project(name="other"))
        groups = [TrialGroup(name=name, project_id="other") for name in "ab"]
        for group in groups:
            store.new_trial_group(group)
            store.add_group_trial(group=group, trial=trial)
        store.add_project_trial(project=Project(name="other"), trial=trial)
        assert store.get_project(Project(name="other")).trials == {trial}
        assert [group.trials for group in store.fetch_groups()] == [{"hash_0"}, {"hash_0"}]

    def test_logging_to_an_unknown_trial_is_refused(self, store):
        """A log call for a trial that was never inserted raises and records nothing."""
        store.new_project(PROJECT)
        for call in (
            lambda trial: store.log_trial_metrics(trial, loss=1),
            store.log_trial_start,
            lambda trial: store.set_trial_status(trial, Status.Running),
            lambda trial: store.add_project_trial(PROJECT, trial),
        ):
            with pytest.raises(ItemNotFound):
                call(Trial(_hash="unknown"))
        with pytest.raises(ItemNotFound):
            store.set_group_metadata(TrialGroup(_uid="unknown"), a=1)
        assert store.fetch_trials() == []

    def test_metrics_without_a_step_are_a_list(self, store):
        """Values logged without a step are appended, here and in the trial passed in."""
        trial = fill(store)
        for value in (1.0, 2, None):
            store.log_trial_metrics(trial=trial, loss=value)
        assert trial.metrics == {"loss": [1.0, 2, None]}
        (values,) = fetch(store).metrics.values()
        assert type(values) is list
        assert values == [1.0, 2, None]

    def test_metrics_with_a_step_are_a_dictionary(self, store):
        """A step, zero too, is the key of its value; the last value of a step counts."""
        trial = fill(store)
        for step in (0, 1, 5, 1):
            store.log_trial_metrics(trial, step=step, loss=step / 2, acc=step)
        store.log_trial_metrics(trial, step="end", loss=9.0)
        expected = {"loss": {0: 0.0, 1: 0.5, 5: 2.5, "end": 9.0}, "acc": {0: 0, 1: 1, 5: 5}}
        assert trial.metrics == expected
        metrics = fetch(store).metrics
        assert metrics == expected
        assert {
            type(metric) for shown in (metrics, trial.metrics) for metric in shown.values()
        } == {dict}

    def test_a_list_of_metrics_becomes_a_dictionary(self, store):
        """When steps come late, the earlier values keep their places as steps."""
        trial = fill(store)
        store.log_trial_metrics(trial, loss=5.0)
        store.log_trial_metrics(trial, step=3, loss=4.0)
        store.log_trial_metrics(trial, loss=3.0)
        assert fetch(store).metrics == {"loss": {0: 5.0, 3: 4.0, 4: 3.0}} == trial.metrics

    def test_metrics_can_be_aggregated(self, store):
        """An aggregator keeps what it keeps of the values, whatever comes later."""
        trial = fill(store)
        for value in range(4):
            store.log_trial_metrics(trial, aggregator=RingAggregator.lazy(2), ring=float(value))
            store.log_trial_metrics(trial, aggregator=StatAggregator.lazy(0), stat=value)
            store.log_trial_metrics(trial, None, TimeSeriesAggregator.lazy(), series=value)
            store.log_trial_metrics(trial, aggregator=ValueAggregator.lazy(), value=value)
        store.log_trial_metrics(trial, ring=9.0)
        metrics = fetch(store).metrics
        assert metrics["ring"] == [3.0, 9.0]
        assert (metrics["stat"]["avg"], metrics["stat"]["count"]) == (1.5, 4)
        assert (metrics["series"], metrics["value"]) == ([0, 1, 2, 3], 3)

    def test_metadata_does_not_change_the_trial_passed_in(self, store):
        """Logged metadata is seen by whoever fetches, not in the object of the caller."""
        trial = fill(store)
        before = copy.deepcopy(trial.metadata)
        store.log_trial_metadata(trial=trial, gpu="V100", heartbeat=12.5)
        store.log_trial_metadata(trial, aggregator=RingAggregator.lazy(1, "d"), ring=0.1)
        store.log_trial_metadata(trial, aggregator=None, gpu="A100")
        assert trial.metadata == before
        found = fetch(store).metadata
        assert (found["gpu"], found["heartbeat"], found["ring"]) == ("A100", 12.5, [0.1])

    def test_values_are_frozen_at_the_call(self, store):
        """Changing a logged list, or a trial after its insertion, changes nothing stored."""
        trial = fill(store, parameters={"layers": [1]})
        value = [1, {"a": 2}]
        store.log_trial_metadata(trial, value=value)
        store.log_trial_metrics(trial, value=value)
        value[1]["a"] = 3
        trial.parameters["layers"].append(2)
        found = fetch(store)
        assert found.metadata["value"] == [1, {"a": 2}] == found.metrics["value"][0]
        assert found.parameters == {"layers": [1]}

    def test_odd_values_come_back_as_they_were(self, store):
        """What can be logged is what is fetched, of the same type."""
        trial = fill(store)
        values = {
            "tuple": (1, (2.5, "x")),
            "bytes": b"\x00\xff",
            "large": -(10**40),
            "text": "\ud800 \x00 ü",
            "time": datetime(2020, 2, 29, 1, 2, 3, 4),  # noqa: DTZ001
            "keys": {1: "a", (1, 2): "b", None: "c", "d.e": 4},
            "true": True,
        }
        store.log_trial_metadata(trial, nan=math.nan, numpy=np.float32(0.5), **values)
        found = fetch(store).metadata
        assert {name: found[name] for name in values} == values
        assert {name: type(found[name]) for name in values} == {
            name: type(value) for name, value in values.items()
        }
        assert math.isnan(found["nan"])
        assert (found["numpy"], type(found["numpy"])) == (0.5, float)

    def test_tags_and_arguments(self, store):
        """Tags and arguments are added to those a trial has; the last value of a name counts."""
        trial = fill(store, tags={"a": 1}, parameters={"x": 1})
        store.add_trial_tags(trial, b=2)
        store.log_trial_arguments(trial, y=[2], z=1)
        store.log_trial_arguments(trial, z=3)
        found = fetch(store)
        assert (found.tags, found.parameters) == ({"a": 1, "b": 2}, {"x": 1, "y": [2], "z": 3})

    def test_status_and_errors(self, store):
        """A status is set as given, and an error is kept as text, here and in the trial passed."""
        trial = fill(store)
        store.set_trial_status(trial=trial, status=CustomStatus("reserved", 2))
        assert fetch(store).status == trial.status == CustomStatus("reserved", 2)
        store.set_trial_status(trial, status=Status.Exception, error=ValueError)
        store.set_trial_status(trial, Status.Broken, ValueError("it broke"))
        found = fetch(store)
        assert found.status is Status.Broken
        assert found.errors == ["<class 'ValueError'>", "it broke"] == trial.errors

    def test_every_change_is_counted(self, store):
        """The update count rises by one for each kind of change, and the time is noted."""
        trial = fill(store)
        before = time.time()
        changes = [
            lambda: store.log_trial_metadata(trial, a=1),
            lambda: store.log_trial_metrics(trial, step=1, a=1.0, b=2.0),
            lambda: store.add_trial_tags(trial, a=1),
            lambda: store.log_trial_arguments(trial, a=1),
            lambda: store.set_trial_status(trial, Status.Running),
            lambda: store.log_trial_start(trial),
            lambda: store.log_trial_chrono_start(trial, "x"),
            lambda: store.log_trial_chrono_finish(trial, "x", None, None, None),
            lambda: store.log_trial_finish(trial, None, None, None),
        ]
        for count, change in enumerate(changes, start=1):
            change()
            metadata = fetch(store).metadata
            assert metadata["_update_count"] == count
            assert before - 1 <= metadata["_last_change"] <= time.time() + 1
            assert type(metadata["_last_change"]) is float

    def test_own_metadata_cannot_be_overwritten(self, store):
        """The update count stays a count even when somebody logs metadata of that name."""
        trial = fill(store, metadata={"_update_count": 12})
        store.log_trial_metadata(trial, _update_count="many", _last_change=None)
        assert fetch(store).metadata["_update_count"] == 1

    def test_chronos_hold_times_in_seconds(self, store):
        """A chrono keeps statistics of all its times; the run time of a trial is a number."""
        trial = fill(store)
        called = []
        store.log_trial_start(trial)
        for _ in range(3):
            store.log_trial_chrono_start(
                trial,
                name="batch",
                start_callback=lambda: called.append("start"),
                end_callback=lambda: called.append("end"),
            )
            time.sleep(0.002)
            store.log_trial_chrono_finish(trial, "batch", exc_type=None, exc_val=None, exc_tb=None)
        store.log_trial_chrono_start(trial, "last", aggregator=ValueAggregator.lazy())
        store.log_trial_chrono_finish(trial, "last", ValueError, ValueError(), None)
        store.log_trial_finish(trial, exc_type=None, exc_val=None, exc_tb=None)
        chronos = fetch(store).chronos
        assert next(iter(chronos)) == "runtime"
        assert chronos["runtime"] >= 0.006
        assert chronos["batch"].count == 3
        assert 0.002 <= chronos["batch"].min <= chronos["batch"].avg <= chronos["batch"].max
        assert type(chronos["last"].to_json()) is float
        assert called == ["start", "end"] * 3

    def test_a_sink_of_chronos_records_what_the_calls_do(self, store):
        """Also with options, and of a block that failed; where there is no trial, nothing is."""
        trial, called = fill(store), []
        plain = store.chrono_sink(trial)
        kept = store.chrono_sink(
            trial,
            aggregator=RingAggregator.lazy(2, "d"),
            start_callback=lambda: called.append("start"),
            end_callback=lambda: called.append("end"),
        )
        for sink, name in ((plain, "plain"), (kept, "kept"), (plain, "plain"), (plain, "failed")):
            sink.start(name)
            time.sleep(0.002)
            error = ValueError("bad") if name == "failed" else None
            sink.finish(name, 0.002, error and type(error), error, None)
        found = fetch(store)
        assert [*found.chronos] == ["plain", "kept", "failed"]
        assert (found.chronos["plain"].count, found.chronos["failed"].count) == (2, 1)
        assert found.chronos["plain"].min >= 0.002
        assert len(found.chronos["kept"].to_json()) == 1
        assert called == ["start", "end"]
        assert found.metadata["_update_count"] == 8
        with pytest.raises(TrialDoesNotExist):
            store.chrono_sink(Trial(_hash="nowhere")).start("x")

    def test_what_cannot_be_recorded_raises_and_changes_nothing(self, store):
        """A value that cannot be kept is one clear TypeError, and nothing is appended."""
        trial = fill(store)
        lazy = StatAggregator.lazy()
        for call in (
            lambda: store.log_trial_metrics(trial, loss=object()),
            lambda: store.log_trial_metrics(trial, loss={1, 2}),
            lambda: store.log_trial_metrics(trial, step=[1], loss=1.0),
            lambda: store.log_trial_metrics(trial, aggregator=lazy, loss="text"),
            lambda: store.log_trial_metadata(trial, loss=lambda: 1),
            lambda: store.log_trial_arguments(trial, loss=object()),
            lambda: store.add_trial_tags(trial, loss=object()),
            lambda: store.log_trial_chrono_start(trial, ["name"]),
            lambda: store.set_trial_status(trial, CustomStatus(["name"], 1)),
            lambda: store.new_trial(Trial(parameters={"loss": object()})),
            lambda: store.new_trial(Trial(_hash="other", metrics=[1])),
            lambda: store.new_trial_group(TrialGroup(_uid="g", metadata=[1])),
            lambda: store.new_project(Project(name="other", metadata=[1])),
        ):
            with pytest.raises(EncodingError) as caught:
                call()
            assert isinstance(caught.value, (TypeError, TrackError))
        found = fetch(store)
        assert found.metadata == {"_update_count": 0}
        assert (found.metrics, found.parameters, found.tags) == ({}, {}, {})
        assert [project.name for project in store.fetch_projects()] == ["project"]
        assert store.fetch_groups() == []
