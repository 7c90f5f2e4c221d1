"""Of a report, only the texts of trials that changed are rendered; the others are copied."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from track import TrackClient
from track.persistence import get_protocol, report_file
from track.projections import report
from track.projections.report import render_report
from track.stores.maintenance import backup, repair
from track.stores.redaction import redact
from track.structure import Project

pytestmark = pytest.mark.filterwarnings("ignore::track.errors.DamageWarning")

ROOT = Path(__file__).parents[3]
URI = "file:store.json"
SMALLEST = report_file.SMALLEST
REPORT, TEXTS = Path("store.json"), Path("store.json.journal.texts")


@pytest.fixture(autouse=True)
def always(monkeypatch, tmp_path):
    """Small reports have a table, too, in a folder of this test's own."""
    monkeypatch.setattr(report_file, "SMALLEST", 0)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def rendered(monkeypatch):
    """The names of the trials that were rendered, in order."""
    names = []

    def note(trial):
        names.append(trial.name)
        return report.render_trial(trial)

    monkeypatch.setattr(report_file, "render_trial", note)
    return names


def log(*names):
    client = TrackClient(URI)
    for name in names:
        with client.new_trial(name=name, parameters={"name": name}) as trial:
            trial.log_metrics(step=1, loss=0.5)
    client.close()


def is_right():
    """Whether the report says what the journal says."""
    store = get_protocol(URI)
    with store.read_state() as objects:
        expected = "".join(render_report(objects))
    store.close()
    return REPORT.read_text() == expected


def test_only_what_changed_is_rendered(rendered):
    """At the end of a trial, that trial."""
    log("a", "b", "c")
    assert rendered == ["a", "b", "c"]
    assert is_right()


def test_another_process_copies_too(rendered):
    """The table is beside the report."""
    log("a", "b")
    program = "import sys; from track import TrackClient; client = TrackClient(sys.argv[1])\n"
    program += "client.new_trial(name='c', parameters={}).finish()"
    subprocess.run(
        [sys.executable, "-c", program, URI],
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    del rendered[:]
    log("d")  # the other one thought the report too small for a table
    assert rendered == ["c", "d"]
    assert is_right()


def test_what_surrounds_trials_may_change(rendered):
    """And where they are shown."""
    log("a", "b")
    store = get_protocol(URI)
    (trial, _) = store.fetch_trials()
    project = store.new_project(Project(name="first", description="d"))
    store.add_project_trial(project, trial)
    store.archive_trial(trial)
    del rendered[:]
    store.close()
    assert rendered == []
    assert is_right()
    store = get_protocol(URI)
    store.restore_trial(trial)
    store.close()
    assert rendered == ["a", "a"]
    assert is_right()


DAMAGES = {
    "the table is damaged": lambda: TEXTS.write_bytes(TEXTS.read_bytes().replace(b"a", b"b", 1)),
    "the table is cut short": lambda: TEXTS.write_bytes(TEXTS.read_bytes()[:-1]),
    "the table is empty": lambda: TEXTS.write_bytes(b""),
    "the table is gone": TEXTS.unlink,
    "the report is damaged": lambda: REPORT.write_text(REPORT.read_text().replace("0.5", "0.6")),
    "the report is cut short": lambda: REPORT.write_text("[]"),
    "the report is longer": lambda: REPORT.write_text("\n" + REPORT.read_text()),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_not_as_it_was_is_rendered(rendered, damage):
    """A text is copied if its checksum says that it is the right one."""
    log("a", "b")
    damage()
    del rendered[:]
    log("c")
    assert rendered == ["a", "b", "c"]
    assert is_right()


def test_what_another_process_reported_is_not_reported_again():
    """Who ends a trial while another one does waits, and finds the work done."""
    log("a")
    ours, theirs = get_protocol(URI), get_protocol(URI)
    (trial,) = ours.fetch_trials()
    ours.log_trial_metadata(trial, note="ours")
    theirs.commit()
    before = REPORT.stat()
    ours.commit()
    assert REPORT.stat() == before
    assert is_right()
    ours.log_trial_metadata(trial, note="later")
    ours.commit()
    assert '"later"' in REPORT.read_text()


def test_a_report_that_somebody_changed_is_written_again():
    """Its size alone does not tell."""
    log("a")
    store = get_protocol(URI)
    REPORT.write_text(REPORT.read_text().replace("0.5", "0.6"))
    store.commit()
    assert is_right()


@pytest.mark.parametrize("name", ["REPORT_VERSION", "FOLDS_VERSION"])
def test_texts_of_another_version_are_not_copied(rendered, monkeypatch, name):
    """It may have written the same trials otherwise."""
    log("a")
    monkeypatch.setattr(report_file, name, 99)
    log("b")
    assert rendered == ["a", "a", "b"]


@pytest.mark.filterwarnings("ignore::track.errors.StorageWarning")
def test_texts_of_another_journal_are_not_copied(rendered):
    """Even if they are of trials that are called the same."""
    log("a")
    table, text = TEXTS.read_bytes(), REPORT.read_text()
    REPORT.unlink()
    log("a")
    TEXTS.write_bytes(table)
    REPORT.write_text(text)
    del rendered[:]
    log("b")
    assert rendered == ["a", "b"]
    assert is_right()


def test_what_cannot_be_written_is_done_without():
    """The report is there all the same."""
    TEXTS.mkdir()
    log("a")
    assert is_right()
    assert [trial["name"] for trial in json.loads(REPORT.read_text())[0]["trials"]] == ["a"]


def test_of_small_reports_there_is_no_table(monkeypatch):
    """They are rendered in no time."""
    monkeypatch.setattr(report_file, "SMALLEST", SMALLEST)
    log("a")
    assert not TEXTS.exists()


def test_what_is_erased_is_not_copied():
    """The report that had it is as far away as if it had never been."""
    log("a", "secret")
    store = get_protocol(URI)
    (uid,) = (trial.uid for trial in store.fetch_trials({"name": "secret"}))
    store.close()
    redact(URI, uid)
    assert "secret" not in REPORT.read_text()
    assert is_right()


def test_repairs_and_backups_have_reports_of_their_own():
    """Positions may be others, and caches are not taken along."""
    log("a", "b", "c")
    journal = Path("store.json.journal")
    content = bytearray(journal.read_bytes())
    content[len(content) // 2] ^= 0xFF
    journal.write_bytes(content)
    backup(URI, "file:copy.json")
    repair(URI)
    log("d")
    assert is_right()
    copied = [trial["name"] for trial in json.loads(Path("copy.json").read_text())[0]["trials"]]
    assert set(copied) <= {"a", "b", "c"}
