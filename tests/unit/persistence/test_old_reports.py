"""Nothing of an old tracker's report is lost: files written by hand, opened, and written again.

``tests/golden/reports`` holds the files. Where what is written afterwards is not what was there, a
file ``*.after.json`` beside it says what it is; apart from that, and from the order of keys, only
this may differ:

* numbers that are not finite are texts (``NaN`` becomes ``"NaN"``), as JSON demands;
* trials stand in the order in which they come first in the file, those of one hash by revision.

What is missing, odd or in an unexpected place is made regular (see ``missing.json``):

* a missing or null text is null, a missing or null container is empty, an update count begins at 0;
* a uid stands for a missing hash, revision or name, a place for a missing ``dtype``;
* keys that nobody knows are kept in the metadata;
* a group belongs to the project that lists it, a trial to all that it names or that list it;
* dotted parameters nest where nothing is in their way.
"""

import errno
import json
import math
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from track.aggregators.aggregator import RingAggregator, StatAggregator
from track.errors import JournalWriteError, NotAReport
from track.persistence import get_protocol
from track.persistence.storage import load_database
from track.structure import CustomStatus, Project, Status, Trial, TrialGroup

FOLDER = Path(__file__).resolve().parent.parent.parent / "golden" / "reports"
REPORTS = sorted(path.stem for path in FOLDER.glob("*.json") if not path.stem.endswith(".after"))


def parse(path):
    """Read JSON with numbers that are not finite as texts, as reports have them."""
    return json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=str)


def open_copy(name):
    """Open a copy of a stored report, in the working directory of the test."""
    shutil.copy(FOLDER / f"{name}.json", "old.json")
    return get_protocol("file:old.json")


def open_text(text):
    Path("old.json").write_text(text, encoding="utf-8")
    return get_protocol("file:old.json")


def open_trial(**fields):
    """Open a report of one project with one trial."""
    trial = {"dtype": "trial", "uid": "h_0", **fields}
    return open_text(json.dumps([{"dtype": "project", "name": "p", "trials": [trial]}]))


def fetch(store, uid="h_0"):
    (trial,) = store.fetch_trials({"uid": uid})
    return trial


@pytest.mark.parametrize("name", REPORTS)
def test_what_is_written_is_what_was_read(name):
    """Opened, and written again: every value, and the order of steps, is as it was."""
    store = open_copy(name)
    store.commit()
    store.close()
    after = FOLDER / f"{name}.after.json"
    before, written = parse(after if after.exists() else FOLDER / f"{name}.json"), parse("old.json")
    assert written == before
    for project, original in zip(written, before, strict=True):
        for trial, old in zip(project["trials"], original["trials"], strict=True):
            assert json.dumps(trial["metrics"]) == json.dumps(old["metrics"])


@pytest.mark.parametrize("name", REPORTS)
def test_a_second_import_changes_nothing(name):
    """What was written can be imported again, should its journal be lost."""
    store = open_copy(name)
    store.commit()
    store.close()
    first = parse("old.json")
    os.unlink("old.json.journal")
    again = get_protocol("file:old.json")
    again.commit()
    again.close()
    assert parse("old.json") == first


@pytest.mark.parametrize("name", REPORTS)
def test_the_file_itself_stays_until_something_is_written(name):
    """Opening and reading a report leaves every byte of it alone."""
    store = open_copy(name)
    assert len(store.fetch_projects()) == len(parse("old.json"))
    assert Path("old.json").read_bytes() == (FOLDER / f"{name}.json").read_bytes()


@pytest.mark.parametrize("name", REPORTS)
def test_the_storage_of_a_report_reads_it_too(name):
    """What has no journal reads the same projects."""
    found = load_database(str(FOLDER / f"{name}.json"))
    store = open_copy(name)
    assert {found.objects[uid].uid for uid in found.projects} == {
        project.uid for project in store.fetch_projects()
    }
    assert {found.objects[uid].uid for uid in found.trials} == {
        trial.uid for trial in store.fetch_trials()
    }


def test_every_status_is_the_one_it_was():
    """Those of the library are the same objects; others equal their name, and name and value."""
    statuses = {trial.uid: trial.status for trial in open_copy("everything").fetch_trials()}
    assert statuses["c2e4_0"] is Status.Completed
    assert statuses["c2e4_1"] is Status.Exception
    assert statuses["1d4c_0"] == CustomStatus("new", 1) == "new"
    assert statuses["0a9b_0"] == {"name": "reserved", "value": 2}
    odd = {trial.uid: trial.status for trial in open_copy_again("odd").fetch_trials()}
    assert odd["under_score_12"] == CustomStatus("completed", 302)
    assert (odd["text_final"].name, odd["text_final"].value) == ("", -5)


