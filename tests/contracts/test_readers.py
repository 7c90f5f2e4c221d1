"""Looking at a store: the same on every backend with a journal, and nothing is changed by it."""

import json
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from track import TrackClient
from track.aggregators.aggregator import StatAggregator
from track.errors import QueryError, TrialDoesNotExist
from track.events.types import MetricsLogged, StatusChanged, TrialCreated
from track.media import Image, Text
from track.moment import Moment
from track.projections.copies import copy_group, copy_project, view_trial
from track.structure import Status


@pytest.fixture
def told(reader):
    """A trial that was interrupted and continued, among two others; and its uid."""
    client = TrackClient(reader.protocol)
    client.set_project(name="p")
    client.set_group(name="g")
    client.new_trial(name="other", parameters={"lr": 0.5}).log_metrics(step=0, loss=9.0)
    trial = client.new_trial(force=True, name="mine", parameters={"lr": 0.1, "model": {"depth": 2}})
    trial.start()
    for step in range(4):
        trial.log_metrics(step=step, loss=1.0 / (step + 1))
    trial.log_metadata(note="first")
    trial.finish(KeyboardInterrupt)
    client.new_trial(force=True, name="third", parameters={"lr": 0.7})
    again = TrackClient(reader.protocol)
    with again.set_trial(uid=trial.trial.uid) as continued:
        for step in range(2, 6):
            continued.log_metrics(step=step, loss=10.0 + step)
        continued.log_metadata(note="second")
    return reader, trial.trial.uid


def test_a_trial_is_found_by_what_is_known_of_it(told):
    """It is found by its uid, a prefix of the uid, its hash with its revision, or its name."""
    reader, uid = told
    digest, _, revision = uid.rpartition("_")
    for which in (uid, uid[:8], f"{digest[:8]}_{revision}", "mine", reader.trial(uid)):
        assert reader.find_uid(which) == uid
    assert reader.trial("mine").metadata["note"] == "second"


@pytest.mark.parametrize("which", ["0" * 64 + "_0", "", "x_y_z"])
def test_a_trial_that_does_not_exist_is_told(told, which):
    """The error does not depend on the form of the text."""
    with pytest.raises(TrialDoesNotExist, match="no trial"):
        told[0].find_uid(which)


def test_a_trial_that_may_have_been_meant_is_named(told):
    """One or two letters are wrong."""
    with pytest.raises(TrialDoesNotExist, match="did you mean mine"):
        told[0].find_uid("mien")


def test_a_name_that_several_have_is_told(reader):
    """With all of them, to choose from."""
    client = TrackClient(reader.protocol)
    uids = [client.new_trial(force=True, name="a", parameters={"n": n}).trial.uid for n in (1, 2)]
    with pytest.raises(TrialDoesNotExist) as caught:
        reader.trial("a")
    assert all(uid in str(caught.value) for uid in uids)


def test_the_latest_revision_is_meant(reader):
    """By the name, and by what the uids begin with; the uid of another one finds that."""
    client = TrackClient(reader.protocol)
    first, second = (
        client.new_trial(force=True, name="baseline", parameters={"lr": 0.1}).trial.uid
        for _ in range(2)
    )
    client.new_trial(force=True, name="other", parameters={"lr": 0.1})
    for which in ("baseline", first[:8], second):
        assert reader.trial(which).uid == reader.find_uid(which) == second
        assert [event.event.revision for event in reader.history(which)] == [1]
    assert reader.trial(first).uid == first
    with pytest.raises(TrialDoesNotExist, match=f"matches {first}, {second}; give more"):
        reader.find_uid("baseline", latest=False)


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ({"metrics.los": 1}, r"did you mean metrics\.loss\?"),
        ({"metrics.lr": {"$ne": 1}}, r"did you mean parameters\.lr\?"),
        ({"$or": [{"name": "mine"}, {"parameters.model.dept": 2}]}, r"model\.depth\?"),
        ([("metadata.nothing", None)], "no trial in this store has 'metadata.nothing'"),
        ({"parameter.lr": 1}, "unknown field 'parameter' of a trial: did you mean parameters.lr"),
    ],
)
def test_a_path_that_no_trial_has_is_an_error_for_who_looks(told, query, hint):
    """Backends find nothing there, as programs that search rely on."""
    reader, _ = told
    with pytest.raises(QueryError, match=hint):
        reader.trials(query)
    if "unknown field" not in hint:
        assert isinstance(reader.protocol.fetch_trials(query), list)


