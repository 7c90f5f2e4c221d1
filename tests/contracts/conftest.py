"""A reader of each backend that has a journal."""

import pytest

from tests.contracts.backends import BACKENDS
from track.reader import Reader


@pytest.fixture(params=[name for name in BACKENDS if name != "multiplexer"])
def reader(request, tmp_path):
    store = BACKENDS[request.param](tmp_path)
    reader = Reader(store)
    yield reader
    reader.close()
