"""Find out which file system a path is on."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import NamedTuple

from track.errors import UnsupportedFileSystem

NETWORK_FILE_SYSTEMS = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "fhgfs", "fuse.gcsfuse", "fuse.glusterfs"),
        *("fuse.rclone", "fuse.s3fs", "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs"),
        *("nfs", "nfs4", "orangefs", "panfs", "smb3", "smbfs"),
    }
)
"""File systems that several machines may write at once, as named in /proc/self/mountinfo."""

MOUNTS = "/proc/self/mountinfo"


def network_file_system(path: str, mounts: str | None = None) -> str | None:
    """Return the type of the network file system that a path is on, None if it is on a local one.

    Parameters
    ----------
    path
        a file or folder
    mounts
        the list of mounts, in the format of proc(5), by default the system's; without such a list
        the answer is None
    """
    found = mount_of(path, mounts)
    return found.kind if found is not None and found.kind in NETWORK_FILE_SYSTEMS else None


class Mount(NamedTuple):
    """Where a file system is mounted, and its type, as named in /proc/self/mountinfo."""

    point: str
    kind: str


def mount_of(path: str, mounts: str | None = None) -> Mount | None:
    """Return the mount that a path is on, None if the system does not say."""
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open(mounts or MOUNTS, encoding="utf-8", errors="replace") as file:
            lines = [line.partition(" - ") for line in file]
    except OSError:
        return None
    found = (
        Mount(mount.split()[4].replace("\\040", " "), kind.split()[0])
        for mount, _, kind in lines
        if mount.split()[2] == number
    )
    return next(found, None)


def unsupported(path: str, what: str, error: OSError) -> UnsupportedFileSystem:
    """Return the error for a file system that lacks something.

    Parameters
    ----------
    path
        a file on it
    what
        what it lacks
    error
        what the system said
    """
    mount = None
    with suppress(OSError):
        mount = mount_of(path)
    where = "" if mount is None else f" ({mount.kind}, mounted on {mount.point})"
    return UnsupportedFileSystem(
        error.errno,
        f"the file system of {path}{where} offers no {what}: {error.strerror}. A store needs it so "
        "that several processes do not damage it. Keep the store on a local disk and log to it "
        "from elsewhere through a server (track serve), or log to a database",
    )


LACKING = frozenset((errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL))
"""What a file system says of a call that it does not implement."""
