"""Copy contents from one store into another."""

from __future__ import annotations

import os
from itertools import islice
from typing import NamedTuple

from track.contents.store import ContentStore
from track.errors import DamageWarning, FileDamaged, NotRecordedWarning, warn

_SHOWN = 3


class CopiedContents(NamedTuple):
    """Holds the outcome of copying the contents that the target lacked.

    Attributes
    ----------
    copied, too_large
        the numbers of contents that were copied, and of those too large for the target
    damaged
        the SHA-256 of the contents that are damaged in the source, and were left out
    """

    copied: int
    too_large: int
    damaged: list[str]

    def warn(self, target: object) -> None:
        """Warn of contents that were not copied."""
        if self.too_large:
            warn(
                f"{self.too_large} contents of files were not copied, because they are too large "
                f"for {target}: keep the source",
                NotRecordedWarning,
            )
        if self.damaged:
            warn(
                f"{len(self.damaged)} contents of files were not copied, because they are damaged: "
                f"{', '.join(self.damaged[:_SHOWN])}; see `track verify`",
                DamageWarning,
            )


def copy_contents(source: ContentStore, target: ContentStore) -> CopiedContents:
    """Copy the contents that the target lacks, and wait until they are there.

    Raises
    ------
    TrackError, OSError
        a content cannot be read, or the target does not accept it
    """
    target = target.behind()
    digests = iter(sorted(source.digests()))
    copied, too_large, damaged = 0, 0, list[str]()
    while some := [*islice(digests, target.questions)]:
        for digest in sorted(target.missing(some)):
            try:
                content = source.open(digest)
            except FileDamaged:
                damaged.append(digest)
                continue
            with content:
                size = content.seek(0, os.SEEK_END)
                if target.limit is not None and size > target.limit:
                    too_large += 1
                    continue
                content.seek(0)
                for _ in target.sending(digest, content):
                    pass
                copied += 1
    return CopiedContents(copied, too_large, damaged)
