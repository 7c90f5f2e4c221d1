"""A store whose report is missing: it is made again, or, by choice, the store starts over."""

import os
import shutil
from multiprocessing import get_context

import pytest

import track
from tests.programs import run_at_once, run_python
from tests.reports import files, log_something, projects_in, report
from track.errors import BackendError, JournalError
from track.persistence import get_protocol
from track.stores.maintenance import backup, replay, verify
from track.stores.redaction import redact
from track.structure import Project, Status, Trial

pytestmark = pytest.mark.filterwarnings("ignore::track.errors.StorageWarning")


def open_and_log(start, name):
    start.wait()
    log_something(name=name)


def open_at_once(names):
    """Have processes open the store at the same time, and insert a project each."""
    context = get_context("fork")
    start = context.Barrier(len(names))
    openers = [context.Process(target=open_and_log, args=(start, name)) for name in names]
    run_at_once(openers)


def uid_in(uri):
    with track.open(uri) as reader:
        return reader.trials()[0].uid


@pytest.fixture
def start_over(monkeypatch):
    monkeypatch.setenv("TRACK_LOG_FILE_MISSING_REPORT", "start_over")


# A store without its report


def test_a_deleted_report_is_made_again(told):
    """The journal is the store: nothing is lost, and whoever wanted a new one reads how to."""
    for _ in range(21):
        log_something()
    before = report()
    os.unlink("report.json")
    store = get_protocol("file:report.json")
    assert len(store.fetch_trials()) == 21
    assert report() == before
    store.close()
    assert files("report.json.journal.") == []
    (message,) = told
    assert "report.json.journal. To begin" in message
    assert "TRACK_LOG_FILE_MISSING_REPORT=start_over" in message


def test_a_journal_alone_is_a_whole_store():
    """It may be all that was copied to another machine, from a process that still logs."""
    store = get_protocol("file:report.json")
    store.new_project(Project(name="p"))
    store.new_trial(Trial(project_id="p"))
    os.mkdir("elsewhere")
    shutil.copy("report.json.journal", "elsewhere")
    store.close()
    assert projects_in("file:elsewhere/report.json") == ["p"]
    assert report("elsewhere/report.json") == report()


VERBS = {
    "verify": verify,
    "replay": replay,
    "backup": lambda uri: backup(uri, "file:copy.json"),
    "redact": lambda uri: redact(uri, uid_in(uri)),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.usefixtures("start_over")
def test_maintenance_sets_no_journal_aside(verb):
    """Whoever asks for a backup, say, wants to begin nothing anew, whatever was chosen."""
    log_something()
    os.unlink("report.json")
    VERBS[verb]("file:report.json")
    with track.open("file:report.json") as reader:
        assert len(reader.objects().trials) == 1
    assert files("report.json.journal.abandoned") == []


@pytest.mark.parametrize("opens", [False, True], ids=["nobody opens it", "somebody opens it"])
def test_whoever_logs_while_the_report_is_deleted_goes_on(opens):
    """Log calls, decisions and commits work, and there is one journal with all of it."""
    logging = get_protocol("file:report.json")
    logging.new_project(Project(name="first"))
    trial = logging.new_trial(Trial(project_id="first"))
    os.unlink("report.json")
    if opens:
        log_something(name="second")
        os.unlink("report.json")
    logging.log_trial_metrics(trial, loss=1)
    logging.new_project(Project(name="third"))
    logging.set_trial_status(trial, Status.Completed)
    logging.commit()
    expected = ["first", "second", "third"] if opens else ["first", "third"]
    assert [project["name"] for project in report()] == expected
    logging.close()
    assert projects_in() == expected
    assert files("report.json.journal.") == []


def test_a_client_that_was_collected_makes_the_report_again_at_exit():
    """Also when the report was deleted meanwhile."""
    program = (
        "import os, track\n"
        "client = track.TrackClient('file:report.json')\n"
        "client.new_trial(name='mine', parameters={})\n"
        "del client\n"
        "os.unlink('report.json')\n"
    )
    run_python(program)
    assert [trial["name"] for project in report() for trial in project["trials"]] == ["mine"]


def test_processes_that_find_no_report_at_once_make_the_same():
    """Nothing that any of them logs is lost."""
    log_something(name="old")
    os.unlink("report.json")
    open_at_once("abcdef")
    assert sorted(projects_in()) == [*"abcdef", "old"]
    assert sorted(project["name"] for project in report()) == [*"abcdef", "old"]
    assert files("report.json.journal.") == []


def test_what_to_do_without_a_report_is_one_of_two(monkeypatch):
    """Anything else is named, and nothing is made."""
    monkeypatch.setenv("TRACK_LOG_FILE_MISSING_REPORT", "forget")
    with pytest.raises(BackendError, match=r"TRACK_LOG_FILE_MISSING_REPORT.*'forget'"):
        get_protocol("file:report.json")
    assert files() == []


# Starting over, where that is what a missing report is to mean


@pytest.mark.usefixtures("start_over")
def test_a_deleted_report_starts_over_where_that_was_chosen(told):
    """The journal is set aside, and the one warning tells how to get it back."""
    log_something()
    with open("report.json.journal", "rb") as file:
        content = file.read()
    os.unlink("report.json")
    assert projects_in() == []
    (aside,) = files("report.json.journal.")
    assert "abandoned" in aside
    with open(aside, "rb") as file:
        assert file.read() == content
    (message,) = told
    assert aside in message
    assert "rename" in message

    os.rename(aside, "report.json.journal")
    with open("report.json", "w", encoding="ascii"):
        pass
    assert projects_in() == ["p"]
    assert len(told) == 1


@pytest.mark.usefixtures("start_over")
def test_nothing_is_set_aside_twice_over(told):
    """Each start gives the abandoned journal a name of its own."""
    for name in "abc":
        log_something(name=name)
        os.unlink("report.json")
    assert projects_in() == []
    assert len(files("report.json.journal.abandoned")) == 3 == len(told)


@pytest.mark.usefixtures("start_over")
def test_whoever_still_logs_into_an_abandoned_store_is_told():
    """Decisions and commits there are refused, so that the new store stays as it is."""
    old = get_protocol("file:report.json")
    old.new_project(Project(name="old"))
    trial = old.new_trial(Trial(project_id="old"))
    os.unlink("report.json")
    log_something(name="new")
    for call in (lambda: old.new_project(Project(name="more")), old.commit):
        with pytest.raises(JournalError, match="started"):
            call()
    old.log_trial_metrics(trial, loss=1)
    assert projects_in() == ["new"] == [project["name"] for project in report()]
    old.journal.close()


@pytest.mark.usefixtures("start_over")
def test_processes_that_start_over_at_once_do_it_once():
    """One of them sets the journal aside, and nothing that any of them logs is lost."""
    log_something(name="old")
    os.unlink("report.json")
    open_at_once("abcdef")
    assert len(files("report.json.journal.abandoned")) == 1
    assert sorted(projects_in()) == list("abcdef")
    assert sorted(project["name"] for project in report()) == list("abcdef")
