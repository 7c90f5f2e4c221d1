"""Keep objects safe to use in forked children.

A child shares its parent's file descriptors (and with them its locks), its random identities, and
copies of mutexes that another thread of the parent may have held. Objects that own such things
register here and are renewed in the child before any user code runs. Objects that must not be
forked in the middle of an operation are paused during the fork.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol
from weakref import WeakSet

logger = logging.getLogger(__name__)


class Renewable(Protocol):
    """An object that must be renewed in a forked child."""

    def renew_after_fork(self) -> None:
        """Drop what belongs to the parent; called in the child, in its only thread."""


class Pausable(Renewable, Protocol):
    """An object that must not be forked in the middle of an operation."""

    def pause(self) -> None:
        """Finish operations in progress and start no new ones; called in the forking thread."""

    def resume(self) -> None:
        """Resume operations; called in the parent, in the forking thread."""


_registered: WeakSet[Renewable] = WeakSet()
_pausable: WeakSet[Pausable] = WeakSet()
_paused: list[Pausable] = []


def renew_in_children(owner: Renewable) -> None:
    """Have ``owner.renew_after_fork`` called in every child forked from now on."""
    _registered.add(owner)


def pause_for_forks(owner: Pausable) -> None:
    """Have ``owner`` pause while this process forks, and renew it in the children."""
    _pausable.add(owner)
    renew_in_children(owner)


class ForkSafeLock(AbstractContextManager[None]):
    """A lock that is free in a forked child, even if it was held in the parent, and in a copy.

    Parameters
    ----------
    make
        the type of lock: ``threading.Lock`` or ``threading.RLock``
    """

    def __init__(self, make: Callable[[], Any] = threading.Lock) -> None:
        self._make = make
        self._lock = make()
        self._entered: list[Any] = []
        """The locks taken by ``with``, so that a child forked inside leaves its parent's alone."""
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        self._lock = self._make()

    def __reduce__(self) -> tuple[Any, ...]:
        return ForkSafeLock, (self._make,)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; return whether it was free in time."""
        return bool(self._lock.acquire(blocking, timeout))

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()

    def __enter__(self) -> None:
        lock = self._lock
        lock.acquire()
        self._entered.append(lock)

    def __exit__(self, *_: object) -> None:
        self._entered.pop().release()


def _pause_all() -> None:
    _paused.extend(_pausable)
    for owner in _paused:
        owner.pause()


def _resume_all() -> None:
    while _paused:
        _paused.pop().resume()


def _renew_all() -> None:
    _paused.clear()
    for owner in list(_registered):
        try:
            owner.renew_after_fork()
        except Exception:  # noqa: PERF203 - the others must still be renewed
            logger.exception("%r could not be renewed in this forked process", owner)


os.register_at_fork(before=_pause_all, after_in_parent=_resume_all, after_in_child=_renew_all)
