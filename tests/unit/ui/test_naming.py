"""What people call a store is the title of its page."""

import pytest

from track.ui.naming import store_name

NAMES = {
    "file:report.json": "report",
    "file:/data/mnist.json?durability=always": "mnist",
    "lmdb:/data/sweep.lmdb": "sweep.lmdb",
    "report.json": "report",
    "memory:": "memory:",
    "postgres://me:secret@db.example.com:5432/vision": "vision at db.example.com",
    "postgres://me:secret@db.example.com/postgres": "PostgreSQL at db.example.com",
    "postgres://me:secret@db.example.com/postgres?log=alice": "alice at db.example.com",
    "postgres://me:secret@db.example.com": "PostgreSQL at db.example.com",
    "postgres:": "PostgreSQL at localhost",
    "cockroach://root:secret@db1:26257,db2:26257/vision": "vision at db1, db2",
    "cockroach://db1/defaultdb": "CockroachDB at db1",
    "postgres://me:sec@ret:@[::1]:5432/vision": "vision at ::1",
    "socket://me:secret@cluster:9000": "cluster:9000",
    "socket://me:secret@cluster": "cluster",
    "other:place?key=secret": "place",
}


@pytest.mark.parametrize("uri", NAMES)
def test_a_store_has_a_name_that_people_recognise(uri):
    """It is the file, or what distinguishes the database, and where it is."""
    assert store_name(uri) == NAMES[uri]


@pytest.mark.parametrize("uri", NAMES)
def test_a_name_has_no_password(uri):
    """Nor the user."""
    assert "sec" not in store_name(uri)
    assert "@" not in store_name(uri)
