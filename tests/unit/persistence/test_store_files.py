"""The files of a store: report, journal, what is set aside, and what is refused."""

import errno
import os
from multiprocessing import get_context

import pytest

from tests.programs import run_at_once, run_python
from tests.reports import files, log_something, projects_in, report
from track import TrackClient
from track.errors import (
    BackendError,
    ItemNotFound,
    JournalError,
    JournalWriteError,
    NotAReport,
)
from track.persistence import get_protocol, make_local
from track.persistence.local import (
    ConcurrentWrite,
    FileProtocol,
    LockFileRemover,
    lock_atomic_write,
    lock_read,
    lock_write,
)
from track.structure import Project, Status, Trial, TrialGroup

# Where it is, and when it is written


def test_the_report_exists_before_the_first_event():
    """Opening a store makes an empty report beside an empty journal."""
    store = get_protocol("file:report.json")
    assert report() == []
    assert files() == ["report.json", "report.json.journal"]
    assert list(store.events()) == []


def test_three_spellings_are_one_file(tmp_path):
    """And so is the absolute path, with or without an extension."""
    for uri in ("file:report", "file://report", "report", f"file://{tmp_path}/report"):
        log_something(uri, name=uri)
    assert len(projects_in("report")) == 4
    assert files() == ["report", "report.journal"]


def test_a_link_is_the_store_it_leads_to():
    """Both names have one journal."""
    log_something()
    os.symlink("report.json", "link.json")
    log_something("file:link.json", name="q")
    assert projects_in() == ["p", "q"]
    assert os.path.islink("link.json")
    assert files("link") == ["link.json"]


def test_the_working_directory_counts_when_it_is_opened(tmp_path, monkeypatch):
    """A script that changes folders goes on with the store it opened."""
    store = get_protocol("file:report.json")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.new_project(Project(name="p"))
    store.close()
    assert files() == []
    assert [p["name"] for p in report(tmp_path / "report.json")] == ["p"]


def test_closing_writes_the_report_only_if_something_happened():
    """A reader leaves the file as it found it."""
    log_something()
    before = os.stat("report.json").st_mtime_ns, os.stat("report.json").st_ino
    projects_in()
    assert (os.stat("report.json").st_mtime_ns, os.stat("report.json").st_ino) == before


def test_the_exit_writes_what_nobody_saved():
    """Of open stores, and of those that nobody holds any more."""
    program = (
        "from track.persistence import get_protocol\n"
        "from track.structure import Project\n"
        "for name in 'ab':\n"
        "    store = get_protocol(f'file:{name}.json')\n"
        "    store.new_project(Project(name=name))\n"
    )
    run_python(program)
    assert [report(f"{name}.json")[0]["name"] for name in "ab"] == ["a", "b"]


def test_clients_that_are_dropped_leave_no_descriptors():
    """A search makes a client for each of a thousand trials."""
    before = len(os.listdir("/proc/self/fd"))
    for index in range(20):
        get_protocol(f"file:{index}.json")
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def commit_often(uri, name):
    store = get_protocol(uri)
    for index in range(10):
        store.new_project(Project(name=f"{name}{index}"))
        store.commit()
        assert f"{name}{index}" in {project["name"] for project in report()}
    store.close()


def test_reports_of_several_processes_never_go_backwards():
    """What a process saw in the report is not taken back by another one's commit."""
    context = get_context("fork")
    get_protocol("file:report.json").close()
    writers = [
        context.Process(target=commit_often, args=("file:report.json", name)) for name in "abcd"
    ]
    run_at_once(writers)
    assert len(report()) == 40
    assert files(".") == []


# What is refused


@pytest.mark.parametrize(
    "content", [b"some text", b'{"a": 1}', b"[1, 2]", b'[{"dtype": "trial"}]', b"\x89PNG", b"[] x"]
)
def test_a_file_of_somebody_else_is_left_alone(content):
    """The error names it, and nothing is made beside it."""
    with open("report.json", "wb") as file:
        file.write(content)
    with pytest.raises(NotAReport, match=r"report\.json"):
        get_protocol("file:report.json")
    with open("report.json", "rb") as file:
        assert file.read() == content
    assert files() == ["report.json"]


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("file:.", "is a folder"),
        ("file:missing/report.json", "create the folder"),
        ("file:/proc/report.json", "choose another path"),
        ("file:text/report.json", "text/report.json"),
    ],
)
def test_a_path_where_nothing_can_be_is_one_clear_error(uri, message):
    """It says what is wrong, and what to do."""
    with open("text", "w", encoding="ascii"):
        pass
    with pytest.raises(NotAReport, match=message):
        get_protocol(uri)
    assert files() == ["text"]