def test_what_is_not_there_yet_can_be_asked_for(told):
    """A step, a moment before, something that is said not to be there; and names with dots."""
    reader, uid = told
    reader.protocol.log_trial_metrics(reader.trial(uid), step=3, **{"val.acc": 0.5})
    assert reader.trials({"metrics.loss.99": 1.0}) == []
    assert reader.trials({"metrics.loss.0": 1.0}, at=0) == []
    assert len(reader.trials({"metadata.nothing": {"$exists": False}})) == 3
    for path in ('metrics["val.acc"].3', "metrics.val.acc.3", 'metrics["val.acc"][3]'):
        assert [trial.uid for trial in reader.trials({path: 0.5})] == [uid]
        assert [found.value for found in reader.provenance(uid, path)] == [0.5]
    with pytest.raises(QueryError, match=r"no project in this store has 'metadata\.x'"):
        reader.projects({"metadata.x": 1})
    with pytest.raises(QueryError, match=r"no group in this store has 'metadata\.x'"):
        reader.groups({"metadata.x": 1})


def test_statistics_are_found_by_name(reader):
    """Of a metric that keeps no values, and of chronos; one that there is not is an error."""
    client = TrackClient(reader.protocol)
    with client.new_trial(name="stat", parameters={}) as trial:
        for value in (1.0, 3.0):
            reader.protocol.log_trial_metrics(
                trial.trial, aggregator=StatAggregator.lazy(0), loss=value
            )
        with trial.chrono("epoch"):
            pass
    query = {"metrics.loss.avg": 2.0, "chronos.epoch.count": 1}
    assert [trial.name for trial in reader.trials(query)] == ["stat"]
    with pytest.raises(QueryError, match="no trial in this store has"):
        reader.trials({"metrics.loss.agv": 2.0})


def test_a_name_that_several_have_is_suggested_once(reader):
    """Revisions of a trial have the same one."""
    client = TrackClient(reader.protocol)
    for _ in range(2):
        client.new_trial(force=True, name="baseline", parameters={})
    with pytest.raises(TrialDoesNotExist, match=r"did you mean baseline\?$"):
        reader.trial("basline")


def test_the_history_of_a_trial_is_its_events(told):
    """In order, from its creation on, and nobody else's."""
    reader, uid = told
    events = list(reader.history(uid))
    mine = [event for event in reader.events() if event.stream == events[0].stream]
    assert events == mine
    assert isinstance(events[0].event, TrialCreated)
    logged = [event.event.step for event in events if isinstance(event.event, MetricsLogged)]
    assert logged == [0, 1, 2, 3, 2, 3, 4, 5]
    middle = events[5]
    assert list(reader.history(uid, until=middle.position)) == events[:6]
    by_then = [event for event in events if event.at <= middle.at]
    assert list(reader.history(uid, until=Moment(at_ns=middle.at))) == by_then


