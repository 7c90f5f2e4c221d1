"""Encrypted connections to a PostgreSQL, with certificates of its own and of users.

The PostgreSQL of the requirements has no TLS, so these need one of the machine.
"""

from contextlib import closing
from urllib.parse import urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tests.certificates import LOCAL, write_certificate
from tests.databases import TlsServer, journal_at
from track import TrackClient
from track.errors import JournalError, JournalUnreachable

pytestmark = pytest.mark.skipif(TlsServer.find() is None, reason="no PostgreSQL with TLS")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An authority, one that nobody trusts, and what they signed."""
    folder = tmp_path_factory.mktemp("certificates")
    ca, other, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    user = [x509.DNSName("user.example")]
    write_certificate((folder, "ca"), "CA", "CA", (ca, ca))
    write_certificate((folder, "other"), "Other", "Other", (other, other))
    write_certificate((folder, "server"), "here", "CA", (key, ca), [LOCAL])
    write_certificate((folder, "user"), "by_certificate", "CA", (key, ca), user)
    write_certificate((folder, "stranger"), "by_certificate", "Other", (key, other), user)
    (folder / "open.key").write_bytes((folder / "user.key").read_bytes())
    (folder / "open.key").chmod(0o644)
    return folder


@pytest.fixture(scope="module")
def server(files):
    server = TlsServer(files / "server.pem", files / "server.key", files / "ca.pem")
    with closing(server.connect()) as connection:
        connection.cursor().execute("CREATE ROLE by_certificate LOGIN SUPERUSER")
    yield server
    server.stop()


def uri_of(server, files, *, user="postgres", host="127.0.0.1", **options):
    """Return a URI; options that name files are of the folder of certificates."""
    given = {"log": "tls", "timeout": 20}
    for name, value in options.items():
        given[name] = str(files / value) if name != "sslmode" else value
    return f"postgres://{user}:s3cret@{host}:{server.port}/postgres?{urlencode(given)}"


VERIFIED = {"sslmode": "verify-full", "sslrootcert": "ca.pem"}


def is_encrypted(journal):
    """Return whether the server says that the connection is."""
    journal.append([b"a"])
    ((said,),) = journal.ask("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    return said


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"sslmode": "disable"}, False),
        ({"sslmode": "prefer"}, True),
        ({"sslmode": "require"}, True),
        ({"sslmode": "verify-ca", "sslrootcert": "ca.pem"}, True),
        ({"sslmode": "verify-ca", "sslrootcert": "ca.pem", "host": "localhost"}, True),
        (VERIFIED, True),
        (
            {**VERIFIED, "user": "by_certificate", "sslcert": "user.pem", "sslkey": "user.key"},
            True,
        ),
    ],
)
def test_every_mode_of_encryption_opens(server, files, options, expected):
    """With the certificate of the server's authority, and that of a user, where there is one."""
    with closing(journal_at(uri_of(server, files, **options))) as journal:
        assert is_encrypted(journal) is expected


AS_USER = {**VERIFIED, "user": "by_certificate"}


@pytest.mark.parametrize(
    ("options", "why", "remedy"),
    [
        ({**VERIFIED, "sslrootcert": "other.pem"}, "verify failed", "sslrootcert"),
        ({**VERIFIED, "sslrootcert": "missing.pem"}, "does not exist", "sslrootcert"),
        ({**VERIFIED, "sslrootcert": "ca.key"}, "could not read", "sslrootcert"),
        ({**VERIFIED, "host": "localhost"}, "does not match", "verify-ca"),
        ({"sslmode": "verify"}, "invalid sslmode", "use sslmode=verify-full"),
        (AS_USER, "valid client certificate", "sslcert"),
        ({**AS_USER, "sslcert": "stranger.pem", "sslkey": "user.key"}, "unknown ca", "sslcert"),
        ({**AS_USER, "sslcert": "user.pem", "sslkey": "open.key"}, "group or world", "its owner"),
        ({**AS_USER, "sslcert": "user.pem", "sslkey": "ca.key"}, "mismatch", "sslkey"),
        ({**AS_USER, "sslcert": "user.pem", "sslkey": "missing.key"}, "not private", "sslkey"),
        ({"sslmode": "disable", "user": "nobody"}, "no encryption", "use sslmode=verify-full"),
    ],
)
def test_a_connection_that_is_not_trusted_is_refused_at_once(server, files, options, why, remedy):
    """In one line that says why and what to do, and tells no secret."""
    journal = journal_at(uri_of(server, files, **options))
    with pytest.raises(JournalError, match=why) as caught:
        journal.head()
    told = str(caught.value)
    assert not isinstance(caught.value, JournalUnreachable)
    assert remedy in told.rpartition("; ")[2]
    assert "\n" not in told
    assert "s3cret" not in told


def test_a_client_logs_through_tls(server, files, tmp_path):
    """The options of the URI are those of all its connections, also of those that only read."""
    uri = uri_of(server, files, **VERIFIED) + f"&spool={tmp_path}"
    client = TrackClient(uri)
    client.set_project(name="p")
    with client.new_trial(parameters={"lr": 1}) as trial:
        trial.log_metrics(step=1, loss=0.5)
    client.close()
