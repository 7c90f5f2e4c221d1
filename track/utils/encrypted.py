"""Sockets that nobody on the way can listen to, or alter what passes.

What travels is a hello in each direction (magic, version, public key), then records: a length of 4
bytes, big-endian, and sealed bytes. A record of nothing is the end. :mod:`track.utils.sealing` has
the cryptography, for whoever has no use for a socket, and says what it is good for.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import select
import socket
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from track.errors import InsecureConnection
from track.utils.files import detach_fd
from track.utils.forking import renew_in_children
from track.utils.sealing import (
    FORKED,
    MAX_RECORD,
    OVERHEAD,
    EncryptedChannel,
    Handshake,
    KeyExchange,
    missing,
    open_record,
    seal_record,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

logger = logging.getLogger(__name__)

__all__ = ["MAX_RECORD", "OVERHEAD", "EncryptedChannel", "EncryptedSocket", "KeyExchange"]

_TORN = (
    "an earlier send ended in the middle of its data, so nothing can be sent here any more: "
    "connect again"
)
_SHUT = "the sending side of this connection was shut down"


class EncryptedSocket(socket.socket):
    """A stream socket with an encrypted layer; both ends must be one.

    It is used like any other socket; :meth:`connect` and :meth:`accept` shake hands. Then nobody on
    the way can read what passes, or alter it unnoticed. That does not say who is at the other end:
    somebody who was in between already when both shook hands can read and alter everything. One
    thread may receive while another one sends.

    Notes
    -----
    * Whoever closes, or shuts down sending, says so: if the connection ends otherwise, the other
      end gets an InsecureConnection instead of ``b""``. Without ``close``, it ends otherwise.
    * A receive that times out has lost nothing; a send that times out when part of what it sends is
      on the way leaves a connection on which nothing can be sent any more.
    * A non-blocking send that raises BlockingIOError must be tried again with the same data, and
      possibly more behind it. What it takes, it returns only when all of it is with the kernel.
    * A non-blocking connect, or accept, leaves the handshake to the first sends and receives.
    * What is read from or written to the descriptor itself (``fileno``, ``detach``) is not
      decrypted or encrypted.
    * A connection cannot be used in a forked process: it stays with the one that made it.
    * A client that is slow to shake hands keeps others waiting for ``handshake_timeout_s``, unless
      several threads accept.
    """

    handshake_timeout_s = 10.0
    """How long the other end may take to shake hands; and to make room for the end, in close."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._handshake: Handshake | None = None
        """The one that is under way."""
        self._channel: EncryptedChannel | None = None
        self._refusal = ""
        """Why this connection is not to be trusted any more."""
        self._unsendable = ""
        """Why nothing can be sent any more."""
        self._unsent: tuple[bytes, memoryview] | None = None
        """What a non-blocking send took, and what is left of the record with it."""
        self._partial = bytearray()
        """The record that is being received, as far as it has come."""
        self._plain = bytearray()
        """What was decrypted, and not read yet."""
        self._ended = False
        """Whether the other end said that it sends nothing any more."""
        self._deaf = False
        """Whether this end shut down receiving."""
        self._make_locks()

    def _make_locks(self) -> None:
        self._shaking, self._sending, self._receiving = (threading.Lock() for _ in range(3))

    def renew_after_fork(self) -> None:
        # The descriptor must not keep the connection open when the parent is gone.
        if self.fileno() >= 0:
            detach_fd(self.fileno())
        self._handshake = self._channel = None
        self._refusal = FORKED
        self._make_locks()

    # The beginning

    def connect(self, address: Any) -> None:
        """Connect to an encrypted socket.

        Raises
        ------
        InsecureConnection
            the other end is something else; this socket is closed then
        TimeoutError
            it does not answer in time
        """
        if self.type != socket.SOCK_STREAM:
            raise _unsupported("a socket that is no stream", "make it with SOCK_STREAM")
        deadline = self._deadline()
        try:
            super().connect(address)
        except BlockingIOError:
            self._begin(is_server=False)
            raise
        self._begin(is_server=False)
        try:
            with suppress(BlockingIOError):
                self._shake_hands(deadline)
        except BaseException:
            self.close()
            raise

    def connect_ex(self, address: Any) -> int:
        """Connect, and return the number of the error, or 0."""
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

        Who does not shake hands in time is disconnected, and the next client waited for. The
        timeout of this socket says how long to wait for somebody to come.

        Returns
        -------
        (socket, addr) of the client
        """
        deadline = self._deadline() if self.gettimeout() else None
        while True:
            self._wait(select.POLLIN, deadline)
            plain, address = super().accept()
            client = type(self)(plain.family, plain.type, plain.proto, fileno=plain.detach())
            client.handshake_timeout_s = self.handshake_timeout_s
            try:
                client._serve(wait=self.gettimeout() != 0)  # noqa: SLF001 - it is one of these
            except OSError as error:
                client.close()
                logger.info("the client at %s did not shake hands: %s", address, error)
            except BaseException:
                client.close()
                raise
            else:
                return client, address

    def _serve(self, *, wait: bool) -> None:
        """Be the server's end of a connection that was just made."""
        self._begin(is_server=True)
        if wait and self.gettimeout() != 0:
            self._shake_hands(None)

    def _begin(self, *, is_server: bool) -> None:
        if self._handshake is None and self._channel is None:
            self._handshake = Handshake(is_server=is_server)
            renew_in_children(self)

    def _shake_hands(self, deadline: float | None) -> None:
        """Do what is left of the handshake."""
        with self._shaking:
            handshake = self._handshake
            if handshake is None:
                return  # another thread did
            latest = time.monotonic() + self.handshake_timeout_s
            deadline = latest if deadline is None else min(deadline, latest)
            try:
                while handshake.unsent:
                    self._wait(select.POLLOUT, deadline)
                    handshake.unsent = handshake.unsent[super().send(handshake.unsent) :]
                while handshake.missing:
                    self._wait(select.POLLIN, deadline)
                    handshake.hear(super().recv(handshake.missing))
                self._channel = handshake.finish()
            except InsecureConnection as error:
                self._refusal = str(error)
                raise
            except TimeoutError as error:
                raise TimeoutError(
                    "the other end does not shake hands in time: it may be no encrypted one"
                ) from error
            self._handshake = None

    def _encrypted(self, deadline: float | None) -> EncryptedChannel:
        """Return the channel, after the handshake."""
        if self._refusal:
            raise InsecureConnection(self._refusal)
        if self.fileno() < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if self._handshake is not None:
            self._shake_hands(deadline)
        if self._channel is None:
            raise OSError(errno.ENOTCONN, "not connected: use connect, or what accept returns")
        return self._channel

    # Waiting

    def _deadline(self) -> float | None:
        """Return until when a call may take; None if it may take forever."""
        timeout = self.gettimeout()
        return None if timeout is None else time.monotonic() + timeout

    def _wait(self, event: int, deadline: float | None) -> None:
        """Wait until something can be received, or sent. The timeout is shared by all threads."""
        if deadline is None or self.fileno() < 0:
            return  # the call that comes next waits by itself, or says what is wrong
        poll = select.poll()
        poll.register(self, event)
        if poll.poll(math.ceil(1000 * max(0.0, deadline - time.monotonic()))):
            return
        if self.gettimeout() == 0:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        raise TimeoutError("timed out")

    # Receiving

    def recv(self, buffersize: int, flags: int = 0, context: Any = None) -> bytes:
        """Receive up to buffersize bytes from the socket.

        When no data is available, block until at least one byte is available or until the remote
        end is closed. When the remote end is closed and all data is read, return the empty string.

        Parameters
        ----------
        buffersize
            how many bytes, at most
        flags
            nothing, or MSG_PEEK
        context
            ignored, the older tracker had it

        Raises
        ------
        InsecureConnection
            what arrived was altered, or the connection ended without the other end saying so
        """
        if buffersize < 0:
            raise ValueError("negative buffersize in recv")
        _check_flags(flags, socket.MSG_PEEK)
        if buffersize == 0:
            return b""
        with self._receiving:
            self._fill()
            data = bytes(self._plain[:buffersize])
            if not flags & socket.MSG_PEEK:
                del self._plain[:buffersize]
            return data

    def readsize(self) -> int:
        """Return how many bytes are decrypted already: ``select`` does not know of them."""
        return len(self._plain)

    def _fill(self) -> None:
        """Have something decrypted, unless the other end has ended."""
        deadline = self._deadline()
        channel = self._encrypted(deadline)
        if self._plain or self._ended:
            return
        try:
            while (size := missing(self._partial)) > 0:
                self._wait(select.POLLIN, deadline)
                data = super().recv(size)
                if not data:
                    self._cut_short()
                    return
                self._partial += data
            self._plain += open_record(channel, self._partial)
            self._partial.clear()
        except InsecureConnection as error:
            self._refusal = str(error)
            raise
        self._ended = not self._plain

    def _cut_short(self) -> None:
        """Take note of an end that the other end did not announce."""
        if not self._deaf:
            raise InsecureConnection(
                "the connection was cut short: it ended, and the other end did not say so"
            )
        self._ended = True

    def recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into a buffer; return how many bytes."""
        view = _writable(buffer)
        if nbytes < 0:
            raise ValueError("negative buffersize in recv_into")
        if nbytes > len(view):
            raise ValueError("buffer too small for requested bytes")
        data = self.recv(nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data)

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        """Receive; the address is None, as of any stream."""
        return self.recv(bufsize, flags), None

    def recvfrom_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """Receive into a buffer; the address is None, as of any stream."""
        return self.recv_into(buffer, nbytes, flags), None

    def recvmsg(
        self, bufsize: int, ancbufsize: int = 0, flags: int = 0
    ) -> tuple[bytes, list[Any], int, Any]:
        """Receive; there is no ancillary data."""
        return self.recv(bufsize, flags), [], 0, None

    def recvmsg_into(
        self, buffers: Iterable[Buffer], ancbufsize: int = 0, flags: int = 0
    ) -> tuple[int, list[Any], int, Any]:
        """Receive into buffers, one after the other; there is no ancillary data."""
        views = [_writable(buffer) for buffer in buffers]
        data = memoryview(self.recv(sum(map(len, views)), flags))
        size = len(data)
        for view in views:
            view[: len(data)] = data[: len(view)]
            data = data[len(view) :]
        return size, [], 0, None

    # Sending

    def send(self, data: Buffer, flags: int = 0) -> int:
        """Send some of the data, and return how many bytes.

        Raises
        ------
        BlockingIOError
            there is no room: try again with the same data
        BrokenPipeError
            an earlier send timed out or was interrupted on its way
        """
        _check_flags(flags, 0)
        view = memoryview(data).cast("B")
        deadline = self._deadline()
        channel = self._encrypted(deadline)
        with self._sending:
            return self._send_record(channel, view, deadline) if view else 0

    def sendall(self, data: Buffer, flags: int = 0) -> None:
        """Send all of the data; if only part of it can be sent, nothing else can be any more."""
        _check_flags(flags, 0)
        view = memoryview(data).cast("B")
        deadline = self._deadline()
        channel = self._encrypted(deadline)
        with self._sending:
            rest = view
            try:
                while rest:
                    rest = rest[self._send_record(channel, rest, deadline) :]
            except BaseException:
                if len(rest) < len(view):
                    self._unsendable = _TORN
                raise

    def _send_record(
        self, channel: EncryptedChannel, data: memoryview, deadline: float | None
    ) -> int:
        """Send the beginning of the data as a record; nothing is the end."""
        if self._unsendable:
            raise BrokenPipeError(errno.EPIPE, self._unsendable)
        if self._unsent is not None:
            taken, rest = self._unsent
            if data[: len(taken)] != taken or bool(data) != bool(taken):
                raise OSError(
                    errno.EINVAL,
                    "the last send raised BlockingIOError, and part of its data is on the way: "
                    "finish it first, with the same data",
                )
        self._wait(select.POLLOUT, deadline)  # if there is no room at all, nothing has changed
        # Whatever ends this early, the other end is left in the middle of a record.
        self._unsendable = _TORN
        if self._unsent is None:
            taken = bytes(data[: MAX_RECORD - OVERHEAD])
            rest = memoryview(seal_record(channel, taken))
        try:
            while rest:
                self._wait(select.POLLOUT, deadline)
                rest = rest[super().send(rest) :]
        except BlockingIOError:
            self._unsent, self._unsendable = (taken, rest), ""
            raise
        self._unsent, self._unsendable = None, ""
        return len(taken)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a file until its end; return how many bytes."""
        sent: int = self._sendfile_use_send(file, offset, count)  # type: ignore[attr-defined]
        return sent

    def sendmsg(
        self,
        buffers: Iterable[Buffer],
        ancdata: Iterable[Any] = (),
        flags: int = 0,
        address: Any = None,
    ) -> int:
        """Send some of what is in the buffers, without ancillary data or an address."""
        if list(ancdata) or address is not None:
            raise _unsupported("sendmsg with ancillary data or an address", "send bytes alone")
        return self.send(b"".join(memoryview(buffer).cast("B") for buffer in buffers), flags)

    def sendto(self, *args: Any) -> NoReturn:
        """Refuse: a stream has one address."""
        raise _unsupported("sendto", "use connect and send")

    def sendmsg_afalg(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: this is no socket of the kernel's cryptography."""
        raise _unsupported("sendmsg_afalg", "use a plain socket")

    # The end

    def dup(self) -> EncryptedSocket:
        """Duplicate the socket, unless it is connected: both would seal with the same numbers."""
        if self._handshake is not None or self._channel is not None or self._refusal:
            raise _unsupported("dup of a connection", "use this object in both places")
        return super().dup()

    def shutdown(self, how: int) -> None:
        """Shut down receiving, sending, or both; the other end is told that nothing more comes."""
        if how != socket.SHUT_RD:
            self._send_end()
        if how != socket.SHUT_WR:
            self._deaf = True  # before a thread that receives is woken up
        super().shutdown(how)

    def _send_end(self) -> None:
        """Say that nothing more comes, if nobody did, and nobody is in the middle of sending."""
        if self._channel is None or self._unsendable:
            return
        latest = time.monotonic() + self.handshake_timeout_s
        deadline = self._deadline()
        if not self._sending.acquire(blocking=False):
            return
        try:
            deadline = latest if deadline is None else min(deadline, latest)
            self._send_record(self._channel, memoryview(b""), deadline)
            self._unsendable = _SHUT
        finally:
            self._sending.release()

    def _real_close(self) -> None:
        # What close does, once the last file of makefile is closed, too.
        try:
            with suppress(OSError):  # it is closed, whether the other end hears of it or not
                self._send_end()
        finally:
            self._channel = self._handshake = None
            super()._real_close()  # type: ignore[misc]

    def detach(self) -> int:
        """Return the descriptor, and leave it open; nothing there is encrypted by this object."""
        self._channel = self._handshake = None
        return super().detach()


def _writable(buffer: Buffer) -> memoryview:
    # Checked before anything is received, which could not be received again.
    view = memoryview(buffer).cast("B")
    if view.readonly:
        raise TypeError("a buffer to receive into must be writable")
    return view


def _check_flags(flags: int, allowed: int) -> None:
    if flags & ~allowed:
        raise _unsupported(f"the flags {flags:#x}", "send and receive without them")


def _unsupported(what: str, remedy: str) -> OSError:
    return OSError(errno.EOPNOTSUPP, f"{what} cannot be encrypted: {remedy}")
