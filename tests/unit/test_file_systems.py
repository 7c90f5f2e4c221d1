"""File systems that lack what a store needs: one clear error, or another way to the same end."""

import errno
import json
import os
from pathlib import Path

import lmdb
import pytest

import track
from track import TrackClient
from track.cli.app import FAILURE, run
from track.errors import UnsupportedFileSystem
from track.stores.maintenance import repair
from track.utils.mounts import mount_of

LACKING = [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP]


@pytest.fixture
def lacking(monkeypatch):
    """Have calls of the system fail as on a file system that lacks them."""

    def lack(code, *names):
        def fail(*_, **__):
            raise OSError(code, os.strerror(code))

        for name in names:
            monkeypatch.setattr(name, fail)

    return lack


@pytest.mark.parametrize("code", LACKING)
@pytest.mark.parametrize("uri", ["file:s.json", "lmdb:s.lmdb"])
def test_without_file_locks_there_is_one_clear_error(lacking, uri, code, tmp_path):
    """It names the mount, and the ways out; nothing is recorded."""
    lacking(code, "fcntl.flock")
    with pytest.raises(UnsupportedFileSystem) as told:
        TrackClient(uri).new_trial(name="t", parameters={})
    mount = mount_of(str(tmp_path))
    assert told.value.errno == code
    where = f"({mount.kind}, mounted on {mount.point})"
    for part in ("file locks", where, "track serve", "a database"):
        assert part in str(told.value)


def test_the_command_line_says_it_in_one_line(lacking, capsys):
    """Without a traceback."""
    client = TrackClient("file:s.json")
    client.new_trial(name="t", parameters={})
    client.close()
    lacking(errno.ENOLCK, "fcntl.flock")
    capsys.readouterr()
    assert run(["archive", "t"]) == FAILURE
    (line,) = capsys.readouterr().err.splitlines()
    assert "file locks" in line


def test_without_hard_links_a_store_is_made_all_the_same(lacking):
    """And another process that made the report meanwhile is not overwritten."""
    lacking(errno.EPERM, "os.link")
    client = TrackClient("file:s.json")
    with client.new_trial(name="t", parameters={}) as trial:
        trial.log_metrics(loss=1.0)
    client.close()
    assert json.loads(Path("s.json").read_text())[0]["trials"][0]["name"] == "t"
    again = TrackClient("file:s.json")
    again.new_trial(name="u", parameters={})
    again.close()
    assert len(json.loads(Path("s.json").read_text())[0]["trials"]) == 2


def test_without_hard_links_a_repair_keeps_a_copy(lacking):
    """Of the damaged journal."""
    client = TrackClient("file:s.json")
    with client.new_trial(name="t", parameters={}) as trial:
        for step in range(50):
            trial.log_metrics(step=step, loss=1.0)
    client.close()
    journal = Path("s.json.journal")
    damaged = bytearray(journal.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    journal.write_bytes(damaged)
    lacking(errno.EOPNOTSUPP, "os.link")
    done = repair("file:s.json")
    assert Path(done.kept).read_bytes() == damaged
    assert done.events > 40


def test_without_hard_links_a_report_is_imported_on_another_file_system(lacking):
    """An import is all or nothing, and cannot be that there."""
    client = TrackClient("file:s.json")
    client.new_trial(name="t", parameters={})
    client.close()
    for path in Path().glob("s.json.*"):
        path.unlink()
    report = Path("s.json").read_bytes()
    lacking(errno.EPERM, "os.link")
    with pytest.raises(UnsupportedFileSystem, match="hard links"):
        TrackClient("file:s.json")
    assert Path("s.json").read_bytes() == report
    assert not Path("s.json.journal").exists()


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EINVAL])
def test_without_fdatasync_files_are_synced_another_way(lacking, code, monkeypatch):
    """What was promised to be on the disk is."""
    synced = []
    sync = os.fsync
    monkeypatch.setattr("os.fsync", lambda fd: (synced.append(fd), sync(fd)))
    lacking(code, "os.fdatasync")
    client = TrackClient("file:s.json?durability=always")
    client.new_trial(name="t", parameters={})
    client.protocol.commit()
    assert synced
    client.close()


def test_folders_that_cannot_be_synced_are_no_obstacle(lacking, monkeypatch):
    """Some file systems keep names as they see fit."""
    sync = os.fsync

    def fail_for_folders(fd):
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(fd)

    monkeypatch.setattr("os.fsync", fail_for_folders)
    client = TrackClient("file:s.json")
    client.new_trial(name="t", parameters={})
    client.close()
    assert Path("s.json").exists()


def test_a_file_system_that_cannot_append_is_told(lacking, monkeypatch):
    """As mounts of object stores are."""
    opened = os.open

    def open_without_append(path, flags, *args, **kwargs):
        if flags & os.O_APPEND:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return opened(path, flags, *args, **kwargs)

    monkeypatch.setattr("os.open", open_without_append)
    with pytest.raises(UnsupportedFileSystem, match="O_APPEND"):
        TrackClient("file:s.json")


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_replace_files_is_told(lacking, code):
    """What was logged is in the journal all the same."""
    client = TrackClient("file:s.json")
    trial = client.new_trial(name="t", parameters={})
    trial.log_metrics(loss=0.5)
    lacking(code, "os.replace")
    for write in (client.save, client.close):
        with pytest.raises(UnsupportedFileSystem, match="offers no replacing of files"):
            write()
    with track.open("file:s.json") as store:
        assert store.trial("t").metrics == {"loss": [0.5]}


def test_a_file_system_that_cannot_map_files_is_told(tmp_path, monkeypatch):
    """LMDB says it in words only."""

    def fail(path, **_):
        raise lmdb.Error(f"{path}: {os.strerror(errno.ENODEV)}")

    monkeypatch.setattr("lmdb.open", fail)
    with pytest.raises(UnsupportedFileSystem, match="mmap"):
        TrackClient(f"lmdb:{tmp_path}/s.lmdb").new_trial(name="t", parameters={})
