"""A server that fails one statement after the other: each is tried again, none is done by half."""

from __future__ import annotations

import struct
from contextlib import closing
from itertools import count

import pytest

from tests.databases import numbered_events as events
from tests.databases import port_of, sql_journal, terminate
from tests.proxy import Proxy
from track.errors import ConcurrentWrite, JournalError
from track.events.codec import Encoder, decode, stream_id
from track.events.types import GroupCreated, GroupMetadataSet, MetricsLogged
from track.journals.producer import Producer
from track.journals.sql.schema import PART_BYTES
from track.persistence.local_repository import LocalRepository

MANY = 100

EXPECTED = [(1, number) for number in range(1, MANY)] + [(2, 1), (2, 2), (1, MANY)]

ENDS = ("COMMIT", "ROLLBACK")


class Faults:
    """Has the server fail a statement of a client, by changing what the client asks for.

    Parameters
    ----------
    code
        the SQLSTATE that the server answers with
    done
        whether it first does what was asked, as where only the answer gets lost
    at
        the number of the statement
    """

    def __init__(self, code: str, *, done: bool, at: int) -> None:
        self.fail = f"DO $$BEGIN RAISE SQLSTATE '{code}'; END$$"
        self.done = done
        self.at = at
        self.seen = 0
        self.is_inside = False
        """Whether a transaction of several statements was begun."""
        self.request = b""

    def __call__(self, to_server: bool, data: bytes):
        if not to_server:
            yield data
            return
        self.request += data  # a client sends one statement at a time, on whichever connection
        if self.request[0] != ord("Q"):
            data, self.request = self.request, b""
            yield data
        elif len(self.request) == 1 + struct.unpack_from(">I", self.request, 1)[0]:
            text = self.request[5:-1].decode()
            self.request = b""
            if self.seen == self.at:
                text = self.failing(text)
            self.seen += 1
            self.is_inside = text.startswith("BEGIN") or (
                self.is_inside and not text.startswith(ENDS)
            )
            body = text.encode() + b"\0"
            yield b"Q" + struct.pack(">I", len(body) + 4) + body

    def failing(self, text: str) -> str:
        if not self.done:
            return self.fail
        if self.is_inside or text.startswith(("BEGIN", *ENDS)):  # the rest would be lost
            return f"{text}; {self.fail}"
        return f"BEGIN; {text}; COMMIT; {self.fail}"


def work(journal):
    """Do everything that a client does, and return what it read."""
    journal.append(events(1, 1, 3))
    long = Encoder().encode(MetricsLogged, [4, {"x": "x" * PART_BYTES}, None], 7, 1, 4, 1)
    journal.append([long, *events(1, 5, MANY - 5)])  # in several statements
    with journal.exclusive():
        journal.append(events(2, 1, 2))
    journal.append(events(1, MANY, 1))
    assert journal.head() == len(EXPECTED)
    assert journal.last_sequence(1) == MANY
    journal.rewrite([7], lambda payload: payload[:-1] + b"\x00", MANY - 1)
    return [*journal.read_batches()]


@pytest.mark.parametrize(
    ("code", "done"),
    [
        ("40001", False),
        ("40003", False),
        ("40003", True),
        ("57P01", False),
        ("08006", False),
        ("08006", True),
    ],
)
def test_whatever_statement_fails_all_is_there_once(code, done, log):
    """Transactions are tried again from their beginning, and what was done is found."""
    with closing(sql_journal("postgres", log)) as journal:
        journal.prepare()  # the tables, of which the errors are another matter
    at, faults = 0, None
    with Proxy(port_of("postgres")) as proxy:
        while faults is None or faults.seen > at:
            at += faults is not None
            faults = proxy.spoil = Faults(code, done=done, at=at)
            name = f"{log[-200:]} {code} {done} {at}"
            with closing(sql_journal("postgres", name, proxy.port)) as journal:
                batches = work(journal)
            found = [decode(*one) for batch in batches for one in zip(*batch, strict=True)]
            assert [(one.producer, one.sequence) for one in found] == EXPECTED
            assert [one.position for one in found] == [*range(1, len(EXPECTED) + 1)]
            ends = [payload[-1] for _, payloads in batches for payload in payloads]
            assert ends == [0] * (MANY - 1) + [0xC0] * 3
    assert at > 15


def test_a_cluster_without_a_license_is_named_as_such(log):
    """It is not the user who was refused, nor a reason to try again."""
    with Proxy(port_of("postgres")) as proxy:
        proxy.spoil = Faults("XXC02", done=False, at=0)
        with (
            closing(sql_journal("postgres", log, proxy.port)) as journal,
            pytest.raises(JournalError, match=r"the license of the cluster .*enterprise\.license"),
        ):
            journal.head()


def test_a_decision_is_made_again_when_its_section_was_lost(open_journal, admin):
    """Nothing was recorded, so nobody needs to hear of it."""
    journal, other = open_journal(), open_journal()
    repository = LocalRepository(journal, Producer(journal))
    created = GroupCreated("g", None, None, {}, None)
    repository.append_if(stream_id("group", "g"), created, [])
    attempts = []

    def event_of(_stream):
        attempts.append(1)
        if len(attempts) == 1:
            terminate(journal._lock, admin)  # as a server that fails over does
            with other.exclusive():
                other.append(events(2, 1, 1))
        return GroupMetadataSet({"attempt": len(attempts)})

    updated = repository.update("group", {"uid": "g"}, event_of)
    assert updated.metadata == {"attempt": 2}
    assert journal.head() == 3


def test_a_section_that_is_lost_again_and_again_is_told(open_journal, admin):
    """It ends with the error of the journal, and nothing is recorded."""
    journal, other = open_journal(), open_journal()
    repository = LocalRepository(journal, Producer(journal))
    created = GroupCreated("g", None, None, {}, None)
    repository.append_if(stream_id("group", "g"), created, [])
    numbers = count(1)

    def event_of(_stream):
        terminate(journal._lock, admin)
        with other.exclusive():
            other.append(events(2, next(numbers), 1))
        return GroupMetadataSet({"attempt": 1})

    with pytest.raises(ConcurrentWrite, match="try again"):
        repository.update("group", {"uid": "g"}, event_of)
    (group,) = repository.find("group", None)
    assert group.metadata == {}
    assert journal.head() == next(numbers)
