"""Exporting, importing, copying, users, and what holds for every verb."""

import csv
import io
import json
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from track import TrackClient
from track import open as open_store
from track.cli.app import NOT_FOUND, USAGE, VERBS
from track.persistence import get_protocol


def lines_of_json(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


@pytest.mark.parametrize("form", ["csv", "trials-csv"])
def test_tables_are_exported(track, store, form):
    """To stdout or to a file, the same."""
    out = track("export", "-f", form).out
    assert track("export", "-f", form, "-o", "table.csv").out == ""
    assert Path("table.csv").read_bytes().decode() == out
    rows = list(csv.DictReader(io.StringIO(out)))
    assert {row["project"] for row in rows} == {"paper"}
    assert len(rows) == (12 if form == "csv" else 2)
    some = track("export", "-f", form, "-w", "name=wider").out
    assert len(some.splitlines()) == 1 + len(rows) // 2


def test_objects_and_events_are_exported(track, store):
    """As JSON and as lines of JSON."""
    trials = json.loads(track("export", "-f", "json").out)
    assert [trial["name"] for trial in trials] == ["baseline", "wider"]
    events = lines_of_json(track("export", "-f", "ndjson").out)
    assert len(events) == len(track("log").out.splitlines())


@pytest.mark.parametrize("form", ["parquet", "tensorboard"])
def test_folders_are_exported(track, store, form):
    """They are made; a folder must be named."""
    assert track("export", "-f", form).code == USAGE
    assert track("export", "-f", form, "-o", "out").code == 0
    assert any(path.is_file() for path in Path("out").rglob("*"))


def test_a_report_is_imported(track, store):
    """Twice adds nothing."""
    result = track("import", "store.json", "-s", "lmdb:other.lmdb")
    assert result.out == "added 1 projects, 1 groups, 2 trials\n"
    again = track("import", "store.json", "-s", "lmdb:other.lmdb")
    assert again.out == "added 0 projects, 0 groups, 0 trials\n"


def test_tensorboard_is_imported(track, store):
    """The tool that wrote a folder is found out."""
    assert track("export", "-f", "tensorboard", "-o", "runs").code == 0
    assert "2 trials" in track("import", "runs", "-s", "file:new.json").out


def test_a_store_is_copied(track, store):
    """Each event once, however often."""
    first = track("copy", store, "lmdb:copy.lmdb")
    assert first.code == 0
    assert first.out.endswith("; 0 were already there\n")
    assert track("copy", store, "lmdb:copy.lmdb").out.startswith("copied 0 events; ")
    with open_store(store) as one, open_store("lmdb:copy.lmdb") as other:
        assert [repr(e.event) for e in one.events()] == [repr(e.event) for e in other.events()]


# Servers, and this machine


def test_users_are_added_and_removed(track, monkeypatch):
    """Passwords come from stdin, and are shown nowhere."""
    monkeypatch.setattr("sys.stdin", io.StringIO("hunter2\n"))
    assert track("user", "add", "ada", "--users", "users.json") == (0, "", "")
    assert track("user", "list", "--users", "users.json").out == "ada\n"
    assert "hunter2" not in Path("users.json").read_text()
    assert track("user", "remove", "ada", "--users", "users.json").code == 0
    assert track("user", "remove", "ada", "--users", "users.json").code == NOT_FOUND
    assert track("user", "list", "--users", "users.json").out == ""
    assert "does not exist" in track("user", "list", "--users", "user.json").err


def test_there_is_nothing_to_send_from_a_local_store(track, store):
    """The error says so."""
    assert track("sync").code == USAGE


def test_the_doctor_says_what_there_is(track, store, monkeypatch):
    """Versions, packages, the store, and what waits to be sent; no passwords."""
    monkeypatch.setenv("TRACK_LOG_BACKEND_NAME", "postgres://me:hunter2@localhost:1/x?timeout=1")
    (found,) = lines_of_json(track("doctor", "-s", store, "--json").out)
    assert found["trials"] == "2"
    assert found["package msgpack"][0].isdigit()
    assert "0 files" in found["spool"]
    assert "hunter2" not in track("doctor", "-s", store).out
    away = track("doctor")
    assert "problem" in away.out
    assert "hunter2" not in away.out


def test_the_version_is_told(track):
    """That of the package, and that of its format."""
    out = track("version").out
    assert out.startswith("track 0.")
    assert "journal format 1" in out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_helps(track, verb):
    """With an example, and what it does."""
    result = track(verb, "--help")
    assert result.code == 0
    assert (
        f"  track {verb}" in result.out
        or f"  track {verb}" in track("user", "--help").out
        or (verb == "version")
    )


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize(
    "verb", ["", *VERBS, "user add", "user remove", "user list"], ids=lambda verb: verb or "track"
)
def test_the_help_fits_a_terminal(track, monkeypatch, verb, columns):
    """Even a narrow one."""
    monkeypatch.setenv("COLUMNS", str(columns))
    result = track(*verb.split(), "--help")
    assert result.code == 0
    assert [line for line in result.out.splitlines() if len(line) > columns] == []


def test_the_types_of_events_are_told(track, store):
    """In the help, and to whoever gives another one."""
    assert "MediaLogged, MetadataLogged" in " ".join(track("log", "--help").out.split())
    result = track("log", "--type", "Unheard")
    assert result.code == USAGE
    assert "'StatusChanged'" in result.err


def test_reading_makes_and_changes_nothing(track, store):
    """Not a single file."""
    before = {path: path.read_bytes() for path in Path().iterdir()}
    for verb in (["ls"], ["show", "wider"], ["log"], ["report"], ["verify"], ["doctor"], ["tail"]):
        assert track(*verb).code == 0
    assert {path: path.read_bytes() for path in Path().iterdir()} == before
    shutil.rmtree("nothing", ignore_errors=True)
    assert track("ls", "-s", "file:nothing.json").code == NOT_FOUND
    assert not Path("nothing.json").exists()
    protocol = get_protocol(store)
    assert len(protocol.fetch_trials()) == 2
    protocol.close()


@pytest.mark.parametrize(
    "verb", ["show {}", "plot {} -m loss", "log {}", "tail {}", "diff {} wider", "blame {} status"]
)
def test_the_latest_revision_is_shown(track, store, verb):
    """And said to be that, once, where more than one has the name."""
    with open_store(store) as reader:
        first = reader.find_uid("baseline")
    client = TrackClient(store)
    client.set_project(name="paper")
    with client.new_trial(name="baseline", parameters={"lr": 0.1, "odd": "\x1b[31m"}) as trial:
        trial.log_metrics(step=0, loss=7.0)
        second = trial.trial.uid
    client.close()
    assert second == f"{first[:-2]}_1"
    latest = track(*verb.format("baseline").split())
    assert latest.out == track(*verb.format(second).split()).out
    assert latest.err == (
        f"track: 'baseline' has 2 revisions: this is the latest one, {second}; the one before it "
        f"is {first}\n"
    )
    assert track(*verb.format(first).split()).err == ""


def test_what_cannot_be_undone_wants_a_uid(track, store):
    """Not the name of several revisions."""
    client = TrackClient(store)
    client.set_project(name="paper")
    client.new_trial(name="baseline", parameters={"lr": 0.1, "odd": "\x1b[31m"})
    client.close()
    result = track("redact", "baseline", "--force")
    assert result.code == NOT_FOUND
    assert "is ambiguous" in result.err


def test_a_failure_is_listed_in_a_line_and_shown_whole(track):
    """Also of an attempt that came before a good one."""
    client = TrackClient("file:failed.json")
    for error in (RuntimeError("out of memory\nsee the manual"), None):
        trial = client.logger or client.new_trial(name="fragile", parameters={"lr": 1})
        with suppress(RuntimeError), trial:
            if error is not None:
                raise error
        listed = track("ls", "--columns", "name,failure", "-s", "file:failed.json").out
        assert ("RuntimeError: out of memory" in listed) is (error is not None)
        shown = track("show", "fragile", "-s", "file:failed.json").out
        assert "       Traceback (most recent call last):" in shown
        assert "       see the manual" in shown
        assert ("failure      RuntimeError: out of memory\n" in shown) is (error is not None)
    client.close()
    facts = json.loads(track("show", "fragile", "--json", "-s", "file:failed.json").out)
    assert [one["failure"] is None for one in facts["attempts"]] == [False, True]
    assert facts["chronos"]["runtime"] == sum(one["runtime"] for one in facts["attempts"])
