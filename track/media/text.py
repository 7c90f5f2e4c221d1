"""Text and HTML."""

from __future__ import annotations

from typing import ClassVar

from track.media.medium import Medium


class Text(Medium):
    """Plain text.

    Parameters
    ----------
    text
        any text
    caption
        a line to show with it
    """

    kind: ClassVar[str] = "text"
    mime_type: ClassVar[str] = "text/plain; charset=utf-8"

    __slots__ = ()

    def __init__(self, text: str, caption: str | None = None) -> None:
        if not isinstance(text, str):
            raise self.refuse(f"give a str, not {text.__class__.__name__}")
        super().__init__(text.encode("utf-8", "replace"), self.mime_type, caption)


class Html(Text):
    """An HTML page, which ``track ui`` shows without running its scripts."""

    kind: ClassVar[str] = "html"
    mime_type: ClassVar[str] = "text/html; charset=utf-8"

    __slots__ = ()
