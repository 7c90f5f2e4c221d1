"""Provide a TCP proxy in front of a server on 127.0.0.1 that misbehaves like a network on request.

It forwards at first. Each fault is a method; :meth:`Proxy.forward` ends it. Two of them are traps
for a certain request, which go off once and then set an event.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

_CHUNK = 2**16
Spoil = Callable[[bool, bytes], Iterable[bytes]]
"""Takes whether the bytes are of a request, and the bytes; yields the bytes to send instead."""

_RESET_AT_ONCE = struct.pack("ii", 1, 0)
"""The option with which closing a socket sends a RST, like a host that lost its state."""


class Proxy:
    """Stands between clients and a server.

    Parameters
    ----------
    server_port
        the port of the server

    Attributes
    ----------
    port
        the port of the proxy, on 127.0.0.1
    swallowed
        set when bytes were swallowed
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._lock = threading.Lock()
        self._connections: set[_Connection] = set()
        self._threads: list[threading.Thread] = []
        self.swallowed = threading.Event()
        self.mode = "forward"
        self.delay_s = 0.0
        self.trap: _Trap | None = None
        self.spoil: Spoil | None = None
        """Transforms all bytes, for a fault that has no method of its own."""
        self.port = 0
        self._listen()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.refuse()
        for thread in self._threads:
            thread.join()

    # Ways to behave

    def forward(self) -> None:
        """Forward new connections, and old ones of which no bytes were swallowed."""
        self.mode, self.delay_s, self.spoil = "forward", 0.0, None
        if self._listener is None:
            self._listen()

    def refuse(self) -> None:
        """Reset all connections, and accept none, as if the server were gone."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            listener.close()
        self.cut()

    def cut(self) -> None:
        """Reset all current connections."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.cut()

    def swallow(self) -> None:
        """Accept bytes without forwarding them, like a firewall that forgot a connection."""
        self.swallowed.clear()
        self.mode = "swallow"

    def delay(self, seconds: float) -> None:
        """Forward everything with a delay."""
        self.delay_s = seconds

    def lose_answer(self, to: bytes, after: int = 0, then: str = "cut") -> threading.Event:
        """Lose the connection after the server has executed a request and sent the answer.

        Parameters
        ----------
        to
            bytes that the request contains
        after
            the number of bytes of the answer that arrive
        then
            ``cut`` to reset the connection, ``swallow`` to drop all further bytes
        """
        self.trap = _Trap(to, after, then, of_answer=True)
        return self.trap.sprung

    def lose_request(self, having: bytes, after: int = 0, then: str = "cut") -> threading.Event:
        """Lose the connection in the middle of a request.

        Parameters
        ----------
        having
            bytes that the request contains
        after
            the number of bytes after these that the server still receives
        then
            ``cut`` to reset the connection, ``swallow`` to drop all further bytes
        """
        self.trap = _Trap(having, after, then, of_answer=False)
        return self.trap.sprung

    # Forwarding bytes

    def _listen(self) -> None:
        self._listener: socket.socket | None = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._run(self._accept, self._listener)

    def _run(self, function: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._server_port))
            except OSError:
                _reset(client)
                continue
            connection = _Connection(self, client, server)
            with self._lock:
                self._connections.add(connection)
            if self._listener is None:
                connection.cut()  # it came while others were being cut
            self._run(connection.pump_requests)
            self._run(connection.pump_answers)

    def is_last(self, connection: _Connection) -> bool:
        """Note that a pump ended, and return whether it was the last one of its connection."""
        with self._lock:
            if not connection.end_pump():
                return False
            self._connections.discard(connection)
            return True


class _Trap:
    """Waits for a request, to lose it or its answer."""

    def __init__(self, words: bytes, after: int, then: str, *, of_answer: bool) -> None:
        self.words = words
        self.after = after
        self.then = then
        self.of_answer = of_answer
        self.caught: _Connection | None = None
        self.sprung = threading.Event()

    def let_through(self, connection: _Connection, tail: bytes, data: bytes) -> int | None:
        """Return the number of bytes of a request that still pass, None for all."""
        if self.caught is not None:
            return None
        found = (tail + data).find(self.words)
        if found < 0:
            return None
        self.caught = connection
        return None if self.of_answer else max(0, found - len(tail) + self.after)


class _Connection:
    """Holds the connection of a client, and the matching one to the server."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._swallowing = False
        """Whether bytes were swallowed; this stays so, since they are missing for ever."""
        self._pumping = 2
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def pump_requests(self) -> None:
        tail = b""
        while data := self._receive(self._client):
            trap = self._proxy.trap
            through = trap.let_through(self, tail, data) if trap is not None else None
            if trap is not None and through is not None:
                self._send(self._server, data[:through])
                self._spring(trap)
                continue
            longest = len(trap.words) - 1 if trap is not None else 0
            tail = (tail + data)[-longest:] if longest else b""
            self._send(self._server, data)
        self._end(self._server)

    def pump_answers(self) -> None:
        arrived = 0
        while data := self._receive(self._server):
            trap = self._proxy.trap
            if trap is not None and trap.of_answer and trap.caught is self:
                self._send(self._client, data[: max(0, trap.after - arrived)])
                arrived += len(data)
                if arrived > trap.after:
                    self._spring(trap)
                continue
            self._send(self._client, data)
        self._end(self._client)

    def _spring(self, trap: _Trap) -> None:
        if self._proxy.trap is trap:
            self._proxy.trap = None
        if trap.then == "cut":
            self.cut()
        else:
            self._swallowing = True
        trap.sprung.set()

    def _receive(self, sender: socket.socket) -> bytes:
        """Return the next bytes to forward, none at the end."""
        try:
            while data := sender.recv(_CHUNK):
                if self._proxy.delay_s:
                    time.sleep(self._proxy.delay_s)
                if self._proxy.mode == "swallow":
                    self._swallowing = True
                if not self._swallowing:
                    return data
                self._proxy.swallowed.set()
        except OSError:
            pass  # it was cut by the other thread or by the other end
        return b""

    def _send(self, receiver: socket.socket, data: bytes) -> None:
        spoil = self._proxy.spoil
        pieces = [data] if spoil is None else spoil(receiver is self._server, data)
        with suppress(OSError):
            for piece in pieces:
                receiver.sendall(piece)

    def _end(self, receiver: socket.socket) -> None:
        # A swallowed connection does not show that the other end is gone.
        if not self._swallowing:
            with suppress(OSError):
                receiver.shutdown(socket.SHUT_WR)
        if self._proxy.is_last(self):
            self._client.close()
            self._server.close()

    def end_pump(self) -> bool:
        """Count an ended pump, and return whether it was the last one."""
        self._pumping -= 1
        return self._pumping == 0

    def cut(self) -> None:
        """Reset both ends."""
        for end in (self._client, self._server):
            _reset(end)


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_ONCE)
        end.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it
    end.close()
