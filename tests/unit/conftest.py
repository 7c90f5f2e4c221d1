"""What tests of the client share."""

import builtins
import os

import pytest

from track import TrackClient


@pytest.fixture
def client():
    return TrackClient("memory:")


@pytest.fixture
def mounted(tmp_path):
    """Return a function that writes a list of mounts, with a file system at ``tmp_path``."""
    device = os.stat(tmp_path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    other = "22 28 250:77 / /proc rw,nosuid - proc proc rw\n"

    def mount(kind):
        table = tmp_path / "mountinfo"
        line = f"36 35 {number} / /mnt/a\\040b rw,noatime shared:1 - {kind} server:/export rw\n"
        table.write_text(other + line + other)
        return str(table)

    return mount


@pytest.fixture
def mounted_as(mounted, monkeypatch):
    """Return a function that makes the system report a kind of file system at ``tmp_path``."""
    real = builtins.open

    def mount(kind):
        table = mounted(kind)

        def opened(path, *given, **options):
            return real(table if path == "/proc/self/mountinfo" else path, *given, **options)

        monkeypatch.setattr(builtins, "open", opened)

    return mount
