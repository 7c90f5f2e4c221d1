"""Copy contents from one store into another."""

from __future__ import annotations

import os
from itertools import islice
from typing import NamedTuple

from track.contents.store import ContentStore

_AT_ONCE = 1024
"""The number of contents that the target is asked for at once."""


class CopiedContents(NamedTuple):
    """The numbers of contents that were copied, and that the target has no room for."""

    copied: int
    too_large: int


def copy_contents(source: ContentStore, target: ContentStore) -> CopiedContents:
    """Copy the contents that the target lacks, and wait until they are there.

    Raises
    ------
    FileDamaged
        a content of the source is damaged
    TrackError, OSError
        one cannot be read, or the target does not take it
    """
    target = target.behind()
    digests = iter(sorted(source.digests()))
    copied = too_large = 0
    while some := [*islice(digests, _AT_ONCE)]:
        for digest in sorted(target.missing(some)):
            with source.open_unchecked(digest) as content:
                size = content.seek(0, os.SEEK_END)
                if target.limit is not None and size > target.limit:
                    too_large += 1
                    continue
                content.seek(0)
                for _ in target.sending(digest, content):  # which checks it
                    pass
                copied += 1
    return CopiedContents(copied, too_large)