def open_copy_again(name):
    shutil.copy(FOLDER / f"{name}.json", "again.json")
    return get_protocol("file:again.json")


def test_custom_statuses_are_found_and_changed():
    """A search that was interrupted goes on where it was."""
    store = open_copy("everything")
    found = store.fetch_and_update_trial(
        {"status": {"$in": ["new", "suspended"]}},
        "set_trial_status",
        status=CustomStatus("reserved", 2),
    )
    assert found.uid == "1d4c_0"
    lost = store.fetch_trials({"status": "reserved", "metadata.heartbeat": {"$lte": 1571270500.75}})
    assert {trial.uid for trial in lost} == {"0a9b_0", "1d4c_0"}


def test_trials_keep_the_order_they_had():
    """Workers take the trial that comes first; it is the one that came first in the file."""
    uids = [trial.uid for trial in open_copy("everything").fetch_trials()]
    assert uids == ["c2e4_0", "c2e4_1", "1d4c_0", "0a9b_0"]


def test_statistics_go_on_from_every_number():
    """The state is taken up to the last bit, and the next observation counts as ever."""
    store = open_copy("everything")
    expected = fetch(store, "c2e4_0").chronos["batch_time"]
    state = parse("old.json")[0]["trials"][0]["chronos"]["batch_time"]
    assert expected.to_json() == state
    store.log_trial_chrono_start(Trial(_hash="c2e4"), "batch_time")
    store.log_trial_chrono_finish(Trial(_hash="c2e4"), "batch_time")
    found = fetch(store, "c2e4_0").chronos["batch_time"]
    expected.append(found.val)
    assert found.to_json() == expected.to_json()
    assert found.count == 6


@pytest.mark.parametrize(("earlier", "known"), [(1.5, [1.5]), ([1.0, 2.0], [1.0, 2.0])])
def test_a_chrono_of_plain_numbers_goes_on(earlier, known):
    """What was kept as numbers counts among the observations once there are more."""
    store = open_trial(chronos={"epoch": earlier})
    store.log_trial_chrono_start(Trial(_hash="h"), "epoch")
    store.log_trial_chrono_finish(Trial(_hash="h"), "epoch")
    found = fetch(store).chronos["epoch"]
    assert (found.count, found.max) == (len(known) + 1, max(known))


def test_steps_are_numbers_again():
    """Whole and broken ones; what is no number as it would be written stays text."""
    metrics = fetch(open_copy("odd"), "under_score_12").metrics
    assert list(metrics["half steps"]) == [0, 0.5, 1e-07, -2]
    assert [type(step) for step in metrics["half steps"]] == [int, float, float, int]
    assert list(metrics["named steps"]) == ["first", 2, "--3", "00", "-0", "1_0", "\u0663"]
    assert list(metrics["odd steps"]) == ["NaN", "nan", "Infinity", "", "None", "True"]
    assert list(metrics["falling"]) == [9, 1]


def test_steps_that_are_one_number_stay_apart():
    """Texts that stand for the same number stay texts, or one value would be lost."""
    metrics = fetch(open_copy("odd"), "under_score_12").metrics
    assert metrics["alike"] == {"1": 1, "1.0": 2, "0": 3, "-0.0": 4}


def test_metrics_go_on_at_the_step_where_they_were():
    """A step that is logged again replaces its value instead of standing beside it."""
    store = open_trial(metrics={"loss": {"0": 1.0, "0.5": 2.0, "best": 3.0}, "cost": [1, "NaN"]})
    trial = Trial(_hash="h")
    store.log_trial_metrics(trial, step=0, loss=4.0)
    store.log_trial_metrics(trial, step=0.5, loss=5.0)
    store.log_trial_metrics(trial, step="best", loss=6.0)
    store.log_trial_metrics(trial, step=1, loss=7.0)
    store.log_trial_metrics(trial, cost=2)
    metrics = fetch(store).metrics
    assert metrics["loss"] == {0: 4.0, 0.5: 5.0, "best": 6.0, 1: 7.0}
    assert (metrics["cost"][0], math.isnan(metrics["cost"][1]), metrics["cost"][2]) == (1, True, 2)


def test_metrics_by_step_are_known_to_an_aggregator():
    """Aggregating what was logged by step begins with the values there are."""
    store = open_trial(metrics={"loss": {"0": 1.0, "1": 3.0}})
    store.log_trial_metrics(Trial(_hash="h"), aggregator=StatAggregator.lazy(0), loss=5.0)
    assert fetch(store).metrics["loss"]["count"] == 3
    store = get_protocol("memory:")
    trial = store.new_trial(Trial(_hash="h"))
    store.log_trial_metrics(trial, step=0, loss=1.0)
    store.log_trial_metrics(trial, aggregator=RingAggregator.lazy(5, "d"), loss=2.0)
    assert fetch(store).metrics["loss"] == [1.0, 2.0] == trial.metrics["loss"].to_json()


