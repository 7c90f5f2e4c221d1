"""Servers for hostile clients: they must go on serving those who mean well."""

import hashlib
import logging

import pytest

from tests.hostile import assert_serving
from tests.relays import PASSWORD, served
from track.persistence import get_protocol
from track.relay.limits import Limits
from track.relay.users import Users


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
    with served("memory:", Limits(penalty_s=0), security_layer=request.param) as running:
        yield running
        assert_serving(running)


@pytest.fixture
def users(tmp_path):
    """A file with one user, made with the least cost that clients accept."""
    Users(tmp_path / "users.json", cost=(2**14, 8, 1)).add("ada", PASSWORD)
    return tmp_path / "users.json"


@pytest.fixture
def runs(monkeypatch):
    """The costs at which scrypt was run."""
    made, scrypt = [], hashlib.scrypt

    def noted(password, *, n, r, p, **options):
        made.append((n, r, p))
        return scrypt(password, n=n, r=r, p=p, **options)

    monkeypatch.setattr(hashlib, "scrypt", noted)
    return made
