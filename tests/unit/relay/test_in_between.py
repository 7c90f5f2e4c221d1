"""Somebody who stands between a client and its server, and a server that has a certificate."""

import socket
import threading
from contextlib import contextmanager, suppress

import pytest

from tests.relays import PASSWORD, PATIENCE_S, log_in, served
from track.errors import AuthenticationError, InsecureConnection, JournalUnreachable
from track.relay.messages import (
    LENGTH,
    Message,
    Verb,
    body_length,
    from_frame,
    to_frame,
)
from track.utils.handshake import HELLO, LAYERS, MAGIC, VERSION, CheckedChannel, agree, begin
from track.utils.sealing import KeyExchange


def read(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def read_frame(sock):
    head = read(sock, LENGTH.size)
    return read(sock, body_length(head, 2**26))


class InBetween:
    """Listens in place of a server, and has each connection handled by a function.

    Parameters
    ----------
    handle
        called with the socket of the client, and one that is connected to the server
    port
        of the server
    """

    def __init__(self, handle, port):
        self.heard = []
        self._handle = handle
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, suppress(EOFError, OSError), self._to_server() as server:
                client.settimeout(PATIENCE_S)
                self._handle(self, client, server)

    def _to_server(self):
        return socket.create_connection(("127.0.0.1", self._port), PATIENCE_S)

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@contextmanager
def in_between(handle, port):
    somebody = InBetween(handle, port)
    try:
        yield somebody
    finally:
        somebody.stop()


def with_keys_of_its_own(self, client, server):
    """Shake hands with both sides, and pass on what each says, sealed anew."""
    theirs = read(client, HELLO.size)
    layer = next(layer for layer, number in LAYERS.items() if number == theirs[5])
    as_server, as_client = begin(layer), begin(layer)
    client.sendall(as_server.hello)
    to_client = agree(as_server, theirs, is_server=True).channel
    server.sendall(as_client.hello)
    to_server = agree(as_client, read(server, HELLO.size), is_server=False).channel
    for turn in range(100):
        source, way_in, target, way_out = (
            (server, to_server, client, to_client)
            if turn % 2 == 0
            else (client, to_client, server, to_server)
        )
        message = from_frame(read_frame(source), way_in)
        self.heard.append(message)
        target.sendall(to_frame(message, way_out))


def with_other_public_keys(self, client, server):
    """Swap the public keys, and pass on the bytes."""
    hello = read(client, HELLO.size)
    server.sendall(hello[:6] + KeyExchange().public)
    answer = read(server, HELLO.size)
    client.sendall(answer[:6] + KeyExchange().public)
    _pass_on(self, client, server)


def as_they_come(self, client, server):
    """Pass on every byte, and note what the client says."""
    server_hello_due = read(client, HELLO.size)
    self.heard.append(server_hello_due)
    server.sendall(server_hello_due)
    client.sendall(read(server, HELLO.size))
    _pass_on(self, client, server)


def _pass_on(self, client, server):
    def backwards():
        with suppress(OSError):
            while piece := server.recv(2**16):
                client.sendall(piece)
            client.shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=backwards)
    thread.start()
    with suppress(OSError):
        while piece := client.recv(2**16):
            self.heard.append(piece)
            server.sendall(piece)
    with suppress(OSError):
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize("layer", ["AES", "none"])
def test_who_stands_in_between_is_found_out(users, layer, caplog):
    """By both sides, before anything is asked or answered; and no password was heard.

    Only the proofs tell, so this is so without encryption, too.
    """
    with served("memory:", security_layer=layer, users=users) as running:
        wrong = pytest.raises(AuthenticationError, match="the name or the password is wrong")
        with in_between(with_keys_of_its_own, running.port) as somebody, wrong:
            log_in(somebody.port, security_layer=layer)
        assert running.server.backend.journal.head() == 0
    assert {message.verb for message in somebody.heard} == {
        *(Verb.WELCOME, Verb.LOGIN, Verb.CHALLENGE, Verb.PROOF, Verb.FAILED)
    }
    assert PASSWORD not in repr(somebody.heard)
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("signature", [bytes(32), b"", b"x", 7, None, "text"])
def test_who_believes_the_proof_is_found_out_by_the_client(users, signature):
    """A server that lets everybody in has no proof for the client."""

    def say_verified(self, client, server):
        opening = begin("AES")
        theirs = read(client, HELLO.size)
        client.sendall(opening.hello)
        channel = agree(opening, theirs, is_server=True).channel
        client.sendall(to_frame(Message(Verb.WELCOME, ["proof"]), channel))
        self.heard.append(from_frame(read_frame(client), channel))
        challenge = [bytes(16), 2**14, 8, 1]
        client.sendall(to_frame(Message(Verb.CHALLENGE, challenge), channel))
        self.heard.append(from_frame(read_frame(client), channel))
        client.sendall(to_frame(Message(Verb.VERIFIED, [signature]), channel))
        self.heard.append(read_frame(client))

    with served("memory:", security_layer="AES", users=users) as running:
        refused = pytest.raises(AuthenticationError, match=r"proof|prove")
        with in_between(say_verified, running.port) as somebody, refused:
            log_in(somebody.port, security_layer="AES")
    assert [message.verb for message in somebody.heard] == [Verb.LOGIN, Verb.PROOF]
    assert PASSWORD not in repr(somebody.heard)


