"""Where caches are kept."""

from __future__ import annotations

import os
from hashlib import blake2b

from track.utils.mounts import network_file_system


def place_of_cache(path: str) -> str | None:
    """Return where a cache is kept that would be best kept at a path.

    That is the path, if its folder may be written and is on this machine: the locks of network file
    systems are not to be relied on. Else it is a name of its own in ``$XDG_CACHE_HOME/track``; None
    if that cannot be made.
    """
    folder = os.path.dirname(os.path.abspath(path))
    try:
        if may_write(folder) and network_file_system(folder) is None:
            return path
    except OSError:
        pass  # a folder that is not there has no caches
    return cache_of_user(os.path.realpath(path))


def cache_of_user(name: str) -> str | None:
    """Return where this user's own cache of something is kept; None if there is no place.

    Parameters
    ----------
    name
        of what it is a cache of
    """
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = os.path.join(home, "track")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError:
        return None
    digest = blake2b(os.fsencode(name), digest_size=16).hexdigest()
    return os.path.join(folder, f"{digest}.cache") if may_write(folder) else None


def may_write(folder: str) -> bool:
    """Whether this user may make files in a folder."""
    return os.access(folder, os.W_OK)
