"""The report file as such: read, recognised, replaced atomically."""

import json
import os
import stat
import threading
import time
from contextlib import suppress
from multiprocessing import get_context

import pytest

from tests.programs import run_at_once
from track.errors import LockTimeout, NotAReport
from track.persistence.storage import (
    LocalStorage,
    check_report,
    create_report,
    load_database,
    read_projects,
    replacing_report,
    write_report,
)
from track.serialization import to_json
from track.structure import Project, Trial, TrialGroup


def make_project():
    group = TrialGroup(_uid="g", name="group", project_id="p", trials={"h_0"})
    trials = {
        Trial(_hash="h", name="trial", project_id="p", metadata={"_update_count": 3}),
        Trial(_hash="h", revision=1, project_id="p"),
    }
    return Project(name="p", trials=trials, groups={group})


@pytest.fixture
def report(tmp_path):
    """A report file with one project, two trials and a group."""
    path = tmp_path / "report.json"
    path.write_text(json.dumps([to_json(make_project())]))
    return path


def listing(folder):
    return sorted(os.listdir(folder))


# LocalStorage


def test_loading_gives_every_object(report):
    """Projects, groups and trials are found by kind and by name."""
    storage = load_database(str(report))
    assert storage.target_file == str(report)
    kinds = {key: type(storage.objects[key]).__name__ for key in storage.objects}
    assert sorted(kinds.values()) == ["Project", "Trial", "Trial", "TrialGroup"]
    assert {kinds[key] for key in storage.projects} == {"Project"}
    assert {kinds[key] for key in storage.groups} == {"TrialGroup"}
    assert {kinds[key] for key in storage.trials} == {"Trial"}
    assert storage.objects[storage.project_names["p"]] == Project(name="p")
    assert storage.objects[storage.group_names["group"]].trials == {"h_0"}
    trial = next(trial for trial in storage.objects.values() if trial.name == "trial")
    assert storage.get_current_version_tag(trial) == 3
    assert storage.get_previous_version_tag(trial) == 3
    trial.metadata["_update_count"] += 1
    assert storage.get_current_version_tag(trial) == 4
    assert storage.get_previous_version_tag(trial) == 3


def test_a_missing_file_is_an_empty_storage(tmp_path):
    """There is nothing to load yet."""
    assert load_database(str(tmp_path / "none.json")).objects == {}


def test_committing_writes_what_was_changed(report, tmp_path):
    """The objects can be changed and written back, or to another file."""
    storage = load_database(str(report))
    project = storage.objects[storage.project_names["p"]]
    project.metadata["new"] = float("nan")
    next(iter(project.trials)).tags["t"] = 1
    storage.commit()
    (written,) = json.loads(report.read_text())
    assert written["metadata"] == {"new": "NaN"}
    assert sorted(len(trial["tags"]) for trial in written["trials"]) == [0, 1]
    storage.commit(file_name_override=str(tmp_path / "copy.json"))
    assert (tmp_path / "copy.json").read_text() == report.read_text()
    with pytest.raises(ValueError, match="target_file"):
        LocalStorage().commit()


def test_reloading_keeps_objects_or_discards_them(report):
    """A smart reload brings the objects at hand up to date; a reload makes new ones."""
    storage = load_database(str(report))
    key = storage.project_names["p"]
    project, count = storage.objects[key], len(storage.objects)
    changed = make_project()
    changed.description = "changed"
    changed.trials.add(Trial(_hash="new", project_id="p"))
    report.write_text(json.dumps([to_json(changed)]))
    storage.smart_reload()
    assert storage.objects[key] is project
    assert (project.description, len(storage.objects)) == ("changed", count + 1)
    assert {id(trial) for trial in project.trials} <= {id(o) for o in storage.objects.values()}
    storage.reload()
    assert storage.objects[key] is not project
    report.write_text("[]")
    storage.reload(filename=str(report))
    assert (storage.objects, storage.projects, storage.project_names) == ({}, set(), {})


# What is a report


@pytest.mark.parametrize(
    "text",
    ["", " \n", "[]", " [ ] \n", '[{"dtype": "project", "name": "p"}]', '[\n{"dtype":"project"'],
)
def test_reports_are_recognised_by_their_beginning(tmp_path, text):
    """An empty file is one that nothing was written to yet."""
    (tmp_path / "report.json").write_text(text)
    check_report(str(tmp_path / "report.json"))


def test_projects_in_another_order_of_keys_are_recognised(tmp_path):
    """A report that went through another program is still one."""
    text = json.dumps([dict(reversed(to_json(make_project()).items()))])
    (tmp_path / "report.json").write_text(text)
    check_report(str(tmp_path / "report.json"))


@pytest.mark.parametrize(
    "content",
    [
        b"some text",
        b"{}",
        b"[1]",
        b'[{"name": "p"}]',
        b'[[{"dtype": "project"}]]',
        b'[{"dtype": "trial", "uid": "h_0"}]',
        b'{"dtype": "project", "name": "p"}',
        b"\x89PNG\r\n",
        b"\xff\xfe",
        b"null",
    ],
)
def test_other_files_are_not_reports(tmp_path, content):
    """The path is named, and the file stays."""
    path = tmp_path / "report.json"
    path.write_bytes(content)
    for check in (check_report, read_projects):
        with pytest.raises(NotAReport, match=r"report\.json"):
            check(str(path))
    with pytest.raises(NotAReport):
        LocalStorage(str(path)).commit()
    assert path.read_bytes() == content


