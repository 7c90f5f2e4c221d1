"""The page of a notebook: a link, for as long as it is wanted."""

import json
from urllib.error import URLError
from urllib.request import urlopen

import pytest

import track
from tests.programs import run_python
from tests.unit.ui.conftest import fill
from track.reader import Reader


def test_a_reader_gives_a_link(reader):
    page = reader.ui()
    try:
        assert repr(page) == page.url
        assert f'href="{page.url}"' in page._repr_html_()
        with urlopen(f"{page.url}api/store") as answer:
            assert json.load(answer)["counts"]["trials"] == 3
    finally:
        page.close()
    with pytest.raises(URLError):
        urlopen(f"{page.url}api/store")


def test_a_store_in_memory_is_shown_while_its_client_logs():
    client = track.TrackClient("memory:")
    page = Reader(client.protocol).ui()
    try:
        for number in (1, 2):
            fill(client)
            with urlopen(f"{page.url}api/store") as answer:
                assert json.load(answer)["counts"]["trials"] == 3 * number
    finally:
        page.close()
        client.close()


def test_a_port_that_is_taken_is_said(reader):
    page = reader.ui()
    try:
        port = int(page.url.rstrip("/").rpartition(":")[2])
        with pytest.raises(OSError, match="cannot listen"):
            reader.ui(port=port)
    finally:
        page.close()


def test_what_has_to_be_installed_is_said(store):
    code = (
        "import sys, track; sys.modules['starlette'] = None\n"
        "try: track.open().ui()\n"
        "except track.errors.MissingPackage as error: print(error)"
    )
    assert "pip install 'track-journal[ui]'" in run_python(code).stdout
