"""What a server sends to those who look: trials without series, and points when touched."""

import math
import random
import sqlite3
from contextlib import closing

import pytest

import track
from tests.property.test_folds import dump
from tests.proxy import Proxy
from tests.relays import served
from track.containers.points import Points
from track.containers.series import StepSeries
from track.errors import (
    EncodingError,
    ItemNotFound,
    MalformedMessage,
    TrackError,
    TrialDoesNotExist,
)
from track.events.codec import stream_id
from track.events.types import MetricsLogged, TrialRedacted
from track.events.values import new_packer, unpack
from track.journals.memory import MemoryJournal
from track.journals.producer import Producer
from track.persistence import get_protocol
from track.persistence.journaled import JournaledProtocol
from track.projections.history import as_of
from track.projections.objects import Objects
from track.read_model.cache_series import CHUNK
from track.relay import rows_codec
from track.relay.looking import Looking
from track.relay.service import Answering
from track.structure import Project, Trial, TrialGroup

MANY = 50_000


def filled(uri, points, name="long"):
    """Make a trial with a metric of so many points, and one whose steps go back; return its uid."""
    protocol = get_protocol(uri)
    protocol.new_project(Project(name="p"))
    protocol.new_trial_group(TrialGroup(_uid="g", name="group", project_id="p"))
    trial = Trial(name=name, project_id="p", group_id="g", parameters={"name": name})
    protocol.new_trial(trial)
    sink = protocol.metrics_sink(trial)
    chance = random.Random(1)
    for step in range(points):
        sink(step, None, {"loss": chance.random(), "acc": step / 7})
    for step in (3, 2, 1):
        sink(step, None, {"back": float(step)})
    sink(points, None, {"loss": math.nan})
    protocol.close()
    return trial.uid


@pytest.fixture
def serving(tmp_path):
    """A server of a store on disk."""
    with served(f"file:{tmp_path / 'served.json'}") as running:
        yield running


@pytest.fixture
def uri(serving, tmp_path):
    return serving.uri(spool=tmp_path / "spool")


class Counted:
    """A server whose answers are counted: bytes of all of them."""

    def __init__(self, serving):
        self.proxy = Proxy(serving.port)
        self.proxy.spoil = self._note
        self.uri = serving.uri().replace(str(serving.port), str(self.proxy.port))
        self.received = 0

    def _note(self, is_request, data):
        if not is_request:
            self.received += len(data)
        yield data


