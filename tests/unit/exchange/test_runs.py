"""Runs of any tool get into a store once, with their times, and what is new later."""

import sys
from pathlib import Path

import pytest

from tests.imported import NOTHING, added
from tests.relays import served
from track.errors import ImportFailed
from track.events.types import MetricsLogged
from track.exchange import SourceRun, import_runs, read_runs
from track.exchange.source_run import Entry, Log, Unreadable, parse_json, read_json
from track.persistence import get_protocol
from track.reader import Reader
from track.stores.redaction import redact
from track.structure import Status, Trial

SECOND = 10**9
START = 1_700_000_000 * SECOND


def points(count, name="loss"):
    """Return the first entries of a log."""
    return [
        Entry(index + 1, START + index * SECOND, MetricsLogged(index, {name: index / 2}, None))
        for index in range(count)
    ]


def a_run(count=3, **changes):
    described = {
        "key": "tool:project/one",
        "project": "project",
        "group": "group",
        "name": "one",
        "parameters": {"lr": 0.1},
        "tags": {"good": None},
        "metadata": {"who": "me"},
        "status": Status.Completed,
        "started_ns": START,
        "ended_ns": START + 10 * SECOND,
        "logs": [Log("points", points(count))],
    }
    return SourceRun(**{**described, **changes})


@pytest.fixture(params=["memory:", "file:store.json", "lmdb:store.lmdb"])
def store(request):
    return get_protocol(request.param)


def only(store):
    (trial,) = store.fetch_trials()
    return trial


def test_a_run_is_a_trial_with_the_times_of_its_tool(store):
    """Values, start and end have them."""
    done = import_runs(store, [a_run()])
    assert added(done) == (1, 1, 1, 0, 6, 0)
    assert done.problems == []
    trial = only(store)
    assert (trial.name, trial.project_id, trial.status) == ("one", "project", Status.Completed)
    assert (trial.parameters, trial.tags) == ({"lr": 0.1}, {"good": None})
    assert trial.metadata["source"] == "tool:project/one"
    assert trial.metrics == {"loss": {0: 0.0, 1: 0.5, 2: 1.0}}
    assert trial.chronos == {"runtime": 10.0}
    reader = Reader(store)
    (attempt,) = reader.attempts(trial.uid)
    assert (attempt.started_at, attempt.finished_at) == (START, START + 10 * SECOND)
    recorded = [one.at for one in reader.history(trial.uid)]
    assert recorded[2:5] == [START, START + SECOND, START + 2 * SECOND]


def test_importing_again_adds_what_is_new(store):
    """Nothing at first, then what the tool logged meanwhile."""
    running = a_run(2, ended_ns=None, status=Status.Running)
    import_runs(store, [running])
    assert only(store).status is Status.Running
    assert added(import_runs(store, [a_run(2, ended_ns=None, status=Status.Running)])) == NOTHING
    grown = a_run(3, parameters={"lr": 0.1, "late": 1}, metadata={"who": "you"})
    assert added(import_runs(store, [grown])) == (0, 0, 0, 1, 5, 0)
    trial = only(store)
    assert (trial.parameters, trial.status) == ({"lr": 0.1, "late": 1}, Status.Completed)
    assert trial.metadata["who"] == "you"
    assert len(trial.metrics["loss"]) == 3
    assert added(import_runs(store, [grown])) == NOTHING
    assert only(store).chronos == {"runtime": 10.0}


def test_the_parts_of_a_run_are_attempts_at_one_trial(store):
    """It was resumed."""
    later = START + 20 * SECOND
    parts = [
        a_run(part="a", status=Status.Exception, error="Boom: it failed"),
        a_run(0, part="b", started_ns=later, ended_ns=later + SECOND),
    ]
    assert import_runs(store, parts).trials == 1
    first, second = Reader(store).attempts(only(store).uid)
    assert first.failure["message"] == "Boom: it failed"
    assert (first.status, second.status) == (Status.Exception, Status.Completed)
    assert only(store).chronos == {"runtime": 11.0}
    assert only(store).errors == ["Boom: it failed"]


def test_a_server_takes_runs_too():
    """Events of others are appended by it, each once."""
    with served("memory:") as running:
        store = get_protocol(running.uri())
        assert import_runs(store, [a_run()]).trials == 1
        assert added(import_runs(store, [a_run()])) == NOTHING
        assert only(store).metrics == {"loss": {0: 0.0, 1: 0.5, 2: 1.0}}
        store.close()


