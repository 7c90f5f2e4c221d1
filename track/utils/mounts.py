"""Find out which file system a path is on."""

from __future__ import annotations

import os

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
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open(mounts or MOUNTS, encoding="utf-8", errors="replace") as file:
            lines = [line.partition(" - ") for line in file]
    except OSError:
        return None
    for mount, _, kind in lines:
        if mount.split()[2] == number and kind.split()[0] in NETWORK_FILE_SYSTEMS:
            return kind.split()[0]
    return None
