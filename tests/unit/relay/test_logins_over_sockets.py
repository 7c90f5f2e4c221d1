"""Logins over real sockets: who may come in, who is believed, and what nobody ever reads."""

import logging
import threading
from urllib.parse import quote

import pytest

from tests.hostile import Hostile, hostile, until
from tests.relays import Running, served, server_uri
from tests.relays import uri_of as client_uri
from track.errors import AuthenticationError, BackendError, InsecureConnection
from track.persistence import get_protocol
from track.persistence.socketed import SocketClient, SocketServer, start_track_server
from track.relay.messages import Message, Verb
from track.relay.users import Users
from track.structure import Project

COST = 2**14, 8, 1
PASSWORD = "correct horse: battery/staple@☂"
LOGIN = f"ada:{quote(PASSWORD, safe='')}@"
WRONG = "the name or the password is wrong"


@pytest.fixture(autouse=True)
def nothing_leaks(caplog):
    """No record of any test in here holds a password, or a part of one."""
    caplog.set_level(logging.DEBUG)
    yield
    for record in caplog.get_records("call"):
        said = record.getMessage() + str(record.exc_text or "") + repr(record.args)
        assert_silent(said)


def assert_silent(text):
    for secret in ("battery", quote("battery/staple", safe=""), "hunter"):
        assert secret not in text


@pytest.fixture
def users(tmp_path):
    """A file with one user, made with the least cost that clients accept."""
    Users(tmp_path / "users.json", cost=COST).add("ada", PASSWORD)
    return tmp_path / "users.json"


@pytest.fixture(params=["none", "AES"])
def guarded(request, users):
    with served("memory:", security_layer=request.param, users=users) as running:
        yield running


def logs_in(uri):
    """Return a project that went over a connection, or raise why none is there."""
    store = get_protocol(uri)
    try:
        store.new_project(Project(name="project"))
        return store.fetch_projects()[0].name
    finally:
        store.close()


def refusal(uri, kind=AuthenticationError):
    """Return what a client is told that is refused."""
    with pytest.raises(kind) as caught:
        logs_in(uri)
    assert isinstance(caught.value, (PermissionError, InsecureConnection))
    error = caught.value
    while error is not None:
        assert_silent(str(error))
        assert_silent(repr(error))
        error = error.__cause__ or error.__context__
    return str(caught.value)


def test_the_right_password_opens(guarded):
    """And it is not sent: the server is told a proof."""
    assert logs_in(guarded.uri(LOGIN)) == "project"


@pytest.mark.parametrize("login", ["ada:hunter2@", "eve:hunter2@", "eve@", "ada@", "ada:@", ""])
def test_whatever_is_wrong_is_told_in_one_way(guarded, login):
    """Wrong passwords, unknown users, no password: nobody learns which names there are."""
    assert WRONG in refusal(guarded.uri(login, timeout=5))


def test_users_come_and_go_while_the_server_runs(guarded, users):
    """The file is read again."""
    assert logs_in(guarded.uri(LOGIN)) == "project"
    Users(users).remove("ada")
    assert WRONG in refusal(guarded.uri(LOGIN))
    Users(users, cost=COST).add("ada", PASSWORD)
    assert logs_in(guarded.uri(LOGIN)) == "project"


def test_a_damaged_file_of_users_lets_nobody_in(guarded, users):
    """Clients are told at once, and not what is in it or where it is."""
    content = users.read_text()
    users.write_text("{")
    said = refusal(guarded.uri(LOGIN))
    assert "cannot check the login" in said
    assert str(users) not in said
    users.write_text(content)
    assert logs_in(guarded.uri(LOGIN)) == "project"


def test_a_failed_login_is_answered_late(guarded):
    """After a right one that began later; guessing one after the other takes long."""
    order = []

    def fail():
        refusal(guarded.uri("ada:hunter2@"))
        order.append("wrong")

    logs_in(guarded.uri(LOGIN))  # what is slow, scrypt, is remembered now
    thread = threading.Thread(target=fail)
    thread.start()
    until(lambda: len(guarded.server._relay._peers) > 0)
    for _ in range(3):
        logs_in(guarded.uri(LOGIN))
        order.append("right")
    thread.join()
    assert order == ["right"] * 3 + ["wrong"]


def test_a_server_without_users_lets_anybody_in_with_whatever_they_say(caplog):
    """On this machine, where clients believe the server."""
    with served("memory:", security_layer="AES") as running:
        assert logs_in(running.uri()) == "project"
        assert logs_in(running.uri("ada:hunter2@")) == "project"


# Who is believed


def test_a_password_is_not_sent_to_who_proves_nothing():
    """Nor does the client go on there, unless told to, or it is on this machine."""
    with served("memory:") as running:
        said = refusal(running.uri("ada:hunter2@", trust_server="no"))
        assert "does not prove that it knows the password" in said
        assert "trust_server=yes" in said
        assert logs_in(running.uri("ada:hunter2@", trust_server="yes")) == "project"
        assert logs_in(running.uri("ada:hunter2@")) == "project"
        assert logs_in(running.uri("ada@", trust_server="no")) == "project"


