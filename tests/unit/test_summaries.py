"""Pages of the list of trials: what they hold, and that it does not matter where it is from."""

import copy

import pytest

import track
from tests.property.test_folds import image
from track.errors import QueryError
from track.persistence import get_protocol
from track.projections.stored import StoredObjects
from track.structure import Project, Status, Trial, TrialGroup


@pytest.fixture(params=["file:store.json", "lmdb:store.lmdb"])
def uri(request, monkeypatch):
    """A store of ten trials, with a cache of all but the last events."""
    monkeypatch.setenv("TRACK_CACHE_AFTER", "40")
    protocol = get_protocol(request.param)
    protocol.new_project(Project(name="p"))
    protocol.new_trial_group(TrialGroup(_uid="g", name="group", project_id="p"))
    for number in range(10):
        trial = Trial(name=f"t{number}", project_id="p", group_id="g", parameters={"lr": number})
        protocol.new_trial(trial)
        protocol.log_trial_start(trial)
        for step in range(5):
            protocol.log_trial_metrics(trial, step=step, loss=(number - 4.5) ** 2 + step)
        protocol.log_trial_metrics(trial, free=number)
        if number == 7:
            protocol.log_trial_metrics(trial, late=1.0)
            protocol.archive_trial(trial)
        protocol.set_trial_status(trial, Status.Completed if number % 2 else Status.Broken)
        protocol.log_trial_finish(trial)
    protocol.close()
    monkeypatch.setenv("TRACK_CACHE_AFTER", "inf")
    return request.param


def test_a_page_has_what_matches_in_its_order(uri):
    with track.open(uri) as reader:
        page = reader.summaries(["status=completed"], sort="-metrics.loss", limit=2, offset=1)
        assert [one.name for one in page.trials] == ["t1", "t3"]
        assert (page.total, len(page.uids)) == (4, 10)
        assert page.position == reader.protocol.journal.head()
        (first,) = reader.summaries([("parameters.lr", 3)]).trials
        assert first.metrics == {"loss": 6.25, "free": 3}
        assert first.curves["loss"] == (6.25, 2.25, 6.25, 5, 4)
        assert (first.group, first.group_id, first.project) == ("group", "g", "p")
        assert first.created <= first.start <= first.end


def test_trials_are_sorted_and_chosen_by_the_extremes_of_a_metric(uri):
    with track.open(uri) as reader:
        page = reader.summaries(["curves.loss.minimum<1"], sort="-curves.loss.maximum")
        assert [one.name for one in page.trials] == ["t4", "t5"]
        page = reader.summaries(["curves.loss.minimum<3"], sort="curves.loss.maximum", limit=3)
        assert [one.name for one in page.trials] == ["t4", "t5", "t3"]
        with pytest.raises(QueryError, match=r"curves\.loss\.least"):
            reader.summaries(sort="curves.loss.least")


def test_archived_trials_are_on_pages_of_their_own(uri):
    with track.open(uri) as reader:
        assert [one.name for one in reader.summaries(archived=True).trials] == ["t7"]
        assert reader.summaries(archived=None).total == 10
        assert reader.summaries().total == 9


def test_a_page_is_the_same_with_a_cache_and_without(uri, tmp_path):
    """And whether trials were read before or not."""

    def everything():
        with track.open(uri) as reader:
            pages = [reader.summaries(sort=path, archived=None) for path in PATHS]
            reader.trials()
            again = [reader.summaries(sort=path, archived=None) for path in PATHS]
        return [
            [[image(vars(one)) for one in page.trials] for page in found]
            for found in (pages, again)
        ]

    kept, read = everything()
    for cache in tmp_path.glob("*.cache"):
        cache.unlink()
    replayed, _ = everything()
    assert kept == read == replayed


PATHS = [None, "metrics.loss", "-status", "parameters.lr", "metrics.late", "name", "-created"]


def test_an_overview_has_what_the_pages_have(uri):
    with track.open(uri) as reader:
        pages = {one.uid: vars(one) for one in reader.summaries(archived=None).trials}
        with reader.overview.glance() as glance:
            for one in glance.all:
                expected = pages.pop(one.uid)
                found = {name: getattr(one, name) for name in reversed(expected)}
                assert image({name: found[name] for name in expected}) == image(expected)
    assert not pages


