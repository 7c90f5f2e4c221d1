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
    """Copy the contents that the target lacks."""
    digests = iter(sorted(source.digests()))
    copied = too_large = 0
    while some := [*islice(digests, _AT_ONCE)]:
        for digest in sorted(target.missing(some)):
            with source.open(digest) as content:
                size = content.seek(0, os.SEEK_END)
                if target.limit is not None and size > target.limit:
                    too_large += 1
                    continue
                content.seek(0)
                target.put(content)
                copied += 1
    return CopiedContents(copied, too_large)