def test_a_password_is_not_sent_to_who_asks_for_it():
    """The server never sees it: not by default from another machine, and not when told so."""
    server = Asking(server_uri("memory:", security_layer="AES"))
    running = Running(server)
    refusal(running.uri(LOGIN, trust_server="no"))
    assert server.asked == []
    assert logs_in(running.uri(LOGIN)) == "project"
    assert server.asked == [("ada", PASSWORD)]
    running.stop()


@pytest.mark.parametrize(
    ("uri", "trusted"),
    [
        ("socket://127.0.0.1", True),
        ("socket://127.5.5.5", True),
        ("socket://[::1]", True),
        ("socket://localhost", True),
        ("socket://example.org", False),
        ("socket://10.0.0.1", False),
        ("socket://localhost.example.org", False),
        ("socket://127.0.0.1.example.org", False),
        ("socket://0.0.0.0", False),
        ("socket://example.org?security_layer=AES", False),
        ("socket://example.org?security_layer=TLS", True),
        ("socket://example.org?trust_server=yes", True),
        ("socket://127.0.0.1?trust_server=no", False),
        ("socket://example.org?security_layer=TLS&trust_server=no", False),
    ],
)
def test_who_is_believed_without_a_proof(uri, trusted):
    """This machine and whoever has a certificate, unless the URI says otherwise."""
    assert SocketClient(uri)._connection.target.trusted is trusted


class Asking(SocketServer):
    """Asks somebody else who may come in, and notes who asked."""

    answer = True

    def __init__(self, uri):
        super().__init__(uri)
        self.asked = []

    def authenticate(self, reader, username, password):
        assert not self.is_authenticated(reader)
        self.asked.append((username, password))
        return self.answer


class AskingLater(Asking):
    async def authenticate(self, reader, username, password):
        return super().authenticate(reader, username, password)


class AskingSomebody(Asking):
    def authenticate(self, reader, username, password):
        async def answer():
            return found

        found = super().authenticate(reader, username, password)
        return answer()


@pytest.mark.parametrize("kind", [Asking, AskingLater, AskingSomebody])
def test_a_server_may_decide_by_its_own_means(kind):
    """At once, in a coroutine, or by something to wait for; with or without a file of users."""
    running = Running(kind(server_uri("memory:")))
    assert logs_in(running.uri(LOGIN)) == "project"
    assert logs_in(running.uri()) == "project"
    running.server.answer = False
    assert WRONG in refusal(running.uri(LOGIN))
    running.server.answer = None
    assert WRONG in refusal(running.uri(LOGIN))
    assert running.server.asked == [("ada", PASSWORD), (None, None), *[("ada", PASSWORD)] * 2]
    running.stop()


@pytest.mark.parametrize("error", [RuntimeError, OSError, EOFError, KeyError, TimeoutError])
def test_a_server_that_fails_to_decide_lets_nobody_in(error, caplog):
    """Clients are told at once, and not why; the log of the server has that."""

    class Failing(SocketServer):
        def authenticate(self, reader, username, password):
            raise error("the directory at 10.0.0.1 is away")

    running = Running(Failing(server_uri("memory:")))
    said = refusal(running.uri("ada:hunter2@"))
    running.stop()
    assert "cannot check the login" in said
    assert "directory" not in said
    assert "the directory at 10.0.0.1 is away" in caplog.text


def test_a_server_may_say_why_somebody_may_not_come_in():
    """In its own words."""

    class Closed(SocketServer):
        def authenticate(self, reader, username, password):
            raise AuthenticationError("we are closed on Sundays")

    running = Running(Closed(server_uri("memory:")))
    assert "we are closed on Sundays" in refusal(running.uri())
    running.stop()


def test_a_client_may_have_its_password_from_elsewhere(guarded):
    """Its URI need not hold one."""

    class FromAVault(SocketClient):
        def authenticate(self, uri):
            asked.append(uri)
            return "ada", PASSWORD

    asked = []
    store = FromAVault(guarded.uri())
    store.new_project(Project(name="project"))
    assert [project.name for project in store.fetch_projects()] == ["project"]
    store.close()
    assert asked == [guarded.uri()]


def test_what_a_server_says_before_it_proved_anything_is_no_answer():
    """Somebody in between cannot have a client believe that there are no trials."""

    async def lie(peer):
        await peer.send(Message(Verb.FAILED, ["ItemNotFound", "no trial matches", None]), 10)
        return "nobody"

    server = SocketServer(server_uri("memory:"))
    server._relay._logins.log_in = lie
    running = Running(server)
    store = get_protocol(running.uri())
    with pytest.raises(AuthenticationError, match="refuses: no trial matches"):
        store.fetch_and_update_trial({}, "log_trial_start")
    store.close()
    running.stop()