def test_a_report_is_created_whole_and_never_over_another(tmp_path):
    """The first one wins, and no temporary file stays."""
    path = str(tmp_path / "report.json")
    create_report(path)
    assert read_projects(path) == []
    write_report(path, ['[{"dtype": "project", ', '"name": "p"}]'])
    create_report(path)
    assert [project.name for project in read_projects(path)] == ["p"]
    assert listing(tmp_path) == ["report.json"]
    with pytest.raises(NotAReport, match="create the folder"):
        create_report(str(tmp_path / "missing" / "report.json"))
    with pytest.raises(NotAReport, match="create the folder"):
        write_report(str(tmp_path / "missing" / "report.json"), ["[]"])


# Replacing


def test_the_mode_is_kept(report):
    """Who could read the report before can read it afterwards."""
    report.chmod(0o640)
    write_report(str(report), ["[]"])
    assert stat.S_IMODE(report.stat().st_mode) == 0o640


def test_a_link_stays_a_link(report, tmp_path):
    """What it points to is replaced."""
    link = tmp_path / "link.json"
    link.symlink_to(report)
    write_report(str(link), ["[]"])
    assert link.is_symlink()
    assert report.read_text() == "[]"
    assert listing(tmp_path) == ["link.json", "report.json"]


def test_a_failed_write_leaves_the_report_as_it_was(report, tmp_path):
    """Whatever goes wrong on the way, the old report is whole and nothing else stays."""
    before = report.read_bytes()

    def pieces():
        yield "[half"
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        write_report(str(report), pieces())
    assert report.read_bytes() == before
    assert listing(tmp_path) == ["report.json"]


def test_the_report_is_complete_at_any_moment(report):
    """A reader that looks all the time never sees half of a report."""
    texts = [json.dumps([{"dtype": "project", "name": name * 50_000}]) for name in "ab"]
    write_report(str(report), texts[:1])
    stop = threading.Event()
    seen = set()

    def look():
        while not stop.is_set():
            seen.add(report.read_text())

    reader = threading.Thread(target=look)
    reader.start()
    for index in range(50):
        text = texts[index % 2]
        write_report(str(report), [text[:1000], text[1000:]])
    stop.set()
    reader.join()
    assert seen <= set(texts)


def test_what_a_killed_writer_left_is_no_obstacle(report, tmp_path):
    """Its unfinished file is emptied and used."""
    (tmp_path / ".report.json.tmp").write_text("[{half of a very long report that was never ended")
    write_report(str(report), ["[]"])
    assert report.read_text() == "[]"
    assert listing(tmp_path) == ["report.json"]


def test_one_writer_at_a_time(report):
    """A second one waits, and says so when it has waited long enough."""
    inside, leave = threading.Event(), threading.Event()

    def write():
        with replacing_report(str(report)) as file:
            inside.set()
            leave.wait()
            file.write("[]")

    writer = threading.Thread(target=write)
    writer.start()
    inside.wait()
    with (
        pytest.raises(LockTimeout, match="another process"),
        replacing_report(str(report), timeout_s=0.01),
    ):
        pass
    leave.set()
    writer.join()
    assert report.read_text() == "[]"


@pytest.mark.parametrize("outcome", ["first only", "done", "failed"])
def test_of_many_that_wait_one_writes_for_all(report, outcome):
    """Who waited for one that began later, and succeeded, has nothing to do."""
    path, temporary, given = str(report), report.with_name(".report.json.tmp"), []
    report.write_text("[]")

    def wait():
        with replacing_report(path, unless_done=True) as file:
            given.append(file is not None)
            if file is not None:
                file.write("[3]")

    def are_open(name, count):
        """Wait until so many descriptors of this process are of a file of that name."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            paths = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
            if paths.count(str(name)) == count:
                return
            time.sleep(0.001)
        raise AssertionError(paths)

    waiter = threading.Thread(target=wait)
    with replacing_report(path) as file:
        file.write("[1]")
        waiter.start()
        are_open(temporary, 2)
        kept = os.dup(file.fileno())  # and with it, its lock
    if outcome == "first only":
        os.close(kept)
        waiter.join()
    else:
        with suppress(ZeroDivisionError), replacing_report(path) as file:
            file.write("[2]")
            os.close(kept)
            are_open(temporary, 2)
            _ = 1 / (outcome != "failed")
        waiter.join()
    assert given == [outcome != "done"]
    assert report.read_text() == ("[2]" if outcome == "done" else "[3]")
    assert listing(report.parent) == ["report.json"]


def count_up(path, count):
    for _ in range(count):
        with replacing_report(path) as file:
            with open(path, encoding="utf-8") as current:
                number = json.load(current)
            file.write(json.dumps(number + 1))


def test_concurrent_writers_never_go_backwards(tmp_path):
    """What is decided inside the block is decided on the newest report."""
    path = tmp_path / "report.json"
    path.write_text("0")
    context = get_context("fork")
    writers = [context.Process(target=count_up, args=(str(path), 40)) for _ in range(4)]
    run_at_once(writers)
    assert path.read_text() == "160"
    assert listing(tmp_path) == ["report.json"]
