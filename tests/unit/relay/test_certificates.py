"""TLS: certificates, and handshakes that go wrong."""

import socket
from contextlib import suppress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tests.certificates import LOCAL, write_certificate
from tests.hostile import assert_serving
from tests.relays import PASSWORD, PATIENCE_S, log_in, served
from track.errors import BackendError, InsecureConnection, JournalUnreachable
from track.relay.limits import Limits


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, one that nobody trusts, a certificate for this machine, one for another."""
    folder = tmp_path_factory.mktemp("certificates")
    ca, other, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    made = {
        "ca": write_certificate((folder, "ca"), "CA", "CA", (ca, ca)),
        "other": write_certificate((folder, "other"), "Other", "Other", (other, other)),
        "right": write_certificate((folder, "right"), "here", "CA", (key, ca), [LOCAL]),
        "elsewhere": write_certificate(
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
