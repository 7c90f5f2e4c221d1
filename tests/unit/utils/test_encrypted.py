"""Nobody between two encrypted sockets can read, alter, repeat, drop or add anything unnoticed."""

import errno
import os
import select
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.encryption import (
    half,
    insist,
    insist_on_all,
    listening,
    pair,
    read_all,
    read_until_insecure,
    run_program,
    small_buffer,
    to_record,
)
from track.errors import InsecureConnection
from track.utils.encrypted import MAX_RECORD, OVERHEAD, EncryptedSocket
from track.utils.handshake import HELLO, LAYERS, MAGIC, VERSION


@pytest.fixture
def run():
    """Run functions in threads; what they return comes from ``result``."""
    with ThreadPoolExecutor() as pool:
        yield pool.submit


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(1, 50), min_size=1))
def test_what_is_sent_arrives(chunks, sizes):
    """In order and whole, however it is cut at both ends; then comes the end, for ever."""
    with pair() as (client, server):
        for chunk in chunks:
            client.sendall(chunk)
        client.close()
        data = b""
        while piece := server.recv(sizes[len(data) % len(sizes)]):
            data += piece
        assert data == b"".join(chunks)
        assert server.recv(1) == b""


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=4), st.lists(st.integers(1, 30)))
def test_segments_do_not_matter(chunks, sizes):
    """Records may be split anywhere and joined to others on the way; no call loses anything."""
    with half() as (client, server, channel):
        client.settimeout(0)
        wire = b"".join(to_record(channel, data) for data in [*chunks, b""])
        received = b""
        for size in [*sizes, len(wire)]:
            server.sendall(wire[:size])
            wire = wire[size:]
            with suppress(BlockingIOError):
                while piece := client.recv(5):
                    received += piece
        client.settimeout(10)
        assert received + read_all(client) == b"".join(chunks)


def test_large_transfers_in_both_directions_at_once(run):
    """A reader and a writer at each end do not disturb each other."""
    data = {"client": os.urandom(5_000_000), "server": os.urandom(5_000_000)}
    with pair() as (client, server):
        reading = [run(read_all, end) for end in (client, server)]
        writing = [run(client.sendall, data["client"]), run(server.sendall, data["server"])]
        for written in writing:
            written.result(30)
        client.shutdown(socket.SHUT_WR)
        server.shutdown(socket.SHUT_WR)
        assert [done.result(30) for done in reading] == [data["server"], data["client"]]


def flip(index, position):
    """Alter a bit of a record."""

    def alter(records):
        altered = bytearray(records[index])
        altered[position] ^= 1
        return [*records[:index], bytes(altered), *records[index + 1 :]]

    return alter


