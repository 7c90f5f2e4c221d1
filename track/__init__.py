"""Track records machine-learning experiments in an append-only journal of events."""

from __future__ import annotations

import logging

from track.client import TrackClient
from track.structure import CustomStatus, Project, Status, Trial, TrialGroup

__version__ = "0.1.0"

logging.getLogger("track").addHandler(logging.NullHandler())

__all__ = [
    "CustomStatus",
    "Project",
    "Status",
    "TrackClient",
    "Trial",
    "TrialGroup",
    "__version__",
]