def test_what_was_seen_at_a_glance_stays_as_it_was(uri):
    """Although its parts are read when they are asked for, and the trial has changed by then."""
    with track.open(uri) as reader:
        with reader.overview.glance() as glance:
            (before,) = (one for one in glance.all if one.name == "t3")
        changed = before.changed
        protocol = get_protocol(uri)
        (trial,) = protocol.fetch_trials({"uid": before.uid})
        protocol.log_trial_metrics(trial, step=1000, loss=-1.0)
        protocol.log_trial_metadata(trial, note="later")
        with reader.overview.glance() as glance:
            (after,) = (one for one in glance.all if one.name == "t3")
        assert after.metrics["loss"] == -1.0
        assert after.metadata["note"] == "later"
        assert before.metrics["loss"] != -1.0
        assert "note" not in before.metadata
        assert before.changed == changed < after.changed


def test_a_page_as_of_a_moment_has_what_there_was(uri):
    with track.open(uri) as reader:
        trial = reader.trial("t3")
        before = next(reader.history(trial)).position
        page = reader.summaries(at=before)
        assert [one.name for one in page.trials] == ["t0", "t1", "t2", "t3"]
        assert page.trials[-1].metrics == {}


def test_paths_that_lead_nowhere_are_told(uri):
    with track.open(uri) as reader:
        with pytest.raises(QueryError, match=r"metrics\.loss"):
            reader.summaries(sort="metrics.los")
        with pytest.raises(QueryError, match="los"):
            reader.summaries(["metrics.los<1"])
        with pytest.raises(QueryError, match="nothing"):
            reader.summaries(columns=["nothing"])
        assert reader.summaries(["metrics.late"]).total == 0  # only an archived one has it


def test_what_is_on_a_page_is_nobody_elses(uri):
    with track.open(uri) as reader:
        reader.summaries().trials[0].parameters["lr"] = "changed"
        assert reader.summaries().trials[0].parameters == {"lr": 0}
        assert reader.trial("t0").parameters == {"lr": 0}


def test_a_new_trial_does_not_read_those_there_are(uri):
    """Who opens a large store to log finds what it needs in a few rows."""
    protocol = get_protocol(uri)
    first = protocol.fetch_trials({"uid": Trial(name="t0", project_id="p").uid})
    assert first == []
    again = Trial(name="t1", project_id="p", group_id="g", parameters={"lr": 1})
    protocol.new_trial(again, auto_increment=True)
    assert again.revision == 1
    protocol.log_trial_start(again)
    with protocol.read_state() as objects:
        assert type(objects) is StoredObjects
        assert len(objects.trials) == 11
    protocol.close()


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda one: one])
def test_a_project_that_exists_reads_its_trials_when_they_are_looked_at(uri, way):
    """Who sets it at the beginning of a script need not wait for them."""
    protocol = get_protocol(uri)
    project = protocol.new_project(Project(name="p"))
    group = protocol.get_trial_group(TrialGroup(_uid="g"))
    with protocol.read_state() as objects:
        assert type(objects) is StoredObjects
    project, group = way(project), way(group)
    assert {trial.name for trial in project.trials} == {f"t{n}" for n in range(10) if n != 7}
    assert [home.name for home in project.groups] == ["group"]
    assert len(group.trials) == 9
    assert (type(project), type(group)) == (Project, TrialGroup)
    protocol.close()


def test_what_belongs_to_a_project_is_as_it_was_when_it_was_asked_for(uri):
    """However much later somebody looks at it."""
    protocol = get_protocol(uri)
    project, group = Project(name="p"), TrialGroup(_uid="g")
    before, homes = protocol.get_project(project), protocol.get_trial_group(group)
    protocol.new_trial(Trial(name="new", project_id="p", group_id="g"))
    assert (len(before.trials), len(homes.trials)) == (9, 9)
    after, homes = protocol.get_project(project), protocol.get_trial_group(group)
    assert (len(after.trials), len(homes.trials)) == (10, 10)
    protocol.close()
