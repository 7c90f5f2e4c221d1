"""Stores in folders that several users, containers or machines share: names and modes of files."""

import os
import shutil
import stat
from multiprocessing import get_context
from pathlib import Path

import pytest

from track import TrackClient
from track.exchange import export_tensorboard
from track.persistence import get_protocol
from track.stores.maintenance import backup, compact, repair
from track.stores.redaction import redact
from track.structure import Project, Trial

ROUNDS, OLD_TRIALS = 30, 50


@pytest.fixture
def umask():
    """Set what a teammate may do with new files; it is as before in the end."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def modes(pattern="**/*"):
    """Return the modes of all files below the working folder, by name."""
    return {
        str(path): stat.S_IMODE(path.stat().st_mode)
        for path in sorted(Path().glob(pattern))
        if path.is_file()
    }


def log(uri, name="a", steps=3):
    """Log a trial and a file."""
    Path("source.txt").write_text(f"of {name}")
    os.chmod("source.txt", 0o600)  # whoever logs it wants it to be seen
    client = TrackClient(uri)
    with client.new_trial(force=True, name=name, parameters={"name": name}) as trial:
        trial.log_file("source.txt")
        for step in range(steps):
            trial.log_metrics(step=step, loss=0.5)
    client.close()
    os.unlink("source.txt")
    return trial.trial.uid


# Names


def open_stores(start, act):
    """Do the same as others at the same time, again and again, in a folder of each round."""
    os.getpid = lambda: 1  # of this forked process
    try:
        for number in range(ROUNDS):
            start.wait()
            act(f"round{number}")
    except BaseException:
        start.abort()  # the others need not wait for this process
        raise


def at_once(act):
    """Have processes of one number do something at the same time; return how they ended."""
    context = get_context("fork")
    start = context.Barrier(4)
    processes = [context.Process(target=open_stores, args=(start, act)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def open_store(folder):
    store = get_protocol(f"file:{folder}/report.json")
    store.close()


def keep_file(folder):
    store = get_protocol(f"file:{folder}/report.json")
    store.keep_content("logged")
    store.close()


def write_runs(folder):
    export_tensorboard([Trial(_hash="a", project_id="p", metrics={"loss": {0: 1.0}})], folder)


def import_report(folder):
    store = get_protocol(f"file:{folder}/old.json")
    assert len(store.fetch_trials()) == OLD_TRIALS
    store.close()


@pytest.mark.parametrize("act", [open_store, import_report, keep_file, write_runs])
def test_processes_of_one_number_do_not_meet_in_temporary_files(act):
    """Containers that share a volume have equal process numbers."""
    Path("logged").write_bytes(bytes(10_000))
    store = get_protocol("file:new.json")
    store.new_project(Project(name="p"))
    for number in range(OLD_TRIALS):
        store.new_trial(Trial(_hash=f"{number}", project_id="p"))
    store.close()
    for number in range(ROUNDS):
        os.mkdir(f"round{number}")
        shutil.copy("new.json", f"round{number}/old.json")
    assert at_once(act) == [0, 0, 0, 0]
    assert list(Path().rglob("*.tmp")) == []


# Modes


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o007, 0o660), (0o077, 0o600)])
@pytest.mark.parametrize("uri", ["file:report.json", "lmdb:report.lmdb"])
def test_every_file_of_a_store_is_as_readable_as_the_others(uri, mask, mode, umask):
    """The umask says so, for journals, reports, caches and logged files alike."""
    umask(mask)
    log(uri, steps=5000)
    found = modes()
    assert set(found.values()) == {mode}
    assert len(found) >= 4


@pytest.mark.parametrize("uri", ["file:report.json", "lmdb:report.lmdb"])
def test_a_journal_that_is_written_anew_keeps_its_mode(uri, umask):
    """What its owner kept from others, or let them have, stays so."""
    uid = log(uri)
    journal = "report.lmdb" if uri.startswith("lmdb") else "report.json.journal"
    for mode in (0o640, 0o600):
        os.chmod(journal, mode)
        compact(uri)
        assert modes(journal) == {journal: mode}
        redact(uri, uid)
        assert modes(journal) == {journal: mode}
    with open(journal, "ab") as file:
        file.write(b"torn")
    if uri.startswith("file"):
        assert repair(uri) is not None
        assert modes(f"{journal}*") == dict.fromkeys(modes(f"{journal}*"), 0o600)


def test_a_backup_is_as_readable_as_any_new_store(umask):
    """The copies of logged files, too."""
    log("file:report.json")
    umask(0o007)
    backup("file:report.json", "file:copy.json")
    assert {mode for path, mode in modes("copy.json*").items()} == {0o660}
