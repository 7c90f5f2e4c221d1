"""A server among clients that mean harm: they are turned away, and the others are served."""

from contextlib import suppress

import pytest

from tests.hostile import (
    assert_serving,
    content_of,
    errors_in,
    failure,
    hostile,
    nested_tuples,
    payload_of,
    turned_away,
)
from tests.relays import ServerProcess, served
from track.errors import InsecureConnection
from track.events.record import frame
from track.events.types import ProjectCreated
from track.persistence import get_protocol
from track.relay.header_codec import revive
from track.relay.messages import LENGTH, MAX_REQUEST, MAX_STRANGER, Verb, from_records
from track.structure import Project
from track.utils.handshake import HELLO, MAGIC, VERSION

PROJECT = ProjectCreated("project", None, {})

pytestmark = pytest.mark.usefixtures("logged")


# Before the login


HELLOS = {
    "garbage": b"\xff" * HELLO.size,
    "a request of a browser": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".ljust(HELLO.size),
    "the hello of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".ljust(HELLO.size),
    "version 0": HELLO.pack(MAGIC, 0, 0, bytes(32)),
    "version 2": HELLO.pack(MAGIC, 2, 0, bytes(32)),
    "an unknown layer": HELLO.pack(MAGIC, VERSION, 9, bytes(32)),
}


@pytest.mark.parametrize("what", HELLOS)
def test_another_hello_is_turned_away(layered, what, logged):
    """The server says its own, so that the client can tell why, and hangs up."""
    with hostile(layered.port) as client:
        client.socket.sendall(HELLOS[what])
        assert client.read(HELLO.size)[:5] == MAGIC + bytes([VERSION])
        assert client.is_turned_away()
    assert any("was disconnected" in record.getMessage() for record in logged.records)
    assert errors_in(logged) == []


@pytest.mark.parametrize(("mine", "theirs"), [("none", "AES"), ("AES", "none")])
def test_no_security_layer_is_talked_down(mine, theirs):
    """Not that of the server by a client, nor that of a client by a server; both say why."""
    with served("memory:", security_layer=theirs) as running:
        with hostile(running.port, None if mine == "none" else mine) as client:
            with pytest.raises(InsecureConnection, match="use the same on both sides"):
                client.hello()
            assert client.is_turned_away()
        uri = running.uri().replace(f"security_layer={theirs}", f"security_layer={mine}")
        with pytest.raises(InsecureConnection) as caught:
            get_protocol(uri).fetch_projects()
    assert f"the server has security_layer={theirs}, but this side has {mine}" in str(caught.value)


def test_a_client_with_tls_learns_what_the_server_has():
    """The server has none."""
    with served("memory:") as running:
        uri = running.uri().replace("security_layer=none", "security_layer=TLS")
        with pytest.raises(InsecureConnection, match="both sides have security_layer=TLS"):
            get_protocol(uri).fetch_projects()


@pytest.mark.parametrize(
    ("verb", "header"),
    [
        (Verb.APPEND, []),
        (Verb.CALL, ["objects"]),
        (Verb.PROPOSE, [[], None, None]),
        (Verb.LAST, [None]),
        (Verb.SUBSCRIBE, [0, True, None]),
        (Verb.VERIFIED, [b""]),
        (Verb.PROOF, [b""]),
        (Verb.LOGIN, []),
        (Verb.LOGIN, ["", None, None]),
        (Verb.LOGIN, [None, None]),
        (Verb.LOGIN, [b"ada", None]),
        (Verb.LOGIN, ["ada", 1]),
        (Verb.LOGIN, [["ada"], ["secret"]]),
    ],
)
def test_nothing_is_done_before_the_login(layered, verb, header):
    """Any other message is refused, and ends the connection."""
    with hostile(layered.port, layered.server.layer) as client:
        client.hello()
        assert client.receive().verb == Verb.WELCOME
        client.send(verb, header, frame(payload_of(PROJECT)) if verb == Verb.APPEND else b"")
        assert isinstance(failure(client.receive()), PermissionError)
        assert client.is_turned_away()
    assert layered.server.backend.journal.head() == 0


def test_strangers_get_no_memory(layered):
    """A frame over their limit is refused by its length."""
    with hostile(layered.port, layered.server.layer) as client:
        client.hello()
        client.receive()
        client.socket.sendall(LENGTH.pack(MAX_STRANGER + 1))
        assert client.is_turned_away()
    with hostile(layered.port, layered.server.layer) as client:
        client.hello()
        client.receive()
        client.send(Verb.LOGIN, ["x" * MAX_STRANGER, None])
        assert turned_away(client)


