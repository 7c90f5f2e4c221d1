"""What single events do to the objects."""

import copy
from itertools import count

import pytest

from track.aggregators.aggregator import RingAggregator, StatAggregator
from track.containers.series import StepSeries
from track.events.codec import stream_id
from track.events.types import (
    ArgumentsLogged,
    ChronoFinished,
    ChronoStarted,
    GroupCreated,
    GroupMetadataSet,
    MetadataLogged,
    MetricsLogged,
    ProjectCreated,
    Recorded,
    StatusChanged,
    TagsAdded,
    TrialAddedToGroup,
    TrialAddedToProject,
    TrialCreated,
    TrialFinished,
    TrialStarted,
    Unknown,
)
from track.projections.copies import copy_group, copy_project, copy_trial
from track.projections.objects import Objects
from track.structure import CustomStatus, Status

SECOND = 10**9
PROJECT = "project", "p", ProjectCreated("p", "what for", {"a": 1})
GROUP = "group", "g", GroupCreated("g", "name", None, {"b": 2}, "p")


def trial_created(digest="h", revision=0, **fields):
    event = TrialCreated(
        *(digest, revision, "n", "d", {}, "v", "g", "p", {}, {}, {}, {}, None, []),
    )
    return "trial", f"{digest}_{revision}", event._replace(**fields)


def happen(*story, objects=None):
    """Apply events, one each second, to objects."""
    objects = objects or Objects()
    for position, (kind, uid, event) in zip(count(objects.position + 1), story, strict=False):
        recorded = Recorded(position, position * SECOND, 1, position, stream_id(kind, uid), event)
        objects.apply(recorded)
    return objects


def happen_to_trial(*events, **fields):
    """Apply events to a trial and return it."""
    story = [PROJECT, GROUP, trial_created(**fields)]
    story += [("trial", "h_0", event) for event in events]
    return happen(*story).trials["h_0"]


def test_what_is_made_belongs_together():
    """A trial is found in its project and group, and among the revisions of its hash."""
    objects = happen(PROJECT, GROUP, trial_created(), trial_created(revision=1))
    project, group = objects.projects["p"], objects.groups["g"]
    assert (project.description, project.metadata, group.metadata) == (
        "what for",
        {"a": 1},
        {"b": 2},
    )
    assert project.trials == set(objects.trials.values())
    assert (project.groups, group.trials) == ({group}, {"h_0", "h_1"})
    assert objects.revisions == {"h": ["h_0", "h_1"]}
    assert objects.by_group == {"g": ["h_0", "h_1"]}
    trial = objects.trials["h_1"]
    assert (trial.name, trial.description, trial.version, trial.status) == ("n", "d", "v", None)
    assert trial.metadata == {"_update_count": 0}


def test_the_first_event_makes_an_object():
    """Making what exists already changes nothing."""
    objects = happen(PROJECT, GROUP, trial_created())
    before = copy.deepcopy(vars(objects.trials["h_0"]))
    happen(
        ("project", "p", ProjectCreated("p", "other", {})),
        ("group", "g", GroupCreated("g", "other", None, {}, None)),
        trial_created(name="other"),
        objects=objects,
    )
    assert objects.projects["p"].description == "what for"
    assert objects.groups["g"].name == "name"
    assert vars(objects.trials["h_0"]) == before


def test_what_is_about_nothing_changes_nothing():
    """Events of unknown subjects, and unknown events, only move the checkpoint."""
    objects = happen(
        ("trial", "unknown_0", StatusChanged("Running", 101, None)),
        ("group", "unknown", GroupMetadataSet({"a": 1})),
        ("group", "unknown", TrialAddedToGroup("h_0")),
        ("project", "unknown", TrialAddedToProject("h_0")),
        ("trial", "h_0", Unknown(99, 1, [1, 2])),
        PROJECT,
        ("project", "p", TrialAddedToProject("unknown_0")),
    )
    assert (objects.trials, objects.groups, objects.failed_events) == ({}, {}, [])
    assert objects.projects["p"].trials == set()
    assert objects.position == 7


@pytest.mark.parametrize("waited", ["long", [], float("nan"), float("inf"), -1.0, 1e30, True])
@pytest.mark.parametrize("status", ["Running", ["Running"], {}])
def test_attempts_whose_events_make_no_sense_are_attempts(waited, status):
    """Anything may be in a journal that others write, too: what it says is used where it can be."""
    objects = happen(
        PROJECT,
        trial_created(),
        ("trial", "h_0", TrialStarted(waited)),
        ("trial", "h_0", StatusChanged(status, 1, None)),
        ("trial", "h_0", TrialFinished("a while", None)),
    )
    (attempt,) = objects.attempts[objects.stream_of[id(objects.trials["h_0"])]].found
    assert 0 <= attempt.started_at <= attempt.last_at
    assert (attempt.events, attempt.finished_at) == (3, attempt.last_at)


