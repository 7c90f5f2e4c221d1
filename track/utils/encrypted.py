"""Provide sockets whose traffic cannot be read or altered on the way.

They shake hands like connections of a relay with AES (:mod:`track.utils.handshake`). Then records
follow: a length of 4 bytes, big-endian, and that many sealed bytes. An empty record marks the end.
:mod:`track.utils.sealing` has the cryptography without a socket, and documents its guarantees.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from struct import Struct
from typing import TYPE_CHECKING, Any, NoReturn

from track.errors import InsecureConnection
from track.utils.files import detach_fd
from track.utils.forking import ForkSafeLock, renew_in_children
from track.utils.handshake import HELLO, Channel, agree, begin
from track.utils.sealing import ALTERED, FORKED, OVERHEAD, EncryptedChannel, KeyExchange

if TYPE_CHECKING:
    from typing_extensions import Buffer

logger = logging.getLogger(__name__)

__all__ = ["MAX_RECORD", "OVERHEAD", "EncryptedChannel", "EncryptedSocket", "KeyExchange"]

MAX_RECORD = 2**16
"""The maximum size of a sealed record in bytes."""

_LENGTH = Struct(">I")
_TORN = (
    "an earlier send ended in the middle of its data, so nothing else can be sent here: connect "
    "again"
)


class EncryptedSocket(socket.socket):
    """A stream socket with an encrypted layer; both ends must be one.

    Use it like any other socket; :meth:`connect` and :meth:`accept` shake hands. After that, data
    cannot be read on the way, or altered unnoticed. The encryption does not prove who the peer is:
    an attacker who was in between during the handshake can read and alter everything. One thread
    may receive while another one sends.

    Notes
    -----
    * Closing, or shutting down sending, tells the peer. If the connection ends without that, the
      peer gets an InsecureConnection instead of ``b""``. So call ``close``.
    * A receive that times out or would block loses nothing. A send that does must be repeated with
      the same data, and possibly more after it; after a ``sendall`` that sent part of its data,
      nothing more can be sent.
    * A non-blocking socket cannot connect: make it non-blocking afterwards. A listening socket may
      be non-blocking, but ``accept`` waits for the handshake of a connected client.
    * The timeout limits each single wait for the peer.
    * Reads and writes of the descriptor itself (``fileno``, ``detach``) bypass the encryption.
    * A connection cannot be used in a forked process: it belongs to the process that made it.
    * A client that is slow to shake hands blocks others for up to ``handshake_timeout_s``, unless
      several threads accept.
    """

    handshake_timeout_s = 10.0
    """The time the peer may take to shake hands, and to accept the end mark in ``close``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._channel: Channel | None = None
        self._refusal = ""
        """The reason why this connection is no longer trusted."""
        self._unsendable = ""
        """The reason why nothing more can be sent."""
        self._taken, self._unsent = b"", memoryview(b"")
        """The data of the record being sent, and the rest of that record."""
        self._partial = bytearray()
        """The part of the current record that has been received."""
        self._plain = bytearray()
        """Decrypted bytes that were not read yet."""
        self._ended = False
        """Whether the peer announced that it has finished sending."""
        self._deaf = False
        """Whether this end shut down receiving."""
        self._sending, self._receiving = ForkSafeLock(), ForkSafeLock()

    def renew_after_fork(self) -> None:
        # The child's descriptor must not keep the connection open when the parent is gone.
        if self.fileno() >= 0:
            detach_fd(self.fileno())
        self._channel, self._refusal = None, FORKED

    # Connecting

    def connect(self, address: Any) -> None:
        """Connect to an encrypted socket.

        Raises
        ------
        InsecureConnection
            the peer is not an encrypted socket; this socket is closed then
        TimeoutError
            the peer does not answer in time
        OSError
            this socket is non-blocking, or not a stream
        """
        if self.type != socket.SOCK_STREAM:
            raise _unsupported("a socket that is not a stream", "make it with SOCK_STREAM")
        if self.gettimeout() == 0:
            raise _unsupported("a non-blocking connect", "call setblocking(False) after it")
        super().connect(address)
        self._shake_hands(is_server=False)

    def connect_ex(self, address: Any) -> int:
        """Connect, and return the error number, or 0."""
        try:
            self.connect(address)
        except socket.gaierror:
            raise
        except InsecureConnection:
            return errno.EPROTO
        except OSError as error:
            return error.errno or errno.EAGAIN
        return 0

    def accept(self) -> tuple[EncryptedSocket, Any]:
        """Accept an incoming connection & initialize the encryption layer for that client.

        A client that does not shake hands in time is disconnected, and the next one is accepted.
        The timeout of this socket limits the wait for a client.

        Returns
        -------
        (socket, addr) of the client
        """
        while True:
            plain, address = super().accept()
            client = type(self)(plain.family, plain.type, plain.proto, fileno=plain.detach())
            client.handshake_timeout_s = self.handshake_timeout_s
            try:
                client._shake_hands(is_server=True)  # noqa: SLF001 - an instance of this class
            except OSError as error:
                logger.info("the client at %s did not shake hands: %s", address, error)
            else:
                return client, address

    def _shake_hands(self, *, is_server: bool) -> None:
        """Shake hands with the peer, or close this socket."""
        renew_in_children(self)
        within_s = min(self.handshake_timeout_s, self.gettimeout() or self.handshake_timeout_s)
        deadline = time.monotonic() + within_s
        mine = begin("AES")
        try:
            super().sendall(mine.hello)
            self._channel = agree(mine, self._receive_hello(deadline), is_server=is_server).channel
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise TimeoutError(
                    "the peer did not shake hands in time: check that it is an encrypted socket"
                ) from error
            raise

    def _receive_hello(self, deadline: float) -> bytes:
        hello = b""
        while len(hello) < HELLO.size:
            self._wait(select.POLLIN, deadline - time.monotonic())
            piece = super().recv(HELLO.size - len(hello))
            if not piece:
                raise InsecureConnection(
                    "the peer closed the connection before it was encrypted: it may not be an "
                    "encrypted socket, or it may refuse this client"
                )
            hello += piece
        return hello

    def _wait(self, event: int, within_s: float | None) -> None:
        """Wait until data can be received or sent."""
        poll = select.poll()
        poll.register(self, event)
        if poll.poll(None if within_s is None else 1000 * max(0.0, within_s)):
            return
        if self.gettimeout() == 0:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        raise TimeoutError("timed out")

    def _encrypted(self) -> Channel:
        """Return the channel to the peer."""
        if self._refusal:
            raise InsecureConnection(self._refusal)
        if self.fileno() < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if self._channel is None:
            raise OSError(errno.ENOTCONN, "not connected: use connect, or the result of accept")
        return self._channel

    # Receiving

    def recv(self, buffersize: int, flags: int = 0, context: Any = None) -> bytes:
        """Receive up to buffersize bytes from the socket.

        Block until at least one byte is available. Return ``b""`` once the peer has finished
        sending and all data is read.

        Parameters
        ----------
        buffersize
            the maximum number of bytes
        flags
            0 or MSG_PEEK
        context
            ignored, for compatibility with the older tracker

        Raises
        ------
        InsecureConnection
            the data was altered, or the connection ended without an end mark
        """
        if buffersize < 0:
            raise ValueError("negative buffersize in recv")
        _check_flags(flags, socket.MSG_PEEK)
        if buffersize == 0:
            return b""
        with self._receiving:
            channel = self._encrypted()
            try:
                while not self._plain and not self._ended:
                    self._receive(channel)
            except InsecureConnection as error:
                self._refusal = str(error)
                raise
            data = bytes(self._plain[:buffersize])
            if not flags & socket.MSG_PEEK:
                del self._plain[:buffersize]
            return data

    def readsize(self) -> int:
        """Return the number of bytes that are already decrypted, which ``select`` does not see."""
        return len(self._plain)

    def _receive(self, channel: Channel) -> None:
        """Receive more of a record, and decrypt it once it is complete."""
        size = _LENGTH.size
        if len(self._partial) >= size:
            (length,) = _LENGTH.unpack_from(self._partial)
            if not OVERHEAD <= length <= MAX_RECORD:
                raise InsecureConnection(ALTERED)
            size += length
        if len(self._partial) < size:
            data = super().recv(size - len(self._partial))
            if not data and not self._deaf:
                raise InsecureConnection(
                    "the connection was cut short: it ended without the end mark of the peer"
                )
            self._ended = not data
            self._partial += data
        elif size > _LENGTH.size:
            self._plain += channel.open(bytes(self._partial[_LENGTH.size :]))
            self._partial.clear()
            self._ended = not self._plain

    def recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into a buffer, and return the number of bytes."""
        view = _writable(buffer)
        if nbytes < 0:
            raise ValueError("negative buffersize in recv_into")
        if nbytes > len(view):
            raise ValueError("buffer too small for requested bytes")
        data = self.recv(nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data)

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        """Receive data; the address is None, as for any stream."""
        return self.recv(bufsize, flags), None

    def recvfrom_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """Receive into a buffer; the address is None, as for any stream."""
        return self.recv_into(buffer, nbytes, flags), None

    def recvmsg(
        self, bufsize: int, ancbufsize: int = 0, flags: int = 0
    ) -> tuple[bytes, list[Any], int, Any]:
        """Receive data, without ancillary data."""
        return self.recv(bufsize, flags), [], 0, None

    def recvmsg_into(
        self, buffers: Iterable[Buffer], ancbufsize: int = 0, flags: int = 0
    ) -> tuple[int, list[Any], int, Any]:
        """Receive into buffers in turn, without ancillary data."""
        views = [_writable(buffer) for buffer in buffers]
        data = memoryview(self.recv(sum(map(len, views)), flags))
        size = len(data)
        for view in views:
            view[: len(data)] = data[: len(view)]
            data = data[len(view) :]
        return size, [], 0, None

    # Sending

    def send(self, data: Buffer, flags: int = 0) -> int:
        """Send some of the data, and return the number of bytes sent.

        Raises
        ------
        BlockingIOError, TimeoutError
            the buffers are full: try again with the same data
        BrokenPipeError
            an earlier send ended in the middle of other data
        """
        _check_flags(flags, 0)
        view = memoryview(data).cast("B")
        with self._sending:
            return self._send_record(view, self.gettimeout()) if view else 0

    def sendall(self, data: Buffer, flags: int = 0) -> None:
        """Send all of the data; after sending only part of it, nothing more can be sent."""
        _check_flags(flags, 0)
        view = rest = memoryview(data).cast("B")
        with self._sending:
            try:
                while rest:
                    rest = rest[self._send_record(rest, self.gettimeout()) :]
            except BaseException:
                if len(rest) < len(view):
                    self._unsendable = _TORN
                raise

    def _send_record(self, data: memoryview, within_s: float | None) -> int:
        """Send the beginning of the data as a record; an empty record is the end mark."""
        channel = self._encrypted()
        if self._unsendable:
            raise BrokenPipeError(errno.EPIPE, self._unsendable)
        if not self._unsent:
            self._wait(select.POLLOUT, within_s)  # a timeout here changes nothing
            self._taken = bytes(data[: MAX_RECORD - OVERHEAD])
            sealed = channel.seal(self._taken)
            self._unsent = memoryview(_LENGTH.pack(len(sealed)) + sealed)
        elif data[: len(self._taken)] != self._taken or bool(data) != bool(self._taken):
            raise BrokenPipeError(errno.EPIPE, _TORN)
        while self._unsent:
            self._unsent = self._unsent[super().send(self._unsent) :]
        return len(self._taken)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a file until its end, and return the number of bytes."""
        sent: int = self._sendfile_use_send(file, offset, count)  # type: ignore[attr-defined]
        return sent

    def sendmsg(
        self,
        buffers: Iterable[Buffer],
        ancdata: Iterable[Any] = (),
        flags: int = 0,
        address: Any = None,
    ) -> int:
        """Send some of the data in buffers, without ancillary data or an address."""
        if list(ancdata) or address is not None:
            raise _unsupported("sendmsg with ancillary data or an address", "send only bytes")
        return self.send(b"".join(memoryview(buffer).cast("B") for buffer in buffers), flags)

    def sendto(self, *args: Any) -> NoReturn:
        """Raise an error, since a stream has only one address."""
        raise _unsupported("sendto", "use connect and send")

    def sendmsg_afalg(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise an error, since this is not a socket of the kernel's cryptography."""
        raise _unsupported("sendmsg_afalg", "use a plain socket")

    # The end

    def dup(self) -> EncryptedSocket:
        """Duplicate the socket, unless it is connected: both would seal with the same numbers."""
        if self._channel is not None or self._refusal:
            raise _unsupported("dup of a connection", "use this object in both places")
        return super().dup()

    def shutdown(self, how: int) -> None:
        """Shut down receiving, sending, or both; the end mark is sent before sending ends."""
        if how != socket.SHUT_RD:
            self._send_end()
        if how != socket.SHUT_WR:
            self._deaf = True  # before a thread that receives is woken up
        super().shutdown(how)

    def _send_end(self) -> None:
        """Send the end mark, unless it was sent or another send is incomplete."""
        if self._channel is None or self._unsendable or not self._sending.acquire(blocking=False):
            return
        try:
            timeout = self.gettimeout()
            limit_s = self.handshake_timeout_s
            self._send_record(
                memoryview(b""), limit_s if timeout is None else min(limit_s, timeout)
            )
            self._unsendable = "the sending side of this connection was shut down"
        finally:
            self._sending.release()

    def _real_close(self) -> None:
        # Called by close once all files of makefile are closed.
        try:
            with suppress(OSError):  # the socket is closed even if the peer cannot be told
                self._send_end()
        finally:
            self._channel = None
            super()._real_close()  # type: ignore[misc]

    def detach(self) -> int:
        """Return the descriptor without closing it; its traffic is no longer encrypted here."""
        self._channel = None
        return super().detach()


def _writable(buffer: Buffer) -> memoryview:
    # Check before receiving, since received data would be lost.
    view = memoryview(buffer).cast("B")
    if view.readonly:
        raise TypeError("a buffer to receive into must be writable")
    return view


def _check_flags(flags: int, allowed: int) -> None:
    if flags & ~allowed:
        raise _unsupported(f"the flags {flags:#x}", "send and receive without them")


def _unsupported(what: str, remedy: str) -> OSError:
    return OSError(errno.EOPNOTSUPP, f"{what} cannot be encrypted: {remedy}")
