"""Network file systems are recognised, and warned about."""

import pytest

from track import TrackClient
from track.utils import mounts
from track.utils.mounts import network_file_system


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
def test_a_store_on_a_network_file_system_is_warned_about_once(tmp_path, mounted_as, told, uri):
    """It works as far as it can; the warning says what to use instead."""
    mounted_as("nfs4")
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
