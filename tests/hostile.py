"""Provide a client of the relay that sends any bytes, and a few valid events."""

from __future__ import annotations

import logging
import socket
import ssl
import time
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import msgpack

from track.events.codec import Encoder, stream_id
from track.events.types import Event, ProjectCreated
from track.events.values import EXT_TUPLE
from track.relay.header_codec import revive
from track.relay.messages import (
    LENGTH,
    MAX_ANSWER,
    Channel,
    Message,
    Verb,
    body_length,
    from_frame,
    to_frame,
)
from track.utils.handshake import HELLO, agree, begin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from tests.relays import Running

PATIENCE_S = 30

_producers = count(1)


class Hostile:
    """Holds a raw connection to a server.

    Parameters
    ----------
    port
        the port of the server on this machine
    layer
        the security layer of the hello
    """

    def __init__(self, port: int, layer: str | None = None) -> None:
        self.layer = layer
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        if layer == "TLS":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
        self.channel: Channel
        self.transcript = b""

    def hello(self) -> Hostile:
        """Shake hands like a normal client."""
        opening = begin(self.layer)
        self.socket.sendall(opening.hello)
        agreed = agree(opening, self.read(HELLO.size), is_server=False)
        self.channel, self.transcript = agreed.channel, agreed.transcript
        return self

    def log_in(self) -> Hostile:
        """Shake hands with a server without users, and log in."""
        self.hello()
        assert self.receive().header == ["anyone"]
        self.send(Verb.LOGIN, ["", None])
        assert self.receive().verb == Verb.VERIFIED
        return self

    def send(self, verb: Verb, header: list[Any], attachment: bytes = b"") -> None:
        """Send a message."""
        self.socket.sendall(to_frame(Message(verb, header, attachment), self.channel))

    def send_content(self, content: bytes) -> None:
        """Send any content in a valid frame."""
        sealed = self.channel.seal(content)
        self.socket.sendall(LENGTH.pack(len(sealed)) + sealed)

    def receive(self) -> Message:
        """Return the next message."""
        return from_frame(self.read(body_length(self.read(LENGTH.size), MAX_ANSWER)), self.channel)

    def ask(self, verb: Verb, header: list[Any], attachment: bytes = b"") -> Message:
        """Send a request and return its answer."""
        self.send(verb, header, attachment)
        return self.receive()

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def is_turned_away(self) -> bool:
        """Wait until the server disconnects, and return whether it did so without a message."""
        said = b""
        with suppress(ConnectionError):
            while piece := self.socket.recv(2**16):
                said += piece
        return not said

    def close(self) -> None:
        """Disconnect."""
        self.socket.close()


@contextmanager
def hostile(port: int, layer: str | None = None) -> Iterator[Hostile]:
    """Give a raw connection for the duration of a block."""
    connection = Hostile(port, layer)
    try:
        yield connection
    finally:
        connection.close()


def nested_tuples(size: int) -> bytes:
    """Return a header of about a size: an array of nested tuples."""
    packed = b"\x90"
    while len(packed) < size - 10:
        packed = b"\x91" + msgpack.packb(msgpack.ExtType(EXT_TUPLE, packed))
    return packed


def content_of(
    verb: int, header: bytes, attachment: bytes = b"", length: int | None = None
) -> bytes:
    """Return the content of a frame with any bytes as the header."""
    size = len(header) if length is None else length
    return bytes([verb]) + LENGTH.pack(size) + header + attachment


def payload_of(event: Event, uid: str = "trial", *, producer: int = 0, sequence: int = 1) -> bytes:
    """Return an event as a client would send it, by default from a new producer."""
    kind = "project" if isinstance(event, ProjectCreated) else "trial"
    who = producer or next(_producers)
    return Encoder().encode(type(event), [*event], stream_id(kind, uid), who, sequence, 1)


def assert_serving(running: Running) -> None:
    """Check that a normal client is still served."""
    with hostile(running.port, running.server.layer) as client:
        client.log_in()
        assert client.ask(Verb.CALL, ["sync"]).verb == Verb.DONE


def errors_in(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return the logged errors."""
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


def beyond_news(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return the logged warnings and errors."""
    return [record for record in caplog.records if record.levelno > logging.INFO]


def turned_away(client: Hostile) -> bool:
    """Wait until the server disconnects a client, ignoring its messages."""
    return client.is_turned_away() or True


def failure(answer: Message) -> Exception:
    """Return the error in an answer."""
    assert answer.verb == Verb.FAILED
    return revive(answer.header)


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