def test_a_server_survives_what_is_nested_too_deeply(tmp_path):
    """Tuples inside each other: a decoder that follows them runs out of stack, and the process
    with it."""
    server = ServerProcess(f"file:{tmp_path / 'store.json'}")
    try:
        for size, log_in in ((MAX_STRANGER - 50, False), (2**14, True), (2**15, True)):
            with hostile(server.port) as client:
                if log_in:
                    client.log_in()
                else:
                    client.hello().receive()
                client.send_content(content_of(Verb.LOGIN, nested_tuples(size)))
                assert turned_away(client)
            assert server.process.poll() is None
        with hostile(server.port) as client:
            assert client.log_in().ask(Verb.CALL, ["sync"]).verb == Verb.DONE
    finally:
        server.stop()


# After the login


def test_who_is_logged_in_does_not_log_in_again(layered):
    """A second login is no request."""
    with hostile(layered.port, layered.server.layer) as client:
        client.log_in()
        client.send(Verb.LOGIN, ["root", None])
        assert client.is_turned_away()


@pytest.mark.parametrize(
    "content",
    [
        content_of(0, b"\x90"),
        content_of(22, b"\x90"),
        content_of(255, b"\x90"),
        content_of(Verb.DONE, b"\x90"),
        content_of(Verb.BATCH, b"\x90"),
        content_of(Verb.CALL, b"\x91" * 10_000 + b"\x90"),
        content_of(Verb.CALL, b"\x81\x01\x02"),
        content_of(Verb.CALL, b"\x90", length=2**31),
        content_of(Verb.APPEND, b"\x90", b"no record"),
        content_of(Verb.APPEND, b"\x90", frame(b"x")[:-1]),
        b"",
    ],
)
def test_what_is_no_request_ends_the_connection(layered, content, logged):
    """With a word in the log, and no traceback."""
    with hostile(layered.port, layered.server.layer) as client:
        client.log_in()
        client.send_content(content)
        assert client.is_turned_away()
    assert errors_in(logged) == []


@pytest.mark.parametrize("length", [MAX_REQUEST + 1, 2**31, 2**32 - 1])
def test_a_request_that_is_too_large_is_refused_by_its_length(layered, length):
    """Before any of it comes."""
    with hostile(layered.port, layered.server.layer) as client:
        client.log_in()
        client.socket.sendall(LENGTH.pack(length))
        assert client.is_turned_away()


def test_a_bit_that_changes_on_the_way_ends_the_connection(layered, logged):
    """Nothing of the request is done."""
    with hostile(layered.port, layered.server.layer) as client:
        client.log_in()
        content = content_of(Verb.APPEND, b"\x90", frame(payload_of(PROJECT)))
        sealed = bytearray(client.channel.seal(content))
        sealed[-1] ^= 1
        client.socket.sendall(LENGTH.pack(len(sealed)) + sealed)
        assert client.is_turned_away()
    assert layered.server.backend.journal.head() == 0
    assert [record.levelname for record in logged.records if "disconnected" in record.message] == [
        "WARNING"
    ]


NAMES = [
    *("__class__", "__init__", "__dict__", "__getattribute__", "close", "protocol", "_calls"),
    *(
        "deciding",
        "exec",
        "eval",
        "append",
        "propose",
        "read",
        "call",
        "write_report",
        "_authority",
    ),
    *("os.system", "", "SYNC", " sync", "sync ", "authenticate", "handle_client", "journal"),
    *("first_project", "new_trial", "fetch_and_update_trial", "🎉", "a" * 10_000),
]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_in_the_table_cannot_be_called(running, name):
    """The client gets an AttributeError, and its connection goes on."""
    with hostile(running.port) as client:
        client.log_in()
        error = failure(client.ask(Verb.CALL, [name]))
        assert type(error) is AttributeError
        assert "cannot be called" in str(error) or len(name) > 100
        assert client.ask(Verb.CALL, ["sync"]).verb == Verb.DONE


