"""Store and forward: put a local spool in front of a remote journal.

Logged events go to the spool and are acknowledged; a thread sends them. A call that needs an answer
(a decision, a read) first sends the rest itself, so clients read their own writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import inf
from weakref import finalize

from track.forwarding.forwarder import Forwarder
from track.journals.file import FileJournal
from track.journals.journal import SYNC_INTERVAL_NS, Journal
from track.journals.layered import LayeredJournal


class ForwardingJournal(LayeredJournal):
    """A remote journal whose appends do not wait for it.

    Parameters
    ----------
    forwarder
        sends what is appended to the remote journal
    """

    def __init__(self, forwarder: Forwarder) -> None:
        super().__init__(forwarder.far)
        self.forwarder = forwarder
        self._spool = forwarder.spool
        if self._spool.durability == "interval":
            self.sync_due_ns = 0
        finalize(self, forwarder.abandon).atexit = False

    def _behind(self) -> Journal:
        self.forwarder.drain()
        return self.journal

    def append(self, payloads: Sequence[bytes]) -> None:
        if self.is_deciding():
            # Earlier events of this thread are there, so events of one producer stay in order.
            self._behind().append(payloads)
            return
        # Like Spool.append without its call, since training loops wait for these lines.
        spool = self._spool
        with spool.appending:
            (spool.current or spool.begin()).append(payloads)

    def event_writer(self, prefix: bytes) -> Callable[[bytes], None]:
        spool = self._spool
        file: FileJournal | None = None
        write: Callable[[bytes], None]

        def write_to_spool(rest: bytes) -> None:
            nonlocal file, write
            if self._decider and self.is_deciding():
                self.append((prefix + rest,))
                return
            with spool.appending:
                if spool.current is None or spool.current is not file:
                    file = spool.current or spool.begin()
                    write = file.event_writer(prefix)
                write(rest)

        return write_to_spool

    def sync(self) -> None:
        if self.sync_due_ns != inf:
            self.sync_due_ns = time.time_ns() + SYNC_INTERVAL_NS
        self._spool.sync()

    def sync_if_interval(self) -> None:
        self._spool.sync_if_interval()

    def close(self) -> None:
        self.forwarder.close()