def test_a_sample_of_a_long_series_costs_what_is_shown(tmp_path):
    """Fifty thousand points of two metrics stay where they are."""
    store = f"file:{tmp_path / 'served.json'}"
    uid = filled(store, MANY)
    with track.open(store) as local:
        expected = local.trial(uid).metrics["loss"].sample(1000)
    with served(store) as serving:
        counted = Counted(serving)
        with counted.proxy, track.open(counted.uri) as reader:
            trial = reader.trial("long")
            loss = trial.metrics["loss"]
            assert (len(loss), len(trial.metrics["acc"])) == (MANY + 1, MANY)
            assert trial.metrics["acc"].last == (MANY - 1) / 7
            assert counted.received < 20_000
            sample = loss.sample(1000)
            assert (sample.steps, sample.times) == (expected.steps, expected.times)
            assert repr(sample.values) == repr(expected.values)
            assert counted.received < 100_000
            assert len(reader.trials()) == 1
            assert counted.received < 110_000
            assert loss[MANY // 2] == local_value(store, uid, MANY // 2)
            assert counted.received < 300_000


def local_value(store, uid, step):
    with track.open(store) as reader:
        return reader.trial(uid).metrics["loss"][step]


@pytest.mark.parametrize("kept", [True, False])
def test_series_of_a_server_are_those_of_the_store(tmp_path, monkeypatch, kept):
    """Columns, slices, steps, moments and samples, whether the server has a cache or not."""
    monkeypatch.setenv("TRACK_CACHE_AFTER", "1" if kept else "inf")
    store = f"file:{tmp_path / 'served.json'}"
    uid = filled(store, 5 * CHUNK)
    with served(store) as serving, track.open(serving.uri()) as reader, track.open(store) as local:
        serving.server._relay.service = Answering(serving.server.backend, 30.0, most_summaries=3)
        for name in ("loss", "acc", "back"):
            theirs, ours = reader.trial(uid).metrics[name], local.trial(uid).metrics[name]
            for left, right in (
                (theirs, ours),
                (theirs[CHUNK - 9 : 3 * CHUNK], ours[CHUNK - 9 : 3 * CHUNK]),
                (theirs.sample(20), ours.sample(20)),
                (theirs.sample(20, first=5, last=9000), ours.sample(20, first=5, last=9000)),
                (theirs.sample(10**6), ours.sample(10**6)),
            ):
                assert [*left.steps] == [*right.steps]
                assert [*left.times] == [*right.times]
                assert repr([*left.values]) == repr([*right.values])
        acc, twin = (one.trial(uid).metrics["acc"] for one in (reader, local))
        position = acc.points().positions[CHUNK + 1]
        assert acc.until(position=position) == twin.until(position=position)
        assert len(acc.until(position=position)) == CHUNK + 2
        assert acc[77] == 11.0
        with pytest.raises(KeyError):
            acc[5 * CHUNK]


def test_a_report_has_the_trials_that_a_server_left_in_its_cache(tmp_path):
    """A server that just started has read none of them: the first client to ask has them all."""
    store = f"file:{tmp_path / 'served.json'}"
    local = get_protocol(store)
    local.new_project(Project(name="p"))
    local.new_trial_group(TrialGroup(_uid="g", name="g", project_id="p"))
    for name in ("first", "second"):
        local.new_trial(Trial(_hash=name, project_id="p", group_id="g"))
    for step in range(5000):  # so that a cache is worth it
        local.log_trial_metrics(Trial(_hash="first", project_id="p"), step=step, loss=1.0)
    local.close()
    assert (tmp_path / "served.json.journal.cache").exists()
    with served(store) as serving:
        client = get_protocol(serving.uri(spool=tmp_path / "spool"))
        client.commit(str(tmp_path / "client.json"))
        client.close()
    report = (tmp_path / "client.json").read_text()
    assert report == (tmp_path / "served.json").read_text()
    assert '"second"' in report


def test_a_view_stays_what_it_was_while_more_is_logged(uri, serving):
    """It ends where it ended, whoever appends to the series, or makes a dictionary of it."""
    uid = filled(serving.server.backend.uri, 300)
    with track.open(uri) as reader:
        views = [reader.trial(uid).metrics["acc"] for _ in range(3)]
        protocol = serving.server.backend
        (trial,) = protocol.fetch_trials()
        protocol.log_trial_metrics(trial, step=300, acc=1.0)
        assert len(views[0]) == len(views[0].values) == 300
        assert len(reader.trial(uid).metrics["acc"]) == 301
        protocol.log_trial_metrics(trial, step=5, acc=-1.0)
        assert views[1] == {step: step / 7 for step in range(300)}
        assert views[2].sample(10).last == 299 / 7
        assert reader.trial(uid).metrics["acc"][5] == -1.0


def test_what_was_erased_meanwhile_cannot_be_had(uri, serving):
    """The server says so, and nobody gets anything else in its place."""
    uid = filled(serving.server.backend.uri, 300)
    with track.open(uri) as reader:
        view = reader.trial(uid).metrics["acc"]
        server = serving.server.backend
        server.producer.record(stream_id("trial", uid), TrialRedacted())
        looking = Looking(server.repository)
        with pytest.raises(ItemNotFound, match="read it again"):
            looking.calls()["points"]([uid, "acc", 300, 299, 299 / 7, 0], 0, 10)
        assert len(view) == 300


def test_a_trial_is_sent_without_the_others(tmp_path):
    """By its name, the beginning of its uid, or all of that."""
    store = f"file:{tmp_path / 'served.json'}"
    uids = [filled(store, 10, f"trial {number}") for number in range(30)]
    with served(store) as serving:
        counted = Counted(serving)
        with counted.proxy, track.open(counted.uri) as reader:
            for which in ("trial 7", uids[7][:12], uids[7]):
                before = counted.received
                view = reader.view(which)
                assert (view.trial.uid, view.group) == (uids[7], "group")
                assert counted.received - before < 3000
            with pytest.raises(TrialDoesNotExist, match="did you mean trial 7"):
                reader.trial("trial 77")
            assert reader.find_uid("trial 8") == uids[8]
            assert [trial.name for trial in reader.named(["trial 3", "trial 3", uids[4]])] == [
                "trial 3",
                "trial 4",
            ]


@pytest.mark.parametrize("values", [[2.0, math.nan, -1.0], [math.nan], []])
def test_the_extremes_of_a_whole_series_follow_from_its_points(values):
    """Only lists, which have no points, are told of them."""
    objects = Objects()
    objects.add_trial(Trial(_hash="hash"))
    series = objects.trials["hash_0"].metrics["loss"] = StepSeries()
    for step, value in enumerate(values):
        series.put(step, value, (step, step))
    read = rows_codec.unpack_whole(rows_codec.pack_whole(objects)).objects.trials["hash_0"]
    assert read.metrics["loss"].extremes() == series.extremes()


def test_rows_of_another_version_are_not_read(uri, serving):
    """The error says what to do."""
    uid = filled(serving.server.backend.uri, 3)

    class Newer(Answering):
        def call(self, name, arguments):
            values, rows = super().call(name, arguments)
            if name in ("rows", "objects", "find"):
                version, *others = unpack(rows)
                rows = new_packer().pack([version + 1, *others])
            return values, rows

    serving.server._relay.service = Newer(serving.server.backend, 30.0)
    with track.open(uri) as reader, pytest.raises(TrackError, match="same version of Track"):
        reader.trials()
    with closing(get_protocol(uri)) as store, pytest.raises(TrackError, match="same version"):
        store.fetch_trials({"uid": uid})


def test_an_answer_has_a_limit():
    """Whoever has more than fits into one is told so."""
    objects = Objects()
    objects.add_trial(Trial(_hash="a", parameters={"text": "x" * 100}))
    with pytest.raises(EncodingError, match="limit of 100 bytes"):
        rows_codec.pack_whole(objects, longest=100)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("sample", ["OWNER", 1, None, None]),
        ("sample", ["OWNER", 2**16, None, None]),
        ("sample", ["OWNER", 10, "a", None]),
        ("points", ["OWNER", 0, 2**17]),
        ("points", ["OWNER", 5, 5]),
        ("points", ["OWNER", -1, 5]),
        ("chunks", ["OWNER", None]),
        ("chunks", [["nobody", "acc", 1, 1, 1.0], 0]),
        ("chunks", [["a_0", "acc", 99, 1, 1.0], 0]),
        ("chunks", [["a_0", "none", 1, 1, 1.0], 0]),
        ("points", [None, 0, 1]),
        ("points", [[[], "acc", 1, 1, 1.0], 0, 1]),
        ("look_up", ["a_0"]),
        ("look_up", [[7]]),
        ("look_up", [["x" * 5000]]),
        ("look_up", [["x"] * 1025]),
    ],
)
def test_what_is_asked_for_has_limits(name, arguments):
    """Nothing that a client says takes more memory than an answer may have."""
    store = JournaledProtocol(MemoryJournal())
    store.new_project(Project(name="p"))
    trial = Trial(_hash="a", project_id="p")
    store.new_trial(trial)
    store.log_trial_metrics(trial, step=1, acc=1.0)
    call = Looking(store.repository).calls()[name]
    arguments = [["a_0", "acc", 1, 1, 1.0] if one == "OWNER" else one for one in arguments]
    with pytest.raises((ValueError, MalformedMessage, ItemNotFound)):
        call(*arguments)


