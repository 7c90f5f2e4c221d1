"""Servers for hostile clients: they must go on serving those who mean well."""

import logging

import pytest

from tests.hostile import assert_serving
from tests.relays import served
from track.persistence import get_protocol


@pytest.fixture
def logged(caplog):
    """What the server writes to its log."""
    caplog.set_level(logging.INFO)
    yield caplog
    assert all(len(record.getMessage()) < 2000 for record in caplog.records)


@pytest.fixture
def running():
    with served("memory:") as running:
        yield running
        assert_serving(running)


@pytest.fixture
def store(running):
    store = get_protocol(running.uri())
    yield store
    store.close()


@pytest.fixture(params=["none", "AES"])
def layered(request):
    with served("memory:", security_layer=request.param) as running:
        yield running
        assert_serving(running)