def test_an_interrupted_import_is_finished_by_repeating_it(store):
    """What it had recorded is not recorded again."""

    def breaking():
        yield from points(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_runs(store, [a_run(logs=[Log("points", breaking())])])
    import_runs(store, [a_run()])
    assert only(store).metrics == {"loss": {0: 0.0, 1: 0.5, 2: 1.0}}
    assert added(import_runs(store, [a_run()])) == NOTHING


def test_a_value_that_cannot_be_logged_takes_no_other_with_it(store):
    """It is told."""
    odd = MetricsLogged(0, {"good": 1.0, "odd": object()}, None)
    done = import_runs(store, [a_run(logs=[Log("points", [Entry(1, START, odd)])])])
    assert only(store).metrics == {"good": {0: 1.0}}
    (problem,) = done.problems
    assert "'odd'" in problem


def test_a_run_that_cannot_be_recorded_leaves_the_others(store):
    """It is told, and nothing of it is recorded."""
    bad = a_run(key="tool:bad", project="other", parameters={"what": object()})
    done = import_runs(store, [bad, a_run(), Unreadable("a/file", "it is damaged")])
    assert [project.name for project in store.fetch_projects()] == ["project"]
    assert done.problems[0].startswith("tool:bad: the run was left out")
    assert done.problems[1] == "a/file: it is damaged"


@pytest.mark.parametrize("sequence", [0, -1, 2**32])
def test_a_place_that_no_event_can_have_is_told(store, sequence):
    """The other values are taken."""
    entries = [*points(1), Entry(sequence, START, MetricsLogged(1, {"loss": 1}, None))]
    done = import_runs(store, [a_run(logs=[Log("points", entries)])])
    assert len(done.problems) == 1
    assert only(store).metrics == {"loss": {0: 0.0}}


@pytest.mark.parametrize("at", [-(2**70), -1, 2**64, 2**70])
def test_a_time_that_is_none_costs_no_value(store, at):
    """It is moved to the nearest that there is."""
    entry = Entry(1, at, MetricsLogged(0, {"loss": 1.0}, None))
    import_runs(store, [a_run(logs=[Log("points", [entry])])])
    assert only(store).metrics == {"loss": {0: 1.0}}


def test_files_are_kept_once(tmp_path):
    """Their names are data, and what leads out of the folder is not read."""
    root = tmp_path / "source"
    root.mkdir()
    (root / "notes.txt").write_text("notes")
    (root / "gone.txt").symlink_to(root / "nowhere")
    (tmp_path / "secret").write_text("secret")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)

    def with_files():
        run = a_run()
        run.add_files(str(root), str(root), prefix="../../")
        return run

    store = get_protocol("file:store.json")
    done = import_runs(store, [with_files()])
    assert done.files == 1
    assert len(done.problems) == 2
    facts = only(store).metadata["file:../../notes.txt"]
    with store.content.open(facts["sha256"]) as file:
        assert file.read() == b"notes"
    assert added(import_runs(store, [with_files()])) == NOTHING
    (root / "notes.txt").write_text("more notes")
    assert added(import_runs(store, [with_files()])) == (0, 0, 0, 1, 1, 1)


def test_a_trial_that_was_erased_stays_so():
    """To import again brings back neither its values nor its files."""
    store = get_protocol("file:store.json")
    Path("notes.txt").write_text("notes")
    import_runs(store, [a_run(files={"notes.txt": "notes.txt"})])
    uid = only(store).uid
    store.close()
    redact("file:store.json", [uid])
    store = get_protocol("file:store.json")
    grown = a_run(5, parameters={"lr": 9}, files={"notes.txt": "notes.txt"})
    done = import_runs(store, [grown])
    assert added(done) == NOTHING
    assert "erased" in done.problems[0]
    assert store.fetch_trials() == []
    assert not [path for path in store.content.root.rglob("*") if path.is_file()]
    store.close()


def test_a_trial_that_was_archived_stays_so(store):
    """What is new is added to it."""
    import_runs(store, [a_run()])
    store.archive_trial(Trial(_hash=only(store).hash))
    import_runs(store, [a_run(5)])
    assert store.fetch_trials() == []
    (trial,) = store.fetch_archived_trials()
    assert len(trial.metrics["loss"]) == 5


def test_nested_json_is_an_error(tmp_path):
    """However deep it is."""
    with pytest.raises(ImportFailed, match="somewhere"):
        parse_json("[" * sys.getrecursionlimit() * 100, "somewhere")
    path = tmp_path / "list.json"
    path.write_text("[1]")
    with pytest.raises(ImportFailed, match=r"list\.json"):
        read_json(str(path))


@pytest.mark.parametrize("name", ["missing", "empty", "text.txt"])
def test_what_is_of_no_tool_is_one_error(name, tmp_path):
    """It names the path."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("text")
    with pytest.raises(ImportFailed, match=name):
        next(read_runs(str(tmp_path / name)))
