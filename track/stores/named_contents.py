"""Find which contents the events of a store name, to verify, erase and compact them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

from track.attachments.logged_files import files_in
from track.contents.store import ContentStore, is_digest
from track.errors import FileDamaged, ItemNotFound
from track.events.types import (
    CATALOGUE,
    ArtifactLogged,
    Event,
    MediaLogged,
    MetadataLogged,
    Recorded,
    TrialCreated,
)
from track.journals.journal import Journal
from track.projections.media import media_in

KINDS = (ArtifactLogged, MediaLogged, MetadataLogged, TrialCreated)
"""The kinds of events that name contents."""

TAGS = frozenset(CATALOGUE[kind].tag for kind in KINDS)

_HEXADECIMAL = re.compile(rb"[0-9a-f]{64}")


def named_by(value: Any) -> Iterator[str]:
    """Yield everything in an event, or in a part of one, that may name a content."""
    if isinstance(value, ArtifactLogged):
        value = value.files
    elif isinstance(value, TrialCreated):
        value = value.metadata
    elif isinstance(value, (MediaLogged, MetadataLogged)):
        value = value.values
    if isinstance(value, dict):
        digest = value.get("sha256")
        if is_digest(digest):
            yield digest
        value = [*value.values()]
    if isinstance(value, list):
        for item in value:
            yield from named_by(item)


def kept_for(event: Event) -> Iterator[str]:
    """Yield the SHA-256 of each content that belongs to an event but is not part of it."""
    if isinstance(event, MetadataLogged):
        yield from (file.sha256 for file in files_in(event.values))
    elif isinstance(event, TrialCreated):
        yield from (file.sha256 for file in files_in(event.metadata))
    elif isinstance(event, ArtifactLogged):
        yield from named_by(event)
    elif isinstance(event, MediaLogged):
        media = media_in([Recorded(0, 0, 0, 0, 0, event)])
        yield from (medium.sha256 for medium in media if medium.data is None)


def mentioned_in(payloads: Iterable[bytes]) -> set[str]:
    """Return all that may be a SHA-256 in payloads, also in events of a later version of Track."""
    found = (match for payload in payloads for match in _HEXADECIMAL.findall(payload))
    return {match.decode() for match in found}


def remove_unnamed(content: ContentStore, journal: Journal) -> int:
    """Remove the contents that no event of a journal names, and return how many there were."""
    payloads = (payload for _, batch in journal.read_batches() for payload in batch)
    return len(content.remove({*content.digests()} - mentioned_in(payloads)))


def clear_database(uri: str) -> int:
    """Remove the contents of a log in a database that no event names, left by killed processes.

    A content may be there before its event, so no client may be logging to it.

    Returns
    -------
    The number of removed contents.
    """
    from track.persistence.cockroach import open_journal

    journal, content = open_journal(uri)
    with closing(journal):
        return remove_unnamed(content, journal)


class CheckedContents(NamedTuple):
    """The contents that events name, compared with their SHA-256.

    Attributes
    ----------
    intact
        the number of intact contents
    missing
        the SHA-256 of contents that are not in the store; it may never have kept them
    damaged
        the SHA-256 of damaged contents
    """

    intact: int
    missing: list[str]
    damaged: list[str]


def check_contents(content: ContentStore, named: Iterable[str]) -> CheckedContents:
    """Read contents, and compare them with their SHA-256."""
    intact, missing, damaged = 0, list[str](), list[str]()
    for digest in sorted({*named}):
        try:
            content.open(digest).close()
        except ItemNotFound:  # noqa: PERF203 - each may be
            missing.append(digest)
        except FileDamaged:
            damaged.append(digest)
        else:
            intact += 1
    return CheckedContents(intact, missing, damaged)