def test_points_of_a_server_that_make_no_sense_are_refused():
    """Neither more than were asked for, nor columns that do not fit together."""
    journal = MemoryJournal()
    producer = Producer(journal)
    for step in range(10):
        producer.record(7, MetricsLogged(step, {"x": step / 3}, None))
    (part,) = as_of(journal.read_batches()).parts.values()
    points = part.metrics["x"].points()
    data = rows_codec.pack_points(points)
    assert rows_codec.unpack_points(data) == points
    assert rows_codec.unpack_points(rows_codec.pack_points(Points.empty())) == Points.empty()
    chance = random.Random(1)
    for _ in range(2000):
        broken = bytearray(data)
        broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
        del broken[chance.randrange(len(broken)) :]
        try:
            found = rows_codec.unpack_points(bytes(broken))
        except MalformedMessage:
            continue
        assert len({*map(len, found)}) == 1
    with pytest.raises(MalformedMessage):
        rows_codec.unpack_summaries(b"x")


@pytest.mark.parametrize("harm", ["flip", "cut", "remove", "lock"])
def test_a_server_whose_cache_is_harmed_answers_as_ever(tmp_path, monkeypatch, harm):
    """It reads the journal in its place."""
    monkeypatch.setenv("TRACK_CACHE_AFTER", "1")
    store = f"file:{tmp_path / 'served.json'}"
    uid = filled(store, 2 * CHUNK)
    path = tmp_path / "served.json.journal.cache"
    with served(store) as serving, track.open(serving.uri()) as reader:
        view = reader.trial(uid).metrics["acc"]
        data = bytearray(path.read_bytes())
        chance = random.Random(5)
        if harm == "remove":
            path.unlink()
        elif harm == "cut":
            path.write_bytes(data[: len(data) // 2])
        elif harm == "flip":
            for _ in range(200):
                data[chance.randrange(100, len(data))] ^= 1 << chance.randrange(8)
            path.write_bytes(data)
        if harm == "lock":
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN EXCLUSIVE")
                assert view == {step: step / 7 for step in range(2 * CHUNK)}
                other.execute("ROLLBACK")
        assert view == {step: step / 7 for step in range(2 * CHUNK)}
        assert len(reader.trial(uid).metrics["acc"].sample(50)) < 150
        with reader.protocol.read_state() as objects:
            live = dump(objects)
        assert live == dump(as_of(reader.protocol.journal.read_batches()))