def test_counts_and_revisions_go_on():
    """The next change is one more, the next trial of a hash has the next revision."""
    store = open_copy("everything")
    store.log_trial_metadata(Trial(_hash="c2e4"), gpu="A100")
    assert fetch(store, "c2e4_0").metadata["_update_count"] == 3776
    trial = store.new_trial(
        Trial(_hash="c2e4", project_id="paper_78997", group_id="0b7d"), auto_increment=True
    )
    assert trial.uid == "c2e4_2"
    assert store.get_trial_group(TrialGroup(_uid="0b7d")).trials == {"c2e4_0", "c2e4_1", "c2e4_2"}


@pytest.mark.parametrize("revisions", [["3", "1"], ["final", 4], [10, 9]])
def test_the_next_revision_is_one_that_is_free(revisions):
    """Revisions may be texts, and stand in any order."""
    trials = [{"dtype": "trial", "hash": "h", "revision": revision} for revision in revisions]
    store = open_text(json.dumps([{"dtype": "project", "name": "p", "trials": trials}]))
    trial = Trial(_hash="h", revision=revisions[0], project_id="p")
    made = store.new_trial(trial, auto_increment=True)
    numbers = [int(revision) for revision in revisions if revision != "final"]
    assert made.revision == max(numbers) + 1
    assert len(store.get_trial(made)) == 3


def test_the_same_names_in_two_projects_stay_apart():
    """Names are no identity; what is in both projects is one trial."""
    store = open_copy("shared")
    one, two = store.fetch_projects()
    assert {trial.uid for trial in one.trials} == {"b_0", "shared_0"}
    assert {trial.uid for trial in two.trials} == {"a_0", "shared_0"}
    assert len(store.fetch_trials({"name": "twin"})) == 2
    assert len(store.fetch_trials({"name": "shared"})) == 1


def test_a_group_lists_trials_that_are_elsewhere_or_gone():
    """Its list is what it was, and may grow."""
    store = open_copy("shared")
    group = store.get_trial_group(TrialGroup(_uid="g1"))
    assert group.trials == {"a_0", "b_0", "gone_3"}
    store.add_group_trial(group, Trial(_hash="shared"))
    assert store.get_trial_group(group).trials == {"a_0", "b_0", "gone_3", "shared_0"}


def test_trials_without_a_project_stay_orphans():
    """A report of ours shows them under a project of that name."""
    store = get_protocol("file:old.json")
    store.new_trial(Trial(_hash="h"))
    store.new_project(Project(name="p"))
    store.close()
    os.unlink("old.json.journal")
    again = get_protocol("file:old.json")
    assert fetch(again).project_id is None
    again.commit()
    assert [project["name"] for project in parse("old.json")] == ["p", "orphan"]


def test_a_trial_larger_than_any_event_is_imported():
    """A metric of very many values takes many events."""
    long = "text" * 250_000
    loss = {str(step): f"{step} {long}" for step in range(20)}
    cost = [math.nan, "text", None]
    fields = {"metrics": {"loss": loss, "bare": 1, "cost": cost}, "metadata": {"_update_count": 9}}
    store = open_trial(**fields)
    trial = fetch(store)
    assert list(trial.metrics) == ["loss", "bare", "cost"]
    assert trial.metrics["loss"] == {int(step): value for step, value in loss.items()}
    assert repr(trial.metrics["cost"]) == repr(cost)
    assert trial.metadata["_update_count"] == 9


