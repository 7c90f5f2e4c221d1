"""Network file systems are recognised, and warned about."""

import os

import pytest

from track import TrackClient
from track.persistence import uri_options as settings
from track.utils import mounts
from track.utils.mounts import network_file_system

LINE = "36 35 {device} / /mnt/a\\040b rw,noatime shared:1 - {kind} server:/export rw,vers=4\n"
OTHER = "22 28 250:77 / /proc rw,nosuid - proc proc rw\n"


@pytest.fixture
def mounted(tmp_path):
    """Write a list of mounts in which the temporary folder is on some file system."""
    device = os.stat(tmp_path).st_dev

    def mount(kind):
        numbers = f"{os.major(device)}:{os.minor(device)}"
        table = tmp_path / "mountinfo"
        table.write_text(OTHER + LINE.format(device=numbers, kind=kind) + OTHER)
        return str(table)

    return mount


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "lustre", "cifs", "smb3", "fuse.sshfs"])
def test_network_file_systems_are_recognised(tmp_path, mounted, kind):
    """By the mount that the path is on, whatever its options are."""
    assert network_file_system(str(tmp_path), mounted(kind)) == kind


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs"])
def test_local_file_systems_are_not(tmp_path, mounted, kind):
    """Where everything holds that a journal relies on, there is nothing to say."""
    assert network_file_system(str(tmp_path), mounted(kind)) is None


def test_without_a_list_of_mounts_nothing_is_known(tmp_path):
    """Other systems have none."""
    assert network_file_system(str(tmp_path), str(tmp_path / "missing")) is None


def test_this_machine_is_asked_for_real(tmp_path):
    """The folder of the tests is on some file system, and most likely on a local one."""
    with open(mounts.MOUNTS, encoding="utf-8") as file:
        kinds = {line.partition(" - ")[2].split()[0] for line in file}
    assert network_file_system(str(tmp_path)) in {None, *kinds}


@pytest.mark.parametrize("uri", ["file:store.json", "lmdb:store.lmdb"])
def test_a_store_on_a_network_file_system_is_warned_about_once(
    tmp_path, mounted, monkeypatch, told, uri
):
    """It works as far as it can; the warning says what to use instead."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mounts, "MOUNTS", mounted("nfs4"))
    monkeypatch.setattr(settings, "_looked_at", set())
    for _ in range(2):
        client = TrackClient(uri)
        with client:
            client.log_metrics(step=1, loss=0.5)
        client.close()
    (message,) = told
    assert str(tmp_path) in message
    assert "nfs4" in message
    assert "local disk" in message
    assert "cockroach:" in message
