"""What a server does with requests that come more than once, or late."""

import pytest

from track.events.codec import Encoder, stream_id
from track.events.record import frame
from track.events.types import StatusChanged
from track.persistence import get_protocol
from track.relay.service import Answering
from track.structure import CustomStatus, Project, Trial

FIRST_NEW = ["trial", "a_0", "first", {"status": {"$in": ["new"]}}]
RESERVED = StatusChanged("reserved", 2, None)


@pytest.fixture
def answering():
    """A server's side of a store with one new trial."""
    store = get_protocol("memory:")
    store.new_project(Project(name="p"))
    store.new_trial(Trial(_hash="a", project_id="p", status=CustomStatus("new", 1)))
    return Answering(store, 30.0)


def reservation(sequence, producer=7):
    """Return a proposal: its header and its payload."""
    stream = stream_id("trial", "a_0")
    payload = Encoder().encode(StatusChanged, [*RESERVED], stream, producer, sequence, 1)
    return [[FIRST_NEW], None, None], payload


def release(answering):
    answering.protocol.set_trial_status(Trial(_hash="a"), CustomStatus("new", 1))


def statuses(answering):
    """Return what was recorded of the trial's status, in order."""
    events = [recorded.event for recorded in answering.protocol.events()]
    return [event.name for event in events if isinstance(event, StatusChanged)]


def test_a_proposal_that_comes_again_counts_once(answering):
    """Both times the answer is that it was recorded, although it could not be any more."""
    assert answering.propose(*reservation(1)) == (None, b"")
    assert answering.propose(*reservation(1)) == (None, b"")
    assert statuses(answering) == ["reserved"]


def test_a_proposal_that_was_refused_stays_refused(answering):
    """A copy of it may arrive when what it expected holds again, and its client has gone on."""
    answering.propose(*reservation(1, producer=8))
    assert answering.propose(*reservation(3)) == (0, b"")
    release(answering)
    assert answering.propose(*reservation(3)) == (0, b"")
    assert answering.propose(*reservation(2)) == (0, b"")
    assert statuses(answering) == ["reserved", "new"]
    assert answering.propose(*reservation(4)) == (None, b"")
    assert statuses(answering) == ["reserved", "new", "reserved"]


def test_a_batch_that_partly_arrived_is_completed(answering):
    """Events whose number, or a later one, is there are left out; the others are appended."""
    records = [frame(reservation(number)[1]) for number in range(1, 6)]
    answering.append(records[:3])
    answering.append(records[1:])
    answering.append(records)
    recorded = [item for item in answering.protocol.events() if item.producer == 7]
    assert [item.sequence for item in recorded] == [1, 2, 3, 4, 5]
    assert answering.last(7) == 5
    assert answering.last(8) == 0


def test_producers_that_are_forgotten_are_known_to_the_journal(answering):
    """Of any number of them, a few are remembered; what anybody sends again counts once."""
    few = Answering(answering.protocol, 30.0, remembered=2)
    records = [frame(reservation(1, producer)[1]) for producer in range(1, 6)]
    for record in [*records, *records]:
        few.append([record])
    few.append(records)
    assert len(statuses(few)) == 5
    assert [few.last(producer) for producer in range(1, 6)] == [1] * 5
    assert len(few._last) == 2


def test_what_is_in_the_journal_counts_after_a_restart(answering):
    """A new server over the same journal knows what the last one took."""
    answering.append([frame(reservation(1)[1])])
    again = Answering(answering.protocol, 30.0)
    again.append([frame(reservation(1)[1]), frame(reservation(2)[1])])
    assert again.last(7) == 2
    assert statuses(again) == ["reserved", "reserved"]
