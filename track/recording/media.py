"""Log media of a trial: images, figures, histograms, tables, text, sounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from track.persistence.protocol import Protocol
from track.structure import Trial

if TYPE_CHECKING:
    from track.media import Medium


class MediaLogger:
    """Adds the methods that log media to a :class:`~track.logger.TrialLogger`.

    Each method makes a medium of the value, as the classes of ``track.media`` document, and logs it
    under a name, and at a step if one is given. :meth:`log_media` logs several at once.

    Raises
    ------
    EncodingError
        the value cannot be such a medium, or is too large
    JournalError
        the event could not be recorded
    """

    trial: Trial
    protocol: Protocol

    def insert(self, parameters: dict[str, Any] | None = None) -> None:
        """Insert the trial if it still waits for its arguments."""
        raise NotImplementedError

    def log_media(self, values: Mapping[str, Medium | Sequence[Medium]], step: Any = None) -> None:
        """Log media by name: one of each, or a list."""
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
        """Log a picture: an array, a tensor, an image of Pillow, or a file."""
        from track.media import Image

        self.log_media({name: Image(image, caption)}, step)

    def log_figure(
        self, name: str, figure: Any, step: Any = None, *, caption: str | None = None
    ) -> None:
        """Log a figure of matplotlib or plotly; it stays open."""
        from track.media import Figure

        self.log_media({name: Figure(figure, caption)}, step)

    def log_histogram(self, name: str, values: Any, step: Any = None, *, bins: int = 64) -> None:
        """Log how values are distributed, not the values themselves."""
        from track.media import Histogram

        self.log_media({name: Histogram(values, bins)}, step)

    def log_table(
        self, name: str, table: Any, step: Any = None, *, columns: Iterable[str] | None = None
    ) -> None:
        """Log a table: a data frame, a mapping of columns, or rows."""
        from track.media import Table

        self.log_media({name: Table(table, columns)}, step)

    def log_text(self, name: str, text: str, step: Any = None) -> None:
        """Log a text, as a sample of what a model writes."""
        from track.media import Text

        self.log_media({name: Text(text)}, step)

    def log_html(self, name: str, html: str, step: Any = None) -> None:
        """Log a page in HTML; its scripts are not run where it is shown."""
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
        """Log a sound: an array or tensor with its rate in samples a second, or a file."""
        from track.media import Audio

        self.log_media({name: Audio(samples, rate, caption)}, step)
