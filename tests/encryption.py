"""Open encrypted connections on 127.0.0.1."""

import select
import socket
import threading
from contextlib import contextmanager, suppress

import pytest

from tests.programs import run_python
from track.errors import InsecureConnection
from track.utils.encrypted import EncryptedSocket
from track.utils.handshake import HELLO, agree, begin


def to_record(channel, data):
    """Return a record of an encrypted socket."""
    sealed = channel.seal(data)
    return len(sealed).to_bytes(4, "big") + sealed


@contextmanager
def listening(make=EncryptedSocket, family=socket.AF_INET):
    """Give a listening socket; a Unix socket is in the current folder."""
    with make(family) as listener:
        listener.bind(("127.0.0.1", 0) if family == socket.AF_INET else "socket")
        listener.listen()
        yield listener


@contextmanager
def pair(family=socket.AF_INET):
    """Give both ends of an encrypted connection: the client's and the server's."""
    accepted = []
    with listening(family=family) as listener, EncryptedSocket(family) as client:
        thread = threading.Thread(target=lambda: accepted.append(listener.accept()[0]))
        thread.start()
        client.connect(listener.getsockname())
        thread.join()
        with accepted[0] as server:
            yield client, server


@contextmanager
def half():
    """Give an encrypted client, a plain socket at the other end, and a channel to seal messages."""

    def answer():
        server, _ = listener.accept()
        mine = begin("AES")
        server.sendall(mine.hello)
        theirs = server.recv(HELLO.size, socket.MSG_WAITALL)
        accepted.append((server, agree(mine, theirs, is_server=True).channel))

    accepted = []
    with listening(socket.socket) as listener, EncryptedSocket() as client:
        thread = threading.Thread(target=answer)
        thread.start()
        client.connect(listener.getsockname())
        thread.join()
        server, channel = accepted[0]
        with server:
            yield client, server, channel


def read_all(end, size=2**20):
    """Read until the end."""
    data = bytearray()
    while piece := end.recv(size):
        data += piece
    return bytes(data)


def read_until_insecure(end):
    """Read until the socket refuses, check that it keeps refusing, and return what came before."""
    data = b""
    with suppress(InsecureConnection):
        while piece := end.recv(2**20):
            data += piece
        pytest.fail("the forged end was not noticed")
    with pytest.raises(InsecureConnection):
        end.recv(1)
    return data


def small_buffer(end):
    """Make the kernel accept less than a record at once."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**13)


def ready(end, event):
    """Wait until a socket is ready."""
    poll = select.poll()
    poll.register(end, event)
    assert poll.poll(10_000)


def insist(event, end, call, *arguments):
    """Repeat a call whenever the socket is ready, until it does not block."""
    while True:
        with suppress(BlockingIOError):
            return call(*arguments)
        ready(end, event)


def insist_on_all(end, size):
    """Receive a number of bytes."""
    received = bytearray()
    while len(received) < size:
        received += insist(select.POLLIN, end, end.recv, 2**20)
    return received


def run_program(program):
    """Run a program that forks, and return its output."""
    done = run_python(program)
    assert done.stderr == ""
    return done.stdout.splitlines()
