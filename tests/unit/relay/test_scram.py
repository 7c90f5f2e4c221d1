"""Logins: who proves what to whom, and what nobody can make of it."""

import hashlib
import hmac
import logging
import os
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from track.errors import AuthenticationError
from track.relay import scram as logins
from track.relay import users as accounts
from track.relay.scram import Challenge, ServerLogin, check_password
from track.relay.users import Users, keyed

NAMES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20)
PASSWORDS = st.text(min_size=1, max_size=20)
COST = 2**4, 8, 1
HERE, ELSEWHERE = b"h" * 32, b"e" * 32
"""Transcripts of two connections."""


ClientLogin = partial(logins.ClientLogin, least_n=COST[0])
"""A client that accepts the cost of these tests."""


class Server:
    """A server with one user."""

    def __init__(self, folder, name="ada", password="secret"):
        self.users = Users(os.path.join(folder, f"{os.urandom(8).hex()}.json"), cost=COST)
        self.users.add(name, password)
        self.login = ServerLogin(self.users)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("users")


@pytest.fixture
def server(folder):
    return Server(folder)


@pytest.fixture(scope="module")
def server_for_all(folder):
    """A server whose users no test changes."""
    return Server(folder)


def log_in(server, name, password, transcripts=(HERE, HERE)):
    """Run a whole login, with what each side knows of the connection."""
    client = ClientLogin(name, password)
    challenge = server.login.challenge(name)
    proof = client.prove(Challenge.read([*challenge], COST[0]), transcripts[0])
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


def test_a_proof_with_something_after_it_is_refused(server):
    """As one that was cut: it has one form."""
    challenge = server.login.challenge("ada")
    proof = ClientLogin("ada", "secret").prove(challenge, HERE)
    for other in (proof + b"\0", proof[:-1]):
        with pytest.raises(AuthenticationError, match="name or the password"):
            server.login.verify("ada", challenge, other, HERE)


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


def test_the_dialogue_is_scram():
    """Computed once more, from the RFC: what is on the connection stays what it is."""
    challenge = Challenge(bytes(range(16)), 2**5, 8, 1)
    key = hashlib.scrypt(b"secret", salt=challenge.salt, n=2**5, r=8, p=1, dklen=32)
    client_key = hmac.new(key, b"Client Key", "sha256").digest()
    stored_key = hashlib.sha256(client_key).digest()
    parts = (b"track login 1", HERE, b"ada", challenge.salt, b"32", b"8", b"1")
    text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    mask = hmac.new(stored_key, text, "sha256").digest()
    expected = bytes(a ^ b for a, b in zip(client_key, mask, strict=True))
    client = ClientLogin("ada", "secret")
    assert client.prove(challenge, HERE) == expected
    server_key = hmac.new(key, b"Server Key", "sha256").digest()
    client.check(hmac.new(server_key, text, "sha256").digest())


