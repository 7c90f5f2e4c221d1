"""What tells people that their data is not what they think: a warning, at their line."""

import subprocess
import sys
import warnings

import pytest

from track import TrackClient
from track.errors import DamageWarning, NotRecordedWarning, StorageWarning, TrackWarning
from track.persistence import get_protocol


def test_a_warning_is_shown_at_the_line_of_the_script(tmp_path):
    """Once for each line by default, on stderr, with a category to filter by."""
    script = tmp_path / "script.py"
    script.write_text(
        "from track import TrackClient\n"
        "client = TrackClient()\n"
        "client.log_metrics(loss=1)\n"
        "for lr in range(3):\n"
        "    client.log_arguments(lr=9)\n"
        "with client:\n"
        "    client.log_arguments(depth=2)\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith(str(script))]
    numbers = [line.removeprefix(f"{script}:").split(":")[0] for line in lines]
    kinds = [line.removeprefix(f"{script}:").split(":")[1].strip() for line in lines]
    assert numbers == ["2", "5", "7"]
    assert kinds == ["StorageWarning", "NotRecordedWarning", "NotRecordedWarning"]


def test_warnings_have_one_root():
    """Which is a warning that Python shows by default."""
    for kind in (DamageWarning, NotRecordedWarning, StorageWarning):
        assert issubclass(kind, TrackWarning)
    assert issubclass(TrackWarning, UserWarning)


def test_a_warning_can_be_an_error():
    """What had to be done was done before."""
    client = TrackClient("memory:")
    client.new_trial(parameters={"a": 1})
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotRecordedWarning)
        with pytest.raises(NotRecordedWarning, match="log_metadata"):
            client.log_arguments(b=2)
        with pytest.raises(NotRecordedWarning, match="logged as metadata"):
            client.set_version("late")
    (trial,) = client.protocol.fetch_trials()
    assert trial.metadata["version"] == "late"


def test_damage_is_told_while_reading(tmp_path):
    """Whoever gets fewer values than were logged has to know."""
    client = TrackClient("file:store.json")
    with client.new_trial(parameters={}) as trial:
        for step in range(5):
            trial.log_metrics(step=step, loss=0.5)
    client.close()
    path = tmp_path / "store.json.journal"
    data = bytearray(path.read_bytes())
    data[-300] ^= 1
    path.write_bytes(data)
    for cache in tmp_path.glob("store.json.journal.*"):
        cache.unlink()
    store = get_protocol("file:store.json")
    with pytest.warns(DamageWarning, match="skipped bytes") as caught:
        store.fetch_trials()
    assert caught[0].filename == __file__
    store.close()
