"""Handle SIGINT, SIGTERM and the end of the process, and pass signals to other handlers."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeAlias

_Handler: TypeAlias = Callable[[int, FrameType | None], Any] | int | None

_SIGNALS: dict[int, str] = {signal.SIGINT: "sigint", signal.SIGTERM: "sigterm"}


class _Link:
    """One installation for one signal, which knows the previous handler.

    Each installation is a separate object, so handlers form a chain even when they are removed
    and installed again in any order. A link without an owner only passes the signal on.
    """

    def __init__(self, owner: SignalHandler, previous: _Handler) -> None:
        self.owner: SignalHandler | None = owner
        self.previous = previous
        self.pid = os.getpid()

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        try:
            if self.owner is None or self.pid != os.getpid():
                self.hand_on(signum, frame)
            else:
                getattr(self.owner, _SIGNALS[signum])(signum, frame)
        except KeyboardInterrupt as interrupt:
            # The traceback should show where the program was, not this handler.
            raise interrupt.with_traceback(None)  # noqa: B904 - it is the same one

    def put_back(self, signum: int) -> None:
        """Restore the previous handler, unless another one was installed after this link."""
        previous = self.previous
        if signal.getsignal(signum) is self:
            signal.signal(signum, previous)

    def hand_on(self, signum: int, frame: FrameType | None) -> None:
        """Restore the previous handler, and call it."""
        self.put_back(signum)
        if callable(self.previous):
            self.previous(signum, frame)
        elif self.previous == signal.SIG_DFL:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)


_aside: dict[int, _Link] = {}
"""The links that are suspended while this process forks."""


def _step_aside() -> None:
    """Restore the handlers from before any link, so that a child is born with them.

    If a signal reaches a child before it runs Python, a handler in Python would only be noted, and
    new children drop such notes: ``terminate()`` right after the start of a worker would have no
    effect, and ``join()`` would wait for ever.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread may change handlers
    for signum in _SIGNALS:
        link = handler = signal.getsignal(signum)
        while isinstance(handler, _Link):
            handler = handler.previous
        if isinstance(link, _Link):
            _aside[signum] = link
            signal.signal(signum, handler)


def _come_back() -> None:
    while _aside:
        signum, link = _aside.popitem()
        signal.signal(signum, link)


os.register_at_fork(before=_step_aside, after_in_parent=_come_back, after_in_child=_aside.clear)


class SignalHandler:
    """The base class of handlers of SIGINT, SIGTERM and the end of the process.

    Override :meth:`sigint`, :meth:`sigterm` and :meth:`atexit`, and end the first two with
    :meth:`hand_on`, so that the signal keeps its usual effect. In a forked child, signals go to
    the previous handlers only.
    """

    def __init__(self) -> None:
        self._links: dict[int, _Link] = {}
        self._pid: int | None = None

    def sigint(self, signum: int, frame: FrameType | None) -> None:
        """Handle an interrupt from the keyboard."""
        self.hand_on(signum, frame)

    def sigterm(self, signum: int, frame: FrameType | None) -> None:
        """Handle a request to terminate."""
        self.hand_on(signum, frame)

    def atexit(self) -> None:
        """Handle the normal end of the interpreter."""

    def install(self) -> None:
        """Install the handlers; signals only in the main thread, as Python requires."""
        if self._pid == os.getpid():
            return
        self._pid = os.getpid()
        self._links = {}
        # A forked child inherits the registration of its parent, and one is enough.
        atexit.unregister(self._at_exit)
        atexit.register(self._at_exit)
        for signum in _SIGNALS:
            # None is a handler that was not set from Python, which can be neither called nor
            # restored. An ignored signal ends nothing (shells have background jobs ignore SIGINT).
            # Both are left alone.
            previous = signal.getsignal(signum)
            if previous in {None, signal.SIG_IGN}:
                continue
            # Register the link first, since a signal may arrive at once.
            link = self._links[signum] = _Link(self, previous)
            try:
                signal.signal(signum, link)
            except ValueError:  # not the main thread
                self._links.clear()
                return

    def remove(self) -> None:
        """Remove the handlers and restore the previous ones, unless others replaced them."""
        if self._pid is None:
            return
        self._pid = None
        atexit.unregister(self._at_exit)
        while self._links:
            signum, link = self._links.popitem()
            link.owner = None
            try:
                link.put_back(signum)
            except ValueError:
                continue  # not the main thread: the link stays, and passes the signal on

    def hand_on(self, signum: int, frame: FrameType | None) -> None:
        """Restore the previous handler, and pass the signal to it."""
        link = self._links.pop(signum, None)
        if link is not None:
            link.owner = None
            link.hand_on(signum, frame)

    def _at_exit(self) -> None:
        if self._pid == os.getpid():
            self.atexit()
