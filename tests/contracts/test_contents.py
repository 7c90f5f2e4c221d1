"""Every content store keeps the contract."""

import pytest

from tests.contracts.content_contract import ContentContract
from track.contents.folder import FolderContents
from track.contents.memory import MemoryContents


class TestFolder(ContentContract):
    @pytest.fixture
    def store(self, tmp_path):
        return FolderContents(str(tmp_path / "contents"))


class TestMemory(ContentContract):
    @pytest.fixture
    def store(self):
        return MemoryContents()
