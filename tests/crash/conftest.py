"""Provide a disk that fails on request."""

import pytest

from tests.crash.faulty_disk import FaultyDisk, installed


@pytest.fixture
def disk(tmp_path):
    """Give a disk with an empty file, which all file journals of the test use."""
    (tmp_path / "x.journal").touch()
    with installed(FaultyDisk(tmp_path / "x.journal")) as disk:
        yield disk
