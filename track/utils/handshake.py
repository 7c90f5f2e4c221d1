"""Begin a connection, without a socket: exchange hellos and agree on a channel.

The relay's connections begin like this, and encrypted sockets on their own.

A hello has a fixed size: magic, version, security layer, and 32 bytes that are new each time, with
AES an X25519 public key. The digest of both hellos, the transcript, goes into everything that comes
later: nothing of one connection means anything in another one.
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
    """One end of a connection: what it seals, the other end opens, in the same order."""

    def seal(self, data: bytes) -> bytes:
        """Return data as it travels."""
        ...

    def open(self, data: bytes) -> bytes:
        """Return what was sealed.

        Raises
        ------
        InsecureConnection
            that is not what the other end sealed next
        """
        ...


class CheckedChannel:
    """A channel without secrets: it notices accidents, and nobody who means harm."""

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
    """What one end brings to the beginning of a connection."""

    hello: bytes
    """What it says first."""
    layer: str | None
    exchange: KeyExchange | None


class Agreed(NamedTuple):
    """What both ends have after it."""

    channel: Channel
    transcript: bytes


def check_layer(text: str | None) -> str | None:
    """Return a security layer, from what a user may write.

    Raises
    ------
    BackendError
        there is no such layer, or a package that it needs is missing
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
    """Return what one end says first."""
    exchange = None
    unique = os.urandom(32)
    if layer == "AES":
        exchange = _load_key_exchange()()
        unique = exchange.public
    return Opening(HELLO.pack(MAGIC, VERSION, LAYERS[layer], unique), layer, exchange)


def agree(mine: Opening, theirs: bytes, *, is_server: bool) -> Agreed:
    """Return what both ends have, once each has the other's hello.

    Raises
    ------
    InsecureConnection
        the other end is something else, or wants another security layer
    """
    magic, version, layer, unique = HELLO.unpack(theirs)
    peer = "client" if is_server else "server"
    if magic != MAGIC:
        raise InsecureConnection(f"the {peer} does not speak Track's protocol")
    if version != VERSION:
        raise InsecureConnection(
            f"the {peer} speaks version {version} of the relay protocol, this is version "
            f"{VERSION}: use the same version of track-journal on both sides"
        )
    if layer != LAYERS[mine.layer]:
        names = {number: str(name).replace("None", "none") for name, number in LAYERS.items()}
        raise InsecureConnection(
            f"the {peer} has security_layer={names.get(layer, layer)}, and this side "
            f"{names[LAYERS[mine.layer]]}: use the same on both sides"
        )
    hellos = (theirs, mine.hello) if is_server else (mine.hello, theirs)
    transcript = hashlib.sha256(b"".join(hellos)).digest()
    if mine.exchange is None:
        return Agreed(CheckedChannel(), transcript)
    channel = mine.exchange.finish(unique, transcript, is_server=is_server)
    return Agreed(channel, transcript)
