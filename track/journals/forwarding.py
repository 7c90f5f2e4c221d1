"""Store and forward: a journal that is far away, behind a spool that is here.

What is logged goes to the spool and is acknowledged; a thread sends it on. Who needs an answer
(a decision, a read) first sends what is left by itself, so everybody reads what they wrote.

Delivery is exactly once. What was sent without an acknowledgement may have arrived, so before it is
sent again the far journal is asked for the last event of each of its producers.
"""

from __future__ import annotations

import atexit
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from math import inf
from weakref import WeakSet, finalize

from track.errors import (
    AuthenticationError,
    InsecureConnection,
    JournalError,
    JournalUnreachable,
    StorageWarning,
    warn,
)
from track.events.codec import identify_record
from track.events.record import Record
from track.journals.delivery import deliver
from track.journals.journal import (
    SYNC_INTERVAL_NS,
    ExclusiveJournal,
    Journal,
)
from track.journals.layered import ExclusiveLayer, LayeredJournal
from track.journals.spool import BATCH_BYTES, Spool
from track.utils.forking import renew_in_children

logger = logging.getLogger(__name__)

_PAUSE_S = 0.1
"""Between two looks at the spool: what is logged meanwhile travels together."""

_LONGEST_PAUSE_S = 10.0
"""Between two attempts to reach a far journal that cannot be reached."""

_LOOK_AROUND_S = 10.0
"""Between two looks for spools whose processes are gone."""

_LEAST_BATCH_BYTES, _SLOW_S = 2**17, 0.25
"""The smallest batch, as long as batches take less time than this."""

_SHARE = 0.02
"""The part of a processor that the thread may take: the program logs to do something else."""