def test_a_journal_that_is_a_folder_is_named():
    """There is no place for events then."""
    os.mkdir("report.json.journal")
    with open("report.json", "w", encoding="ascii"):
        pass
    with pytest.raises(JournalError, match=r"report\.json\.journal"):
        get_protocol("file:report.json")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("file:report.json?durabilty=always", "did you mean 'durability'"),
        ("file:report.json?durability=forever", "process, interval, always"),
        ("file:report.json?lock_timeout=soon", "give a number of seconds"),
        ("file:report.json?lock_timeout=-1", "give a number of seconds"),
        ("file:", "has no path"),
        ("memory:?durability=always", "durability"),
    ],
)
def test_unknown_options_and_values_are_named(uri, message):
    """With a near match where there is one; no file is made."""
    with pytest.raises(BackendError, match=message):
        get_protocol(uri)
    assert files() == []


@pytest.mark.parametrize(
    "options",
    ["objective=loss", "durability=process", "durability=interval&lock_timeout=2.5"],
)
def test_known_options_are_taken(options):
    """Also the one that a hyper-parameter search puts there for itself."""
    log_something(f"file://report.json?{options}&durability=always")
    assert projects_in() == ["p"]


# Failing writes


@pytest.fixture
def full_disk(monkeypatch):
    """Make appending fail, until it is switched off."""
    state = {"full": False}
    write = os.write

    def failing(fd, data):
        if state["full"]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr("track.journals.file.os.write", failing)
    return state


def test_a_failed_write_raises_from_the_call(full_disk):
    """What was not acknowledged is not there, and logging goes on when there is room again."""
    store = make_local("file:report.json")
    store.new_project(Project(name="p"))
    trial = store.new_trial(Trial(project_id="p"))
    full_disk["full"] = True
    with pytest.raises(JournalWriteError, match="No space left") as caught:
        store.log_trial_metrics(trial, loss=1)
    assert caught.value.errno == errno.ENOSPC
    full_disk["full"] = False
    store.log_trial_metrics(trial, loss=2)
    assert store.fetch_trials()[0].metrics == {"loss": [2]}
    assert trial.metrics == {"loss": [2]}


def test_a_failed_write_can_be_a_warning(full_disk, monkeypatch, told):
    """By choice training goes on: one warning, and what waited is written when it can be."""
    monkeypatch.setenv("TRACK_LOG_ON_ERROR", "warn")
    store = TrackClient("file:report.json").protocol
    store.new_project(Project(name="p"))
    trial = store.new_trial(Trial(project_id="p"))
    full_disk["full"] = True
    for value in range(5):
        store.log_trial_metrics(trial, loss=value)
    (message,) = told
    assert "No space left" in message
    full_disk["full"] = False
    store.set_trial_status(trial, Status.Completed)
    assert store.fetch_trials()[0].metrics == {"loss": [0, 1, 2, 3, 4]}
    assert store.fetch_trials()[0].status is Status.Completed
    store.close()


def test_the_choice_is_one_of_two(monkeypatch):
    """Anything else is named."""
    monkeypatch.setenv("TRACK_LOG_ON_ERROR", "ignore")
    with pytest.raises(BackendError, match=r"TRACK_LOG_ON_ERROR.*'ignore'"):
        TrackClient("file:report.json")
    assert files() == []


DECISIONS = {
    "new_project": lambda store: store.new_project(Project(name="other")),
    "new_trial_group": lambda store: store.new_trial_group(TrialGroup(name="g", project_id="p")),
    "new_trial": lambda store: store.new_trial(Trial(project_id="p"), auto_increment=True),
    "fetch_and_update_trial": lambda store: store.fetch_and_update_trial(
        {"status": Status.CreatedGroup}, "set_trial_status", status=Status.Running
    ),
    "fetch_and_update_group": lambda store: store.fetch_and_update_group(
        {"name": "here"}, "set_group_metadata", mine=True
    ),
}


