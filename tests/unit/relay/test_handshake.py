"""Handshakes: both ends want the same, or there is no connection."""

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from track.errors import BackendError, InsecureConnection
from track.relay.messages import Message, Verb, from_frame, to_frame
from track.utils.handshake import (
    HELLO,
    LAYERS,
    MAGIC,
    VERSION,
    CheckedChannel,
    agree,
    begin,
    check_layer,
)

PAIRS = [(mine, theirs) for mine in LAYERS for theirs in LAYERS if mine != theirs]


@pytest.mark.parametrize("layer", LAYERS)
def test_both_ends_agree(layer):
    """On a channel, in both directions, and on what was said."""
    client, server = begin(layer), begin(layer)
    mine = agree(client, server.hello, is_server=False)
    theirs = agree(server, client.hello, is_server=True)
    assert mine.transcript == theirs.transcript
    assert mine.transcript == hashlib.sha256(client.hello + server.hello).digest()
    for one, other in ((mine, theirs), (theirs, mine)):
        frame = to_frame(Message(Verb.LOGIN, ["ada"]), one.channel)
        assert from_frame(frame[4:], other.channel).header == ["ada"]
    assert isinstance(mine.channel, CheckedChannel) is (layer != "AES")


@pytest.mark.parametrize("layer", LAYERS)
def test_no_two_connections_begin_alike(layer):
    """So nothing of one means anything in another."""
    client, server = begin(layer), begin(layer)
    first = agree(client, server.hello, is_server=False).transcript
    assert begin(layer).hello != begin(layer).hello
    assert agree(begin(layer), server.hello, is_server=False).transcript != first


@pytest.mark.parametrize("is_server", [True, False])
@pytest.mark.parametrize(("mine", "theirs"), PAIRS)
def test_another_layer_is_refused(mine, theirs, is_server):
    """By both ends, whichever is the weaker one; the message says what each has."""
    with pytest.raises(InsecureConnection, match="use the same on both sides") as caught:
        agree(begin(mine), begin(theirs).hello, is_server=is_server)
    said = str(caught.value)
    assert f"security_layer={theirs or 'none'}" in said
    assert f"this side has {mine or 'none'}" in said


@pytest.mark.parametrize("layer", [3, 17, 255])
def test_an_unknown_layer_is_refused(layer):
    """That of a later version, say."""
    hello = HELLO.pack(MAGIC, VERSION, layer, os.urandom(32))
    with pytest.raises(InsecureConnection, match=f"security_layer={layer}"):
        agree(begin(None), hello, is_server=True)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_refused(version):
    """The message says which."""
    hello = HELLO.pack(MAGIC, version, 0, os.urandom(32))
    with pytest.raises(InsecureConnection, match=f"version {version}"):
        agree(begin(None), hello, is_server=True)


@pytest.mark.parametrize("who", ["client", "server"])
@pytest.mark.parametrize("text", [b"GET / HTTP/1.1\r\nHost: example.org\r\n", b"\x16\x03\x01", b""])
def test_another_language_is_refused(text, who):
    """That of a browser, of TLS, or none."""
    with pytest.raises(InsecureConnection, match=f"the {who} does not speak"):
        agree(begin(None), text.ljust(HELLO.size, b"\0"), is_server=who == "client")


@given(st.binary(min_size=HELLO.size, max_size=HELLO.size), st.sampled_from([*LAYERS]))
def test_whatever_comes_is_refused_in_one_way(hello, layer):
    """No bytes make anything else go wrong."""
    with pytest.raises(InsecureConnection):
        agree(begin(layer), hello, is_server=True)


WEAK_KEYS = [
    bytes(32),
    (1).to_bytes(32, "little"),
    (2**255 - 20).to_bytes(32, "little"),  # p - 1
    (2**255 - 19).to_bytes(32, "little"),
    (2**255 - 18).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
]


@pytest.mark.parametrize("key", WEAK_KEYS)
def test_a_weak_key_is_refused(key):
    """One that leaves a single secret, whatever the other end has."""
    with pytest.raises(InsecureConnection, match="unusable public key"):
        agree(begin("AES"), HELLO.pack(MAGIC, VERSION, LAYERS["AES"], key), is_server=True)


@given(st.integers(0, HELLO.size * 8 - 1))
def test_a_hello_that_is_altered_on_the_way_leads_nowhere(bit):
    """With AES the keys depend on every bit of both."""
    client, server = begin("AES"), begin("AES")
    altered = bytearray(client.hello)
    altered[bit // 8] ^= 1 << bit % 8
    mine = agree(client, server.hello, is_server=False)
    try:
        theirs = agree(server, bytes(altered), is_server=True)
    except InsecureConnection:
        return
    assert mine.transcript != theirs.transcript
    with pytest.raises(InsecureConnection):
        from_frame(to_frame(Message(Verb.LOGIN, ["ada"]), mine.channel)[4:], theirs.channel)


def test_a_hello_that_is_sent_back_leads_nowhere():
    """Who echoes everything has not answered."""
    client = begin("AES")
    agreed = agree(client, client.hello, is_server=False)
    frame = to_frame(Message(Verb.LOGIN, ["ada"]), agreed.channel)
    with pytest.raises(InsecureConnection):
        from_frame(frame[4:], agreed.channel)


@pytest.mark.parametrize(
    ("text", "layer"),
    [("AES", "AES"), ("aes", "AES"), ("tls", "TLS"), ("none", None), ("", None), (None, None)],
)
def test_layers_are_written_in_any_case(text, layer):
    """No layer has several names."""
    assert check_layer(text) == layer


@pytest.mark.parametrize("text", ["DES", "AES256", "ssl", "0"])
def test_unknown_layers_are_refused(text):
    """The message says which there are."""
    with pytest.raises(BackendError, match=f"security_layer='{text}' is not known: use AES, TLS"):
        check_layer(text)
