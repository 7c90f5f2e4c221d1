"""Choose the store when the caller names none."""

from __future__ import annotations

import os
from glob import glob

from track.configuration import options
from track.errors import BackendError
from track.persistence.file_store import JOURNAL_SUFFIX

_NAMED = 8
"""The number of stores that an error lists."""


def store_uri(uri: str | os.PathLike[str] | None = None, *, made: bool = False) -> str:
    """Return the URI of the store to use, see :func:`track.open`.

    Parameters
    ----------
    uri
        the URI or path that the caller gave, if any
    made
        whether the store may be created; then a store in this folder is not chosen by chance

    Raises
    ------
    BackendError
        no store was given, and this folder does not have exactly one; the message lists them
    """
    uri = uri or options("log.backend.name", None)
    if uri:
        return str(uri)
    here = stores_here()
    if len(here) == 1 and not made:
        return here[0]
    more = f" and {len(here) - _NAMED} more" if len(here) > _NAMED else ""
    found = (
        f"this folder has {', '.join(here[:_NAMED])}{more}" if here else f"{os.getcwd()} has none"
    )
    example = here[0] if here else "file:report.json"
    raise BackendError(
        f"no store was given, and {found}: use track … --store {example} or "
        f"track.open({example!r}), or set TRACK_LOG_BACKEND_NAME"
    )


def stores_here() -> list[str]:
    """Return the URIs of the stores in the current folder."""
    found = [f"file:{path[: -len(JOURNAL_SUFFIX)]}" for path in glob(f"*{JOURNAL_SUFFIX}")]
    return sorted(found) + [f"lmdb:{path}" for path in sorted(glob("*.lmdb"))]
