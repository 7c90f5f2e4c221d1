"""Check the laws of folding any recorded events into objects."""

import json
from datetime import datetime
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import events, streams, times
from track.aggregators.aggregator import Aggregator
from track.containers.ring import RingBuffer
from track.containers.series import StepSeries
from track.events.codec import Encoder, decode, stream_id
from track.events.redaction import redact
from track.events.types import (
    AlertRaised,
    ArgumentsLogged,
    ArtifactLogged,
    ArtifactUsed,
    ChronoFinished,
    ChronoStarted,
    GroupCreated,
    GroupMetadataSet,
    Heartbeat,
    MetadataLogged,
    MetricDefined,
    MetricsLogged,
    ProjectCreated,
    Recorded,
    Redacted,
    StatusChanged,
    TagsAdded,
    TrialAddedToGroup,
    TrialAddedToProject,
    TrialArchived,
    TrialCreated,
    TrialFinished,
    TrialRedacted,
    TrialRestored,
    TrialStarted,
)
from track.journals.memory import MemoryJournal
from track.journals.producer import Producer
from track.journals.stretches import Stretches
from track.projections.copies import copy_group, copy_project, copy_trial
from track.projections.history import as_of, ends_by
from track.projections.objects import Objects
from track.projections.projection import catch_up
from track.projections.report import ORPHANS, dumps, render_report
from track.read_model.cache import Cache
from track.relay.rows_codec import pack_whole, unpack_whole
from track.serialization import to_json
from track.structure import Project, Trial, TrialGroup
from track.utils.stat import StatStream

# Few subjects and few names, so that events meet.

PROJECTS = st.sampled_from(["p", ORPHANS])
GROUPS = st.sampled_from(["g", "h"])
HASHES = st.sampled_from(["a", "b"])
UIDS = st.sampled_from(["a_0", "a_1", "b_0", "c_0"])
NAMES = st.sampled_from(["loss", "acc", "_update_count"])
SPECS = st.sampled_from(
    [
        None,
        None,
        ["value", {}],
        ["time_series", {}],
        ["stat", {"skip_obs": 1}],
        ["ring", {"n": 2, "dtype": "d"}],
        ["ring", {"n": 2, "dtype": "b"}],
        ["ring", {"n": 0}],
        ["unheard-of", {}],
    ]
)
STEPS = st.sampled_from([None, None, -1, 0, 1, 2, 300, True, "end", 0.5, (1, 2)])
ITEMS = st.sampled_from(
    [
        *(0.0, -0.5, 1e300, float("nan"), float("inf"), 3, -(2**70), True, None, "text", "\ud800"),
        *(b"\xff", (1, (2,)), [1.5, ["x"]], {"a.b": {True: 1, None: [{2: 3}]}}, {"dtype": "trial"}),
        *(datetime(2020, 1, 1), UUID(int=7)),  # noqa: DTZ001
    ]
)
VALUES = st.dictionaries(NAMES, ITEMS, max_size=3)
FILES = st.sampled_from([{}, {"a": {"size": 1, "sha256": "x"}}, {"a": None}])
METRICS = st.dictionaries(
    NAMES, ITEMS | st.lists(ITEMS, max_size=2) | st.dictionaries(STEPS, ITEMS, max_size=2)
)


def on(kind, uids, event):
    return st.tuples(uids.map(lambda uid: stream_id(kind, uid)), event)


def created(strategy, fields):
    """Return events that make a subject, in the stream of that subject."""
    return strategy.map(lambda made: (stream_id(*fields(made)), made))


