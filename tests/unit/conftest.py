"""What tests of the client share."""

import pytest

from track import TrackClient


@pytest.fixture
def client():
    return TrackClient("memory:")