def test_an_event_that_makes_no_sense_is_passed_over():
    """The objects stay readable, and the position of the misfit is kept."""
    objects = happen(
        PROJECT,
        ("project", "q", ProjectCreated(["no name"], None, {})),
        trial_created(chronos={"x": {"dtype": "statstream"}}),
        trial_created("good"),
        ("trial", "good_0", ChronoStarted("x", ["unheard-of", {}])),
        ("trial", "good_0", MetricsLogged([1], {"loss": 1.0}, None)),
        ("trial", "good_0", TagsAdded({"a": 1})),
    )
    assert list(objects.trials) == ["good_0"]
    assert objects.failed_events == [2, 3, 5, 6]
    assert objects.trials["good_0"].tags == {"a": 1}


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["a", "b"], {"a": None, "b": None, "new": 1}),
        (None, {"new": 1}),
        ("text", {"text": None, "new": 1}),
        ([["x"], 3], {"['x']": None, "3": None, "new": 1}),
    ],
)
def test_tags_of_any_kind_become_names(tags, expected):
    """Old trials had lists of tags."""
    assert happen_to_trial(TagsAdded({"new": 1}), tags=tags).tags == expected


def test_status_and_errors():
    """A status comes back as ours or as the user's own, and errors are collected."""
    trial = happen_to_trial(
        StatusChanged("new", 1, None), StatusChanged("Broken", 203, "e"), errors=["first"]
    )
    assert (trial.status, trial.errors) == (Status.Broken, ["first", "e"])
    assert happen_to_trial(StatusChanged("new", 1, None)).status == CustomStatus("new", 1)


def test_metrics_are_lists_series_or_aggregators():
    """What the first value made a metric it stays, unless a step turns its list into a series."""
    trial = happen_to_trial(
        MetricsLogged(None, {"list": 1, "both": 2}, None),
        MetricsLogged(None, {"list": 3}, None),
        MetricsLogged(0, {"series": 0.5}, None),
        MetricsLogged(7, {"series": 1.5, "both": 4}, None),
        MetricsLogged(None, {"series": 2.5}, None),
        MetricsLogged(1, {"ring": 1}, ["ring", {"n": 1, "dtype": "i"}]),
        MetricsLogged(2, {"ring": 2}, None),
        MetricsLogged(None, {"list": 5}, ["stat", {"skip_obs": 0}]),
        MetricsLogged(None, {"bare": 2}, None),
        metrics={"bare": 1},
    )
    assert isinstance(trial.metrics["series"], StepSeries)
    assert trial.metrics["series"] == {0: 0.5, 7: 1.5, 8: 2.5}
    assert trial.metrics["both"] == {0: 2, 7: 4}
    assert trial.metrics["ring"].to_json() == [2]
    assert isinstance(trial.metrics["list"], StatAggregator)
    assert (trial.metrics["list"].avg, trial.metrics["list"].count) == (3, 3)
    assert trial.metrics["bare"] == [1, 2]


def test_an_aggregator_leaves_out_what_it_cannot_take():
    """A text among numbers is skipped, and the numbers go on."""
    trial = happen_to_trial(
        MetricsLogged(None, {"a": 1.0}, ["stat", {"skip_obs": 0}]),
        MetricsLogged(None, {"a": "text"}, None),
        MetricsLogged(None, {"a": 3.0}, None),
    )
    assert (trial.metrics["a"].avg, trial.metrics["a"].count) == (2.0, 2)


def test_durations_are_those_that_were_measured():
    """Where the end does not know how long it took, the times of the events tell."""
    trial = happen_to_trial(
        TrialStarted(),
        ChronoStarted("batch", None),
        ChronoFinished("batch", 0.25, None),
        ChronoStarted("batch", None),
        ChronoFinished("batch", None, "ValueError"),
        ChronoFinished("batch", None, None),
        ChronoFinished("never started", 3.0, None),
        ChronoStarted("ring", ["ring", {"n": 1, "dtype": "d"}]),
        ChronoFinished("ring", 4.0, None),
        TrialFinished(None, None),
    )
    assert trial.chronos["runtime"] == pytest.approx(9.0)
    assert (trial.chronos["batch"].min, trial.chronos["batch"].max) == (0.25, 1.0)
    assert trial.chronos["batch"].count == 2
    assert trial.chronos["never started"].avg == 3.0
    assert isinstance(trial.chronos["ring"], RingAggregator)
    assert list(trial.chronos) == ["runtime", "batch", "never started", "ring"]
    assert happen_to_trial(TrialFinished(2.5, None)).chronos == {"runtime": 2.5}
    assert happen_to_trial(TrialFinished(None, None)).chronos == {}


