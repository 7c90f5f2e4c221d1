"""Serve the relay with asyncio: connections, logins, limits and turns.

Nothing here blocks the event loop: backends are called in threads, and all appends in one thread,
so that waiting ones are appended together.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, nullcontext, suppress
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from track.errors import AuthenticationError, EncodingError, InsecureConnection, MalformedMessage
from track.relay.grouped_appends import GroupedAppends
from track.relay.header_codec import describe
from track.relay.limits import Limits, MemoryBudget, room_for
from track.relay.listener import Listener, to_streams
from track.relay.messages import MAX_REQUEST, Answer, Message, Verb, checked_records
from track.relay.peer import Logins, Peer
from track.relay.service import Answering
from track.relay.subscriptions import Subscriptions
from track.utils.files import detach_fd
from track.utils.forking import renew_in_children
from track.utils.handshake import HELLO, agree, begin

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

_THREADS = 8
"""The calls that are answered without a thread."""

Attend = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class RelayServer:
    """Serves a journal and the objects in it to clients.

    Parameters
    ----------
    service
        the service
    layer
        the security layer
    logins
        logs clients in
    tls
        the context with the certificate, with the layer TLS
    limits
        the limits for clients
    """

    def __init__(
        self,
        service: Answering,
        layer: str | None,
        logins: Logins,
        tls: ssl.SSLContext | None,
        limits: Limits,
    ) -> None:
        self.service = service
        self.limits = limits
        self._layer = layer
        self._logins = logins
        self._tls = tls
        self._pool = ThreadPoolExecutor(_THREADS, "track relay call")
        self._next_commit: asyncio.Future[Answer] | None = None
        """The commit that has not begun yet, if any call waits for one."""
        self.attend: Attend = self.attend_to
        """The function that serves a connection."""
        self._tasks: dict[asyncio.Task[None], socket.socket] = {}
        self._new: set[socket.socket] = set()
        """The connections that were accepted but are not served yet."""
        self._unknown: set[asyncio.StreamReader] = set()
        """Limits the clients that are not logged in."""
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        """Limits the concurrent requests of each user, so that nobody can occupy all threads."""
        self._peers: dict[asyncio.StreamReader, Peer] = {}
        self._working: set[asyncio.Task[None] | None] = set()
        """The connections that are answering a request."""
        self._full = False
        """Whether the last connection was refused."""
        self._ending = False

    async def start(self, host: str, port: int) -> int:
        """Start to listen, and return the port.

        Raises
        ------
        OSError
            the address cannot be listened on
        """
        self._memory = MemoryBudget(self.limits.memory)
        self._answers = MemoryBudget(self.limits.memory)
        self._strangers = asyncio.Semaphore(self.limits.strangers)
        self._room = room_for(self.limits.connections)
        self._committing = asyncio.Lock()
        self._subscriptions = Subscriptions(
            self.service, self._in_thread, self._answers, self.limits
        )
        self._appends = GroupedAppends(self.service.append, self._subscriptions.announce)
        self._listener = await Listener.open(host, port, self._accepted)
        renew_in_children(self)
        return self._listener.port

    def renew_after_fork(self) -> None:
        # A child must not keep the port or a connection open when the server is gone.
        kept = [*self._listener.sockets, *self._tasks.values()]
        for descriptor in {sock.fileno() for sock in kept} - {-1}:
            detach_fd(descriptor)

    # One connection

    def _accepted(self, connection: socket.socket) -> None:
        if self._ending or len(self._tasks) >= self._room:
            if not self._full:
                logger.warning("refusing connections: %d are open", len(self._tasks))
            self._full = True
            connection.close()
            return
        self._full = False
        self._new.add(connection)
        task = asyncio.ensure_future(self._connected(connection))
        self._tasks[task] = connection
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        connection = self._tasks.pop(task)
        if connection in self._new:  # it was cancelled before it began
            self._new.discard(connection)
            connection.close()

    async def _connected(self, connection: socket.socket) -> None:
        await self._strangers.acquire()  # messages of unknown clients take memory
        self._new.discard(connection)
        try:
            reader, writer = await to_streams(connection, self._tls, self.limits.handshake_s)
        except BaseException as error:
            self._strangers.release()
            if not isinstance(error, OSError):
                raise
            logger.info("a client did not shake hands: %r", error)
            return
        self._unknown.add(reader)
        try:
            await self.attend(reader, writer)
        finally:
            self._make_room(reader)

    def _make_room(self, reader: asyncio.StreamReader) -> None:
        """Let another client log in, after one has logged in or disconnected."""
        if reader in self._unknown:
            self._unknown.discard(reader)
            self._strangers.release()

    async def attend_to(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client, and handle all its errors."""
        peer = self._peers[reader] = Peer(reader, writer)
        try:
            await asyncio.wait_for(self._welcome(peer), self.limits.handshake_s)
            await self._serve(peer)
        except (AuthenticationError, InsecureConnection) as error:
            logger.warning("%s was disconnected: %.500s", peer.address, error)
        except asyncio.IncompleteReadError as error:
            where = " within a message" if error.partial else ""
            logger.info("%s disconnected%s", peer.address, where)
        except (asyncio.TimeoutError, EOFError, OSError) as error:
            logger.info("%s disconnected: %r", peer.address, error)
        except asyncio.CancelledError:
            pass  # the server ends
        except Exception:
            logger.exception("%s was disconnected", peer.address)
        finally:
            del self._peers[reader]
            await _close(writer)

    def peer_of(self, reader: asyncio.StreamReader) -> Peer | None:
        """Return the client behind a reader, None if it is gone."""
        return self._peers.get(reader)

    async def _welcome(self, peer: Peer) -> None:
        opening = begin(self._layer)
        theirs = await peer.reader.readexactly(HELLO.size)
        peer.writer.write(opening.hello)  # so that the client can report a mismatch
        peer.channel, peer.transcript = agree(opening, theirs, is_server=True)
        try:
            peer.username = await self._logins.log_in(peer)
        except AuthenticationError as error:
            await asyncio.sleep(self.limits.penalty_s)
            await peer.send(Message(Verb.FAILED, describe(error)), self.limits.frame_s)
            raise
        peer.limit = MAX_REQUEST
        self._make_room(peer.reader)

    async def _serve(self, peer: Peer) -> None:
        turns = self._turns.setdefault(peer.username or "", asyncio.Semaphore(_THREADS // 2))
        while not self._ending:
            size = await asyncio.wait_for(peer.receive_size(), self.limits.idle_s)
            async with AsyncExitStack() as sent:
                async with self._memory.taken(size):
                    message = await asyncio.wait_for(peer.receive(size), self.limits.frame_s)
                    verb, header, _ = message
                    answer = None
                    if verb != Verb.SUBSCRIBE:
                        async with turns if _takes_long(message) else nullcontext():
                            answer = await self._work_on(peer, message)
                            size = len(answer.attachment)
                            await sent.enter_async_context(self._answers.taken(size))
                    del message  # a subscription may last long, so free its memory
                if answer is not None:
                    await self._reply(peer, answer)
            if answer is None:
                await self._subscriptions.serve(peer, header)

    async def _work_on(self, peer: Peer, message: Message) -> Message:
        task = asyncio.current_task()
        self._working.add(task)
        try:
            return await self._answer(peer, message)
        finally:
            self._working.discard(task)

    async def _reply(self, peer: Peer, answer: Message) -> None:
        try:
            await peer.send(answer, self.limits.frame_s)
        except EncodingError as error:  # nothing has been sent yet
            await peer.send(Message(Verb.FAILED, describe(error)), self.limits.frame_s)

    async def _answer(self, peer: Peer, message: Message) -> Message:
        """Return the answer to a request."""
        try:
            verb, header, attachment = message
            if verb == Verb.APPEND:
                await self._appends.append(checked_records(attachment), len(attachment))
                return Message(Verb.DONE, [])
            if verb == Verb.PROPOSE:
                unmet, found = await self._in_thread(self.service.propose, header, attachment)
                self._subscriptions.announce()
                return _done([], found) if unmet is None else Message(Verb.UNMET, [unmet])
            if verb == Verb.LAST:
                return _done([await self._in_thread(self.service.last, *header)])
            if verb == Verb.KEEP:
                return _done(*await self._in_thread(self.service.keep, header, attachment))
            if verb == Verb.CALL:
                name, *arguments = header
                if name == "commit":
                    return _done(*await self._commit())
                return _done(*await self._in_thread(self.service.call, name, arguments))
        except MalformedMessage:
            raise
        except Exception as error:  # noqa: BLE001 - it is raised at the client
            logger.debug("%s was told of %r", peer.address, error)
            return Message(Verb.FAILED, describe(error))
        raise MalformedMessage(f"{verb.name} is not a request")

    async def _in_thread(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    async def _commit(self) -> Answer:
        if self._next_commit is None:
            self._next_commit = asyncio.ensure_future(self._commit_next())
        return await asyncio.shield(self._next_commit)  # other calls wait for it, too

    async def _commit_next(self) -> Answer:
        async with self._committing:
            self._next_commit = None  # later calls may need another commit
            return await self._in_thread(self.service.call, "commit", [])

    # The end

    async def close(self) -> None:
        """Stop listening, finish pending requests, and disconnect all clients."""
        self._ending = True
        self._subscriptions.end()
        self._listener.close()
        for task in self._tasks.keys() - self._working:
            task.cancel()
        if self._tasks:
            await asyncio.wait([*self._tasks], timeout=self.limits.frame_s)
        for task in self._tasks:
            task.cancel()
        self._subscriptions.close()
        await self._appends.close()
        await asyncio.get_running_loop().run_in_executor(None, self._pool.shutdown)


def _takes_long(message: Message) -> bool:
    """Return whether a request occupies a thread of its own."""
    is_commit = message.header[:1] == ["commit"]
    return message.verb in (Verb.PROPOSE, Verb.KEEP) or (
        message.verb == Verb.CALL and not is_commit
    )


def _done(values: list[Any], attachment: bytes = b"") -> Message:
    return Message(Verb.DONE, values, attachment)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        with suppress(Exception):  # the client may be gone
            await asyncio.wait_for(writer.wait_closed(), 1)
    finally:
        writer.transport.abort()  # do not wait for clients that do not read
