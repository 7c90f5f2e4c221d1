"""Kill logging processes at random moments: no acknowledged event is lost, and none is invented.

``TRACK_KILL_ROUNDS`` says how often; ``python tools/crash_workload.py --rounds 1000`` does the same
for longer, and sums up.
"""

import os
import struct

import pytest

from tests.databases import KINDS, uri_of
from tests.strategies import same
from tools import crash_workload
from tools.crash_workload import DATABASE, MODES, URI, Lost, check, notes_of, run_round
from track.events.codec import Encoder
from track.events.types import MetricsLogged
from track.journals.file import FileJournal

pytestmark = pytest.mark.filterwarnings("ignore::track.errors.DamageWarning")

ROUNDS = int(os.environ.get("TRACK_KILL_ROUNDS", "3"))


@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize("mode", MODES)
def test_what_was_acknowledged_survives_a_kill(mode, seed, tmp_path):
    """Two writers are killed while they log; the store has what was acknowledged to them."""
    outcome = run_round(mode, tmp_path, seed)
    assert outcome.acknowledged >= len(crash_workload.WRITERS)


@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize("kind", KINDS)
def test_what_clients_of_a_database_left_survives_a_kill(kind, seed, tmp_path, monkeypatch):
    """Two clients are killed while they log; the next one sends what they could not."""
    monkeypatch.setenv(URI, uri_of(kind, "").removesuffix("&log="))
    outcome = run_round(DATABASE, tmp_path, seed)
    assert outcome.acknowledged >= len(crash_workload.WRITERS)


# The checker itself must be able to fail


@pytest.fixture(params=MODES)
def mode(request):
    return MODES[request.param]


@pytest.fixture
def checked(mode, tmp_path):
    """Give a store of twenty acknowledged calls, and the function that checks it."""
    for _ in mode.log(mode, tmp_path, 1, iter(range(20))):
        with notes_of(tmp_path, 1).open("ab") as notes:
            notes.write(b".")
    return tmp_path, lambda: check(mode, tmp_path)


def test_the_checker_accepts_a_store_without_accidents(checked):
    """All acknowledged calls are found."""
    _, check_it = checked
    assert same(tuple(check_it()), (20, 0, 0))


def test_the_checker_notices_a_lost_event(checked):
    """An acknowledged call that is missing in the journal is detected."""
    folder, check_it = checked
    with notes_of(folder, 1).open("ab") as notes:
        notes.write(b".")
    with pytest.raises(Lost, match="21 calls acknowledged"):
        check_it()


def test_the_checker_notices_events_nobody_was_told_of(checked):
    """Only one unacknowledged call, the one in progress, may be there."""
    folder, check_it = checked
    os.truncate(notes_of(folder, 1), 18)
    with pytest.raises(Lost, match="18 calls acknowledged"):
        check_it()


def test_the_checker_notices_a_repeated_event(mode, checked):
    """An event that was written twice, by the same producer and number, is detected."""
    folder, check_it = checked
    journal = mode.journal(folder / mode.file, "process")
    journal.append([[*journal.read_batches()][-1][1][-1]])
    journal.close()
    with pytest.raises(Lost, match="recorded twice"):
        check_it()


def test_the_checker_notices_damage(mode, checked):
    """Flipped bits are detected, since killing a process does not cause them."""
    folder, check_it = checked
    path = folder / mode.file
    loss_of_call_3 = struct.pack(">d", 3 / 7)
    # Wherever it is, since LMDB leaves copies of what was there before.
    path.write_bytes(path.read_bytes().replace(loss_of_call_3, loss_of_call_3[::-1]))
    with pytest.raises(Lost, match="damaged by a kill"):
        check_it()


def test_the_checker_notices_a_group_that_is_not_whole(tmp_path):
    """Two of the three events of one append are too few."""
    journal = FileJournal(tmp_path / "store.journal", "process")
    for call in range(10):
        fields = [call, crash_workload.values_of(1, call), None]
        for part in range(2 if call == 9 else 1):
            journal.append([Encoder().encode(MetricsLogged, fields, 1, 5, call * 3 + part, 1)])
    journal.close()
    notes_of(tmp_path, 1).write_bytes(b"." * 10)
    with pytest.raises(Lost, match="call 9 of writer 1 is not what was logged, or not whole"):
        check(MODES["journal"], tmp_path)
