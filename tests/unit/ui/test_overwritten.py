"""Points that a later attempt wrote over: the short way finds what a look at each event does."""

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from track.events.codec import Encoder, decode
from track.events.types import MetricsLogged, TrialStarted
from track.journals.memory import MemoryJournal
from track.moment import Moment
from track.ui.overwritten import Pieces, overwritten

STREAM = 7


def one_by_one(events):
    """Return the same from each event in turn."""
    attempts, by_producer, latest, lost = 0, {}, {}, {}
    for recorded in events:
        event = recorded.event
        if isinstance(event, TrialStarted):
            attempts += 1
            by_producer[recorded.producer] = attempts
        elif isinstance(event, MetricsLogged) and event.step is not None:
            mine = by_producer.get(recorded.producer, attempts)
            for name in event.values:
                attempt, at = latest.get((name, event.step), (mine, 0))
                latest[name, event.step] = mine, recorded.at
                if attempt != mine:
                    one = lost.setdefault(
                        attempt,
                        {"number": attempt, "points": 0, "first": event.step, "from": at / 1e6},
                    )
                    one |= {"by": mine, "points": one["points"] + 1}
                    one |= {"last": event.step, "to": at / 1e6}
    return [lost[number] for number in sorted(lost)]


STEPS = st.sampled_from([None, "last", 2.5, 3.0, 10**20])
NAMES = st.sampled_from([["loss"], ["loss", "acc"], ["acc"]])
RUNS = st.tuples(st.integers(1, 3), st.integers(0, 20), st.integers(1, 30), NAMES)
ACTS = st.one_of(RUNS, st.tuples(st.integers(1, 3), STEPS, NAMES), st.integers(1, 3))


def events_of(act):
    """Yield the producer and the event of an attempt's start, a value, or a run of values."""
    match act:
        case int():
            yield act, TrialStarted()
        case (producer, step, names):
            yield producer, MetricsLogged(step, dict.fromkeys(names, 0.5), None)
        case (producer, first, count, names):
            for step in range(first, first + count):
                yield producer, MetricsLogged(step, dict.fromkeys(names, 0.5), None)


@given(st.lists(ACTS, max_size=12), st.data())
def test_all_points_that_were_written_over_are_found(acts, data):
    """While a trial goes on, up to any moment, whatever its steps are."""
    journal, encode, pieces = MemoryJournal(), Encoder().encode, Pieces()
    read = partial(journal.read_stream, STREAM)
    for act in acts:
        for producer, event in events_of(act):
            place = journal.head() + 1
            journal.append([encode(type(event), [*event], STREAM, producer, place, place * 10**9)])
        if data.draw(st.booleans()):
            found = overwritten(pieces, read)
            every = [decode(*pair) for batch in read(0) for pair in zip(*batch, strict=True)]
            assert found == {"attempts": one_by_one(every), "complete": True}
            last = data.draw(st.integers(0, len(every)))
            for moment in (Moment(position=last), Moment(at_ns=last * 10**9)):
                then = overwritten(pieces, read, moment)
                assert then == {"attempts": one_by_one(every[:last]), "complete": True}