def test_a_trial_as_it_stood(told):
    """At a position or a time; steps that were logged again have their first value then."""
    reader, uid = told
    first_end = next(
        event
        for event in reader.history(uid)
        if isinstance(event.event, StatusChanged) and event.event.name == "Interrupted"
    )
    for at in (first_end.position, Moment(at_ns=first_end.at)):
        before = reader.trial(uid, at=at)
        assert before.metrics["loss"] == {s: 1.0 / (s + 1) for s in range(4)}
        assert (before.metadata["note"], before.status) == ("first", Status.Interrupted)
        assert [trial.name for trial in reader.trials(at=at)] == ["other", "mine"]
        report = json.loads("".join(reader.report(at=at)))
        assert [trial["name"] for trial in report[0]["trials"]] == ["other", "mine"]
    now = reader.trial(uid)
    assert now.metrics["loss"] == {0: 1.0, 1: 0.5, 2: 12.0, 3: 13.0, 4: 14.0, 5: 15.0}
    with pytest.raises(TrialDoesNotExist, match="did not exist yet"):
        reader.trial(uid, at=0)
    with pytest.raises(QueryError, match="invalid time"):
        reader.trial(uid, at="soon")
    assert reader.projects(at=0) == reader.groups(at=0) == reader.trials(at=0) == []


def contents(trials):
    """Return what trials hold, whatever their metrics are kept in."""
    names = ("uid", "name", "status", "parameters", "metadata", "tags", "errors")
    return [
        [*(getattr(one, name) for name in names), {k: dict(v) for k, v in one.metrics.items()}]
        for one in trials
    ]


def test_lists_as_they_stood_are_those_of_a_replay(told):
    """In any order of the moments, and their series are read whenever somebody wants them."""
    reader, uid = told
    events = [*reader.events()]
    moments = [Moment(position=one.position) for one in events]
    moments += [Moment(at_ns=one.at) for one in events]
    looked = []
    for at in [*moments[::3], *moments[::-2]]:
        expected = reader.objects(at)
        trials = [*map(view_trial, expected.find_trials(None))]
        assert reader.projects(at=at) == [*map(copy_project, expected.find_projects(None))]
        assert reader.groups(at=at) == [*map(copy_group, expected.find_groups(None))]
        page = reader.summaries(at=at)
        assert page.position == expected.position
        assert [one.uid for one in page.trials] == [one.uid for one in trials]
        assert [len(one.curves) for one in page.trials] == [len(one.metrics) for one in trials]
        looked.append((reader.trials(at=at), contents(trials)))
    for step in range(6, 40):
        reader.protocol.log_trial_metrics(reader.trial(uid), step=step, loss=0.1)
    reader.protocol.log_trial_metrics(reader.trial(uid), step=1, loss=7.0)
    assert len(reader.trial(uid).metrics["loss"]) == 40
    with ThreadPoolExecutor(4) as pool:
        read = [*pool.map(lambda pair: contents(pair[0]), looked)]
    assert read == [expected for _, expected in looked]


def test_each_start_is_an_attempt(told):
    """With its process, what that said of itself, and how it ended."""
    reader, uid = told
    first, second = reader.attempts(uid)
    assert (first.number, second.number) == (1, 2)
    assert (first.status, second.status) == (Status.Interrupted, Status.Completed)
    assert first.started_at < first.finished_at < second.started_at < second.finished_at
    assert first.process == second.process
    assert "command" in first.facts
    assert reader.attempts("other") == []
    assert [one.number for one in reader.attempts(uid, until=Moment(at_ns=first.last_at))] == [1]


def test_the_machines_of_a_trial(told):
    """By process, as they were at a moment, and beside the events of the trial."""
    reader, uid = told
    events = len([*reader.history("mine")])
    for rank, load in ((0, 0.5), (1, 0.75), (0, 1.0)):
        reader.protocol.log_trial_system_metrics(reader.trial(uid), {"host.load_1m": load}, rank)
    first, second = reader.system_metrics("mine")
    assert [*first.values["host.load_1m"]] == [0.5, 1.0]
    assert (second.rank, [*second.values["host.load_1m"]]) == (1, [0.75])
    position = next(one.position for one in reader.events() if one.at == second.times[0])
    earlier = reader.system_metrics(uid, at=Moment(position=position))
    assert [[*found.times] for found in earlier] == [[first.times[0]], [*second.times]]
    assert reader.system_metrics("other") == []
    assert len([*reader.history("mine")]) == events