# Where a server listens


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "10.0.0.1", "example.org"])
def test_a_server_without_users_is_for_this_machine(host, users):
    """Unless it is told otherwise; the message says how."""
    with pytest.raises(BackendError, match="allow_anyone=yes") as caught:
        SocketServer(f"socket://{host}:0?backend=memory:")
    assert "users" in str(caught.value)
    for option in ("allow_anyone=yes", f"users={users}"):
        SocketServer(f"socket://{host}:0?backend=memory:&{option}").backend.close()
    with pytest.raises(BackendError, match="allow_anyone=yes"):
        SocketServer(f"socket://{host}:0?backend=memory:&allow_anyone=no")
    Asking(f"socket://{host}:0?backend=memory:").backend.close()


@pytest.mark.parametrize(
    ("position", "option"),
    [(["TLS"], {}), ([], {"security_layer": "tls"}), ([], {"backend": "TLS"})],
    ids=["by position", "by name", "by its older name"],
)
def test_the_layer_of_a_server_is_named_in_several_ways(position, option):
    """Each asks for what TLS needs."""
    with pytest.raises(BackendError, match="security_layer=TLS needs a certificate"):
        start_track_server("memory:", "127.0.0.1", 0, *position, **option)


# What is shown


def test_a_password_is_shown_nowhere(guarded, capsys):
    """Not in what represents a client or its target, and not in messages about its URI."""
    store = SocketClient(guarded.uri(LOGIN))
    target = store._connection.target
    for thing in (store, target, store._connection, store._server, store.journal, store.producer):
        for text in (repr(thing), str(thing), f"{thing}", f"{thing!r}"):
            assert_silent(text)
    store.close()
    bad = ["?no_such=1", "?trust_server=perhaps", "?security_layer=DES", "?timeout=soon"]
    for end in (":70000", ":http", *bad):
        with pytest.raises(BackendError) as caught:
            SocketClient(f"socket://{LOGIN}127.0.0.1{end}")
        assert_silent(str(caught.value))
    assert_silent(capsys.readouterr().err)


def test_the_password_of_what_is_behind_a_server_is_shown_nowhere(monkeypatch, caplog):
    """Not in its messages, and not in its log."""
    inner = quote("postgres://ada:battery@127.0.0.1/db", safe="")
    for end in (f":http?backend={inner}", f":1?backend={inner}&no_such=1"):
        with pytest.raises(BackendError) as caught:
            SocketServer(f"socket://127.0.0.1{end}")
        assert_silent(str(caught.value))
    running_server = SocketServer(server_uri("memory:"))
    running_server.backend.uri = "postgres://ada:battery@127.0.0.1/db"
    Running(running_server).stop()
    assert "serving postgres://ada@127.0.0.1/db" in caplog.text


def test_a_server_that_is_shown_shows_no_password(users):
    """Nor what was made of one."""
    with served("memory:", users=users) as running:
        logs_in(running.uri(LOGIN))
        for thing in (running.server, running.server._users, running.server._relay._logins):
            assert_silent(repr(thing))
        verifier = Users(users).verifier("ada")
        assert verifier.stored_key.hex() not in repr(verifier)
        assert repr(verifier.stored_key) not in repr(verifier)


def test_who_is_logged_in_is_known_by_name(guarded):
    """The server tells them apart, and forgets them when they go."""
    store = get_protocol(guarded.uri(LOGIN))
    store.fetch_projects()
    (reader,) = guarded.server._relay._peers
    assert guarded.server.is_authenticated(reader)
    assert guarded.server.get_username(reader) == "ada"
    with hostile(guarded.port, guarded.server.layer) as stranger:
        stranger.hello()
        stranger.receive()
        (other,) = {*guarded.server._relay._peers} - {reader}
        assert not guarded.server.is_authenticated(other)
        assert guarded.server.get_username(other) is None
    store.close()
    until(lambda: not guarded.server._relay._peers)
    assert guarded.server.get_username(reader) is None
    assert not guarded.server.is_authenticated(reader)


def test_a_proof_is_for_one_connection(guarded):
    """What was recorded of a login opens nothing, said again word for word."""
    from track.relay.scram import Challenge, ClientLogin

    def prove(client, proof=None):
        client.hello()
        assert client.receive().header == ["proof"]
        challenge = Challenge.read(client.ask(Verb.LOGIN, ["ada", None]).header)
        proof = proof or ClientLogin("ada", PASSWORD).prove(challenge, client.transcript)
        return proof, client.ask(Verb.PROOF, [proof]).verb

    first = Hostile(guarded.port, guarded.server.layer)
    proof, answer = prove(first)
    assert answer == Verb.VERIFIED
    second = Hostile(guarded.port, guarded.server.layer)
    assert prove(second, proof) == (proof, Verb.FAILED)
    for client in (first, second):
        client.close()


def test_a_port_where_nobody_knows_the_language_is_named():
    """Another program that answers there is told apart from a server that is away."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            connection, _ = listener.accept()
            connection.recv(100)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        said = refusal(client_uri(listener.getsockname()[1], LOGIN), InsecureConnection)
        thread.join()
    assert "does not speak Track's protocol" in said