class Forwarder:
    """Sends what is in a spool to a far journal.

    Parameters
    ----------
    spool
        of this process
    far
        the journal
    timeout_s
        how long to wait for another thread that is sending
    """

    def __init__(self, spool: Spool, far: Journal, timeout_s: float) -> None:
        self.spool = spool
        self.far = far
        self.thread: threading.Thread | None = None
        self._timeout_s = timeout_s
        self._chance = random.SystemRandom()  # not the generator whose seed the user may have set
        self._batch_bytes = _LEAST_BATCH_BYTES
        self._in_step = True
        """Whether nothing that is in the spool can have arrived."""
        self._closed = False
        self._orphaned = False
        """Whether the thread is to send what is left, and release everything, when it ends."""
        self.renew_after_fork()
        renew_in_children(self)
        _forwarders.add(self)
        spool.on_begin = self.start

    def renew_after_fork(self) -> None:
        self.thread = None
        self._sending = threading.Lock()
        self._starting = threading.Lock()
        self._ending = threading.Event()
        self._look_around_at = 0.0

    # By whoever needs an answer

    def drain(self, *, look_around: bool = False) -> None:
        """Return once everything that was logged here before is in the far journal.

        Parameters
        ----------
        look_around
            also send what processes left behind that are gone; the first call does

        Raises
        ------
        JournalUnreachable
            the far journal did not take it in time; the message says where it is kept
        AuthenticationError, InsecureConnection
            nor will it; the message says where it is kept, too
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

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._sending.acquire(timeout=self._timeout_s):
            raise JournalUnreachable(
                f"another thread has been sending for over {self._timeout_s:g} s. {self._kept()}"
            )
        try:
            yield
        except JournalError as error:
            if self.spool.is_empty:
                raise
            raise JournalUnreachable(f"{error}. {self._kept()}") from error
        except (AuthenticationError, InsecureConnection) as error:
            if self.spool.is_empty:
                raise
            raise type(error)(f"{error}. {self._kept()}") from error
        finally:
            self._sending.release()

    def _kept(self) -> str:
        return (
            f"What was logged is safe in {self.spool.folder}: it is sent as soon as the server "
            "answers, by this process or the next one"
        )

    def _send_batch(self) -> bool:
        """Send the oldest batch. Whether there was one."""
        batch = self.spool.oldest(self._batch_bytes)
        if not batch:
            return False
        in_step, self._in_step = self._in_step, False
        began = time.monotonic()
        self._deliver(batch, is_new=in_step)
        self.spool.forget()
        self._in_step = True
        # Others wait for a large batch, but the slower the journal is, the more they pay for small.
        slow = time.monotonic() - began > _SLOW_S
        size = self._batch_bytes * 2 if slow else self._batch_bytes // 2
        self._batch_bytes = min(max(size, _LEAST_BATCH_BYTES), BATCH_BYTES)
        return True

    def _deliver(self, batch: list[Record], *, is_new: bool = False) -> int:
        return deliver(self.far, batch, identify_record, self.far.append_records, is_new=is_new)

    def send_left_behind(self) -> int:
        """Send what processes left in the folder that are gone, and return how many events.

        Raises
        ------
        JournalUnreachable
            the far journal does not answer; everything stays where it is
        """
        self._look_around_at = time.monotonic() + _LOOK_AROUND_S
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
        except JournalUnreachable:
            raise
        except JournalError as error:
            # That is none of the business of whoever wants to send something else.
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
            with suppress(RuntimeError):  # the interpreter is ending, and drains everything then
                thread.start()
                self.thread = thread

    def _run(self) -> None:
        pause_s, failures = _PAUSE_S, 0
        while not self._ending.wait(pause_s):
            used_s = time.thread_time()
            try:
                with self._sending:
                    if self._ending.is_set():
                        break  # whoever waited for the end has closed the spool meanwhile
                    sent = self._send_batch()
                    if time.monotonic() >= self._look_around_at:
                        self.send_left_behind()
            except Exception as error:  # noqa: BLE001 - nobody else would send what comes later
                failures += 1
                if failures == 1:
                    logger.warning("%s. %s", error, self._kept())
                pause_s = pause_after(failures) * self._chance.uniform(0.5, 1)
            else:
                if failures:
                    logger.warning(
                        "the server answers again: sending the events in %s", self.spool.folder
                    )
                    failures = 0
                used_s = time.thread_time() - used_s
                pause_s = used_s * (1 / _SHARE - 1) if sent else _PAUSE_S
        if self._orphaned:
            _finish_all([self._finish])

    # The end

    def close(self) -> None:
        """Send what is left, and release everything.

        Raises
        ------
        JournalUnreachable
            it could not be sent, and is left to the next process
        """
        if self._begin_to_end():
            self._finish()

    def abandon(self) -> None:
        """Do what :meth:`close` does, later and in the background: nobody has the journal now."""
        if self._begin_to_end():
            self._orphaned = True
            if self.thread is None:
                self._release()
            else:
                _orphans.add(self.thread)

    def _begin_to_end(self) -> bool:
        """Tell the thread to end. Whether it was not told before."""
        if self._closed:
            return False
        self._closed = True
        _forwarders.discard(self)
        self._ending.set()
        return True

    def _finish(self) -> None:
        try:
            self.drain(look_around=True)
        finally:
            if self._sending.acquire(timeout=1):
                try:
                    self._release()
                finally:
                    self._sending.release()
            else:
                self._orphaned = True  # the thread is in the middle of something, and does it

    def _release(self) -> None:
        try:
            self.spool.close()
        finally:
            self.far.close()


def pause_after(failures: int) -> float:
    """Return how long to wait after so many failures in a row, in seconds."""
    # Bounded: after some hours there would be no number for it.
    doublings = min(failures, 32)
    return min(_LONGEST_PAUSE_S, _PAUSE_S * 2.0**doublings)


_forwarders: WeakSet[Forwarder] = WeakSet()


_orphans: WeakSet[threading.Thread] = WeakSet()
"""Those that send what is left of journals that nobody has any more."""


@atexit.register
def _close_all() -> None:
    for thread in list(_orphans):
        if thread.is_alive():
            thread.join()  # nothing in it waits for ever
    _finish_all([forwarder.close for forwarder in list(_forwarders)])


def _finish_all(finishes: list[Callable[[], None]]) -> None:
    failures = [failure for finish in finishes if (failure := _failure_of(finish))]
    for failure in failures:  # there is nobody left to raise to
        warn(failure, StorageWarning)


def _failure_of(finish: Callable[[], None]) -> str | None:
    try:
        finish()
    except (JournalError, OSError) as error:
        return str(error)
    return None


class ForwardingJournal(LayeredJournal):
    """A journal whose appends do not wait for it.

    Parameters
    ----------
    far
        the journal that everything goes to, in the end
    spool
        where it waits for that
    timeout_s
        how long whoever needs an answer waits for another thread that is sending
    """

    def __init__(self, far: Journal, spool: Spool, timeout_s: float) -> None:
        super().__init__(far)
        self._spool = spool
        self._forwarder = Forwarder(spool, far, timeout_s)
        if spool.durability == "interval":
            self.sync_due_ns = 0
        finalize(self, self._forwarder.abandon).atexit = False

    def _behind(self) -> Journal:
        self._forwarder.drain()
        return self.journal

    def append(self, payloads: Sequence[bytes]) -> None:
        # What Spool.append does, without a call: training loops wait for these lines.
        spool = self._spool
        with spool.appending:
            (spool.current or spool.begin()).append(payloads)

    def drain_mine(self) -> None:
        """Return once the far journal has everything that was logged here before.

        Raises
        ------
        JournalUnreachable
            it did not take it in time; the message says where it is kept
        """
        self._forwarder.drain()

    def drain(self) -> None:
        """Return once the far journal has everything, also what dead processes left behind.

        Raises
        ------
        JournalUnreachable
            it did not take it in time; the message says where it is kept
        """
        self._forwarder.drain(look_around=True)

    def sync(self) -> None:
        if self.sync_due_ns != inf:
            self.sync_due_ns = time.time_ns() + SYNC_INTERVAL_NS
        self._spool.sync()

    def sync_if_interval(self) -> None:
        self._spool.sync_if_interval()

    def close(self) -> None:
        self._forwarder.close()


class ExclusiveForwardingJournal(ExclusiveLayer, ForwardingJournal):
    """One whose far journal can be decided in: there, appends wait for it."""

    journal: ExclusiveJournal