LOGGED = st.one_of(
    created(
        st.builds(ProjectCreated, PROJECTS, st.none(), VALUES), lambda made: ("project", made.name)
    ),
    created(
        st.builds(GroupCreated, GROUPS, st.just("name"), st.none(), VALUES, PROJECTS),
        lambda made: ("group", made.uid),
    ),
    created(
        st.builds(
            TrialCreated,
            *(HASHES, st.integers(0, 1), st.none(), st.none(), ITEMS, st.none()),
            *(st.none() | GROUPS, st.none() | PROJECTS, VALUES, VALUES, METRICS),
            *(st.just({"x": 1}), st.none() | st.just(["new", 1]), st.just(["error"])),
        ),
        lambda made: ("trial", f"{made.hash}_{made.revision}"),
    ),
    on("project", PROJECTS, UIDS.map(TrialAddedToProject)),
    on("group", GROUPS, UIDS.map(TrialAddedToGroup)),
    on("group", GROUPS, VALUES.map(GroupMetadataSet)),
    on(
        "trial",
        UIDS,
        st.one_of(
            st.just(TrialStarted()),
            st.builds(TrialFinished, st.sampled_from([None, 0.5, 2.0]), st.none()),
            st.builds(ChronoStarted, NAMES, SPECS),
            st.builds(ChronoFinished, NAMES, st.sampled_from([None, 0.5, 2.0]), st.none()),
            VALUES.map(ArgumentsLogged),
            VALUES.map(TagsAdded),
            st.builds(MetadataLogged, VALUES, SPECS),
            st.builds(MetricsLogged, STEPS, VALUES, SPECS),
            st.builds(Heartbeat, st.just("host"), st.just("boot"), st.integers(1, 2), st.just(7)),
            st.sampled_from([TrialArchived(), TrialRestored(), TrialRedacted(), Redacted()]),
            st.builds(StatusChanged, NAMES, st.sampled_from([1, 302]), st.none() | NAMES),
            st.builds(ArtifactLogged, st.just(3), NAMES, NAMES, FILES),
            st.builds(ArtifactUsed, NAMES, NAMES),
            st.builds(AlertRaised, st.just("info"), NAMES, NAMES),
            st.builds(MetricDefined, NAMES, st.sampled_from(["min", "max", "last", "odd"])),
        ),
    ),
)


def run_of_metrics(uids, steps, names, value):
    """Return many events of one shape, as a training loop records them."""
    return [
        (
            stream_id("trial", uids[index % len(uids)]),
            MetricsLogged(step, dict.fromkeys(names, value + index), None),
        )
        for index, step in enumerate(steps)
    ]


RUNS = st.builds(
    run_of_metrics,
    st.lists(UIDS, min_size=1, max_size=2),
    st.sampled_from([range(15), range(250, 262), [*range(120, 129)] * 2, [4, 4, 5] * 3]),
    st.lists(NAMES, unique=True, min_size=1, max_size=2),
    st.sampled_from([0.0, -1.5, float("nan"), 1e300, 3, -(2**53) + 1]),
)
STORIES = st.lists(st.one_of(LOGGED.map(lambda one: [one]), RUNS), max_size=12).map(
    lambda parts: [one for part in parts for one in part]
)
"""Recorded events as pairs of stream and event."""


def recorded(story):
    """Return the story as a journal would give it back, with clocks that do not always grow."""
    return [
        Recorded(position, position * 10**9 ^ 2**30, 1, position, stream, event)
        for position, (stream, event) in enumerate(story, start=1)
    ]


def fold(happened, objects=None):
    objects = objects or Objects()
    for one in happened:
        objects.apply(one)
    return objects


