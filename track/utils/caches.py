"""Choose where caches are kept."""

from __future__ import annotations

import os
from hashlib import blake2b

from track.utils.mounts import network_file_system


def place_of_cache(path: str) -> str | None:
    """Return where to keep a cache that belongs at a path, None if it cannot be kept.

    It is the path itself if its folder is writable and local, since locks of network file systems
    are unreliable. Otherwise it is a file in ``$XDG_CACHE_HOME/track``.
    """
    folder = os.path.dirname(os.path.abspath(path))
    try:
        if may_write(folder) and network_file_system(folder) is None:
            return path
    except OSError:
        pass  # the folder does not exist
    return cache_of_user(os.path.realpath(path))


def cache_of_user(name: str) -> str | None:
    """Return the path of a cache in this user's cache folder, None if it cannot be written.

    Parameters
    ----------
    name
        the name of what is cached
    """
    home = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(home):
        home = os.path.expanduser("~/.cache")
        if not os.path.isabs(home):
            return None  # this user has no home folder
    folder = os.path.join(home, "track")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        found = os.stat(folder)
        if found.st_uid != os.geteuid():
            return None  # another user could put anything there
        if found.st_mode & 0o077:
            os.chmod(folder, 0o700)  # a cache is as secret as its store
    except OSError:
        return None
    digest = blake2b(os.fsencode(name), digest_size=16).hexdigest()
    return os.path.join(folder, f"{digest}.cache") if may_write(folder) else None


def may_write(folder: str) -> bool:
    """Return whether this user may create files in a folder."""
    return os.access(folder, os.W_OK)
