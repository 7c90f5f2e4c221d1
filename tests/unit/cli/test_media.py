"""`track media`: the media of a trial are listed, and saved as files."""

import json
from pathlib import Path

import pytest

from track import TrackClient
from track.cli.app import NOT_FOUND


@pytest.fixture
def logged():
    """A store with a trial that logged a text twice and a table."""
    client = TrackClient("file:s.json")
    trial = client.new_trial(name="t", parameters={"lr": 0.1})
    for step in (1, 2):
        trial.log_text("sample", f"text {step}", step)
    trial.log_table("confusion", {"a": [1]})
    client.close()


def test_media_are_listed(track, logged):
    """In the order in which they were logged; as JSON without their contents."""
    result = track("media", "t")
    assert (result.code, result.err) == (0, "")
    lines = [line.split() for line in result.out.splitlines()]
    assert lines[0] == ["step", "name", "kind", "bytes", "caption"]
    assert lines[1] == ["1", "sample", "text", "6", "-"]
    assert lines[3][:3] == ["-", "confusion", "table"]
    first = json.loads(track("media", "t", "--json").out.splitlines()[0])
    assert (first["name"], first["step"], first["size"]) == ("sample", 1, 6)
    assert "data" not in first


def test_media_are_saved(track, logged):
    """All of them, or those of a name."""
    result = track("media", "t", "-n", "sample", "-o", "out")
    paths = result.out.splitlines()
    assert [Path(path).read_text() for path in paths] == ["text 1", "text 2"]
    assert {Path(path).suffix for path in paths} == {".txt"}
    assert len(track("media", "t", "-o", "all").out.splitlines()) == 3


def test_a_name_that_nothing_was_logged_under_is_told(track, logged):
    """With the names there are."""
    result = track("media", "t", "-n", "samples")
    assert result.code == NOT_FOUND
    assert "sample, confusion" in result.err


def test_the_last_medium_of_each_name_is_shown(track, logged):
    """As text where the output is no terminal; of one step if that is asked for."""
    assert track("media", "t", "--show").out.splitlines() == [
        *("sample, step 2", "text 2"),
        *("confusion", "a", "1"),
    ]
    assert track("media", "t", "--show", "--step", "1").out.splitlines() == [
        *("sample, step 1", "text 1"),
    ]
