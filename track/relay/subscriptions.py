"""Send the events of a journal to subscribers, and tell them of new ones."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from track.errors import TrackError
from track.relay.header_codec import describe
from track.relay.limits import Limits, MemoryBudget
from track.relay.messages import Message, Verb, to_records, to_subscription
from track.relay.peer import Peer
from track.relay.service import Answering

logger = logging.getLogger(__name__)

_POLL_S = 0.05
"""The time between looks for events that other processes appended to the journal."""

_QUIET_S = 15.0
"""The interval of keep-alive messages to subscribers while nothing is new."""

_BATCH_BYTES = 2**22
"""The approximate size of a batch for a subscriber in memory."""

_MOST_POSITIONS = 2**16
"""The number of events in one message to a subscriber, so that they fit into its header."""


class Subscriptions:
    """Serves the subscribers of a server.

    Parameters
    ----------
    service
        has the events
    in_thread
        calls a function in a thread
    answers
        limits the memory of what is sent
    limits
        the limits for clients
    """

    def __init__(
        self,
        service: Answering,
        in_thread: Callable[..., Awaitable[Any]],
        answers: MemoryBudget,
        limits: Limits,
    ) -> None:
        self._service = service
        self._in_thread = in_thread
        self._answers = answers
        self._limits = limits
        self._news = asyncio.Event()
        self._watched: dict[Peer, int] = {}
        """The positions of waiting subscribers."""
        self._watching: asyncio.Task[None] | None = None
        self._ending = False

    async def serve(self, peer: Peer, header: list[Any]) -> None:
        """Serve a subscriber until it has everything it asked for, or is gone."""
        try:
            await self._stream(peer, *to_subscription(header))
        except Exception as error:
            # A client retries at once after a plain disconnection, so send it other errors.
            lost = isinstance(error, (OSError, EOFError, asyncio.TimeoutError))
            if not lost or isinstance(error, TrackError):
                await peer.send(Message(Verb.FAILED, describe(error)), self._limits.frame_s)
            raise

    async def _stream(self, peer: Peer, after: int, live: bool, stream: int | None) -> None:
        """Send the events after a position, and then new ones, until the client is gone."""
        if not live:
            await self._send_behind(peer, after, stream)
            await peer.send(Message(Verb.CAUGHT_UP, []), self._limits.frame_s)
            return
        gone = asyncio.ensure_future(peer.reader.read(1))
        try:
            while not gone.done() and not self._ending:
                news = self._news
                after = await self._send_behind(peer, after)
                await peer.send(Message(Verb.CAUGHT_UP, []), self._limits.frame_s)
                self._watch(peer, after)
                waiting = asyncio.ensure_future(news.wait())
                await asyncio.wait(
                    {gone, waiting}, timeout=_QUIET_S, return_when=asyncio.FIRST_COMPLETED
                )
                waiting.cancel()
                del self._watched[peer]
        finally:
            gone.cancel()
            self._watched.pop(peer, None)
        raise EOFError("the subscription has ended")

    async def _send_behind(self, peer: Peer, after: int, stream: int | None = None) -> int:
        batches = await self._in_thread(self._service.read, after, stream)
        while True:
            async with self._answers.taken(_BATCH_BYTES):
                batch = await self._in_thread(next, batches, None)
                if batch is None:
                    return after
                positions, payloads = batch
                for start in range(0, len(positions), _MOST_POSITIONS):
                    part = slice(start, start + _MOST_POSITIONS)
                    message = Message(Verb.BATCH, [*positions[part]], to_records(payloads[part]))
                    await peer.send(message, self._limits.frame_s)
                after = positions[-1]
                del batch, payloads, message  # before other clients take the memory

    def announce(self) -> None:
        """Wake subscribers, since something was appended here."""
        self._news.set()

    def _watch(self, peer: Peer, after: int) -> None:
        """Wake subscribers when there are events after the position of one of them."""
        self._watched[peer] = after
        if self._watching is None or self._watching.done():
            self._watching = asyncio.ensure_future(self._look_out())

    async def _look_out(self) -> None:
        while self._watched and not self._news.is_set():
            await asyncio.sleep(_POLL_S)
            after = min(self._watched.values(), default=0)
            try:
                batches = await self._in_thread(self._service.read, after)
                if await self._in_thread(next, batches, None) is not None:
                    break
            except Exception as error:  # noqa: BLE001 - readers get the error themselves
                logger.debug("the journal cannot be read: %r", error)
                break
        news, self._news = self._news, asyncio.Event()
        news.set()

    def end(self) -> None:
        """Let subscribers go, since the server ends."""
        self._ending = True
        self._news.set()  # wait_for can lose a cancellation up to Python 3.11

    def close(self) -> None:
        """Stop looking for events of other processes."""
        if self._watching is not None:
            self._watching.cancel()
