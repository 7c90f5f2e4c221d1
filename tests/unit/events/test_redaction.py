"""Erasing events: nothing of what was logged is left, and nothing else is changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import events, sequences, streams
from track.errors import JournalError
from track.events.codec import Encoder, decode, envelope, fields_of
from track.events.redaction import _KEPT, redact
from track.events.types import (
    MetadataLogged,
    Redacted,
    StatusChanged,
    TagsAdded,
    TrialCreated,
    TrialFinished,
)

SECRET = "the secret"


FAILURE = {"message": f"ValueError: {SECRET}", "traceback": SECRET}


def encode(event, stream=7):
    return Encoder().encode(type(event), fields_of(event), stream, 1, 2, 3)


@given(events, streams, sequences)
def test_an_erased_event_keeps_its_place(event, stream, sequence):
    """The envelope and the length of the payload stay; and it is still an event."""
    payload = Encoder().encode(type(event), fields_of(event), stream, 5, sequence, 9)
    erased = redact(payload)
    assert len(erased) == len(payload)
    assert envelope(erased)._replace(tag=0) == envelope(payload)._replace(tag=0)
    assert type(decode(1, erased).event) in {Redacted, *_KEPT}
    assert redact(erased) == erased


@given(st.integers(0, 70_000))
def test_content_of_any_length_is_erased(length):
    """Whatever it takes to fill the place of it."""
    payload = encode(MetadataLogged({"note": "s" * length}, None))
    erased = redact(payload)
    assert len(erased) == len(payload)
    assert decode(1, erased).event == Redacted()
    assert b"ss" not in erased


def test_what_makes_the_structure_stays():
    """A trial keeps its identity, where it belongs, its starts, its statuses and its ends."""
    fields = (SECRET, "d", {SECRET: 1}, "v", "group", "project", {"lr": SECRET}, {SECRET: 1})
    made = TrialCreated("a", 3, *fields, {SECRET: {}}, {SECRET: 1.0}, ["new", 1], [SECRET])
    nothing = (None, None, {}, None, "group", "project", {}, {}, {}, {})
    for event in (made, made._replace(failure=FAILURE)):
        kept = decode(0, redact(encode(event))).event
        # An array as short as this has no room for a field behind the last one.
        assert kept._replace(failure=None) == TrialCreated("a", 3, *nothing, ["new", 1], [])
        assert not isinstance(kept.failure, dict)
    changed = StatusChanged("Exception", 402, SECRET)
    assert decode(0, redact(encode(changed))).event == StatusChanged("Exception", 402, None)
    for ended in (
        *(TrialFinished(1.5, SECRET), TrialFinished(1.5, None), TrialFinished(1.5, "x")),
        *(TrialFinished(1.5, SECRET, FAILURE), TrialFinished(1.5, None, {})),
    ):
        assert decode(0, redact(encode(ended))).event == TrialFinished(1.5, None)


@pytest.mark.parametrize(
    "event", [TagsAdded({SECRET: SECRET}), MetadataLogged({"a": SECRET}, None)]
)
def test_nothing_is_left_of_a_secret(event):
    """Not in any encoding."""
    assert SECRET.encode() in encode(event)
    assert SECRET.encode() not in redact(encode(event))


def test_what_is_no_event_cannot_be_erased():
    """Nobody knows whom it is about."""
    with pytest.raises(JournalError, match="not an event"):
        redact(b"garbage")