texts = st.text(st.characters(exclude_characters="."), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.just("NaN"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
named = st.dictionaries(texts, values, max_size=4)
steps = st.dictionaries(texts | st.integers().map(str) | st.floats().map(str), values, max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {
            "name": values,
            "description": values,
            "version": values,
            "tags": values.filter(lambda tags: tags is not None),
            "parameters": named,
            "metadata": named,
            "metrics": st.dictionaries(texts, values | steps, max_size=3),
            "chronos": named,
            "errors": st.lists(texts, max_size=2),
        }
    )
)
def test_whatever_a_trial_holds_is_there_afterwards(fields):
    """Any JSON, anywhere in a trial, is what is written again."""
    for name in os.listdir():
        if name.startswith("old."):
            os.unlink(name)
    store = open_trial(**fields)
    before = parse("old.json")[0]["trials"][0]
    store.commit()
    store.close()
    after = parse("old.json")[0]["trials"][0]
    assert {name: after[name] for name in fields} == {
        **{name: before[name] for name in fields},
        "metadata": {"_update_count": 0, **before["metadata"]},
    }


TRIAL = '[{"dtype": "project", "name": "p", "trials": [{"dtype": "trial", "uid": "h_0", %s}]}]'
GROUP = '[{"dtype": "project", "name": "p", "groups": [{"dtype": "trial_group", "uid": "g", %s}]}]'
DEEP = '{"a": ' * 150 + "1" + "}" * 150


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (TRIAL % '"metrics": [1]', ["'p'", "'h_0'", "metrics", "list"]),
        (TRIAL % '"parameters": "x"', ["'p'", "'h_0'", "parameters", "str"]),
        (TRIAL % '"chronos": [1]', ["'p'", "'h_0'", "chronos", "list"]),
        (TRIAL % '"metadata": 5', ["'p'", "'h_0'", "metadata", "int"]),
        (TRIAL % '"status": "done"', ["'p'", "'h_0'", "status", "'done'"]),
        (TRIAL % '"status": {"name": "done"}', ["'p'", "'h_0'", "status", "value"]),
        (TRIAL % '"status": {"name": 1, "value": 2}', ["'p'", "'h_0'", "status"]),
        (TRIAL % '"hash": "x", "revision": 0', ["'p'", "'h_0'", "'x_0'"]),
        (TRIAL % '"errors": 5', ["'p'", "'h_0'", "errors"]),
        (
            TRIAL % '"chronos": {"batch": {"dtype": "statstream", "sum": 1}}',
            ["'p'", "'h_0'", "'batch'", "sum_sqr"],
        ),
        (TRIAL % f'"parameters": {DEEP}', ["'p'", "'h_0'", "deep"]),
        (TRIAL % '"project_id": [1]', ["'p'", "'h_0'", "list"]),
        (TRIAL % '"dtype": "statstream"', ["'p'", "'h_0'", "trial", "statstream"]),
        (GROUP % '"trials": [{"uid": "h_0"}]', ["'p'", "'g'", "uids"]),
        (GROUP % '"metadata": []', ["'p'", "'g'", "metadata", "list"]),
        (GROUP % '"uid": null', ["'p'", "number 1", "name"]),
        ('[{"dtype": "project", "name": "p", "trials": [1]}]', ["'p'", "number 1", "1"]),
        ('[{"dtype": "project", "name": "p", "trials": {"h_0": {}}}]', ["'p'", "list"]),
        ('[{"dtype": "project", "name": "p"}, {"dtype": "project"}]', ["number 2", "name"]),
        ('[{"dtype": "project", "name": 5}]', ["project 5", "text"]),
        (
            (
                '[{"dtype": "project", "name": "p", "trials": [{"uid": "h_0"}]},'
                ' {"dtype": "project", "name": "q", "trials": [{"uid": "h_0", "name": "x"}]}]'
            ),
            ["'q'", "'h_0'", "another"],
        ),
        (
            (
                '[{"dtype": "project", "name": "p"},'
                ' {"dtype": "project", "name": "p", "metadata": {"x": 1}}]'
            ),
            ["'p'", "another"],
        ),
        (
            (
                '[{"dtype": "project", "name": "p", "groups": [{"uid": "g"}]},'
                ' {"dtype": "project", "name": "q", "groups": [{"uid": "g"}]}]'
            ),
            ["'q'", "'g'", "another"],
        ),
        ("[" * 100_000, ["not a Track report"]),
        ('[{"dtype": "project", "x": ' + "[" * 100_000, ["recursion"]),
        ('[{"dtype": "project", "name": "p"', ["line 1"]),
        ('[{"dtype": "project"}, 1]', ["not a Track report"]),
    ],
)
def test_what_makes_no_sense_is_named(text, names):
    """One error says which file, and what is wrong where; the file and its folder stay as is."""
    with pytest.raises(NotAReport) as caught:
        open_text(text)
    for name in ["old.json", *names]:
        assert name in str(caught.value)
    assert Path("old.json").read_text(encoding="utf-8") == text
    assert os.listdir() == ["old.json"]


def test_a_full_disk_is_not_blamed_on_the_report(monkeypatch):
    """An import that cannot be written raises what happened, and leaves everything as it was."""

    def full(fd, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(JournalWriteError, match="No space"):
            open_copy("everything")
    assert os.listdir() == ["old.json"]
    assert Path("old.json").read_bytes() == (FOLDER / "everything.json").read_bytes()
    assert len(get_protocol("file:old.json").fetch_trials()) == 4