@given(st.integers(0, 255))
def test_a_proof_with_one_other_bit_is_refused(server_for_all, bit):
    """Whichever it is."""
    challenge = server_for_all.login.challenge("ada")
    proof = bytearray(ClientLogin("ada", "secret").prove(challenge, HERE))
    server_for_all.login.verify("ada", challenge, bytes(proof), HERE)
    proof[bit // 8] ^= 1 << bit % 8
    with pytest.raises(AuthenticationError, match="name or the password"):
        server_for_all.login.verify("ada", challenge, bytes(proof), HERE)


@given(st.integers(0, 255))
def test_a_signature_with_one_other_bit_is_refused(server_for_all, bit):
    """Whichever it is."""
    challenge, client = server_for_all.login.challenge("ada"), ClientLogin("ada", "secret")
    proof = client.prove(challenge, HERE)
    signature = bytearray(server_for_all.login.verify("ada", challenge, proof, HERE))
    client.check(bytes(signature))
    signature[bit // 8] ^= 1 << bit % 8
    with pytest.raises(AuthenticationError, match="did not prove"):
        client.check(bytes(signature))


@given(st.binary(max_size=64).filter(lambda other: other != HERE))
def test_a_proof_that_was_recorded_opens_no_other_connection(server_for_all, other):
    """Every connection has a transcript of its own."""
    challenge = server_for_all.login.challenge("ada")
    proof = ClientLogin("ada", "secret").prove(challenge, HERE)
    with pytest.raises(AuthenticationError):
        server_for_all.login.verify("ada", challenge, proof, other)


def test_what_is_proven_cannot_be_cut_elsewhere():
    """A piece of the transcript is not taken for the start of the name, nor of the salt."""
    salt = bytes(16)
    texts = {
        logins._text("ada", Challenge(salt, 32, 8, 1), HERE),
        logins._text("da", Challenge(salt, 32, 8, 1), HERE + b"a"),
        logins._text("ada\0", Challenge(salt[1:], 32, 8, 1), HERE),
        logins._text("ada", Challenge(salt, 3, 28, 1), HERE),
        logins._text("ada", Challenge(salt, 32, 8, 1), ELSEWHERE),
    }
    assert len(texts) == 5


CHANGES = {
    "salt": lambda challenge: challenge._replace(salt=bytes(16)),
    "longer salt": lambda challenge: challenge._replace(salt=challenge.salt + b"\0"),
    "more expensive": lambda challenge: challenge._replace(n=2**5),
    "larger blocks": lambda challenge: challenge._replace(r=16),
    "more often": lambda challenge: challenge._replace(p=2),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_challenge_that_was_changed_on_the_way_leads_nowhere(server, change):
    """Neither does the server take the proof, nor does the client go on."""
    challenge = Challenge(*server.users.verifier("ada").cost)
    client = ClientLogin("ada", "secret")
    proof = client.prove(change(challenge), HERE)
    with pytest.raises(AuthenticationError, match="name or the password"):
        server.login.verify("ada", challenge, proof, HERE)
    honest = ClientLogin("ada", "secret").prove(challenge, HERE)
    with pytest.raises(AuthenticationError, match="did not prove"):
        client.check(server.login.verify("ada", challenge, honest, HERE))


@pytest.mark.parametrize("password", ["secret", "another"])
def test_nobody_logs_in_as_somebody_else(server, password):
    """Not even with a password, or a verifier, that happens to be the same."""
    server.users.add("bob", password)
    proof = ClientLogin("bob", password).prove(server.login.challenge("bob"), HERE)
    for challenge in (server.login.challenge("ada"), server.login.challenge("bob")):
        with pytest.raises(AuthenticationError):
            server.login.verify("ada", challenge, proof, HERE)


def test_one_verifier_for_two_names_makes_no_proof_good_for_both(server):
    """The name is part of what is proven, not only of what is looked up."""
    verifier = server.users.verifier("ada")
    server.users._change(lambda verifiers: verifiers.update(bob=verifier))
    challenge = server.login.challenge("ada")
    assert challenge == server.login.challenge("bob")
    proof = ClientLogin("ada", "secret").prove(challenge, HERE)
    with pytest.raises(AuthenticationError):
        server.login.verify("bob", challenge, proof, HERE)


@pytest.mark.parametrize(
    "change", [lambda users: users.add("ada", "other"), lambda users: users.remove("ada")]
)
def test_a_password_that_was_changed_or_removed_meanwhile_is_refused(server, change):
    """Between the challenge and the proof."""
    challenge = server.login.challenge("ada")
    proof = ClientLogin("ada", "secret").prove(challenge, HERE)
    server.login.verify("ada", challenge, proof, HERE)
    change(server.users)
    with pytest.raises(AuthenticationError):
        server.login.verify("ada", challenge, proof, HERE)


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
    mask = keyed(stolen.stored_key, logins._text("ada", challenge, HERE))
    known = (stolen.stored_key, stolen.server_key)
    digests = [hashlib.sha256(key).digest() for key in known]
    made = [keyed(key, text) for key in known for text in (b"Client Key", b"Server Key")]
    for key in (bytes(32), mask, *known, *digests, *made):
        for proof in (logins._xor(key, mask), key):
            with pytest.raises(AuthenticationError):
                server.login.verify("ada", challenge, proof, HERE)


def test_the_file_and_a_recorded_login_are_enough_for_another(server):
    """As with all SCRAM: so what is said at a login needs a layer that nobody listens in on."""
    stolen, challenge = server.users.verifier("ada"), server.login.challenge("ada")
    recorded = ClientLogin("ada", "secret").prove(challenge, HERE)
    mask = keyed(stolen.stored_key, logins._text("ada", challenge, HERE))
    client_key = logins._xor(recorded, mask)
    assert hashlib.sha256(client_key).digest() == stolen.stored_key
    forged = logins._xor(
        client_key, keyed(stolen.stored_key, logins._text("ada", challenge, ELSEWHERE))
    )
    server.login.verify("ada", challenge, forged, ELSEWHERE)
    server.users.add("ada", "secret")  # a new salt ends it, also for the same password
    with pytest.raises(AuthenticationError):
        server.login.verify("ada", server.login.challenge("ada"), forged, ELSEWHERE)


def test_scrypt_runs_once_for_many_connections(server, runs):
    """A client that reconnects does not run it again, except for another password or salt."""
    for transcript in (HERE, ELSEWHERE):
        log_in(server, "ada", "secret", (transcript, transcript))
    assert len(runs) == 1
    with pytest.raises(AuthenticationError):
        log_in(server, "ada", "Secret")
    server.users.add("ada", "secret")
    log_in(server, "ada", "secret")
    assert len(runs) == 4, "also once for the server, for the new salt"


def test_what_is_remembered_is_bounded(runs):
    """A server that sends another salt each time does not fill the memory."""

    def prove(number):
        ClientLogin("ada", "secret").prove(Challenge(b"%016d" % number, 2**4, 8, 1), HERE)

    for number in range(100):
        prove(number)
    assert len(runs) == 100
    prove(99)
    assert len(runs) == 100, "the last one is remembered"
    prove(0)
    assert len(runs) == 101, "the first one was forgotten"
    assert not [name for name in logins._remembered if b"secret" in name]


def test_a_user_who_does_not_exist_is_challenged_alike(server, folder):
    """The same name gets the same salt each time, as one that exists does."""
    first, second = server.login.challenge("bob"), server.login.challenge("bob")
    assert first == second
    assert first[1:] == server.login.challenge("ada")[1:]
    assert len(first.salt) == len(server.login.challenge("ada").salt)
    assert first.salt != server.login.challenge("eve").salt
    assert first.salt != Server(folder).login.challenge("bob").salt


def test_a_user_who_does_not_exist_is_challenged_alike_after_a_restart(server):
    """What changed with each start would be that of somebody who does not exist."""
    for name in ("ada", "bob"):
        again = ServerLogin(Users(server.users.path, cost=COST))
        assert again.challenge(name) == server.login.challenge(name)
    server.users.add("eve", "x")
    assert ServerLogin(server.users).challenge("bob") == again.challenge("bob")


def test_a_user_who_does_not_exist_is_refused_alike(server, runs):
    """The message is the same, and so is the cost of checking a given password."""
    said = []
    runs.clear()
    for name in ("ada", "bob"):
        challenge = server.login.challenge(name)
        with pytest.raises(AuthenticationError) as raised:
            server.login.verify(name, challenge, bytes(32), HERE)
        said.append(str(raised.value))
        assert not check_password(server.users, name, "wrong")
    assert said[0] == said[1]
    assert runs == [COST] * 2


@given(PASSWORDS)
def test_no_password_is_that_of_a_user_who_does_not_exist(server_for_all, password):
    """Neither proven nor given, and neither are the keys that the server makes up."""
    login, challenge = server_for_all.login, server_for_all.login.challenge("bob")
    client = ClientLogin("bob", password)
    with pytest.raises(AuthenticationError, match="name or the password"):
        login.verify("bob", challenge, client.prove(challenge, HERE), HERE)
    made_up = keyed(login._secret, b"Client Key")
    mask = keyed(hashlib.sha256(made_up).digest(), logins._text("bob", challenge, HERE))
    with pytest.raises(AuthenticationError, match="name or the password"):
        login.verify("bob", challenge, logins._xor(made_up, mask), HERE)
    assert not check_password(server_for_all.users, "bob", password)


def test_one_name_has_one_form_at_both_ends(folder):
    """However it was typed where."""
    server = Server(folder, "Zo\u00eb", "\ufb01ne")
    log_in(server, "Zoe\u0308", "fine")


def test_nothing_secret_is_shown(server, caplog):
    """Neither in what is shown of the halves nor in what they raise or log."""
    caplog.set_level(logging.DEBUG)
    server.users.add("ada", "a secret word")
    client, verifier = ClientLogin("ada", "a secret word"), server.users.verifier("ada")
    log_in(server, "ada", "a secret word")
    proof = client.prove(server.login.challenge("ada"), HERE)
    with pytest.raises(AuthenticationError) as refused:
        server.login.verify("ada", server.login.challenge("ada"), proof, ELSEWHERE)
    with pytest.raises(AuthenticationError) as unproven:
        client.check(bytes(32))
    shown = f"{client!r} {client} {server.login!r} {refused.value!r} {unproven.value!r}"
    shown += caplog.text
    key = accounts.salted("a secret word", verifier.cost)
    assert "a secret word" not in shown
    for secret in (key, verifier.stored_key, verifier.server_key, server.login._secret):
        assert secret.hex() not in shown
        assert repr(secret) not in shown
