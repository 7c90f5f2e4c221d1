"""Long work tells how far it is, to whoever wants to know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

Progress = Callable[[int, int], None]
"""Called with how far it is, and how far there is to go: trials, or positions of a journal."""


def no_progress(done: int, total: int) -> None:
    """Nobody wants to know."""


def with_progress(items: Sequence[Item], progress: Progress) -> Iterator[Item]:
    """Yield items, and tell how many were used."""
    for done, item in enumerate(items, 1):
        yield item
        progress(done, len(items))
