"""Read the media, the output and the system metrics of a trial."""

from __future__ import annotations

from track.attachments.media import content_of
from track.moment import When, to_moment
from track.projections.media import LoggedMedium, media_in, media_stream
from track.projections.output import OutputLine, lines_in, output_stream, settled
from track.projections.system import SystemMetrics, system_metrics, system_stream
from track.reading.history import decoded
from track.reading.lookup import TrialLookup
from track.structure import Trial


class MediaReader(TrialLookup):
    """Adds media, output and system metrics to a :class:`~track.reader.Reader`."""

    def media(
        self, which: str | Trial, name: str | None = None, *, at: When = None
    ) -> list[LoggedMedium]:
        """Return the media of a trial, in the order in which they were logged.

        Parameters
        ----------
        which
            the trial
        name
            the name of the media; by default, all media are returned
        at
            the time or the position up to which to read; by default, now
        """
        batches = self.protocol.journal.read_stream(media_stream(self.find_uid(which)))
        found = media_in(decoded(batches, to_moment(at)))
        return [medium for medium in found if name in (None, medium.name)]

    def content_of(self, medium: LoggedMedium) -> bytes:
        """Return the content of a medium that :meth:`media` returned.

        Raises
        ------
        ItemNotFound
            the content was kept on another machine
        FileDamaged
            the content differs from what was logged
        """
        return content_of(self.protocol.content, medium)

    def system_metrics(self, which: str | Trial, *, at: When = None) -> list[SystemMetrics]:
        """Return the system metrics of a trial, one item per process."""
        batches = self.protocol.journal.read_stream(system_stream(self.find_uid(which)))
        return system_metrics(decoded(batches, to_moment(at)))

    def output(self, which: str | Trial, *, at: When = None) -> list[OutputLine]:
        """Return the captured output of a trial as lines, in the order of arrival."""
        batches = self.protocol.journal.read_stream(output_stream(self.find_uid(which)))
        return settled(lines_in(decoded(batches, to_moment(at))))