def test_the_output_of_a_trial(told):
    """As it was at a moment; unfinished lines give way to what comes after them."""
    reader, uid = told
    events = len([*reader.history("mine")])
    batches = [[1, 1, "one\n"], [2, 2, "10%"]], [[3, 2, "90%"], [4, 1, "two\n"]], [[5, 2, "done\n"]]
    for lines in (*batches, [[6, 0, 7]], [[7, "odd"], [8, 9, "?"], 3]):
        reader.protocol.log_trial_output(reader.trial(uid), lines)
    found = reader.output("mine")
    assert [(one.at, one.source, one.text, one.left_out) for one in found] == [
        *((1, "stdout", "one", 0), (4, "stdout", "two", 0), (5, "stderr", "done", 0)),
        (6, "output", "", 7),
    ]
    earlier = reader.output(uid, at=Moment(position=found[1].position))
    assert [(one.text, one.is_whole) for one in earlier] == [
        *(("one", True), ("90%", False), ("two", True)),
    ]
    assert reader.output("other") == []
    assert len([*reader.history("mine")]) == events


def test_the_artifacts_of_a_store(told, tmp_path):
    """Versions by content, who made and used them, and their files, as of any moment."""
    reader, uid = told
    trial, other = reader.trial(uid), reader.trial("other")
    path = tmp_path / "new" / "model.pt"
    path.parent.mkdir()
    path.write_bytes(b"one")
    digest = reader.protocol.log_trial_artifact(trial, str(path), "weights")
    before = Moment(position=reader.recent(1)[0].position)
    assert reader.protocol.use_trial_artifact(other, "weights", "v0").sha256 == digest
    path.write_bytes(b"two")
    reader.protocol.log_trial_artifact(other, str(path.parent), "weights")
    for _ in range(2):
        first, second = reader.artifacts("weights")
        assert (first.version, first.made_by, first.used_by) == ("v0", [uid], [other.uid])
        assert (second.version, second.made_by, second.is_latest) == ("v1", [other.uid], True)
    assert [file.name for file in first.files()] == ["model.pt"]
    with reader.artifact("weights", digest[:8]).open("model.pt") as content:
        assert content.read() == b"one"
    then = reader.artifacts(at=before)
    assert [(one.version, one.used_by, one.is_latest) for one in then] == [("v0", [], True)]
    assert [one.version for one in reader.artifacts(trial=uid)] == ["v0"]


def test_what_people_are_to_notice_of_a_trial(told):
    """Alerts, and which value sums up a metric, on every backend, and as of a moment."""
    reader, uid = told
    trial = reader.trial(uid)
    reader.protocol.raise_trial_alert(trial, "slow", "very", "info")
    before = reader.recent(1)[0].position
    reader.protocol.define_trial_metric(trial, "loss", goal="maximize")
    reader.protocol.raise_trial_alert(trial, "slower")
    assert [one[1:] for one in reader.trial(uid).alerts] == [
        ("info", "slow", "very"),
        ("warning", "slower", ""),
    ]
    for _ in range(2):
        sums = {
            one.name: one.metrics["loss"] for one in reader.summaries(["metrics.loss>1"]).trials
        }
        assert sums == {"other": 9.0, "mine": 15.0}
    reader.protocol.log_trial_metrics(trial, step=6, loss=0.5)
    assert reader.summaries(sort="-metrics.loss").trials[0].metrics["loss"] == 15.0
    then = Moment(position=before)
    assert [one.title for one in reader.trial(uid, at=then).alerts] == ["slow"]
    with reader.overview.glance(then) as glance:
        assert glance.summary(uid).metrics["loss"] == 15.0