def test_stored_statistics_go_on():
    """A trial inserted with statistics accumulates further times in them."""
    stat = StatAggregator(0)
    stat.append(1.0)
    trial = happen_to_trial(
        ChronoStarted("batch", None),
        ChronoFinished("batch", 3.0, None),
        chronos={"batch": stat.to_json(), "plain": 7},
    )
    assert (trial.chronos["batch"].avg, trial.chronos["plain"]) == (2.0, 7)


def test_folding_does_not_change_events():
    """The same events can be folded again and again."""
    story = [
        PROJECT,
        GROUP,
        trial_created(metrics={"loss": [1], "acc": {0: 1}}, errors=["e"], tags={"t": 1}),
        ("group", "g", GroupMetadataSet({"x": 1})),
        ("trial", "h_0", MetricsLogged(None, {"loss": 2, "acc": 3}, None)),
        ("trial", "h_0", StatusChanged("new", 1, "error")),
        ("trial", "h_0", TagsAdded({"u": 1})),
        ("trial", "h_0", ArgumentsLogged({"a": 1})),
    ]
    before = copy.deepcopy(story)
    happen(*story)
    assert story == before


def test_copies_share_nothing():
    """What is done to a copy does not reach the projection."""
    objects = happen(
        PROJECT,
        GROUP,
        trial_created(metadata={"m": [1]}, parameters={"p": ({"q": [1]},)}, errors=["e"]),
        ("trial", "h_0", MetricsLogged(0, {"loss": 1.0}, None)),
        ("trial", "h_0", MetadataLogged({"ring": 2}, ["ring", {"n": 2, "dtype": "i"}])),
        ("trial", "h_0", ChronoStarted("batch", None)),
        ("trial", "h_0", ChronoFinished("batch", 1.0, None)),
    )
    trial = copy_trial(objects.trials["h_0"])
    assert type(trial.metrics["loss"]) is dict
    assert trial.metadata["ring"] == [2]
    trial.metadata["m"].append(2)
    trial.parameters["p"][0]["q"].append(2)
    trial.metrics["loss"][1] = 2.0
    trial.chronos["batch"].append(5.0)
    trial.errors.append("f")
    group, project = copy_group(objects.groups["g"]), copy_project(objects.projects["p"])
    group.trials.clear()
    group.metadata.clear()
    project.trials.clear()
    project.metadata.clear()
    again = copy_trial(objects.trials["h_0"])
    assert (again.metadata["m"], again.metrics, again.errors) == ([1], {"loss": {0: 1.0}}, ["e"])
    assert again.parameters == {"p": ({"q": [1]},)}
    assert again.chronos["batch"].count == 1
    assert objects.groups["g"].trials == {"h_0"}
    assert (len(objects.projects["p"].trials), objects.projects["p"].metadata) == (1, {"a": 1})


def test_indexes_find_what_a_scan_finds():
    """A query by uid or group looks only where matches can be."""
    story = [PROJECT, GROUP, ("group", "other", GroupCreated("other", "o", None, {}, "p"))]
    story += [trial_created(digest, group_id=group) for digest, group in zip("abc", "gxg")]  # noqa: B905
    objects = happen(*story)
    assert [t.hash for t in objects.find_trials({"group_id": "g"})] == ["a", "c"]
    assert [t.hash for t in objects.find_trials([("group_id", "g")])] == ["a", "c"]
    assert [t.hash for t in objects.find_trials({"uid": "b_0"})] == ["b"]
    assert list(objects.find_trials({"uid": "b_0", "group_id": "g"})) == []
    assert [t.hash for t in objects.find_trials({"group_id": {"$ne": "g"}})] == ["b"]
    assert [g.uid for g in objects.find_groups({"_uid": "g"})] == ["g"]
    assert [p.uid for p in objects.find_projects({"uid": "p"})] == ["p"]


ODD_IDENTITIES = {
    "a project": ProjectCreated(7, None, {}),
    "a group": GroupCreated(b"g", "g", None, {}, "p"),
    "a group of something": GroupCreated("g", "g", None, {}, ["p"]),
    "a trial in a group": TrialAddedToGroup(None),
}


@pytest.mark.parametrize("event", ODD_IDENTITIES.values(), ids=ODD_IDENTITIES)
def test_an_object_that_nobody_could_find_is_no_object(event):
    """What has no text to be found by would keep all others from being sorted, shown or saved."""
    objects = Objects()
    stream = stream_id("group", "here")
    made = GroupCreated("here", "g", None, {}, None)
    objects.apply(Recorded(1, 0, 1, 1, stream, made))
    objects.apply(Recorded(2, 0, 1, 2, stream, event))
    assert objects.failed_events == [2]
    assert objects.projects == {}
    assert [*objects.groups] == ["here"]
    assert objects.groups["here"].trials == set()
