"""Send what waits in a spool to a remote journal, in a thread and before answers.

Delivery is exactly once. Events sent without an acknowledgement may have arrived, so before sending
them again, the last event of each producer is requested from the remote journal.
"""

from __future__ import annotations

import atexit
import logging
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple
from weakref import WeakSet

from track.errors import (
    AuthenticationError,
    InsecureConnection,
    JournalError,
    JournalUnreachable,
    StorageWarning,
    warn,
    warn_of_failures,
)
from track.events.codec import identify_record
from track.events.record import Record
from track.forwarding.contents import SpooledContents
from track.forwarding.spool import BATCH_BYTES, Spool
from track.journals.delivery import deliver
from track.journals.journal import Journal
from track.utils.forking import renew_in_children

logger = logging.getLogger(__name__)

_LEAST_BATCH_BYTES = 2**17


class Pace(NamedTuple):
    """How often and how much a forwarder sends."""

    pause_s: float = 0.1
    """The time between looks at the spool, whose events are sent together."""
    longest_pause_s: float = 10.0
    """The longest time between attempts to reach the remote journal."""
    look_around_s: float = 10.0
    """The time between searches for spools of dead processes."""
    slow_s: float = 0.25
    """Batches that take longer than this may grow beyond the smallest size."""
    share: float = 0.02
    """The part of a processor that the thread may use, since the program has other work."""

    def pause_after(self, failures: int) -> float:
        """Return the time to wait in seconds after a number of failures in a row."""
        # Limit the exponent, which would overflow after some hours.
        return min(self.longest_pause_s, self.pause_s * 2.0 ** min(failures, 32))


DEFAULT_PACE = Pace()


