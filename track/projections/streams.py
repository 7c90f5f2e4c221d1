"""Compute the streams of a trial: its own, and those of its media, output and system metrics."""

from __future__ import annotations

from track.projections.media import media_stream
from track.projections.objects import Objects
from track.projections.output import output_stream
from track.projections.system import system_stream
from track.projections.trials import stream_of
from track.structure import Project, Trial, TrialGroup

BESIDE = (system_stream, media_stream, output_stream)
"""Functions that return the streams of a trial other than its own."""


def streams_of(uid: str) -> tuple[int, ...]:
    """Return the streams of a trial, its own first."""
    return stream_of(uid), *(stream(uid) for stream in BESIDE)


class Subjects:
    """Finds the subject of any stream. It computes the streams of each trial once."""

    def __init__(self) -> None:
        self._trials: dict[int, str] = {}
        self._named: set[str] = set()

    def find(self, objects: Objects, stream: int) -> Project | TrialGroup | Trial | None:
        """Return the subject of a stream, None if it is unknown."""
        found: Project | TrialGroup | Trial | None
        found = objects.by_stream.get(stream) or objects.parts.get(stream)
        if found is not None:
            return found
        if stream not in self._trials and len(objects.trials) > len(self._named):
            for uid in objects.trials:
                if uid not in self._named:
                    self._named.add(uid)
                    self._trials.update((beside(uid), uid) for beside in BESIDE)
        return objects.trials.get(self._trials.get(stream, ""))
