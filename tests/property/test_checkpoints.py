"""Check that checkpoints give the same past as a replay, at any moments in any order."""

from hypothesis import given
from hypothesis import strategies as st

from tests.property.test_folds import STORIES, dump
from track.events.codec import Encoder
from track.journals.memory import MemoryJournal
from track.moment import Moment
from track.projections.checkpoints import Checkpoints
from track.projections.history import as_of, ends_by
from track.projections.objects import Objects
from track.projections.projection import catch_up
from track.projections.trials import stream_of


class Present:
    """Hold the current objects, which checkpoints ask for the points of series."""

    def __init__(self, journal):
        self.journal = journal
        self.objects = Objects()

    def catch_up(self):
        catch_up(self.objects, self.journal)
        return self.objects.position

    def __call__(self, owner):
        uid, name = owner
        trial = self.objects.trials.get(uid) or self.objects.parts.get(stream_of(uid))
        return None if trial is None else trial.metrics.get(name)


def append(journal, story, at_of):
    encode = Encoder().encode
    for stream, event in story:
        place = journal.head() + 1
        journal.append([encode(type(event), [*event], stream, 1, place, at_of(place))])


def seen(objects):
    """Describe all objects, except partial trials that turned out to be complete."""
    parts = {part.uid for part in objects.parts.values()}
    for uid in [*objects.archived]:
        if uid not in objects.trials and uid not in parts:
            del objects.archived[uid]
    return dump(objects)


CLOCKS = st.sampled_from(
    [
        lambda place: place * 10**9,
        lambda place: place * 10**9 ^ 2**31,  # some go backwards
        lambda place: 5,
    ]
)


@given(STORIES, STORIES, CLOCKS, st.data())
def test_the_past_at_hand_is_that_of_a_replay(story, more, at_of, data):
    """Moments are positions and times, forwards and backwards, while events are appended."""
    journal = MemoryJournal()
    present = Present(journal)
    every = data.draw(st.integers(1, 9))
    most_bytes = data.draw(st.sampled_from([0, 2000, 2**26]))
    checkpoints = Checkpoints(journal, present, every=every, most_bytes=most_bytes)
    for part in (story, more):
        append(journal, part, at_of)
        head = present.catch_up()
        if is_prepared := data.draw(st.booleans()):
            checkpoints.catch_up(head)
        for _ in range(data.draw(st.integers(0, 5))):
            position = data.draw(st.integers(0, head + 1))
            if data.draw(st.booleans()):
                moment = Moment(position=position)
            else:
                moment = Moment(at_ns=at_of(position))
            ends = None
            if moment.at_ns is not None:
                ends = ends_by(journal.read_batches(), moment.at_ns)
            expected = as_of(journal.read_batches(), position=moment.position, ends=ends)
            if not is_prepared:
                checkpoints.reach(head, moment)
            assert seen(checkpoints.at(moment)) == seen(expected)
