"""Begin a connection, without a socket: exchange hellos and agree on a channel.

The connections of a relay and encrypted sockets begin in this way.

A hello has a fixed size: magic, version, security layer, and 32 bytes that are new each time (with
AES, an X25519 public key). The digest of both hellos, the transcript, is part of everything that
follows, so data of one connection is invalid in any other.
"""

from __future__ import annotations

import hashlib
import os
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple, Protocol
from zlib import crc32

from track.errors import BackendError, InsecureConnection

if TYPE_CHECKING:
    from track.utils.sealing import KeyExchange

MAGIC = b"TRKR"
VERSION = 1
HELLO = Struct(">4sBB32s")

_CRC = Struct(">I")
_COUNTER = Struct(">Q")

LAYERS: dict[str | None, int] = {None: 0, "AES": 1, "TLS": 2}


class Channel(Protocol):
    """One end of a connection. The peer opens what this end seals, in the same order."""

    def seal(self, data: bytes) -> bytes:
        """Return data in the form in which it is sent."""
        ...

    def open(self, data: bytes) -> bytes:
        """Return the data that the peer sealed.

        Raises
        ------
        InsecureConnection
            the data is not what the peer sealed next
        """
        ...


class CheckedChannel:
    """A channel without secrets, which detects accidents but not attacks."""

    def __init__(self) -> None:
        self._sealed = 0
        self._opened = 0

    def seal(self, data: bytes) -> bytes:
        self._sealed += 1
        return _checksum(data, self._sealed) + data

    def open(self, data: bytes) -> bytes:
        self._opened += 1
        content = data[_CRC.size :]
        if data[: _CRC.size] != _checksum(content, self._opened):
            raise InsecureConnection("received data was altered, lost or repeated on the way")
        return content


def _checksum(data: bytes, counter: int) -> bytes:
    return _CRC.pack(crc32(data, crc32(_COUNTER.pack(counter))))


class Opening(NamedTuple):
    """The state of one end at the beginning of a connection."""

    hello: bytes
    """The hello to send."""
    layer: str | None
    exchange: KeyExchange | None


class Agreed(NamedTuple):
    """The result of a handshake, equal at both ends."""

    channel: Channel
    transcript: bytes


def check_layer(text: str | None) -> str | None:
    """Return the security layer of a user's text.

    Raises
    ------
    BackendError
        the layer is unknown, or a package that it needs is missing
    """
    layer = text.upper() if text and text.lower() not in ("none", "null") else None
    if layer not in LAYERS:
        raise BackendError(f"security_layer={text!r} is not known: use AES, TLS or none")
    if layer == "AES":
        _load_key_exchange()
    return layer


def _load_key_exchange() -> type[KeyExchange]:
    try:
        from track.utils.sealing import KeyExchange
    except ImportError as error:
        raise BackendError(
            "security_layer=AES needs the package cryptography: pip install 'track-journal[secure]'"
        ) from error
    return KeyExchange


def begin(layer: str | None) -> Opening:
    """Return the opening of one end with a new hello."""
    exchange = None
    unique = os.urandom(32)
    if layer == "AES":
        exchange = _load_key_exchange()()
        unique = exchange.public
    return Opening(HELLO.pack(MAGIC, VERSION, LAYERS[layer], unique), layer, exchange)


def agree(mine: Opening, theirs: bytes, *, is_server: bool) -> Agreed:
    """Return the result of a handshake, given the hello of the peer.

    Raises
    ------
    InsecureConnection
        the peer is something else, or uses another version or security layer
    """
    magic, version, layer, unique = HELLO.unpack(theirs)
    peer = "client" if is_server else "server"
    if magic != MAGIC:
        raise InsecureConnection(f"the {peer} does not speak Track's protocol")
    if version != VERSION:
        raise InsecureConnection(
            f"the {peer} speaks version {version} of the relay protocol, but this side speaks "
            f"version {VERSION}: use the same version of track-journal on both sides"
        )
    if layer != LAYERS[mine.layer]:
        names = {number: str(name).replace("None", "none") for name, number in LAYERS.items()}
        raise InsecureConnection(
            f"the {peer} has security_layer={names.get(layer, layer)}, but this side has "
            f"{names[LAYERS[mine.layer]]}: use the same on both sides"
        )
    hellos = (theirs, mine.hello) if is_server else (mine.hello, theirs)
    transcript = hashlib.sha256(b"".join(hellos)).digest()
    if mine.exchange is None:
        return Agreed(CheckedChannel(), transcript)
    channel = mine.exchange.finish(unique, transcript, is_server=is_server)
    return Agreed(channel, transcript)
