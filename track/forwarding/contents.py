"""Keep contents on this machine until a remote store has them, as a spool does with events.

A content is kept beside the spooled events of its process, and sent from there in bounded pieces:
in the background by the thread that forwards events, whenever no event waits, and by any call that
waits until everything has arrived. A process takes over the contents of dead processes along with
their spools.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from track.contents.files import UNFINISHED, FileContents
from track.contents.store import ContentStore, Kept, check_digest, is_digest
from track.errors import (
    BackendError,
    EncodingError,
    FileDamaged,
    ItemNotFound,
    JournalUnreachable,
    NotRecordedWarning,
    StorageWarning,
    TrackError,
    warn,
)
from track.forwarding.spool import Spool
from track.utils.forking import renew_in_children

logger = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 10.0
"""The time between attempts to send in the background after failures."""


class _Waiting(FileContents):
    """Keeps the contents of a spool as files named by their SHA-256."""

    def path_of(self, digest: str) -> Path:
        return self.root / check_digest(digest)

    def digests(self) -> Iterator[str]:
        with suppress(FileNotFoundError):
            yield from filter(is_digest, os.listdir(self.root))


class SpooledContents(ContentStore):
    """Keeps contents for a remote store without making log calls wait for it.

    Parameters
    ----------
    spool
        the spool of this process, in which contents wait beside the events
    far
        the remote store
    """

    def __init__(self, spool: Spool, far: ContentStore) -> None:
        self.far = far
        self.limit, self.questions = far.limit, far.questions
        self.spool = spool
        self.renew_after_fork()
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        self._turn = threading.RLock()  # a signal handler may send, too
        self._pieces: Iterator[None] | None = None
        """Sends the contents that were waiting when it was made."""
        self._may_wait = False
        """Whether contents of this process may be waiting."""
        self._failures, self._not_before = 0, 0.0

    def __str__(self) -> str:
        return str(self.far)

    # Keeping and reading

    def put(self, source: BinaryIO) -> Kept:
        near = _Waiting(self.spool.begin_contents())
        size, digest = near.put(source)
        if self.limit is not None and size > self.limit:
            near.remove([digest])
            raise EncodingError(f"a content of {size} bytes exceeds the limit of {self.limit}")
        self._may_wait = True
        return size, digest

    def behind(self) -> ContentStore:
        return self.far.behind()

    def _refused(self, what: str, error: OSError) -> TrackError:
        return TrackError(
            f"cannot keep {what} in {self.spool.folder}: {error.strerror or error}; free some "
            "space there, or choose another folder with the option 'spool' of the URI"
        )

    def open_unchecked(self, digest: str) -> BinaryIO:
        near = self._near()
        if near is not None:
            with suppress(ItemNotFound):  # the content has arrived
                return near.open_unchecked(digest)
        return self.far.open_unchecked(digest)

    def missing(self, digests: Iterable[str]) -> set[str]:
        near = self._near()
        return self.far.missing(digests if near is None else near.missing(digests))

    def digests(self) -> Iterator[str]:
        near = self._near()
        waiting = set() if near is None else {*near.digests()}
        yield from waiting
        yield from (digest for digest in self.far.digests() if digest not in waiting)

    def remove(self, digests: Iterable[str]) -> set[str]:
        digests, near = [*digests], self._near()
        removed = set() if near is None else near.remove(digests)
        return removed | self.far.remove(digests)

    def _near(self) -> _Waiting | None:
        path = self.spool.contents
        return None if path is None else _Waiting(path)

    # Sending

    def send_some(self) -> bool:
        """Send a piece of a waiting content, and return whether there may be more.

        Raises
        ------
        Exception
            the remote store did not accept it; nothing is lost
        """
        near = self._near()
        with self._turn:
            if near is None:
                return False
            if self._pieces is None:
                self._may_wait = False
                self._pieces = self._send_waiting(near)
            try:
                next(self._pieces)
            except StopIteration:
                self._pieces = None
                return self._may_wait
            except BaseException:
                self._pieces, self._may_wait = None, True
                raise
        return True

    def send_in_background(self) -> bool:
        """Send a piece, and return whether there was one; warn of the first failure and retry."""
        if not self._may_wait and self._pieces is None:
            return False
        if time.monotonic() < self._not_before:
            return False
        try:
            sent = self.send_some()
        except Exception as error:  # noqa: BLE001 - the thread must survive to send events
            self._failures += 1
            if self._failures == 1:
                logger.warning("%s. %s", error, self._kept())
            pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(self._failures, 16))
            self._not_before = time.monotonic() + pause_s
            return False
        self._failures = 0
        return sent

    def send_all(self) -> None:
        """Send all waiting contents, or warn that the remote store does not keep contents.

        Raises
        ------
        JournalUnreachable
            the remote store did not accept them; nothing is lost
        """
        try:
            while self.send_some():
                pass
        except BackendError as error:
            warn(f"{error}. {self._kept()}", StorageWarning)
        except Exception as error:
            raise JournalUnreachable(f"{error}. {self._kept()}") from error

    def _kept(self) -> str:
        return (
            f"The contents of logged files are kept in {self.spool.contents} and sent as soon as "
            "possible, by this process or the next one"
        )

    def _send_waiting(self, near: _Waiting) -> Iterator[None]:
        digests = iter(sorted(near.digests()))
        while some := [*islice(digests, self.far.questions)]:
            missing = self.far.missing(some)
            yield
            for digest in some:
                if digest in missing:
                    try:
                        with near.open_unchecked(digest) as content:
                            yield from self.far.sending(digest, content)
                    except ItemNotFound:
                        continue  # the content was removed meanwhile
                    except (EncodingError, FileDamaged) as error:
                        self._set_aside(near.path_of(digest), error)
                near.remove([digest])

    def _set_aside(self, path: Path, error: Exception) -> None:
        """Move a content that cannot be sent out of the way of the others."""
        aside = os.path.join(self.spool.folder, f"{path.name}.unsent")
        with suppress(FileNotFoundError):
            os.replace(path, aside)
        warn(f"{error}: a content was set aside as {aside}", NotRecordedWarning)

    def take_over(self, spool: Spool) -> None:
        """Take over the waiting contents of a dead process, whose spool this one has claimed."""
        path = spool.contents
        if path is None or not os.path.isdir(path):
            return
        own = self.spool.begin_contents()
        os.makedirs(own, exist_ok=True)
        for name in os.listdir(path):
            if name.startswith(UNFINISHED):
                os.unlink(os.path.join(path, name))
            else:
                os.replace(os.path.join(path, name), os.path.join(own, name))
        self._may_wait = True