def test_the_media_of_a_trial(told):
    """Whatever fits an event, on every backend, as of a moment, and beside the trial's events."""
    reader, uid = told
    events = len([*reader.history("mine")])
    picture = Image(np.random.default_rng(1).integers(0, 256, (200, 300, 3), np.uint8))
    for step in range(2):
        media = {"picture": [picture], "texts": [Text("one"), Text(f"two {step}")]}
        reader.protocol.log_trial_media(reader.trial(uid), step, media)
    found = reader.media("mine")
    assert [(one.step, one.name, one.place) for one in found[3:]] == [
        (1, "picture", 0),
        (1, "texts", 0),
        (1, "texts", 1),
    ]
    assert reader.content_of(found[3]) == picture.data
    assert reader.content_of(found[5]) == b"two 1"
    assert reader.media(uid, "texts", at=Moment(position=found[0].position)) == found[1:3]
    assert reader.media("other") == []
    assert len([*reader.history("mine")]) == events


def test_the_provenance_of_a_value(told):
    """Who set it, when, in which attempt, and what was there before."""
    reader, uid = told

    def said(path):
        found = reader.provenance(uid, path)
        return [(o.value, o.replaced, o.attempt and o.attempt.number) for o in found]

    assert said("metrics.loss.3") == [(0.25, None, 1), (13.0, 0.25, 2)]
    assert said("metrics.loss.5") == [(15.0, None, 2)]
    assert said("metrics.loss")[-1] == (15.0, 14.0, 2)
    assert said("metadata.note") == [("first", None, 1), ("second", "first", 2)]
    assert said("parameters.lr") == [(0.1, None, None)]
    assert said("parameters.model.depth") == [(2, None, None)]
    assert [str(value) for value, _, _ in said("status")][1:] == [
        *("running", "interrupted", "running", "completed")
    ]
    assert said("metrics.nothing") == said("metrics.loss.99") == said("bogus") == []
    origin = reader.provenance(uid, "metadata.note")[0]
    assert origin.recorded.event.values == {"note": "first"}
    assert origin.attempt.process.pid > 0


def test_the_difference_of_two_trials(told):
    """Parameters, metrics with the first step at which they part, and nothing that is the same."""
    reader, uid = told
    found = {item.path: item for item in reader.diff("other", uid)}
    assert found["parameters.lr"][1:3] == (0.5, 0.1)
    assert found["parameters.model"][1:3] == (None, {"depth": 2})
    assert found["metrics.loss"][1:] == (9.0, 15.0, 0)
    assert found["name"][1:3] == ("other", "mine")
    assert reader.diff(uid, "mine") == []
    end = next(
        e.position
        for e in reader.history(uid)
        if isinstance(e.event, StatusChanged) and e.event.name == "Interrupted"
    )
    then = {item.path: item for item in reader.diff(uid, uid, left_at=end)}
    assert then["metrics.loss"][1:] == (0.25, 15.0, 2)
    assert then["metadata.note"][1:3] == ("first", "second")
    assert "parameters.lr" not in then


def test_what_comes_is_followed(reader):
    """From the last event on, or from any position."""
    client = TrackClient(reader.protocol)
    trial = client.new_trial(parameters={"n": 1})
    trial.log_metrics(step=0, loss=1.0)
    reader.trials()
    position = reader.protocol.journal.head()
    events = reader.follow(position)
    trial.log_metrics(step=1, loss=math.nan)
    reader.protocol.commit()
    assert next(events).event.step == 1
    events.close()
    events = reader.follow(0)
    assert next(events) == next(iter(reader.events()))
    events.close()


def test_archived_trials_are_asked_for(told):
    """They are found by name, and are in no listing."""
    reader, uid = told
    reader.protocol.archive_trial(reader.trial(uid))
    assert [trial.name for trial in reader.trials()] == ["other", "third"]
    assert [trial.name for trial in reader.trials(archived=True)] == ["mine"]
    assert reader.trial("mine").uid == uid


def test_tables_of_trials_and_metrics(told):
    """A row per trial, a row per value."""
    reader, uid = told
    import pandas as pd

    frame = reader.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame["name"]) == ["other", "mine", "third"]
    values = reader.to_pandas([reader.trial(uid)], metrics=True)
    assert list(values["value"]) == [1.0, 0.5, 12.0, 13.0, 14.0, 15.0]
    assert reader.to_arrow(metrics=True).num_rows == 7
    assert reader.to_arrow().num_rows == 3
