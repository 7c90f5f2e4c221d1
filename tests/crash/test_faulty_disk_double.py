"""Check that the double of a disk behaves like a disk."""

import errno
import os

import pytest

from tests.crash.faulty_disk import (
    PAGE,
    SECTOR,
    Fails,
    Short,
)


@pytest.fixture
def file(disk):
    """Give the descriptor of the file on the disk."""
    descriptor = os.open(disk.file, os.O_RDWR | os.O_APPEND)
    yield descriptor
    os.close(descriptor)


def test_the_disk_writes_what_it_says(disk, file):
    """Faults come in their order, and the file holds just what the calls reported."""
    disk.will([None, Short(2), Fails(errno.ENOSPC), Short(99)])
    assert disk.write(file, b"first") == 5
    assert disk.write(file, b"second") == 2
    with pytest.raises(OSError, match="No space left") as caught:
        disk.write(file, b"third")
    assert caught.value.errno == errno.ENOSPC
    assert disk.write(file, b"fourth") == 5
    assert disk.write(file, b"fifth") == 5
    assert disk.content() == b"firstsefourtfifth"
    assert [write.kept for write in disk.writes] == [5, 2, 0, 5, 5]
    assert disk.struck == ["write"] * 3


def test_the_disk_keeps_what_was_synced(disk, file):
    """Synced bytes survive, even in a page that was written to again; the test chooses the rest."""
    disk.write(file, b"a" * 5000)
    disk.fdatasync(file)
    disk.write(file, b"b" * 9000)
    assert (disk.shortest(), disk.size()) == (5000, 14000)
    first, second, third = disk.loose()
    assert (first, second, third) == (range(5000, 8192), range(8192, 12288), range(12288, 14000))
    image = disk.power_off(13000, [second])
    assert image == b"a" * 5000 + bytes(3192) + b"b" * 4096 + bytes(712)
    assert disk.content() == image
    assert disk.loose() == []
    assert disk.shortest() == 13000


def test_the_disk_tears_pages_between_sectors(disk, file):
    """The pieces that reach the disk one by one may be as small as a sector."""
    disk.write(file, b"x" * 1200)
    pieces = disk.loose(SECTOR)
    assert pieces == [range(512), range(512, 1024), range(1024, 1200)]
    assert disk.power_off(1200, pieces[1:2]) == bytes(512) + b"x" * 512 + bytes(176)


def test_the_disk_forgets_pages_after_a_sync_that_failed(disk, file):
    """The next sync makes only those pages durable that were written to after the failure."""
    disk.will(syncs=[Fails(errno.EIO)])
    disk.write(file, b"x" * (PAGE + 10))
    with pytest.raises(OSError, match="Input/output error"):
        disk.fdatasync(file)
    assert not disk.has_promised(0, 1)
    disk.write(file, b"y")
    disk.fdatasync(file)
    assert disk.loose() == [range(PAGE)]
    assert disk.has_promised(PAGE + 10, PAGE + 11)
    assert not disk.has_promised(PAGE, PAGE + 11)