class Forwarder:
    """Sends the events of a spool to a remote journal, and contents while no event waits.

    Parameters
    ----------
    spool
        the spool of this process
    far
        the remote journal
    timeout_s
        the time to wait for another thread that is sending
    pace
        how often and how much to send
    contents
        the contents that wait beside the spool
    """

    def __init__(
        self,
        spool: Spool,
        far: Journal,
        timeout_s: float,
        pace: Pace = DEFAULT_PACE,
        contents: SpooledContents | None = None,
    ) -> None:
        self.spool = spool
        self.far = far
        self.contents = contents
        self.thread: threading.Thread | None = None
        self._timeout_s = timeout_s
        self.pace = pace
        self._chance = random.SystemRandom()  # independent of the user's random seed
        self._batch_bytes = _LEAST_BATCH_BYTES
        self._in_step = True
        """Whether no event in the spool can have arrived."""
        self.is_closed = False
        self._leaves_end = False
        """Whether the thread sends the rest and releases everything when it ends."""
        self.renew_after_fork()
        renew_in_children(self)
        _open.add(self)
        spool.on_begin = self.start

    def renew_after_fork(self) -> None:
        self.thread = None
        self._sending = threading.Lock()
        self._starting = threading.Lock()
        self._ending = threading.Event()
        self._look_around_at = 0.0

    # In the foreground

    def drain(self, *, look_around: bool = False) -> None:
        """Wait until all events logged here are in the remote journal.

        Parameters
        ----------
        look_around
            also send the spools of dead processes, as the first call does

        Raises
        ------
        JournalUnreachable
            the remote journal did not take them in time; the message names the spool
        AuthenticationError, InsecureConnection
            the remote journal refuses this client; the message names the spool
        """
        look_around = look_around or not self._look_around_at
        until = self.spool.end
        if not look_around and self.spool.acknowledged >= until:
            return
        with self._turn():
            if look_around:
                self.send_left_behind()
            while self.spool.acknowledged < until and self._send_batch():
                pass

    def drain_all(self) -> None:
        """Wait until events and contents have arrived, including those of dead processes.

        Raises
        ------
        JournalUnreachable, AuthenticationError, InsecureConnection
            as for :meth:`drain`
        """
        self.drain(look_around=True)
        if self.contents is not None:
            self.contents.send_all()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._sending.acquire(timeout=self._timeout_s):
            raise JournalUnreachable(
                f"another thread has been sending for over {self._timeout_s:g} s. {self._kept()}"
            )
        try:
            yield
        except (JournalError, AuthenticationError, InsecureConnection) as error:
            if self.spool.is_empty:
                raise
            kind = JournalUnreachable if isinstance(error, JournalError) else type(error)
            raise kind(f"{error}. {self._kept()}") from error
        finally:
            self._sending.release()

    def _kept(self) -> str:
        return (
            f"All logged events are safe in {self.spool.folder} and are sent as soon as the server "
            "answers, by this process or the next one"
        )

    def _send_batch(self) -> bool:
        """Send the oldest batch, and return whether there was one."""
        batch = self.spool.oldest(self._batch_bytes)
        if not batch:
            return False
        in_step, self._in_step = self._in_step, False
        began = time.monotonic()
        self._deliver(batch, is_new=in_step)
        self.spool.forget()
        self._in_step = True
        # Large batches make others wait, but small ones are inefficient on a slow journal.
        slow = time.monotonic() - began > self.pace.slow_s
        size = self._batch_bytes * 2 if slow else self._batch_bytes // 2
        self._batch_bytes = min(max(size, _LEAST_BATCH_BYTES), BATCH_BYTES)
        return True

    def _deliver(self, batch: list[Record], *, is_new: bool = False) -> int:
        return deliver(self.far, batch, identify_record, self.far.append_records, is_new=is_new)

    def send_left_behind(self) -> int:
        """Send the spools of dead processes in the folder, and return the number of events.

        Raises
        ------
        JournalUnreachable
            the remote journal does not answer; nothing is lost
        """
        self._look_around_at = time.monotonic() + self.pace.look_around_s
        sent, problems = 0, list[str]()
        for spool in Spool.left_behind(self.spool.folder):
            sent += self._send_all_of(spool, problems)
        for problem in problems:
            warn(problem, StorageWarning)
        return sent

    def _send_all_of(self, spool: Spool, problems: list[str]) -> int:
        sent = 0
        try:
            while batch := spool.oldest():
                sent += self._deliver(batch)
                spool.forget()
            if self.contents is not None:
                self.contents.take_over(spool)
        except JournalUnreachable:
            raise
        except JournalError as error:
            # This must not prevent sending other events.
            problems.append(f"the events left in {spool.folder} cannot be sent: {error}")
        finally:
            spool.close()
        return sent

    # In the background

    def start(self) -> None:
        """Send in the background from now on."""
        with self._starting:
            if self.thread is not None or self._ending.is_set():
                return
            thread = threading.Thread(target=self._run, name="track forwarder", daemon=True)
            with suppress(RuntimeError):  # the interpreter is ending, which sends everything
                thread.start()
                self.thread = thread

    def _run(self) -> None:
        pace, pause_s, failures = self.pace, self.pace.pause_s, 0
        while not self._ending.wait(pause_s):
            used_s = time.thread_time()
            try:
                with self._sending:
                    if self._ending.is_set():
                        break  # the spool was closed while this thread ended
                    sent = self._send_batch()
                    if time.monotonic() >= self._look_around_at:
                        self.send_left_behind()
                if not sent and self.contents is not None:
                    sent = self.contents.send_in_background()
            except Exception as error:  # noqa: BLE001 - the thread must survive to send later events
                failures += 1
                if failures == 1:
                    logger.warning("%s. %s", error, self._kept())
                pause_s = pace.pause_after(failures) * self._chance.uniform(0.5, 1)
            else:
                if failures:
                    logger.warning(
                        "the server answers again: sending the events in %s", self.spool.folder
                    )
                    failures = 0
                used_s = time.thread_time() - used_s
                pause_s = used_s * (1 / pace.share - 1) if sent else pace.pause_s
        if self._leaves_end:
            warn_of_failures([("", self._finish)])

    # The end

    def close(self) -> None:
        """Send the remaining events, and release everything.

        Raises
        ------
        JournalUnreachable
            they could not be sent, and are left to the next process
        """
        if not self.is_closed:
            self._begin_to_end()
            self._finish()

    def abandon(self) -> None:
        """Close in the background, since nothing refers to the journal any more."""
        if not self.is_closed:
            self._leaves_end = self.thread is not None  # otherwise nothing was logged
            self._begin_to_end()
            if not self._leaves_end:
                self._release()

    def _begin_to_end(self) -> None:
        self.is_closed = True
        self._ending.set()

    def _finish(self) -> None:
        try:
            self.drain_all()
        finally:
            if self._sending.acquire(timeout=1):
                try:
                    self._release()
                finally:
                    self._sending.release()
            else:
                self._leaves_end = True  # the thread is busy, and closes later
                _open.discard(self)  # without making the end of the program wait, too

    def _release(self) -> None:
        _open.discard(self)
        try:
            self.spool.close()
        finally:
            self.far.close()

    def join(self) -> None:
        """Wait for the thread if it sends the rest; all its waits have time limits."""
        if self._leaves_end and self.thread is not None:
            self.thread.join()


_open: WeakSet[Forwarder] = WeakSet()
"""The forwarders that have not released their spools; a thread keeps its own alive."""


@atexit.register
def _close_all() -> None:
    forwarders = list(_open)
    for forwarder in forwarders:
        forwarder.join()
    warn_of_failures([("", forwarder.close) for forwarder in forwarders])
