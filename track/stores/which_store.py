"""Which store is meant when none is named."""

from __future__ import annotations

import os
from glob import glob

from track.configuration import options
from track.errors import BackendError
from track.persistence.file_store import JOURNAL_SUFFIX

_NAMED = 8
"""How many of the stores in a folder an error names."""


def store_uri(uri: str | None = None, *, made: bool = False) -> str:
    """Return the URI of the store that is meant, see :func:`track.open`.

    Parameters
    ----------
    uri
        if one was named
    made
        whether the store need not exist, so that one in this folder is not meant by chance

    Raises
    ------
    BackendError
        none is named, and there is not just one here; the message names those that are
    """
    uri = uri or options("log.backend.name", None)
    if uri:
        return str(uri)
    here = stores_here()
    if len(here) == 1 and not made:
        return here[0]
    more = f" and {len(here) - _NAMED} more" if len(here) > _NAMED else ""
    found = f"in this folder there are {', '.join(here[:_NAMED])}{more}"
    if len(here) < 2:  # noqa: PLR2004 - "are" is for two
        found = f"in this folder there is {here[0]}" if here else f"there is none in {os.getcwd()}"
    example = here[0] if here else "file:report.json"
    raise BackendError(
        f"which store? {found}: name one, as track … --store {example} or track.open({example!r}), "
        "or set TRACK_LOG_BACKEND_NAME"
    )


def stores_here() -> list[str]:
    """Return the URIs of the stores in the working folder."""
    found = [f"file:{path[: -len(JOURNAL_SUFFIX)]}" for path in glob(f"*{JOURNAL_SUFFIX}")]
    return sorted(found) + [f"lmdb:{path}" for path in sorted(glob("*.lmdb"))]
