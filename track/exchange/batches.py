"""Batches of items, for whatever takes many of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_Item = TypeVar("_Item")


def batches(
    items: Iterable[_Item], size_of: Callable[[_Item], int], size: int
) -> Iterator[list[_Item]]:
    """Yield items in lists that have at least a size together, except for the last one."""
    batch: list[_Item] = []
    so_far = 0
    for item in items:
        batch.append(item)
        so_far += size_of(item)
        if so_far >= size:
            yield batch
            batch, so_far = [], 0
    if batch:
        yield batch
