"""Connect a client to a relay: requests and answers, reconnecting when needed.

Every request may be repeated, since the server drops events that it has already recorded.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from track.errors import (
    AuthenticationError,
    InsecureConnection,
    JournalUnreachable,
    MalformedMessage,
)
from track.relay.header_codec import revive
from track.relay.messages import Message, Verb
from track.relay.session import AlteredFrame, Session, Target
from track.utils.forking import renew_in_children
from track.utils.waiting import waiting_for

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0
"""The time between attempts to reach a server."""

_LONGEST_QUIET_S = 40.0
"""The silence after which a subscriber reconnects; servers send keep-alives more often."""

STALE_S = 240.0
"""Seconds after which an unused connection is not trusted any more, since servers and routers
silently drop idle connections."""

_Result = TypeVar("_Result")


class Connection:
    """A connection to a server that is renewed when it is lost. Any thread may use it.

    Parameters
    ----------
    target
        the server

    Notes
    -----
    It connects with the first request.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._chance = random.SystemRandom()
        self._session: Session | None = None
        self._turn = threading.Lock()
        self._reached = False
        """Whether the server has been reached; if so, later absences are waited for."""
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        self._turn = threading.Lock()
        if self._session is not None:
            self._session.detach_fd()
            self._disconnect()

    def request(self, verb: Verb, header: list[Any], attachment: bytes = b"") -> Message:
        """Return the answer to a request: DONE or UNMET.

        Raises
        ------
        JournalUnreachable
            the server did not answer in time; it may have executed the request
        Exception
            the error that the server raised
        """
        message = Message(verb, header, attachment)
        if not self._turn.acquire(timeout=self.target.timeout_s):
            raise JournalUnreachable(
                f"another thread has been waiting for {self.target} for over "
                f"{self.target.timeout_s:g} s"
            )
        try:
            answer = self._persist(lambda: self._ask(message))
        finally:
            self._turn.release()
        if answer.verb == Verb.FAILED:
            raise revive(answer.header)
        if answer.verb not in (Verb.DONE, Verb.UNMET):
            raise InsecureConnection(f"the server at {self.target} answered {answer.verb.name}")
        return answer

    def _ask(self, message: Message) -> Message:
        session = self._session
        if session is not None and time.monotonic() - session.used_at > STALE_S:
            self._disconnect()
        if self._session is None:
            self._session = self._open()
        session = self._session
        try:
            session.send(message)
            answer = session.receive(self.target.timeout_s)
            session.used_at = time.monotonic()
        except BaseException:
            self._disconnect()  # later data on it would answer this request
            raise
        return answer

    def _open(self) -> Session:
        session = Session(self.target, self.target.timeout_s)
        self._reached = True
        return session

    def _persist(self, attempt: Callable[[], _Result]) -> _Result:
        """Call a function that needs the server, and repeat it if the connection is lost."""
        begun = time.monotonic()
        pause_s = _FIRST_PAUSE_S
        with waiting_for(self.target) as wait:
            while True:
                try:
                    return attempt()
                except AuthenticationError:
                    raise
                except OSError as error:
                    pause_s = min(pause_s * 2, _LONGEST_PAUSE_S) * self._chance.uniform(0.5, 1)
                    if time.monotonic() + pause_s > begun + self._worth_s(error):
                        raise self._explained(error) from error
                    wait.blame(error)
                time.sleep(pause_s)

    def _worth_s(self, error: OSError) -> float:
        """Return how long to retry after an error, 0 if it is permanent."""
        if isinstance(error, MalformedMessage):
            return 0.0
        if self._reached or isinstance(error, AlteredFrame):
            return self.target.timeout_s
        if isinstance(error, ConnectionRefusedError):
            return min(self.target.start_s, self.target.timeout_s)
        missing = isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN
        return 0.0 if missing or isinstance(error, InsecureConnection) else self.target.timeout_s

    def _explained(self, error: OSError) -> Exception:
        if isinstance(error, InsecureConnection):
            kind = InsecureConnection if isinstance(error, AlteredFrame) else type(error)
            return kind(f"the connection to {self.target} cannot be used: {error}")
        recorded = " It may have recorded the event." if self._reached else ""
        return JournalUnreachable(
            f"the server at {self.target} does not answer: {error}.{recorded} Check that it is "
            "running, and check host, port and security layer of the URI"
        )

    def stream(self, after: int, *, live: bool, stream: int | None = None) -> Iterator[Message]:
        """Yield the events after a position of the server's journal, on a separate connection.

        Parameters
        ----------
        after
            the position
        live
            whether to continue with new events
        stream
            the stream of the existing events to yield, None for all streams

        Yields
        ------
        BATCH messages, and CAUGHT_UP messages when there is nothing more for now. Without
        ``live``, the first CAUGHT_UP is the last message. A live stream never ends, and resumes
        after lost connections.
        """
        quiet_s = max(self.target.timeout_s, _LONGEST_QUIET_S) if live else self.target.timeout_s
        while True:
            session, message = self._persist(partial(self._subscribe, [after, live, stream]))
            try:
                while message.verb != Verb.FAILED:
                    if message.verb == Verb.BATCH:
                        after = message.header[-1]
                    yield message
                    if message.verb == Verb.CAUGHT_UP and not live:
                        return
                    message = session.receive(quiet_s)
            except OSError as error:
                if not self._worth_s(error):
                    raise self._explained(error) from error
                continue  # from the last position
            finally:
                session.close()
            raise revive(message.header)

    def _subscribe(self, header: list[Any]) -> tuple[Session, Message]:
        """Return a session with a subscription, and its first answer."""
        session = self._open()
        try:
            session.send(Message(Verb.SUBSCRIBE, header))
            return session, session.receive(self.target.timeout_s)
        except BaseException:
            session.close()
            raise

    def _disconnect(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def close(self) -> None:
        """Disconnect; another request would connect again."""
        if self._turn.acquire(timeout=self.target.timeout_s):
            try:
                self._disconnect()
            finally:
                self._turn.release()

    def __del__(self) -> None:
        session = getattr(self, "_session", None)
        if session is not None:
            with suppress(OSError):
                session.close()
