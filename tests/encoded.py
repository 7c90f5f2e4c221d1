"""Encode and decode values as events do."""

from track.events.codec import Encoder, decode
from track.events.types import MetadataLogged


def encode(value, key="key"):
    return Encoder().encode(MetadataLogged, [{key: value}, None], 1, 2, 3, 4)


def round_trip(value):
    """Return a value as a reader gets it after it was logged."""
    event = decode(0, encode(value)).event
    assert isinstance(event, MetadataLogged)
    return event.values["key"]
