"""Somebody who stands between a client and its server, and a server that has a certificate."""

import datetime as dt
import inspect
import ipaddress
import socket
import threading
from contextlib import contextmanager, suppress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.hostile import assert_serving
from tests.relays import PATIENCE_S, served
from tests.relays import uri_of as client_uri
from track.errors import AuthenticationError, BackendError, InsecureConnection, JournalUnreachable
from track.persistence import get_protocol
from track.relay import users as accounts
from track.relay.limits import Limits
from track.relay.messages import (
    LENGTH,
    Message,
    Verb,
    body_length,
    from_frame,
    to_frame,
)
from track.relay.users import Users
from track.structure import Project
from track.utils.handshake import HELLO, LAYERS, MAGIC, VERSION, CheckedChannel, agree, begin
from track.utils.sealing import KeyExchange

PASSWORD = "hunter2"


@pytest.fixture
def users(tmp_path, monkeypatch):
    """A file with one user, made with the least cost that clients accept."""
    monkeypatch.setattr(accounts, "COST", (2**14, 8, 1))
    Users(tmp_path / "users.json").add("ada", PASSWORD)
    return tmp_path / "users.json"


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


def log_in(port, **options):
    store = get_protocol(client_uri(port, f"ada:{PASSWORD}@", timeout=3, **options))
    try:
        store.new_project(Project(name="project"))
    finally:
        store.close()


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


# Certificates


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _key_usage(*, signs_certificates):
    names = inspect.signature(x509.KeyUsage).parameters
    return x509.KeyUsage(
        **{name: name == "digital_signature" for name in names}
        | {"key_cert_sign": signs_certificates}
    )


def _write_certificate(place, subject, issuer, keys, addresses=()):
    folder, name = place
    key, signing_key = keys
    now = dt.datetime.now(dt.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=not addresses, path_length=None), critical=True)
        # Python 3.13 and later want to know whose key is whose, and what it is for.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()),
            critical=False,
        )
        .add_extension(_key_usage(signs_certificates=not addresses), critical=True)
    )
    if addresses:
        builder = builder.add_extension(
            x509.SubjectAlternativeName(list(addresses)), critical=False
        )
    certificate = builder.sign(signing_key, hashes.SHA256())
    path = folder / f"{name}.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path = folder / f"{name}.key"
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path, key_path


LOCAL = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, one that nobody trusts, a certificate for this machine, one for another."""
    folder = tmp_path_factory.mktemp("certificates")
    ca, other, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    made = {
        "ca": _write_certificate((folder, "ca"), "CA", "CA", (ca, ca)),
        "other": _write_certificate((folder, "other"), "Other", "Other", (other, other)),
        "right": _write_certificate((folder, "right"), "here", "CA", (key, ca), [LOCAL]),
        "elsewhere": _write_certificate(
            (folder, "elsewhere"), "there", "CA", (key, ca), [x509.DNSName("example.org")]
        ),
    }
    return {name: {"certificate": path, "key": key} for name, (path, key) in made.items()}


def test_a_certificate_opens(certificates, users):
    """With a password, or without one; the password may be sent, for the server is known."""
    ca = certificates["ca"]["certificate"]
    for more in ({}, {"users": users}):
        options = certificates["right"] | more
        with served("memory:", security_layer="TLS", **options) as running:
            log_in(running.port, security_layer="TLS", ca=ca)
            log_in(running.port, security_layer="TLS", ca=ca, trust_server="yes")
            assert running.server.backend.fetch_projects()[0].name == "project"


@pytest.mark.parametrize(
    ("server", "ca", "why"),
    [
        ("right", "other", "certificate verify failed"),
        ("right", None, "certificate verify failed"),
        ("elsewhere", "ca", "IP address mismatch"),
        ("other", "ca", "certificate verify failed"),
    ],
)
def test_a_certificate_of_somebody_else_is_refused(certificates, server, ca, why):
    """At once, in an error that says why; the server heard nothing of the client."""
    options = {} if ca is None else {"ca": certificates[ca]["certificate"]}
    with served("memory:", security_layer="TLS", **certificates[server]) as running:
        with pytest.raises(InsecureConnection, match=why) as caught:
            log_in(running.port, security_layer="TLS", **options)
        assert "a trusted TLS connection" in str(caught.value)
        assert PASSWORD not in str(caught.value)
        assert running.server.backend.journal.head() == 0
        assert_serving(running)


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_authorities_that_cannot_be_read_are_told_of(certificates, tmp_path, content):
    """At once, not when the time is up."""
    path = tmp_path / "authorities.pem"
    if content is not None:
        path.write_text(content)
    refused = pytest.raises(InsecureConnection, match="option ca")
    with served("memory:", security_layer="TLS", **certificates["right"]) as running, refused:
        log_in(running.port, security_layer="TLS", ca=path)


def test_a_server_needs_a_certificate_that_can_be_used(certificates, tmp_path):
    """Its own key, both of them readable."""
    (tmp_path / "empty.pem").write_text("")
    for options in (
        {},
        {"certificate": tmp_path / "missing.pem"},
        {"certificate": tmp_path / "empty.pem"},
        {"certificate": certificates["right"]["certificate"], "key": certificates["ca"]["key"]},
    ):
        with (
            pytest.raises(BackendError, match="certificate"),
            served("memory:", security_layer="TLS", **options),
        ):
            pass


@pytest.mark.parametrize("layer", ["none", "AES"])
def test_a_client_without_tls_learns_nothing_from_a_server_with_it(certificates, layer):
    """And is told what to look at."""
    with served("memory:", security_layer="TLS", **certificates["right"]) as running:
        with pytest.raises((InsecureConnection, JournalUnreachable), match=r"security.layer"):
            log_in(running.port, security_layer=layer)
        log_in(running.port, security_layer="TLS", ca=certificates["ca"]["certificate"])


def test_a_tls_handshake_that_never_ends_counts_as_a_connection(certificates):
    """It is ended in time, like a login that does not end, and does not outlast the server."""
    limits = Limits(connections=2, handshake_s=60)
    with served("memory:", limits, security_layer="TLS", **certificates["right"]) as running:
        silent = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(2)]
        with socket.create_connection(("127.0.0.1", running.port)) as third:
            third.settimeout(PATIENCE_S)
            assert third.recv(1) == b""
    for connection in silent:
        with connection:
            connection.settimeout(PATIENCE_S)
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""


def test_a_tls_handshake_that_does_not_end_in_time_is_ended(certificates):
    """Whether nothing was said, or something else; others log in meanwhile and afterwards."""
    limits = Limits(handshake_s=0.3)
    with served("memory:", limits, security_layer="TLS", **certificates["right"]) as running:
        for said in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"):
            with socket.create_connection(("127.0.0.1", running.port)) as connection:
                connection.sendall(said)
                log_in(running.port, security_layer="TLS", ca=certificates["ca"]["certificate"])
                connection.settimeout(PATIENCE_S)
                with suppress(ConnectionResetError):
                    while connection.recv(100):
                        pass
        log_in(running.port, security_layer="TLS", ca=certificates["ca"]["certificate"])
