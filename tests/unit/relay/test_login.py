"""Logins: who proves what to whom, and what nobody can make of it."""

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from track.errors import AuthenticationError
from track.relay import login as logins
from track.relay import users as accounts
from track.relay.login import Challenge, ClientLogin, ServerLogin, check_password
from track.relay.users import Users, keyed

NAMES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20)
PASSWORDS = st.text(min_size=1, max_size=20)
HERE, ELSEWHERE = b"h" * 32, b"e" * 32
"""Transcripts of two connections."""


@pytest.fixture(autouse=True, scope="module")
def cheap():
    """Passwords at a cost that tests can afford, which clients take for once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "COST", (2**4, 8, 1))
        patch.setattr(logins, "_LEAST_N", 2**4)
        yield


class Server:
    """A server with one user."""

    def __init__(self, folder, name="ada", password="secret"):
        self.users = Users(os.path.join(folder, f"{os.urandom(8).hex()}.json"))
        self.users.add(name, password)
        self.login = ServerLogin(self.users, os.urandom(32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("users")


@pytest.fixture
def server(folder):
    return Server(folder)


def log_in(server, name, password, transcripts=(HERE, HERE)):
    """Run a whole login, with what each side knows of the connection."""
    client = ClientLogin(name, password)
    challenge = server.login.challenge(name)
    proof = client.prove(Challenge.read([*challenge]), transcripts[0])
    client.check(server.login.verify(name, challenge, proof, transcripts[1]))


@given(NAMES, PASSWORDS)
def test_whoever_knows_the_password_logs_in(folder, name, password):
    """With any name and any password."""
    server = Server(folder, name, password)
    log_in(server, name, password)
    assert check_password(server.users, name, password)


@given(PASSWORDS.filter(lambda text: accounts.normal(text) != "secret"))
def test_whoever_does_not_is_refused(folder, password):
    """And is not told whether the name or the password was wrong."""
    server = Server(folder)
    with pytest.raises(AuthenticationError, match="name or the password"):
        log_in(server, "ada", password)
    with pytest.raises(AuthenticationError, match="name or the password"):
        log_in(server, "bob", password)
    assert not check_password(server.users, "ada", password)
    assert not check_password(server.users, "bob", "secret")


def test_a_proof_is_worth_nothing_on_another_connection(server):
    """Whoever stands in between has two connections, and whoever recorded one has another."""
    with pytest.raises(AuthenticationError):
        log_in(server, "ada", "secret", (HERE, ELSEWHERE))


def test_the_servers_proof_is_worth_nothing_on_another_connection(server):
    """Nor is it the same for two logins of one user."""
    client = ClientLogin("ada", "secret")
    challenge = server.login.challenge("ada")
    client.prove(challenge, HERE)
    other = ClientLogin("ada", "secret").prove(challenge, ELSEWHERE)
    with pytest.raises(AuthenticationError, match="did not prove"):
        client.check(server.login.verify("ada", challenge, other, ELSEWHERE))


def test_a_server_that_knows_another_password_is_refused(folder, server):
    """It cannot sign what it does not know, also if it lets everybody in."""
    client = ClientLogin("ada", "secret")
    other = Server(folder, password="other")
    client.prove(other.login.challenge("ada"), HERE)
    for signature in (b"", b"x" * 32, keyed(other.users.verifier("ada").server_key, HERE)):
        with pytest.raises(AuthenticationError, match="did not prove"):
            client.check(signature)


def test_a_signature_before_the_proof_is_refused():
    """There is nothing that it could be of."""
    with pytest.raises(AuthenticationError):
        ClientLogin("ada", "secret").check(b"")


@given(st.binary(max_size=40))
def test_no_other_bytes_are_a_proof(folder, proof):
    """Of any length."""
    server = Server(folder)
    challenge = server.login.challenge("ada")
    with pytest.raises(AuthenticationError):
        server.login.verify("ada", challenge, proof, HERE)


def test_whoever_stole_the_file_cannot_log_in(server):
    """What is in it checks proofs; a proof needs the client's key, of which it has the digest."""
    stolen = server.users.verifier("ada")
    challenge = server.login.challenge("ada")
    text = logins._text("ada", challenge, HERE)
    mask = keyed(stolen.stored_key, text)
    for key in (stolen.stored_key, stolen.server_key, hashlib.sha256(stolen.stored_key).digest()):
        with pytest.raises(AuthenticationError):
            server.login.verify("ada", challenge, logins._xor(key, mask), HERE)


def test_a_user_who_does_not_exist_is_challenged_alike(server):
    """The same name gets the same salt each time, as one that exists does."""
    first, second = server.login.challenge("bob"), server.login.challenge("bob")
    assert first == second
    assert first[1:] == server.login.challenge("ada")[1:]
    assert len(first.salt) == len(server.login.challenge("ada").salt)
    assert first.salt != server.login.challenge("eve").salt


REFUSED = {
    "nothing": [],
    "another type": ["salt", 2**15, 8, 1],
    "a number that is none": [bytes(16), True, 8, 1],
    "too cheap": [bytes(16), 2, 8, 1],
    "too small blocks": [bytes(16), 2**15, 1, 1],
    "too expensive": [bytes(16), 2**30, 8, 1],
    "too large blocks": [bytes(16), 2**15, 2**20, 1],
    "too often": [bytes(16), 2**15, 8, 1000],
    "no power of two": [bytes(16), 2**15 + 1, 8, 1],
    "negative": [bytes(16), -(2**15), 8, 1],
    "too little salt": [b"", 2**15, 8, 1],
    "too much salt": [bytes(1000), 2**15, 8, 1],
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_a_challenge_that_no_honest_server_sends_is_refused(value):
    """Before anything is computed from it."""
    with pytest.raises(AuthenticationError, match=r"challenge|cost"):
        Challenge.read(value)


def test_todays_cost_is_accepted():
    """Of clients as they are, not as these tests have them."""
    assert 2**14 <= 2**15 <= logins._MOST_N
    assert Challenge.read([bytes(16), 2**15, 8, 1]).n == 2**15


def test_nothing_secret_is_shown(server):
    """Neither in what is shown of the halves nor in what they raise."""
    client = ClientLogin("ada", "a secret word")
    with pytest.raises(AuthenticationError) as raised:
        log_in(server, "ada", "a secret word")
    shown = f"{client!r} {client} {server.login!r} {raised.value!r}"
    assert "a secret word" not in shown