@pytest.mark.parametrize("challenge", [[b"", 2**14, 8, 1], [bytes(16), 1, 1, 1], [1, 2, 3, 4], []])
def test_a_cheap_proof_is_not_given(challenge):
    """Its price is what keeps a thief of proofs from guessing the password."""

    def ask(self, client, server):
        opening = begin(None)
        client.sendall(opening.hello)
        channel = agree(opening, read(client, HELLO.size), is_server=True).channel
        client.sendall(to_frame(Message(Verb.WELCOME, ["proof"]), channel))
        self.heard.append(from_frame(read_frame(client), channel).verb)
        client.sendall(to_frame(Message(Verb.CHALLENGE, challenge), channel))
        self.heard.append(from_frame(read_frame(client), channel).verb)

    refused = pytest.raises((AuthenticationError, InsecureConnection))
    with served("memory:") as running, in_between(ask, running.port) as somebody, refused:
        log_in(somebody.port)
    assert somebody.heard == [Verb.LOGIN]


def test_swapped_public_keys_lead_nowhere(users):
    """What either side says then is no message to the other one."""
    with served("memory:", security_layer="AES", users=users) as running:
        refused = pytest.raises((InsecureConnection, JournalUnreachable))
        with in_between(with_other_public_keys, running.port) as somebody, refused:
            log_in(somebody.port, security_layer="AES")
        assert running.server.backend.journal.head() == 0


@pytest.mark.parametrize("layer", ["AES", "none"])
def test_a_login_that_was_recorded_opens_nothing(users, layer):
    """Said again, byte for byte, it is refused: the server never begins twice in the same way."""
    with served("memory:", security_layer=layer, users=users) as running:
        with in_between(as_they_come, running.port) as somebody:
            log_in(somebody.port, security_layer=layer)
        head = running.server.backend.journal.head()
        assert head > 0
        with socket.create_connection(("127.0.0.1", running.port)) as again:
            said = b""
            with suppress(ConnectionError):
                again.sendall(b"".join(somebody.heard))
                while piece := again.recv(2**16):
                    said += piece
        assert running.server.backend.journal.head() == head
        if layer == "none":
            channel, verbs = CheckedChannel(), []
            rest = said[HELLO.size :]
            while rest:
                size = body_length(rest[: LENGTH.size], 2**20) + LENGTH.size
                verbs.append(from_frame(rest[LENGTH.size : size], channel).verb)
                rest = rest[size:]
            assert verbs == [Verb.WELCOME, Verb.CHALLENGE, Verb.FAILED]
    assert PASSWORD.encode() not in b"".join(somebody.heard)


def test_what_is_sent_with_aes_is_read_by_nobody(users):
    """Neither names nor values are on the wire."""
    with (
        served("memory:", security_layer="AES", users=users) as running,
        in_between(as_they_come, running.port) as somebody,
    ):
        log_in(somebody.port, security_layer="AES")
    heard = b"".join(somebody.heard)
    assert heard.startswith(MAGIC + bytes([VERSION, LAYERS["AES"]]))
    for word in (b"ada", b"project", PASSWORD.encode()):
        assert word not in heard
