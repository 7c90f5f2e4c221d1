"""Open one connection to a relay: connect, agree on the security layer, and log in."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from track.errors import AuthenticationError, InsecureConnection, MalformedMessage
from track.relay.header_codec import revive
from track.relay.messages import (
    LENGTH,
    MAX_ANSWER,
    MAX_STRANGER,
    Message,
    Verb,
    body_length,
    from_frame,
    to_frame,
)
from track.relay.scram import Challenge, ClientLogin
from track.utils.files import detach_fd
from track.utils.handshake import HELLO, Channel, agree, begin
from track.utils.lookup import Resolve, addresses_of

if TYPE_CHECKING:
    import ssl

CONNECT_TIMEOUT_S = 10.0
"""The time limit for connecting and logging in, in seconds."""

_SMALLEST_PIECE = 2**16


class Target(NamedTuple):
    """A server, and the parameters of connections to it."""

    host: str
    port: int
    layer: str | None
    credentials: Callable[[], tuple[str | None, str | None]]
    """Returns the name and the password to log in with."""
    trusted: bool
    """Whether to trust the server even if it does not prove its identity."""
    ca: str | None
    """A file with the certificates to trust, None for the system's."""
    timeout_s: float
    """The time limit for answers of the server."""
    start_s: float = 0.0
    """The time to wait for a server that was never reached and may be starting."""
    resolve: Resolve = socket.getaddrinfo
    """Looks up the addresses of the host."""

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"Target({self})"  # the credentials are secret


class AlteredFrame(InsecureConnection):
    """A received frame was altered, so the connection is lost."""


class Session:
    """A connection that is logged in.

    Parameters
    ----------
    target
        the server
    within_s
        the time limit for connecting

    Raises
    ------
    OSError
        the server cannot be reached, or disconnected
    InsecureConnection, AuthenticationError, MalformedMessage
        one side refuses the other
    """

    def __init__(self, target: Target, within_s: float) -> None:
        self.used_at = time.monotonic()
        within_s = min(within_s, CONNECT_TIMEOUT_S)
        self._deadline = self.used_at + within_s
        self._limit = MAX_STRANGER
        tls = _tls_context(target) if target.layer == "TLS" else None
        self.socket = _connect(target, self._deadline)
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if tls is not None:
                self.socket = _wrap(self.socket, target, tls)
            opening = begin(target.layer)
            self.socket.sendall(opening.hello)
            agreed = agree(opening, bytes(self._receive_exactly(HELLO.size)), is_server=False)
            self._channel: Channel = agreed.channel
            self._log_in(target, agreed.transcript)
        except BaseException:
            self.close()
            raise
        self._limit = MAX_ANSWER

    def _log_in(self, target: Target, transcript: bytes) -> None:
        name, password = target.credentials()
        (mechanism,) = self._expect(Verb.WELCOME, 1)
        if mechanism == "proof":
            self._prove(name or "", password or "", transcript)
            return
        if password and not target.trusted:
            raise AuthenticationError(
                f"the server at {target} does not prove that it knows the password, so it may be "
                "an impostor: use security_layer=TLS, or add trust_server=yes to the URI to accept "
                "the risk"
            )
        asked = mechanism == "password"
        self.send(Message(Verb.LOGIN, [name or "", (password or "") if asked else None]))
        self._expect(Verb.VERIFIED, 1)

    def _prove(self, name: str, password: str, transcript: bytes) -> None:
        login = ClientLogin(name, password)
        self.send(Message(Verb.LOGIN, [name, None]))
        challenge = Challenge.read(self._expect(Verb.CHALLENGE, 4))
        self.send(Message(Verb.PROOF, [login.prove(challenge, transcript)]))
        (signature,) = self._expect(Verb.VERIFIED, 1)
        if not isinstance(signature, bytes):
            raise AuthenticationError("the server's proof is invalid")
        login.check(signature)

    def _expect(self, verb: Verb, count: int) -> list[Any]:
        message = self.receive(max(0.001, self._deadline - time.monotonic()))
        if message.verb == Verb.FAILED:
            error = revive(message.header)
            if isinstance(error, AuthenticationError):
                raise error
            # The server has not proved its identity yet, so raise no other kind of error for it.
            raise AuthenticationError(f"the server refuses: {error}") from error
        if message.verb != verb or len(message.header) != count:
            raise InsecureConnection(f"the server sent {message.verb.name} instead of {verb.name}")
        return message.header

    def send(self, message: Message) -> None:
        """Send a message."""
        self.socket.sendall(to_frame(message, self._channel))

    def receive(self, within_s: float) -> Message:
        """Return the next message.

        Parameters
        ----------
        within_s
            the time limit for each wait
        """
        self.socket.settimeout(within_s)
        head = bytes(self._receive_exactly(LENGTH.size))
        try:
            size = body_length(head, self._limit)
        except MalformedMessage as error:
            raise AlteredFrame(str(error)) from error
        body = bytes(self._receive_exactly(size))
        try:
            return from_frame(body, self._channel)
        except MalformedMessage:
            raise  # the error is the server's message
        except InsecureConnection as error:
            raise AlteredFrame(str(error)) from error

    def _receive_exactly(self, size: int) -> bytearray:
        # Allocate memory for received data only, not for the announced size.
        data = bytearray()
        while len(data) < size:
            piece = self.socket.recv(min(size - len(data), max(_SMALLEST_PIECE, len(data))))
            if not piece:
                raise ConnectionResetError("the server closed the connection")
            data += piece
        return data

    def close(self) -> None:
        """Disconnect."""
        self.socket.close()

    def detach_fd(self) -> None:
        """Leave the connection to the process that forked this one."""
        if self.socket.fileno() >= 0:
            detach_fd(self.socket.fileno())


def _connect(target: Target, deadline: float) -> socket.socket:
    left_s = deadline - time.monotonic()
    found = addresses_of(target.host, target.port, left_s, target.resolve)
    for index, (family, kind, protocol, _, address) in enumerate(found):
        left_s = max(0.001, deadline - time.monotonic())
        connected = socket.socket(family, kind, protocol)
        connected.settimeout(left_s / (len(found) - index))
        try:
            _connect_to(connected, address)
        except BaseException as error:
            connected.close()
            if not isinstance(error, OSError) or index == len(found) - 1:
                raise
        else:
            return connected
    raise OSError(errno.EADDRNOTAVAIL, f"the host {target.host} has no address")


def _connect_to(connected: socket.socket, address: Any) -> None:
    connected.connect(address)
    if connected.getsockname() == connected.getpeername():
        # No server listens, and the socket was connected to itself.
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


def _tls_context(target: Target) -> ssl.SSLContext:
    import ssl

    try:
        return ssl.create_default_context(cafile=target.ca)
    except OSError as error:
        raise InsecureConnection(
            f"the certificates in {target.ca} cannot be used: {error}; correct the option ca"
        ) from error


def _wrap(plain: socket.socket, target: Target, tls: ssl.SSLContext) -> socket.socket:
    import ssl

    try:
        return tls.wrap_socket(plain, server_hostname=target.host)
    except ssl.SSLError as error:
        raise InsecureConnection(
            f"cannot establish a trusted TLS connection to {target}: {error}; check the "
            "certificate of the server, the option ca, and that both sides have "
            "security_layer=TLS"
        ) from error
