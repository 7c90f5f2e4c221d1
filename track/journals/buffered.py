"""Report failed writes of a journal as warnings (the option ``log.on_error = warn``).

Only logged events of a client may wait in memory. Decisions, in an exclusive section, are recorded
when their call returns, or the call raises; so are delivered events, which their sender forgets.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence

from track.errors import JournalWriteError, NotRecordedWarning, warn
from track.journals.journal import Journal, JournalSyncError
from track.journals.layered import LayeredJournal
from track.utils.forking import renew_in_children

logger = logging.getLogger(__name__)

MAX_WAITING = 100_000
"""The number of appends to keep in memory while the journal cannot be written."""


class BufferedJournal(LayeredJournal):
    """Keeps failed appends in memory, and repeats them before the next append.

    Parameters
    ----------
    journal
        the journal to write to
    max_waiting
        the number of appends kept in memory while the journal cannot be written

    Notes
    -----
    Each cause is reported once until a write succeeds again. When ``max_waiting`` appends wait,
    further ones are dropped and counted: training continues, as the option asks for.
    """

    def __init__(self, journal: Journal, max_waiting: int = MAX_WAITING) -> None:
        super().__init__(journal)
        self.max_waiting = max_waiting
        self.dropped = 0
        self._waiting: deque[Sequence[bytes]] = deque()
        """The payloads of failed appends, oldest first."""
        self._reported: set[str] = set()
        self._untold: list[str] = []
        self._lock = threading.Lock()
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        super().renew_after_fork()
        # The parent still has the waiting events.
        self._waiting.clear()
        self._lock = threading.Lock()

    def _before_section(self) -> None:
        # A decision must know what was logged here before.
        with self._lock:
            error = self._retry()
        self._tell()
        if error is not None:
            raise JournalWriteError(
                error.errno,
                f"nothing was decided, because earlier events are still in memory: {error}",
            ) from error

    def append(self, payloads: Sequence[bytes]) -> None:
        if self.is_deciding():
            self.journal.append(payloads)
            return
        with self._lock:
            self._retry()
            if self._waiting or self._try_append(payloads) is not None:
                self._keep(payloads)
        self._tell()

    def _keep(self, payloads: Sequence[bytes]) -> None:
        if len(self._waiting) >= self.max_waiting:
            self.dropped += len(payloads)
            self._report("full", f"{self.max_waiting} appends wait to be written; more are dropped")
        else:
            self._waiting.append(payloads)

    def _retry(self) -> JournalWriteError | None:
        """Write the waiting events, oldest first, and return an error if some remain."""
        late, error = 0, None
        while self._waiting and (error := self._try_append(self._waiting[0])) is None:
            late += len(self._waiting.popleft())
        if late and not self._waiting:
            logger.warning("the journal works again: %d events were written late", late)
            self._reported.clear()
        return error

    def _try_append(self, payloads: Sequence[bytes]) -> JournalWriteError | None:
        try:
            self.journal.append(payloads)
        except JournalSyncError as error:
            self._report("sync", str(error))
        except JournalWriteError as error:
            self._report(f"write {error.errno}", f"{error}. It is kept in memory for now")
            return error
        return None

    def _report(self, cause: str, message: str) -> None:
        if cause not in self._reported:
            self._reported.add(cause)
            self._untold.append(message)

    def _tell(self) -> None:
        if not self._untold:
            return
        with self._lock:
            no_progress, self._untold = self._untold, []
        for message in no_progress:
            warn(message, NotRecordedWarning)

    def sync(self) -> None:
        with self._lock:
            self._retry()
        try:
            self.journal.sync()
        except JournalSyncError as error:
            self._report("sync", str(error))
        self._tell()

    @property
    def sync_due_ns(self) -> float:  # type: ignore[override]  # the other journal knows
        return self.journal.sync_due_ns

    def sync_if_interval(self) -> None:
        try:
            self.journal.sync_if_interval()
        except JournalSyncError as error:
            self._report("sync", str(error))
        self._tell()

    def close(self) -> None:
        with self._lock:
            self._retry()
        if lost := sum(map(len, self._waiting)):
            self._waiting.clear()
            self._untold.append(f"{lost} events could not be written and are lost")
        try:
            self.journal.close()
        except JournalSyncError as error:
            self._report("sync", str(error))
        self._tell()
