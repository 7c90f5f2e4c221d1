"""Sealed data can be opened once, by one other end, in one order, and else by nobody."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.encryption import run_program
from track.errors import InsecureConnection
from track.utils.encrypted import OVERHEAD, EncryptedChannel, KeyExchange


def channels():
    """Return both ends of a channel: the client's and the server's."""
    client, server = KeyExchange(), KeyExchange()
    return (
        client.finish(server.public, b"hellos", is_server=False),
        server.finish(client.public, b"hellos", is_server=True),
    )


@given(st.lists(st.tuples(st.booleans(), st.binary())))
def test_what_one_end_seals_the_other_one_opens(messages):
    """In either direction, whoever speaks when; and it looks like something else on the way."""
    client, server = channels()
    for is_answer, data in messages:
        sealer, opener = (server, client) if is_answer else (client, server)
        sealed = sealer.seal(data)
        assert len(sealed) == len(data) + OVERHEAD
        assert len(data) < 4 or data not in sealed
        assert opener.open(sealed) == data


@given(st.binary(max_size=50), st.data())
def test_no_bit_can_be_altered(data, draw):
    """And nothing is opened after an attempt, be it genuine."""
    client, server = channels()
    sealed = bytearray(client.seal(data))
    bit = draw.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(InsecureConnection, match="altered"):
        server.open(sealed)
    with pytest.raises(InsecureConnection):
        server.open(client.seal(data))


@given(st.lists(st.binary(max_size=5), min_size=1, max_size=4), st.data())
def test_nothing_but_the_next_can_be_opened(messages, draw):
    """Whatever else there is: earlier and later ones, parts, longer ones, one's own."""
    client, server = channels()
    sealed = [client.seal(data) for data in [*messages, b"last"]]
    count = draw.draw(st.integers(0, len(sealed) - 1))
    for index in range(count):
        assert server.open(sealed[index]) == messages[index]
    expected = sealed[count]
    forgeries = [*sealed[:count], *sealed[count + 1 :], server.seal(b"last"), expected + b"\0"]
    forgeries += [expected[:size] for size in range(len(expected))]
    with pytest.raises(InsecureConnection):
        server.open(draw.draw(st.sampled_from(forgeries)))


def test_connections_have_nothing_in_common():
    """Equal data looks different each time, and both ends must have said the same before."""
    assert channels()[0].seal(b"data") != channels()[0].seal(b"data")
    client, server = KeyExchange(), KeyExchange()
    sealed = client.finish(server.public, b"hello", is_server=False).seal(b"data")
    with pytest.raises(InsecureConnection):
        server.finish(client.public, b"other", is_server=True).open(sealed)


WEAK = [bytes(32), b"\1" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f", b"", b"x" * 31, b"x" * 33]


@pytest.mark.parametrize("public", WEAK)
def test_bad_public_keys_are_refused(public):
    """Those of another length, and those with which anybody knows the secret."""
    with pytest.raises(InsecureConnection, match="public key"):
        KeyExchange().finish(public, b"", is_server=True)


def test_a_key_pair_is_used_once():
    """With the same hellos, a second channel would have the same keys, and begin to count again."""
    exchange, other = KeyExchange(), KeyExchange()
    exchange.finish(other.public, b"", is_server=True)
    with pytest.raises(RuntimeError, match="one connection"):
        exchange.finish(other.public, b"", is_server=True)


def test_numbers_are_not_used_again():
    """The last one can be used, and then no other."""
    client, server = channels()
    client._sealing._count = server._opening._count = 2**96 - 1
    assert server.open(client.seal(b"last")) == b"last"
    for use in (client.seal, server.open):
        with pytest.raises(InsecureConnection, match="too often"):
            use(b"one more")


@pytest.mark.parametrize("make", [KeyExchange, lambda: EncryptedChannel(b"k" * 32, b"K" * 32)])
def test_secrets_are_neither_copied_nor_shown(make):
    """A copy would use the same numbers with the same key."""
    for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="neither copied nor pickled"):
            duplicate(make())
    assert "kkk" not in repr(make()).lower()


FORK = """
import os
from track.errors import InsecureConnection
from track.utils.encrypted import KeyExchange

client, server, late = KeyExchange(), KeyExchange(), KeyExchange()
public = server.public
left = client.finish(server.public, b"", is_server=False)
right = server.finish(client.public, b"", is_server=True)
if not os.fork():
    for use in (left.seal, right.open, lambda _: late.finish(public, b"", is_server=True)):
        try:
            use(b"child")
        except (InsecureConnection, RuntimeError) as error:
            print(type(error).__name__, flush=True)
    os._exit(0)
os.wait()
print(right.open(left.seal(b"parent")))
"""


def test_a_forked_child_cannot_use_what_its_parent_has():
    """It would use the same numbers with the same keys."""
    refused = ["InsecureConnection", "InsecureConnection", "RuntimeError"]
    assert run_program(FORK) == [*refused, "b'parent'"]