@pytest.mark.parametrize(
    "header",
    [
        [],
        [None],
        [1],
        [b"sync"],
        [["sync"]],
        [{"sync": 1}],
        ["sync", 1],
        ["knows"],
        ["knows", "project"],
        ["knows", "project", ["unhashable"]],
        ["find", "trial", 7],
        ["find", "trial", "text"],
        ["find", "trial", {"$no": 1}],
        ["find", "trial", {"no_such": 1}],
        ["find", "trial", {"$and": 3}],
        ["find", "trial", {1: 2}],
        ["find", "trial", {"uid": {"$regex": "("}}],
        ["find", "trial", {"uid": {"$in": 1}}],
        ["find_first", "trial", {}],
        ["get_trial", ["unhashable"]],
        ["get_trial", "unknown"],
        ["next_revision", ["unhashable"]],
        ["status_of", ["unhashable"]],
        ["status_of", 3],
        ["first_unmet", 3],
        ["first_unmet", [[1, 2]]],
    ],
)
def test_a_call_with_other_arguments_fails_for_its_client_alone(running, header, logged):
    """It is told, its connection goes on, and nobody has to look into the log of the server."""
    running.server.backend.new_project(Project(name="project"))
    with hostile(running.port) as client:
        client.log_in()
        answer = client.ask(Verb.CALL, header)
        if answer.verb == Verb.FAILED:
            assert isinstance(revive(answer.header), Exception)
        assert client.ask(Verb.CALL, ["sync"]).verb == Verb.DONE
    assert errors_in(logged) == []


@pytest.mark.parametrize("header", [[-1], [2**64], ["1"], [1.0], [True], [b"1"], [[1]]])
def test_the_last_event_of_no_producer_is_not_told(running, header):
    """Producers are numbers of 64 bits; nothing else is looked for, or remembered."""
    with hostile(running.port) as client:
        client.log_in()
        client.send(Verb.LAST, header)
        assert client.is_turned_away()


def test_the_last_event_of_anybody_is_told(running):
    """Of a producer, of an unknown one, of all."""
    with hostile(running.port) as client:
        client.log_in()
        payload = payload_of(PROJECT, producer=7, sequence=12)
        assert client.ask(Verb.APPEND, [], frame(payload)).verb == Verb.DONE
        assert client.ask(Verb.LAST, [7]).header == [12]
        assert client.ask(Verb.LAST, [8]).header == [0]
        assert client.ask(Verb.LAST, [2**64 - 1]).header == [0]
        assert client.ask(Verb.LAST, [None]).header == [running.server.backend.journal.head()]
        assert isinstance(failure(client.ask(Verb.LAST, [])), TypeError)
        assert isinstance(failure(client.ask(Verb.LAST, [1, 2])), TypeError)


def test_asking_for_strangers_fills_no_memory(running):
    """Nothing is kept of a producer that there is nothing of."""
    with hostile(running.port) as client:
        client.log_in()
        for producer in range(1000):
            assert client.ask(Verb.LAST, [producer + 10**9]).header == [0]
    assert len(running.server._relay.service._last) < 100


PROPOSALS = [
    ([], b""),
    ([[]], b""),
    ([[], None, None], b""),
    ([[], None, None], b"no event"),
    ([[], None, None], bytes(200)),
    ([[], "planet", None], payload_of(PROJECT)),
    ([3, None, None], payload_of(PROJECT)),
    (["text", None, None], payload_of(PROJECT)),
    ([[[]], None, None], payload_of(PROJECT)),
    ([[["planet", "x", "absent", None]], None, None], payload_of(PROJECT)),
    ([[["project", "x", "maybe", None]], None, None], payload_of(PROJECT)),
    ([[["project", "x", None, None]], None, None], payload_of(PROJECT)),
    ([[["project", ["x"], "absent", None]], None, None], payload_of(PROJECT)),
    ([[["project", {}, "present", None]], None, None], payload_of(PROJECT)),
    ([[["project", "x", "first", {"$no": 1}]], None, None], payload_of(PROJECT)),
    ([[["project", "x", "first", 5]], None, None], payload_of(PROJECT)),
    ([[], None, None], bytes(2**24) + payload_of(PROJECT)),
    ([[], None, None], payload_of(PROJECT) + bytes(2**24)),
]


