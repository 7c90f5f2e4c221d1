"""Track records machine-learning experiments in an append-only journal of events."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from track.client import TrackClient
from track.structure import CustomStatus, Project, Status, Trial, TrialGroup
from track.versioning import __version__

if TYPE_CHECKING:
    from os import PathLike

    from track.reader import Reader

logging.getLogger("track").addHandler(logging.NullHandler())


def open(uri: str | PathLike[str] | None = None) -> Reader:  # noqa: A001 - to be called as track.open
    """Open a store to read its trials, their history, and tables of them.

    Parameters
    ----------
    uri
        of any backend with a journal, for example ``file:report.json``, or a path; by default the
        option ``log.backend.name`` (``TRACK_LOG_BACKEND_NAME``), else the only store in this folder

    Returns
    -------
    A :class:`~track.reader.Reader`.

    Raises
    ------
    StoreNotFound
        the file, or the log in a database, does not exist
    BackendError
        the URI cannot be used, or none is given
    """
    from track.reader import open_store  # training scripts do not need it

    return open_store(uri)


def __getattr__(name: str) -> Any:
    from track.calls import unknown_attribute

    raise AttributeError(unknown_attribute("track", name, "client"))


__all__ = [
    "CustomStatus",
    "Project",
    "Status",
    "TrackClient",
    "Trial",
    "TrialGroup",
    "__version__",
    "open",
]
