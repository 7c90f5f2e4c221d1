"""Turn media into the event that records them, and find their contents again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from track.attachments.logged_files import LoggedFile, open_content
from track.contents.store import ContentStore
from track.errors import EncodingError
from track.events.types import MediaLogged
from track.projections.media import LoggedMedium

if TYPE_CHECKING:
    from track.media import Medium

MOST_BESIDE_CONTENTS = 2**16
"""The largest size in bytes of a medium inside its event if the backend also keeps contents."""

MOST_IN_AN_EVENT = 2**20
"""The largest size in bytes of a medium inside its event if the backend cannot keep its content."""


def media_logged(
    content: ContentStore | None, step: Any, media: Mapping[str, Sequence[Medium]]
) -> MediaLogged:
    """Keep the contents of media, and return the event that records them.

    Raises
    ------
    EncodingError
        a content is larger than :data:`MOST_IN_AN_EVENT`, and the backend cannot keep it
    TrackError
        a content cannot be kept
    """
    values = {name: [_facts(content, name, medium) for medium in media[name]] for name in media}
    return MediaLogged(step, values)


def _facts(content: ContentStore | None, name: str, medium: Medium) -> dict[str, Any]:
    data = medium.data
    facts = {
        **medium.facts,
        "kind": medium.kind,
        "mime": medium.mime,
        "size": len(data),
        "sha256": sha256(data).hexdigest(),
    }
    if medium.caption is not None:
        facts["caption"] = medium.caption
    beside = content is not None and (content.limit is None or len(data) <= content.limit)
    if len(data) <= (MOST_BESIDE_CONTENTS if beside else MOST_IN_AN_EVENT):
        facts["data"] = data
    elif content is None or not beside:
        raise EncodingError(
            f"cannot log {name!r}: its {len(data)} bytes exceed the limit of {MOST_IN_AN_EVENT} of "
            "this store; make it smaller, name a place for contents (the option contents of a "
            "database), or log to a store on this machine"
        )
    else:
        content.keep_bytes(data)
    return facts


def content_of(content: ContentStore | None, medium: LoggedMedium) -> bytes:
    """Return the bytes of a medium.

    Raises
    ------
    ItemNotFound
        the store does not have the content
    FileDamaged
        the kept content is not what was logged
    """
    if medium.data is not None:
        return medium.data
    file = LoggedFile(medium.name, medium.size, medium.sha256, medium.kind)
    with open_content(content, file) as opened:
        return opened.read()