def image(value: Any) -> Any:
    """Describe a value with all its types, and floats to the last bit."""
    if isinstance(value, (Project, TrialGroup)):
        assert value.trials is not None  # what belongs to it is read
    kind = type(value).__name__
    if isinstance(value, float):
        return kind, value.hex(), str(value)
    if isinstance(value, (dict, StepSeries)):
        return kind, [(image(key), image(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return kind, [image(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return kind, sorted(image(item) for item in value)
    if isinstance(value, (StatStream, RingBuffer)):
        return kind, repr(value.__reduce_ex__(2)[2])
    if isinstance(value, (Project, TrialGroup, Trial, Aggregator)):
        fields = {name: item for name, item in vars(value).items() if name != "_source"}
        return kind, image(fields)
    return kind, repr(value)


def dump(objects: Objects) -> Any:
    """Describe the whole content of a projection."""
    for trial in (*objects.trials.values(), *objects.parts.values()):
        assert trial.tags is not trial  # what is in a cache still is read
    own = ("changed", "stream_of")
    known = {name: value for name, value in vars(objects).items() if name not in own}
    # What is known of streams is in no order: who reads a cache has it by subject.
    for name in ("heartbeats", "attempts", "started", "parts", "created", "archived", "by_stream"):
        known[name] = dict(sorted(known[name].items(), key=repr))
    return {name: image(value) for name, value in known.items()}


def report(objects):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads("".join(render_report(objects)), parse_constant=refuse)


@given(STORIES, st.data())
def test_folding_in_parts_is_folding_at_once(story, data):
    """fold(a + b) == fold(b, fold(a)), wherever the story is cut."""
    happened = recorded(story)
    cut = data.draw(st.integers(0, len(happened)))
    assert dump(fold(happened[cut:], fold(happened[:cut]))) == dump(fold(happened))


@given(STORIES, st.data())
def test_replaying_again_changes_nothing(story, data):
    """Events that were already applied are skipped."""
    happened = recorded(story)
    objects = fold(happened)
    before = dump(objects)
    fold(happened[data.draw(st.integers(0, len(happened))) :], objects)
    assert dump(objects) == before


@given(STORIES, st.data())
def test_rows_and_the_rest_are_a_replay(story, data):
    """Wherever a replay is cut, rows with its result continue as if nothing had happened."""
    happened = recorded(story)
    cut = data.draw(st.integers(0, len(happened)))
    kept = unpack_whole(pack_whole(fold(happened[:cut]))).objects
    assert dump(kept) == dump(fold(happened[:cut]))
    assert dump(fold(happened[cut:], kept)) == dump(fold(happened))


@given(STORIES, st.lists(st.integers(0, 60), max_size=4), st.booleans(), st.booleans())
def test_a_cache_and_the_rest_are_a_replay(story, cuts, goes_on, looks):
    """Saving the result of a replay, however often, does not change how it continues.

    The process that kept it goes on with its own objects, or another one with what it finds: with
    all trials read, or those alone that something happened to.
    """
    happened = recorded(story)
    with TemporaryDirectory() as folder:
        cache = Cache(f"{folder}/cache", lambda *series: None)
        objects, stretches, done = Objects(), Stretches(), 0
        for cut in [*sorted(cuts), len(happened)]:
            fold(happened[done:cut], objects)
            for one in happened[done:cut]:
                stretches.add([one.position], [bytes(50)])
            done = max(done, min(cut, len(happened)))
            cache.save(objects, stretches, lambda position: b"%d" % position)
            if not goes_on:
                cache.release()
                cache = Cache(f"{folder}/cache", lambda *series: None)
                objects = cache.load(lambda position: b"%d" % position, recover=None)
                stretches = Stretches(cache.stretches)
            if looks:
                assert dump(objects) == dump(fold(happened[:done]))
        replayed = fold(happened)
        assert glances(objects) == glances(replayed)
        for trial in replayed.trials.values():
            assert objects.with_hash(trial.hash) == replayed.with_hash(trial.hash)
            assert objects.trials[trial.uid].uid == trial.uid
        assert dump(objects) == dump(replayed)
        cache.release()


def glances(objects):
    return [
        (known.trial.uid, image(known.heartbeats), repr(known.attempts), *known[3:])
        for known in objects.known_trials()
    ]


@given(STORIES, st.data())
def test_catching_up_by_columns_is_applying_one_by_one(story, data):
    """The fast way through a journal ends in the same state, types included."""
    journal = MemoryJournal()
    producer = Producer(journal)
    objects = Objects()
    pause = data.draw(st.integers(0, len(story)))
    for index, (stream, event) in enumerate(story):
        if index == pause:
            catch_up(objects, journal)
        producer.record(stream, event)
    catch_up(objects, journal)
    assert dump(objects) == dump(fold(journal.read()))
    catch_up(objects, journal)
    assert objects.position == journal.head() == len(story)


@given(STORIES, st.lists(LOGGED, max_size=3), st.randoms(use_true_random=False))
def test_trials_that_log_at_once_are_folded_as_each_alone(story, between, chance):
    """Sorting events by trial changes nothing if no two neighbours are of the same trial."""
    mixed = []
    kinds = [("a_0", "loss"), ("a_1", "accuracy"), ("b_0", "lr"), ("b_0", "acc"), ("c_0", "loss")]
    for uid, name in kinds:
        for step in range(chance.choice([10, 40])):
            is_odd = step == 7 and uid != "c_0"
            value = chance.choice([0.5, float(step), float(step), "odd" if is_odd else 1.0])
            spec = ["stat", {}] if (uid, step % 30) == ("a_1", 29) else None
            event = MetricsLogged(step, {name: value}, spec)
            mixed.append((stream_id("trial", uid), event))
    chance.shuffle(mixed)
    started = [(stream_id("trial", uid), TrialStarted()) for uid in ("a_0", "b_0")]
    journal, objects = MemoryJournal(), Objects()
    producer = Producer(journal)
    for stream, event in [*story, *started, *mixed, *between, *mixed[:50]]:
        producer.record(stream, event)
    catch_up(objects, journal)
    assert dump(objects) == dump(fold(journal.read()))


@given(STORIES)
def test_the_report_says_what_the_objects_say(story):
    """It is valid JSON, equal to that of the fetched projects."""
    objects = fold(recorded(story))
    projects = [copy_project(project) for project in objects.projects.values()]
    orphans = {trial for trial in objects.trials.values() if trial.project_id is None}
    if orphans:
        home = next((p for p in projects if p.name == ORPHANS), None)
        if home is None:
            projects.append(home := Project(name=ORPHANS))
        home.trials |= {copy_trial(trial) for trial in orphans}
    expected = json.loads(dumps([to_json(project) for project in projects]))
    written = report(objects)
    for project in written + expected:
        project["trials"].sort(key=lambda trial: trial["uid"])
        project["groups"].sort(key=lambda group: group["uid"])
    assert written == expected


@given(STORIES)
def test_copies_are_equal_and_plain(story):
    """Copies have the values of the projection's own objects, in plain containers."""
    objects = fold(recorded(story))
    for trial in objects.trials.values():
        twin = copy_trial(trial)
        assert to_json(twin) == to_json(copy_trial(twin)) or "nan" in repr(twin)
        assert {type(m) for m in twin.metrics.values()}.isdisjoint({StepSeries})
        assert twin.metadata is not trial.metadata
        assert twin.metadata["_update_count"] == trial.metadata["_update_count"]
    for group in objects.groups.values():
        assert copy_group(group).trials == group.trials


def batches(happened):
    """Return events as a journal yields them."""
    encode = Encoder().encode
    return [
        ([at.position], [encode(type(at.event), [*at.event], at.stream, 1, at.sequence, at.at)])
        for at in happened
    ]


@given(STORIES, st.data())
def test_the_past_is_the_fold_of_its_events(story, data):
    """A position includes all events up to it; a time, each subject to its last event by then."""
    # What is erased later is not shown as it was.
    happened = recorded([(place, one) for place, one in story if type(one) is not TrialRedacted])
    position = data.draw(st.integers(0, len(happened) + 1))
    assert dump(as_of(batches(happened), position=position)) == dump(fold(happened[:position]))
    at = data.draw(st.sampled_from([0, *(one.at for one in happened)]))
    by_then = [
        one
        for index, one in enumerate(happened)
        if any(later.stream == one.stream and later.at <= at for later in happened[index:])
    ]
    ends = ends_by(batches(happened), at)
    assert dump(as_of(batches(happened), ends=ends)) == dump(fold(by_then))
    assert dump(as_of(batches(happened))) == dump(fold(happened))


@given(STORIES, UIDS, st.data())
def test_who_saw_what_was_erased_forgets_it(story, uid, data):
    """Folding redacted events equals folding the original events and their redaction."""
    stream = stream_id("trial", uid)
    happened = recorded(story)
    place = data.draw(st.integers(0, len(happened)))
    happened.insert(place, Recorded(0, 5, 1, 2, stream, TrialRedacted()))
    happened = [event._replace(position=number) for number, event in enumerate(happened, 1)]
    left = [
        redacted(event) if event.stream == stream and event.position <= place else event
        for event in happened
    ]
    before, after = fold(happened), fold(left)
    before.failed_events = after.failed_events = []  # what made no sense is erased, too
    # What says nothing makes no part of a trial, so that another one may be the first.
    before.parts, after.parts = (dict(sorted(one.parts.items())) for one in (before, after))
    assert dump(before) == dump(after)


def redacted(event):
    """Return an event as it is after its redaction."""
    encode = Encoder().encode
    payload = encode(type(event.event), [*event.event], event.stream, 1, 1, event.at)
    return decode(event.position, redact(payload))._replace(sequence=event.sequence)


@given(STORIES, UIDS)
def test_every_change_of_a_trial_is_counted_once(story, uid):
    """The update count is the number of events of a trial after the one that made it.

    (A heartbeat changes nothing.)
    """
    happened = recorded(story)
    trial = fold(happened).trials.get(uid)
    events_of_trial = [
        one.event
        for one in happened
        if one.stream == stream_id("trial", uid) and not isinstance(one.event, Heartbeat)
    ]
    made = [isinstance(event, TrialCreated) for event in events_of_trial]
    assert (trial is not None) == any(made)
    if trial is not None:
        changes = [not creation for creation in made[made.index(True) :]]
        given = events_of_trial[made.index(True)].metadata.get("_update_count")
        before = given if isinstance(given, int) else 0
        assert trial.metadata["_update_count"] == before + sum(changes)


@given(st.lists(st.tuples(streams, events, times), max_size=20))
def test_no_event_makes_a_store_unreadable(happened):
    """The objects can be shown and the report is JSON for any recorded values."""
    objects = Objects()
    for position, (stream, event, at) in enumerate(happened, start=1):
        objects.apply(Recorded(position, at, 1, position, stream, event))
    assert isinstance(report(objects), list)
    for project in objects.projects.values():
        copy_project(project)
