"""Report the progress of long work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

Progress = Callable[[int, int], None]
"""A function called with the work done and the total: trials, or positions in a journal."""


def no_progress(done: int, total: int) -> None:
    """Ignore progress."""


def with_progress(items: Sequence[Item], progress: Progress) -> Iterator[Item]:
    """Yield items and report how many were used."""
    for done, item in enumerate(items, 1):
        yield item
        progress(done, len(items))
