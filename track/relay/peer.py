"""Represent the clients of a server, and log them in.

A client proves that it knows its password, or a function decides.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any

from track.errors import AuthenticationError, BackendError, LockTimeout
from track.relay.messages import (
    LENGTH,
    MAX_STRANGER,
    Message,
    Verb,
    body_length,
    from_frame,
    to_frame,
)
from track.relay.scram import ServerLogin
from track.relay.users import Users
from track.utils.handshake import Channel

logger = logging.getLogger(__name__)

_CANNOT_CHECK = "the server cannot check the login at the moment"

_WITHIN_S = 10
"""The time limit for sending a message."""


class Peer:
    """A client of a server.

    Parameters
    ----------
    reader, writer
        its connection
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.username: str | None = None
        """The name of the user after the login."""
        self.limit = MAX_STRANGER
        self.channel: Channel
        self.transcript = b""
        name = writer.get_extra_info("peername")
        self.address = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "?"

    async def receive_size(self) -> int:
        """Return the size of the next message, once it begins."""
        return body_length(await self.reader.readexactly(LENGTH.size), self.limit)

    async def receive(self, size: int | None = None) -> Message:
        """Return the next message, or the rest of one whose size was received."""
        if size is None:
            size = await self.receive_size()
        return from_frame(await self.reader.readexactly(size), self.channel)

    async def send(self, message: Message, within_s: float) -> None:
        """Send a message, and wait until its memory is free."""
        self.writer.write(to_frame(message, self.channel))
        await asyncio.wait_for(self.writer.drain(), within_s)


class Logins:
    """Logs the clients of a server in.

    Parameters
    ----------
    authenticate
        returns whether a client may log in, or an awaitable of that, for its reader, name and
        password; it may block
    users
        the users who prove that they know their password, instead of asking ``authenticate``
    asks_password
        whether clients must send a password to be asked about
    """

    def __init__(
        self, authenticate: Callable[..., Any], users: Users | None, *, asks_password: bool
    ) -> None:
        self._authenticate = authenticate
        self._proofs = None if users is None else _proofs_of(users)
        self._mechanism = "password" if asks_password else "anyone"

    async def log_in(self, peer: Peer) -> str:
        """Log a client in and return its name.

        Raises
        ------
        AuthenticationError
            the client may not log in
        """
        if self._proofs is not None:
            try:
                return await _check_proof(peer, self._proofs)
            except BackendError as error:  # the file of users cannot be used
                logger.error("logins are impossible: %s", error)  # noqa: TRY400 - it says all
                raise AuthenticationError(_CANNOT_CHECK) from error
        await peer.send(Message(Verb.WELCOME, [self._mechanism]), _WITHIN_S)
        username, password = await _expect(peer, Verb.LOGIN, 2)
        if not isinstance(username, str) or not isinstance(password, (str, type(None))):
            raise AuthenticationError("a name and a password must be text")
        if not await self._ask(peer.reader, username or None, password or None):
            raise AuthenticationError("the name or the password is wrong")
        await peer.send(Message(Verb.VERIFIED, [b""]), _WITHIN_S)
        return username

    async def _ask(self, *given: Any) -> bool:
        try:
            if inspect.iscoroutinefunction(self._authenticate):
                return bool(await self._authenticate(*given))
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(None, self._authenticate, *given)
            return bool(await answer if inspect.isawaitable(answer) else answer)
        except AuthenticationError:
            raise
        except Exception as error:
            # The message is for the operator only, since clients may not know the details.
            name = getattr(self._authenticate, "__qualname__", self._authenticate)
            logger.exception("%s failed", name)
            raise AuthenticationError(_CANNOT_CHECK) from error


async def _check_proof(peer: Peer, login: ServerLogin) -> str:
    await peer.send(Message(Verb.WELCOME, ["proof"]), _WITHIN_S)
    username, _ = await _expect(peer, Verb.LOGIN, 2)
    if not isinstance(username, str):
        raise AuthenticationError("a name must be text")
    challenge = login.challenge(username)
    await peer.send(Message(Verb.CHALLENGE, [*challenge]), _WITHIN_S)
    (proof,) = await _expect(peer, Verb.PROOF, 1)
    if not isinstance(proof, bytes):
        raise AuthenticationError("a proof must be bytes")
    signature = login.verify(username, challenge, proof, peer.transcript)
    await peer.send(Message(Verb.VERIFIED, [signature]), _WITHIN_S)
    return username


async def _expect(peer: Peer, verb: Verb, count: int) -> list[Any]:
    message = await peer.receive()
    if message.verb != verb or len(message.header) != count:
        raise AuthenticationError(f"{message.verb.name} came in place of {verb.name}")
    return message.header


def _proofs_of(users: Users) -> ServerLogin:
    try:
        users.complete()
    except (BackendError, LockTimeout) as error:
        logger.warning("until this is fixed, anyone can find out which users exist: %s", error)
    return ServerLogin(users)