ATTACKS = {
    "an altered length": (flip(1, 3), b"one"),
    "an altered byte": (flip(1, 4), b"one"),
    "an altered tag": (flip(2, -1), b"onetwo"),
    "an altered end": (flip(3, -1), b"onetwothree"),
    "an order": (lambda all_: [all_[0], all_[2], all_[1], all_[3]], b"one"),
    "a repetition": (lambda all_: [all_[0], *all_], b"one"),
    "a gap": (lambda all_: [all_[0], *all_[2:]], b"one"),
    "a missing end": (lambda all_: all_[:3], b"onetwothree"),
    "an early end": (lambda all_: [all_[0], all_[3]], b"one"),
    "a cut": (lambda all_: [all_[0], all_[1][:-1]], b"one"),
    "a cut length": (lambda all_: [all_[0], all_[1][:2]], b"one"),
    "an addition": (lambda all_: [all_[0], b"GET / HTTP/1.1\r\n\r\n"], b"one"),
    "plain text": (lambda all_: [pack(">I", 20) + b"x" * 20, *all_], b""),
    "a huge record": (lambda all_: [pack(">I", MAX_RECORD + 1), *all_], b""),
    "a tiny record": (lambda all_: [pack(">I", OVERHEAD - 1), *all_], b""),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_whoever_is_in_between_is_noticed(attack, run):
    """What was sent before is received, and then nothing but an exception."""
    alter, expected = ATTACKS[attack]
    with listening() as target, listening(socket.socket) as proxy, EncryptedSocket() as client:
        accepting = run(target.accept)
        connecting = run(client.connect, proxy.getsockname())
        near, _ = proxy.accept()
        with near, socket.create_connection(target.getsockname()) as far:
            far.sendall(near.recv(HELLO.size, socket.MSG_WAITALL))
            near.sendall(far.recv(HELLO.size, socket.MSG_WAITALL))
            connecting.result(10)
            for data in (b"one", b"two", b"three"):
                client.sendall(data)
            client.close()
            records = [near.recv(4 + OVERHEAD + size, socket.MSG_WAITALL) for size in (3, 3, 5, 0)]
            assert b"one" not in records[0]
            far.sendall(b"".join(alter(records)))
            far.shutdown(socket.SHUT_WR)
            with accepting.result(10)[0] as server:
                assert read_until_insecure(server) == expected


def test_the_end_is_said():
    """Half of a connection can end; an end that nobody said is none."""
    with pair() as (client, server):
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert read_all(server) == b"question"
        server.sendall(b"answer")
        assert client.recv(100) == b"answer"
        with pytest.raises(BrokenPipeError, match="shut down"):
            client.send(b"more")
        os.close(server.detach())
        with pytest.raises(InsecureConnection, match="cut short"):
            client.recv(100)


def test_an_end_that_was_asked_for_is_none_of_the_others(run):
    """Shutting down receiving wakes up a thread that receives."""
    with pair() as (client, _):
        receiving = run(client.recv, 1)
        client.shutdown(socket.SHUT_RD)
        assert receiving.result(10) == b""


# Handshakes


STRANGERS = {
    "another language": (b"HTTP/1.1 400 Bad Request\r\n\r\n".ljust(HELLO.size), "not speak"),
    "no encryption": (HELLO.pack(MAGIC, VERSION, LAYERS[None], bytes(32)), "security_layer=none"),
    "half a hello": (HELLO.pack(MAGIC, VERSION, LAYERS["AES"], bytes(32))[:-1], "closed the conn"),
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_client_refuses_strangers(stranger, run):
    """And closes: nothing can be sent to whatever that is."""
    says, complaint = STRANGERS[stranger]
    with listening(socket.socket) as listener, EncryptedSocket() as client:
        connecting = run(client.connect, listener.getsockname())
        server, _ = listener.accept()
        with server:
            server.recv(HELLO.size, socket.MSG_WAITALL)
            server.sendall(says)
            server.shutdown(socket.SHUT_WR)
            with pytest.raises(InsecureConnection, match=complaint):
                connecting.result(10)
            assert server.recv(1) == b""
        assert client.fileno() == -1


def test_a_server_goes_on_to_the_next_client(run):
    """Those who say nothing, something else, or one byte after the other, are disconnected."""
    with listening() as listener, EncryptedSocket() as client:
        listener.handshake_timeout_s = 1.0
        address = listener.getsockname()
        strangers = [socket.create_connection(address) for _ in range(4)]
        strangers[1].sendall(b"GET / HTTP/1.1\r\n\r\n".ljust(HELLO.size))
        strangers[2].shutdown(socket.SHUT_WR)

        def trickle():
            with suppress(OSError):
                for byte in 100 * MAGIC:
                    strangers[3].sendall(bytes([byte]))
                    threading.Event().wait(0.2)

        trickling, connecting = run(trickle), run(client.connect, address)
        with listener.accept()[0] as server:
            connecting.result(10)
            client.sendall(b"hello")
            assert server.recv(100) == b"hello"
        for stranger in strangers:
            with stranger, suppress(ConnectionResetError):
                assert len(stranger.recv(100)) == HELLO.size
                assert stranger.recv(100) == b""
        trickling.result(10)


def test_a_server_waits_as_long_as_it_is_told():
    """With a timeout for somebody to come; when it does not block, not at all."""
    with listening() as listener:
        listener.settimeout(0.01)
        with pytest.raises(TimeoutError):
            listener.accept()
        listener.handshake_timeout_s = 0.01
        with socket.create_connection(listener.getsockname()), pytest.raises(TimeoutError):
            listener.accept()
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_connect_ex_returns_numbers():
    """Also those of what can go wrong with the encryption."""
    with listening(socket.socket) as listener:
        address = listener.getsockname()
        with EncryptedSocket() as client:
            client.handshake_timeout_s = 0.01
            assert client.connect_ex(address) == errno.EAGAIN
            assert client.fileno() == -1
        with ThreadPoolExecutor() as pool, EncryptedSocket() as client:
            pool.submit(lambda: [listener.accept()[0].close() for _ in range(2)])
            assert client.connect_ex(address) in {errno.EPROTO, errno.ECONNRESET}
    with EncryptedSocket() as client:
        assert client.connect_ex(address) == errno.ECONNREFUSED


# Time


@pytest.mark.parametrize("timeout_s", [0.0, 0.01])
def test_a_send_that_ended_in_the_middle_of_a_record_is_finished_first(timeout_s, run):
    """With other data, the other end would get half of one record and half of another one."""
    with pair(socket.AF_UNIX) as (client, server):
        small_buffer(client)
        client.settimeout(timeout_s)
        data = b"x" * (MAX_RECORD - OVERHEAD)
        with pytest.raises((BlockingIOError, TimeoutError)):
            client.send(data)
        for attempt in (
            lambda: client.send(b"y" * len(data)),
            lambda: client.sendall(b"y"),
            lambda: client.shutdown(socket.SHUT_WR),
        ):
            with pytest.raises(BrokenPipeError, match="middle of its data"):
                attempt()
        reading = run(read_all, server)
        client.settimeout(10)
        assert client.send(data + b"behind it") == len(data)
        client.shutdown(socket.SHUT_WR)
        assert reading.result(10) == data


def test_a_connection_that_closes_in_the_middle_of_a_record_is_cut_short():
    """The other end gets nothing of that record."""
    with pair(socket.AF_UNIX) as (client, server):
        small_buffer(client)
        client.settimeout(0.01)
        with pytest.raises(TimeoutError):
            client.send(b"x" * MAX_RECORD)
        client.close()
        assert read_until_insecure(server) == b""


def test_closing_does_not_wait_for_ever():
    """For an end that does not receive: it is told nothing then."""
    with pair(socket.AF_UNIX) as (client, server):
        client.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                client.send(b"x")
        client.setblocking(True)
        client.handshake_timeout_s = 0.01
        client.close()
        assert set(read_until_insecure(server)) == set(b"x")


def test_a_call_that_times_out_half_way_is_the_last(run):
    """The other end gets what arrived whole, and is told that something is missing."""
    data = os.urandom(20_000_000)
    with pair() as (client, server):
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.sendall(data)
        for attempt in (client.send, client.sendall):
            with pytest.raises(BrokenPipeError, match="middle of its data"):
                attempt(b"more")
        reading = run(read_until_insecure, server)
        client.close()
        received = reading.result(10)
        assert received == data[: len(received)]


def test_sockets_that_do_not_block(run):
    """Everything but connecting works in an event loop, and nothing is lost."""
    data = os.urandom(8_000_000)
    with listening() as listener, EncryptedSocket() as client:
        listener.setblocking(False)
        connecting = run(client.connect, listener.getsockname())
        server, _ = insist(select.POLLIN, listener, listener.accept)
        connecting.result(10)
        with server:
            server.setblocking(False)
            client.setblocking(False)
            with pytest.raises(BlockingIOError):
                server.recv(1)
            reading = run(insist_on_all, server, len(data))
            left = memoryview(data)
            while left:
                left = left[insist(select.POLLOUT, client, client.send, left) :]
            assert reading.result(30) == data
            with pytest.raises(OSError, match="non-blocking connect"):
                client.connect(listener.getsockname())


# The rest of what sockets have


def test_files(run):
    """Text and bytes, and the connection stays until the last file is closed."""
    with pair() as (client, server):
        with client.makefile("rw", encoding="utf-8", newline="\n") as file:
            client.close()
            file.write("né\n")
            file.flush()
            with server.makefile("rwb") as other:
                assert other.readline() == "né\n".encode()
                other.write(b"1\n2\n")
                other.flush()
            assert [file.readline(), file.readline()] == ["1\n", "2\n"]
        assert server.recv(1) == b""


def test_other_ways_to_receive():
    """Each does what it does with other streams."""
    with pair() as (client, server):
        client.sendall(b"0123456789abcdefghij")
        assert server.recv(0) == b""
        assert server.recv(2, socket.MSG_PEEK) == b"01"
        assert server.recv(2, 0, None) == b"01"
        assert server.readsize() == 18
        assert server.recvfrom(2) == (b"23", None)
        assert server.recvmsg(2) == (b"45", [], 0, None)
        buffer, other = bytearray(2), bytearray(4)
        assert (server.recv_into(buffer), buffer) == (2, b"67")
        assert (server.recv_into(buffer, 1), buffer) == (1, b"87")
        assert (server.recvfrom_into(other, 2), other) == ((2, None), b"9a\0\0")
        assert server.recvmsg_into([buffer, other]) == (6, [], 0, None)
        assert buffer + other == b"bcdefg"
        for wrong in (lambda: server.recv(-1), lambda: server.recv_into(buffer, 3)):
            with pytest.raises(ValueError):
                wrong()
        with pytest.raises(TypeError):
            server.recv_into(b"12")
        assert (server.recv(100), server.readsize()) == (b"hij", 0)


def test_other_ways_to_send(tmp_path):
    """Files and lists of buffers."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with pair() as (client, server):
        with path.open("rb") as file:
            assert client.sendfile(file, 2, 5) == 5
            assert file.tell() == 7
        assert client.sendmsg([b"ab", bytearray(b"cd")]) == 4
        client.close()
        assert read_all(server) == b"23456abcd"


REFUSED = {
    "sendto": lambda end: end.sendto(b"plain", ("127.0.0.1", 9)),
    "out of band": lambda end: end.send(b"plain", socket.MSG_OOB),
    "ancillary data": lambda end: end.sendmsg([b"plain"], [(socket.SOL_SOCKET, 1, b"")]),
    "an address": lambda end: end.sendmsg([b"plain"], [], 0, ("127.0.0.1", 9)),
    "receiving out of band": lambda end: end.recv(1, socket.MSG_OOB),
    "cryptography of the kernel": lambda end: end.sendmsg_afalg([b"plain"], op=1),
    "a duplicate": lambda end: end.dup(),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_encrypted_is_refused(what):
    """Before anything is sent, and the connection goes on."""
    with pair() as (client, server):
        with pytest.raises(OSError, match="cannot be encrypted") as caught:
            REFUSED[what](client)
        assert caught.value.errno == errno.EOPNOTSUPP
        client.sendall(b"next")
        assert server.recv(100) == b"next"


def test_nothing_is_sent_without_a_handshake():
    """Over connections that were made elsewhere, closed ones, and datagrams."""
    plain, other = socket.socketpair()
    with other, EncryptedSocket(fileno=plain.detach()) as end:
        for attempt in (lambda: end.sendall(b"plain"), lambda: end.recv(1)):
            with pytest.raises(OSError, match="not connected"):
                attempt()
        end.close()
        assert other.recv(100) == b""
        with pytest.raises(OSError, match="Bad file descriptor"):
            end.send(b"plain")
    datagrams = EncryptedSocket(socket.AF_INET, socket.SOCK_DGRAM)
    with datagrams, pytest.raises(OSError, match="SOCK_STREAM"):
        datagrams.connect(("127.0.0.1", 9))


FORK = """
import os
from tests.encryption import InsecureConnection, pair

with pair() as (client, server):
    if not os.fork():
        for use in (lambda: client.sendall(b"child"), lambda: client.recv(10)):
            try:
                use()
            except InsecureConnection as error:
                print(error, flush=True)
        client.close()
        os._exit(0)
    os.wait()
    client.sendall(b"parent")
    print(server.recv(100))
"""


def test_a_forked_child_cannot_use_the_connection_of_its_parent():
    """It would seal with the same numbers; and its end is not the end of the connection."""
    *refusals, received = run_program(FORK)
    assert received == "b'parent'"
    assert ["connect again" in refusal for refusal in refusals] == [True, True]