@pytest.mark.parametrize("index", range(len(PROPOSALS)))
def test_a_proposal_that_is_none_changes_nothing(running, index, logged):
    """Neither the journal nor the next proposal."""
    header, payload = PROPOSALS[index]
    with hostile(running.port) as client:
        client.log_in()
        client.send(Verb.PROPOSE, header, payload)
        with suppress(EOFError, ConnectionError):  # or it is turned away
            answer = client.receive()
            assert answer.verb == Verb.UNMET or isinstance(failure(answer), Exception)
    assert running.server.backend.journal.head() == 0
    with hostile(running.port) as client:
        client.log_in()
        expected = [[["project", "project", "absent", None]], None, None]
        assert client.ask(Verb.PROPOSE, expected, payload_of(PROJECT)).verb == Verb.DONE
        assert client.ask(Verb.PROPOSE, expected, payload_of(PROJECT)).header == [0]
    assert errors_in(logged) == []


@pytest.mark.parametrize("backend", ["memory:", "lmdb:store.lmdb"])
def test_what_cannot_be_sent_to_anybody_is_not_taken(backend):
    """Else nobody could ever read the journal again."""
    with served(backend) as running, hostile(running.port) as client:
        client.log_in()
        huge = payload_of(PROJECT) + bytes(2**24)
        assert isinstance(failure(client.ask(Verb.PROPOSE, [[], None, None], huge)), TypeError)
        assert client.ask(Verb.PROPOSE, [[], None, None], payload_of(PROJECT)).verb == Verb.DONE
        assert client.ask(Verb.SUBSCRIBE, [0, False, None]).verb == Verb.BATCH


# Subscriptions


@pytest.mark.parametrize(
    "header",
    [
        [],
        [0],
        [0, True],
        [-1, True, None],
        [-(2**70), False, None],
        [2**63, True, None],
        [2**70, True, None],
        [2 ** (8 * 10_000), True, None],
        ["0", True, None],
        [None, True, None],
        [0.0, True, None],
        [True, True, None],
        [[0], True, None],
        [b"0", True, None],
    ],
)
def test_what_is_no_position_is_told(running, header, logged):
    """At once, in an error that says so; the server has nothing to complain of."""
    with hostile(running.port) as client:
        client.log_in()
        error = failure(client.ask(Verb.SUBSCRIBE, header))
        assert isinstance(error, InsecureConnection)
        assert "position" in str(error)
        assert client.is_turned_away()
    assert errors_in(logged) == []


@pytest.mark.parametrize("backend", ["memory:", "file:store.json", "lmdb:store.lmdb"])
@pytest.mark.parametrize("after", [0, 1, 17, 10**6, 2**32, 2**62 - 1])
def test_any_position_is_one(backend, after):
    """Also one behind the end, or in the middle of a record: what comes are whole records."""
    with served(backend) as running:
        running.server.backend.new_project(Project(name="one"))
        running.server.backend.new_project(Project(name="two"))
        with hostile(running.port) as client:
            client.log_in()
            answer = client.ask(Verb.SUBSCRIBE, [after, False, None])
            while answer.verb == Verb.BATCH:
                assert min(answer.header) > after
                answer = client.receive()
            assert answer.verb in (Verb.CAUGHT_UP, Verb.FAILED)
        assert_serving(running)


def test_a_subscription_that_is_not_live_is_a_request_like_others(layered):
    """The same connection goes on with others behind it."""
    layered.server.backend.new_project(Project(name="project"))
    with hostile(layered.port, layered.server.layer) as client:
        client.log_in()
        for _ in range(20):
            assert client.ask(Verb.SUBSCRIBE, [0, False, None]).verb == Verb.BATCH
            assert client.receive().verb == Verb.CAUGHT_UP
            assert client.ask(Verb.LAST, [None]).verb == Verb.DONE


def test_a_live_subscription_ends_when_its_client_says_anything(running, logged):
    """That is no request: one connection is for one subscription."""
    with hostile(running.port) as client:
        client.log_in()
        assert client.ask(Verb.SUBSCRIBE, [0, True, None]).verb == Verb.CAUGHT_UP
        client.send(Verb.LAST, [None])
        assert turned_away(client)
    assert errors_in(logged) == []


def test_records_without_end_are_sent_in_pieces(running):
    """As many as fit into a message: nobody makes a journal unreadable with small ones."""
    batch = [*range(2**40, 2**40 + 215_000)], [b""] * 215_000
    running.server._relay.service.read = lambda *_: iter([batch])
    with hostile(running.port) as client:
        client.log_in()
        found = []
        answer = client.ask(Verb.SUBSCRIBE, [0, False, None])
        while answer.verb == Verb.BATCH:
            assert len(from_records(answer.attachment)) == len(answer.header)
            found += answer.header
            answer = client.receive()
        assert answer.verb == Verb.CAUGHT_UP
    assert found == batch[0]