@pytest.mark.filterwarnings("ignore::track.errors.NotRecordedWarning")
@pytest.mark.parametrize("name", DECISIONS)
@pytest.mark.parametrize("waits", [False, True], ids=["first", "behind a log call"])
def test_a_decision_that_is_not_on_disk_fails_also_where_errors_are_warnings(
    waits, name, full_disk, monkeypatch
):
    """Nobody holds a trial that others can take, too; once there is room, it can be decided."""
    monkeypatch.setenv("TRACK_LOG_ON_ERROR", "warn")
    store, other = (TrackClient("file:report.json").protocol for _ in range(2))
    store.new_project(Project(name="p"))
    store.new_trial_group(TrialGroup(name="here", project_id="p"))
    trial = store.new_trial(Trial(project_id="p"))
    before = [*store.events()]
    full_disk["full"] = True
    if waits:
        store.log_trial_metrics(trial, loss=1)
    with pytest.raises(JournalWriteError, match="No space left"):
        DECISIONS[name](store)
    with pytest.raises(JournalWriteError, match="No space left"):
        DECISIONS[name](other)
    assert [*other.events()] == before
    full_disk["full"] = False
    DECISIONS[name](store)
    assert len([*other.events()]) == len(before) + 1 + waits
    for each in (store, other):
        each.close()


@pytest.mark.filterwarnings("ignore::track.errors.NotRecordedWarning")
def test_a_reservation_sees_what_was_logged_before_and_could_not_be_written(full_disk, monkeypatch):
    """A trial that its client has completed is not reserved again."""
    monkeypatch.setenv("TRACK_LOG_ON_ERROR", "warn")
    store = TrackClient("file:report.json").protocol
    store.new_project(Project(name="p"))
    trial = store.new_trial(Trial(project_id="p"))
    full_disk["full"] = True
    store.set_trial_status(trial, Status.Completed)
    full_disk["full"] = False
    with pytest.raises(ItemNotFound):
        store.fetch_and_update_trial(
            {"status": Status.CreatedGroup}, "set_trial_status", status=Status.Running
        )
    store.close()


def test_only_what_a_client_logs_waits_in_memory(full_disk, monkeypatch):
    """Who opens a backend for others (a server, a copy, a verb) is told of what was not written."""
    monkeypatch.setenv("TRACK_LOG_ON_ERROR", "warn")
    store = get_protocol("file:report.json")
    store.new_project(Project(name="p"))
    trial = store.new_trial(Trial(project_id="p"))
    full_disk["full"] = True
    with pytest.raises(JournalWriteError, match="No space left"):
        store.log_trial_metrics(trial, loss=1)
    full_disk["full"] = False
    store.close()


# Guards for methods of one's own


class Guarded(FileProtocol):
    """A backend with methods of its own."""

    @lock_read
    def count(self):
        return len(self.fetch_trials())

    @lock_write
    def tag_all(self):
        for trial in self.fetch_trials():
            self.add_trial_tags(trial, seen=True)

    @lock_atomic_write
    def rename(self, trial, name):
        self.log_trial_metadata(trial, name=name)


def test_guarded_methods_see_and_save_the_newest():
    """Reading brings up to date, writing saves the report, and a stale trial is refused."""
    log_something()
    store = Guarded("file:report.json")
    assert store.count() == 1
    log_something()
    assert store.count() == 2
    store.tag_all()
    assert [trial["tags"] for trial in report()[0]["trials"]] == [{"seen": True}] * 2
    stale, *_ = store.fetch_trials()
    store.rename(stale, "first")
    with pytest.raises(ConcurrentWrite, match="fetch it again"):
        store.rename(stale, "second")
    assert isinstance(ConcurrentWrite("x"), Exception)
    fresh, *_ = store.fetch_trials()
    store.rename(fresh, "second")
    assert store.fetch_trials()[0].metadata["name"] == "second"


def test_a_lock_file_is_removed():
    """By hand, or with the process; a second time does no harm."""
    with open("x.lock", "w", encoding="ascii"):
        pass
    remover = LockFileRemover("x.lock")
    remover.remove()
    remover.atexit()
    assert files() == []
