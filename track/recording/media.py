"""Log media of a trial: images, figures, histograms, tables, text, audio."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from track.persistence.protocol import Protocol
from track.structure import Trial

if TYPE_CHECKING:
    from track.media import Medium


class MediaLogger:
    """Adds media to a :class:`~track.logger.TrialLogger`.

    Each method converts a value to a medium, as documented for the classes of ``track.media``, and
    logs it under a name and, if given, at a step. :meth:`log_media` logs several at once.

    Raises
    ------
    EncodingError
        the value cannot be logged as this kind of medium, or is too large
    JournalError
        the event could not be recorded
    """

    trial: Trial
    protocol: Protocol

    def insert(self, parameters: dict[str, Any] | None = None) -> None:
        """Insert the trial if it is still waiting for its arguments."""
        raise NotImplementedError

    def log_media(self, values: Mapping[str, Medium | Sequence[Medium]], step: Any = None) -> None:
        """Log media by name, one or a list under each name."""
        from track.media import Medium

        self.insert()
        media = {
            str(name): [value] if isinstance(value, Medium) else [*value]
            for name, value in values.items()
        }
        self.protocol.log_trial_media(self.trial, step, media)

    def log_image(
        self, name: str, image: Any, step: Any = None, *, caption: str | None = None
    ) -> None:
        """Log an image: an array, a tensor, a Pillow image, or a file."""
        from track.media import Image

        self.log_media({name: Image(image, caption)}, step)

    def log_figure(
        self, name: str, figure: Any, step: Any = None, *, caption: str | None = None
    ) -> None:
        """Log a matplotlib or plotly figure, which stays open."""
        from track.media import Figure

        self.log_media({name: Figure(figure, caption)}, step)

    def log_histogram(self, name: str, values: Any, step: Any = None, *, bins: int = 64) -> None:
        """Log the distribution of values, not the values themselves."""
        from track.media import Histogram

        self.log_media({name: Histogram(values, bins)}, step)

    def log_table(
        self, name: str, table: Any, step: Any = None, *, columns: Iterable[str] | None = None
    ) -> None:
        """Log a table: a data frame, a mapping of columns, or rows."""
        from track.media import Table

        self.log_media({name: Table(table, columns)}, step)

    def log_text(self, name: str, text: str, step: Any = None) -> None:
        """Log a text, such as a sample that a model generated."""
        from track.media import Text

        self.log_media({name: Text(text)}, step)

    def log_html(self, name: str, html: str, step: Any = None) -> None:
        """Log an HTML page; it is shown without running its scripts."""
        from track.media import Html

        self.log_media({name: Html(html)}, step)

    def log_audio(
        self,
        name: str,
        samples: Any,
        rate: int | None = None,
        step: Any = None,
        *,
        caption: str | None = None,
    ) -> None:
        """Log audio: an array or tensor with its rate in samples per second, or a file."""
        from track.media import Audio

        self.log_media({name: Audio(samples, rate, caption)}, step)
