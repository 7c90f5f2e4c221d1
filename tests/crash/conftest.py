"""A disk that fails as it is told to."""

import pytest

from tests.crash.faulty_disk import FaultyDisk, installed


@pytest.fixture
def disk(tmp_path):
    """A disk with an empty file on it, used by all file journals of the test."""
    (tmp_path / "x.journal").touch()
    with installed(FaultyDisk(tmp_path / "x.journal")) as disk:
        yield disk
