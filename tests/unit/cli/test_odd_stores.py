"""Whatever was logged, and whatever happened to it since, the command shows what it can."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from track import TrackClient
from track.aggregators.aggregator import StatAggregator
from track.cli.app import DAMAGE, FAILURE, NOT_FOUND, run
from track.persistence import get_protocol
from track.reader import open_store
from track.structure import CustomStatus, Project, Trial, TrialGroup

ROOT = Path(__file__).parents[3]

ODD = {"half": "\ud800", "bytes": b"\xff", "escape": "\x1b[31mred\x07", "nested": [{"a": "\n"}]}
VERBS = (
    *("ls", "ls projects", "ls groups", "show odd_0", "log", "tail", "diff odd_0 even_0"),
    *("blame odd_0 status", "blame odd_0 parameters.escape", "plot odd_0", "show nobody\x1b"),
)


@pytest.fixture
def odd():
    """The URI of a store of texts that no terminal and no UTF-8 likes, wherever there are texts."""
    store = get_protocol("file:odd.json")
    project, group = Project(name="p\x1b[2J", description="\x1b"), "g\x1b\ud800"
    store.new_project(project)
    store.new_trial_group(TrialGroup(_uid="g", name=group, project_id=project.uid))
    trial = Trial(
        _hash="odd",
        name="o\x1b\ud800",
        description="d\x1b",
        project_id=project.uid,
        group_id="g",
        parameters=ODD,
    )
    store.new_trial(trial)
    store.new_trial(Trial(_hash="even", project_id=project.uid))
    store.log_trial_metadata(trial, **ODD)
    store.log_trial_metrics(trial, **{"m\x1b": float("nan")})
    store.add_trial_tags(trial, **ODD)
    store.log_trial_chrono_start(trial, "c\x1b")
    store.log_trial_chrono_finish(trial, "c\x1b")
    store.set_trial_status(trial, CustomStatus("S\x1b\ud800", 150), error="\x1b[31mno\ud800")
    store.close()
    return "file:odd.json"


@pytest.mark.parametrize("verb", VERBS)
def test_what_was_logged_does_nothing_to_a_terminal(odd, verb):
    """No control character gets through, and what UTF-8 cannot hold is escaped."""
    done = subprocess.run(
        [sys.executable, "-m", "track", *verb.split(" "), "-s", odd],
        capture_output=True,
        check=False,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert "Traceback" not in done.stderr
    assert not {"\x1b", "\x07"} & set(done.stdout + done.stderr)


@pytest.fixture
def damaged(store):
    """The store, one byte of its journal flipped."""
    journal = Path("store.json.journal")
    content = bytearray(journal.read_bytes())
    content[len(content) // 2] ^= 0xFF
    journal.write_bytes(content)
    return store


@pytest.mark.parametrize("verb", ["ls", "report", "log", "tail", "export", "show baseline"])
def test_a_damaged_store_is_shown_as_far_as_it_can_be_read(track, damaged, verb):
    """One line says what to do, and the exit code that something is missing."""
    result = track(*verb.split())
    assert result.code == DAMAGE
    assert result.out
    assert result.err.count("\n") == 1
    assert "track verify" in result.err


@pytest.mark.parametrize("named", [[], ["-s", "store.json"], ["-s", "file:store.json"]])
def test_a_store_without_its_report_is_found(track, store, named):
    """The journal is the store; to look at it makes no report."""
    before = track("ls", "--columns", "name,metrics.loss").out
    Path("store.json").unlink()
    result = track("ls", "--columns", "name,metrics.loss", *named)
    assert (result.code, result.out, result.err) == (0, before, "")
    assert "baseline" in before
    assert not Path("store.json").exists()


def test_what_a_crash_cut_short_is_no_damage(track, store):
    """Nobody was told that it was recorded."""
    journal = Path("store.json.journal")
    journal.write_bytes(journal.read_bytes()[:-3])
    result = track("ls")
    assert (result.code, result.err) == (0, "")


def test_from_what_cannot_be_read_no_copy_is_made(track):
    """Not even an empty one."""
    result = track("copy", "socket://localhost:9?timeout=0.2", "file:copy.json")
    assert result.code == FAILURE
    assert os.listdir() == []


def test_an_export_takes_the_conditions_of_lists(track, store):
    """A metric is its last value, a status is text."""
    result = track(
        "export", "-f", "trials-csv", "-w", "metrics.loss<0.03", "-w", "status=completed"
    )
    assert [row["name"] for row in csv.DictReader(result.out.splitlines())] == ["baseline"]


def test_a_list_shows_the_statistics_of_a_metric(track):
    """Not whichever of them is the last one."""
    client = TrackClient("file:stat.json")
    with client.new_trial(name="stat", parameters={}) as trial:
        for value in (1.0, 3.0):
            client.protocol.log_trial_metrics(
                client.trial, aggregator=StatAggregator.lazy(0), loss=value
            )
    client.close()
    shown = json.loads(track("ls", "--json", "-s", "file:stat.json").out)
    assert shown["metrics"]["loss"]["avg"] == 2.0
    assert trial is not None


def test_an_event_that_comes_while_the_past_is_printed_is_printed_once(store, monkeypatch):
    """Following begins after the last event that was printed."""
    protocol = get_protocol(store)
    trial = protocol.fetch_trials({"name": "baseline"})[0]

    class Screen(io.StringIO):
        def write(self, text):
            written = super().write(text)
            if self.getvalue().count("\n") == 1 and text.endswith("\n"):
                protocol.add_trial_tags(trial, late=True)
            elif "TagsAdded" in self.getvalue():
                raise KeyboardInterrupt
            return written

    monkeypatch.setattr(sys, "stdout", Screen())
    assert run(["tail", "-n", "3", "-f"]) == 130
    lines = sys.stdout.getvalue().splitlines()
    assert ["TagsAdded" in line for line in lines] == [False, False, False, True]
    protocol.close()


def test_the_last_events_are_found_without_the_others(store):
    """Of the store, or of a trial."""
    with open_store(store) as reader:
        assert reader.recent(3) == list(reader.events())[-3:]
        assert reader.recent(3, "baseline") == list(reader.history("baseline"))[-3:]
        assert reader.recent(0) == []


def test_a_backup_of_a_damaged_store_says_so(track, damaged):
    """What is intact is copied."""
    result = track("backup", "file:copy.json")
    assert result.code == DAMAGE
    assert result.err.startswith("track: skipped damaged ranges of the journal (1)")
    assert track("verify", "-s", "file:copy.json").code == 0


def test_damage_is_counted_once_by_who_looks_and_changes(track, damaged):
    """The trial is archived all the same."""
    result = track("archive", "wider")
    assert result.code == DAMAGE
    assert result.err.startswith("track: skipped damaged ranges of the journal (1)")
    assert "wider" in track("ls", "--archived").out


def test_a_folder_that_is_not_there_is_not_found(track, store):
    """The line is free of numbers of errors."""
    result = track("export", "-o", "there/none.csv")
    assert result == (NOT_FOUND, "", "track: there/none.csv: No such file or directory\n")


def test_a_question_that_nobody_answers_is_no_interrupt(store):
    """And nothing is done."""
    before = Path("store.json.journal").read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "track", "redact", "baseline"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == FAILURE
    assert Path("store.json.journal").read_bytes() == before


def test_the_command_alone_shows_its_help(track):
    """And has a flag for its version."""
    assert track() == track("--help")
    assert track("--version") == track("version")
