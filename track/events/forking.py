"""What a forked child must do before it may use what its parent had open.

A child shares its parent's file descriptors (and with them its locks), its random identities, and
copies of mutexes that some other thread of the parent may have held. Whoever owns such a thing
registers here, and is told in the child before any user code runs.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Renewable(Protocol):
    """Something that must be made anew in a forked child."""

    def renew_after_fork(self) -> None:
        """Drop what belongs to the parent. Runs in the child, in its only thread."""


_registered: WeakSet[Renewable] = WeakSet()


def renew_in_children(owner: Renewable) -> None:
    """Have ``owner.renew_after_fork`` called in every child forked from now on."""
    _registered.add(owner)


def _renew_all() -> None:
    for owner in list(_registered):
        owner.renew_after_fork()


os.register_at_fork(after_in_child=_renew_all)
