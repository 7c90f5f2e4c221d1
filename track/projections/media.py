"""Fold the media of a trial into a list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from track.events.codec import stream_id
from track.events.types import MediaLogged, Recorded


class LoggedMedium(NamedTuple):
    """Describes an image, a sound, a text or another medium that a trial logged.

    Attributes
    ----------
    name, step, place
        the name, the step, and the index among the media of one name in one call, from 0
    at, position
        when it was logged, in nanoseconds since 1970-01-01 UTC, and where in the journal that is
    kind
        ``image``, ``figure``, ``histogram``, ``table``, ``text``, ``html`` or ``audio``
    mime, size, sha256
        media type, bytes and SHA-256 of its content
    caption
        a line to show with it, None if there is none
    facts
        further facts, such as ``width`` and ``height``
    data
        its content if that is in the journal, else None: see :meth:`track.reader.Reader.content_of`
    """

    name: str
    step: Any
    place: int
    at: int
    position: int
    kind: str
    mime: str
    size: int
    sha256: str
    caption: str | None
    facts: dict[str, Any]
    data: bytes | None

    def __repr__(self) -> str:
        values = {**self._asdict(), "data": None if self.data is None else f"<{self.size} bytes>"}
        return f"LoggedMedium({', '.join(f'{name}={value!r}' for name, value in values.items())})"


def media_stream(uid: str) -> int:
    """Return the stream of the media of a trial."""
    return stream_id("media", uid)


def media_in(events: Iterable[Recorded]) -> Iterator[LoggedMedium]:
    """Yield the media that were logged, in the order of the calls."""
    for recorded in events:
        event = recorded.event
        if not isinstance(event, MediaLogged):
            continue  # it was redacted
        for name, media in event.values.items():
            for place, facts in enumerate(media):
                medium = _medium(recorded, name, place, facts)
                if medium is not None:
                    yield medium


def _medium(recorded: Recorded, name: str, place: int, facts: Any) -> LoggedMedium | None:
    """Return a medium, None if these are not the facts of one."""
    assert isinstance(recorded.event, MediaLogged)
    if not isinstance(facts, dict):
        return None
    known = dict(facts)
    kind, mime, sha256 = (known.pop(key, None) for key in ("kind", "mime", "sha256"))
    size, data, caption = (known.pop(key, None) for key in ("size", "data", "caption"))
    texts = isinstance(kind, str) and isinstance(mime, str) and isinstance(sha256, str)
    if not (texts and isinstance(size, int) and isinstance(data, (bytes, type(None)))):
        return None
    where = name, recorded.event.step, place, recorded.at, recorded.position
    said = caption if isinstance(caption, str) else None
    return LoggedMedium(*where, kind, mime, size, sha256, said, known, data)
