"""Media of a trial: logged by step, kept beside it, found again, on every backend."""

import os
from pathlib import Path

import numpy as np
import pytest

import track
from track import TrackClient
from track.attachments.media import MOST_BESIDE_CONTENTS, MOST_IN_AN_EVENT
from track.errors import EncodingError, ItemNotFound
from track.media import Histogram, Image, Text
from track.moment import Moment
from track.reader import Reader
from track.stores.redaction import redact

NOISE = np.random.default_rng(3).integers(0, 256, (256, 256, 3), np.uint8)
assert NOISE.nbytes > MOST_BESIDE_CONTENTS


@pytest.fixture
def client():
    client = TrackClient("file:s.json")
    yield client
    client.close()


def test_media_are_logged_beside_metrics(client):
    """By one call, with lists of them, at a step."""
    with client.new_trial(name="t", parameters={"lr": 0.1}) as trial:
        for step in range(3):
            weights = Histogram([1.0, 2.0, step])
            samples = [Text(f"first {step}"), Text(f"second {step}")]
            trial.log({"loss": 1.0, "weights": weights, "samples": samples}, step)
        trial.log_text("note", "the end")
    store = Reader(client.protocol)
    assert store.trial("t").metrics == {"loss": {0: 1.0, 1: 1.0, 2: 1.0}}
    found = store.media("t", "samples")
    assert [(one.step, one.place, one.kind) for one in found] == [
        (step, place, "text") for step in range(3) for place in range(2)
    ]
    assert [store.content_of(one) for one in found[2:4]] == [b"first 1", b"second 1"]
    assert [one.name for one in store.media("t")].count("weights") == 3
    assert store.media("t")[-1].step is None
    earlier = store.media("t", at=Moment(position=found[2].position))
    assert len(earlier) == 2 * 3
    assert all(one.data is not None for one in store.media("t"))


def test_a_trial_waits_for_no_medium_to_exist(client):
    """One that waits for its arguments is inserted first."""
    trial = client.new_trial(name="t")
    trial.log_text("note", "x")
    assert [one.name for one in Reader(client.protocol).media("t")] == ["note"]


def test_large_contents_are_kept_once_beside_the_journal(client, tmp_path):
    """And are found damaged if they are, or missing."""
    trial = client.new_trial(name="t", parameters={})
    for step in range(3):
        trial.log_image("noise", NOISE, step, caption="always the same")
    files = [path for path in Path("s.json.files").rglob("*") if path.is_file()]
    assert len(files) == 1
    store = Reader(client.protocol)
    (first, *_) = store.media("t")
    assert (first.data, first.caption) == (None, "always the same")
    assert store.content_of(first) == Image(NOISE).data
    files[0].unlink()
    with pytest.raises(ItemNotFound, match="is missing"):
        store.content_of(first)


def test_ten_thousand_small_contents_are_no_files(client):
    """They are part of the journal."""
    trial = client.new_trial(name="t", parameters={})
    for step in range(100):
        trial.log_text("sample", f"{step:>10000}", step)
    assert len(list(Path().rglob("*"))) <= 20
    assert len(Reader(client.protocol).media("t")) == 100


def test_a_backend_without_contents_keeps_what_fits_an_event(tmp_path):
    """And says what is over that, having recorded nothing of it."""
    client = TrackClient("memory:")
    trial = client.new_trial(name="t", parameters={})
    trial.log_image("noise", NOISE, 1)
    with pytest.raises(EncodingError, match=f"limit of {MOST_IN_AN_EVENT}"):
        trial.log_text("long", "x" * (MOST_IN_AN_EVENT + 1))
    store = Reader(client.protocol)
    (only,) = store.media("t")
    assert store.content_of(only) == Image(NOISE).data


def test_a_value_that_is_no_medium_leaves_the_others(client):
    """What can be logged of one call is."""
    trial = client.new_trial(name="t", parameters={})
    with pytest.raises(EncodingError, match="odd"):
        trial.log({"loss": 1.0, "odd": object(), "note": Text("x")}, 1)
    store = Reader(client.protocol)
    assert store.trial("t").metrics == {"loss": {1: 1.0}}
    assert [one.name for one in store.media("t")] == ["note"]


def test_a_medium_that_is_refused_takes_nothing_with_it():
    """Neither the metrics nor the other media of the call."""
    client = TrackClient("memory:")
    trial = client.new_trial(name="t", parameters={})
    large = Text("x" * (MOST_IN_AN_EVENT + 1))
    with pytest.raises(EncodingError, match=r"'large'.*Everything else was logged"):
        trial.log({"large": large, "note": Text("x"), "loss": 1.0}, 1)
    store = Reader(client.protocol)
    assert store.trial("t").metrics == {"loss": {1: 1.0}}
    assert [one.name for one in store.media("t")] == ["note"]


def test_a_value_that_cannot_be_read_takes_nothing_with_it():
    """As a value of omegaconf that is missing, beside a medium or not."""

    class Lacking(dict):
        def __getitem__(self, name):
            if name == "lacking":
                raise LookupError("nothing was set")
            return super().__getitem__(name)

    for number, more in enumerate(({}, {"note": Text("x")})):
        client = TrackClient("memory:")
        trial = client.new_trial(name="t", parameters={})
        with pytest.raises(EncodingError, match=r"'lacking': nothing was set"):
            trial.log(Lacking(loss=1.0, lacking=None, **more), 1)
        store = Reader(client.protocol)
        assert store.trial("t").metrics == {"loss": {1: 1.0}}
        assert len(store.media("t")) == number


def test_nothing_is_left_of_the_media_of_an_erased_trial(client, tmp_path):
    """But what another trial logged stays."""
    secret, shared = "the patient is Jane Doe", np.full((256, 256, 3), 7, np.uint8)
    for name in ("t", "u"):
        trial = client.new_trial(force=True, name=name, parameters={"n": name})
        trial.log_image("shared", np.concatenate([NOISE, shared]))
        if name == "t":
            trial.log_text(secret, secret)
            trial.log_image("noise", NOISE, 1)
    uid = Reader(client.protocol).find_uid("t")
    client.close()
    result = redact("file:s.json", uid)
    assert len(result.files) == 1
    content = b"".join(path.read_bytes() for path in Path().rglob("*") if path.is_file())
    assert secret.encode() not in content
    with track.open("file:s.json") as store:
        assert store.media(uid) == []
        assert store.content_of(store.media("u")[0])[:4] == b"\x89PNG"


def test_a_foreign_event_does_no_harm(client):
    """What are not the facts of a medium is passed over."""
    trial = client.new_trial(name="t", parameters={})
    trial.log_text("note", "x")
    from track.events.types import MediaLogged
    from track.projections.media import media_stream

    odd = [7, {}, {"kind": "text", "mime": "text/plain", "size": "many", "sha256": "0" * 64}]
    client.protocol.producer.record(media_stream(trial.uid), MediaLogged(1, {"odd": odd}))
    assert [one.name for one in Reader(client.protocol).media("t")] == ["note"]


def test_media_are_listed_and_saved_by_the_command_line(client, tmp_path, monkeypatch):
    """Under names that lead nowhere else."""
    from track.cli.media import file_name

    trial = client.new_trial(name="t", parameters={})
    trial.log_text("../../etc/passwd", "x", "../step")
    (medium,) = Reader(client.protocol).media("t")
    name = file_name(medium)
    assert os.path.basename(name) == name
    assert name.startswith("etc-passwd_step_")
    assert name.endswith(".txt")
