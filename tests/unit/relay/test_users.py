"""The file of a server's users: what it holds, what it refuses, who may change it at once."""

import json
import os
import stat
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from track.errors import BackendError, ItemNotFound
from track.relay import users as accounts
from track.relay.login import check_password
from track.relay.users import Users


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """Passwords at a cost that tests can afford."""
    monkeypatch.setattr(accounts, "COST", (2**4, 8, 1))


@pytest.fixture
def users(tmp_path):
    """A file that does not exist yet."""
    return Users(tmp_path / "users.json")


def test_a_new_file_has_no_users(users):
    """Nobody may log in, and asking makes no file."""
    assert users.names() == []
    assert users.verifier("ada") is None
    assert not os.path.exists(users.path)


def test_users_come_and_go(users):
    """Each has one password, the last one that was given."""
    users.add("ada", "first")
    users.add("bob", "other")
    users.add("ada", "second")
    assert users.names() == ["ada", "bob"]
    assert not check_password(users, "ada", "first")
    assert check_password(users, "ada", "second")
    users.remove("ada")
    assert users.names() == ["bob"]
    assert not check_password(users, "ada", "second")
    with pytest.raises(ItemNotFound, match="'ada'"):
        users.remove("ada")


def test_a_change_by_another_process_is_noticed(users):
    """A server that runs need not be started again."""
    reader = Users(users.path)
    users.add("ada", "x")
    assert reader.names() == ["ada"]
    users.add("ada", "y")
    assert check_password(reader, "ada", "y")
    os.unlink(users.path)
    assert reader.names() == []


def add_one(path, number):
    accounts.COST = (2**4, 8, 1)
    Users(path).add(f"user {number}", "x")


def test_no_user_is_lost_when_many_are_added_at_once(users):
    """Each process sees what the others added."""
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        for done in [pool.submit(add_one, users.path, number) for number in range(16)]:
            done.result()
    assert sorted(users.names()) == sorted(f"user {number}" for number in range(16))


def test_nothing_in_the_file_is_a_password(users):
    """Neither the password nor what scrypt makes of it is there; only the owner may read it."""
    users.add("ada", "correct horse")
    text = Path(users.path).read_text()
    verifier = users.verifier("ada")
    assert "correct" not in text
    assert accounts.salted("correct horse", verifier.cost).hex() not in text
    assert stat.S_IMODE(os.stat(users.path).st_mode) == 0o600
    assert verifier.stored_key.hex() not in repr(verifier)


def test_equal_passwords_look_different(users):
    """Each has a salt of its own."""
    users.add("ada", "x")
    users.add("bob", "x")
    assert users.verifier("ada").stored_key != users.verifier("bob").stored_key


@pytest.mark.parametrize("name", ["", "a\nb", "\0", "x" * 256])
def test_odd_names_are_refused(users, name):
    """They could not be shown, or not be typed."""
    with pytest.raises(BackendError, match="name of a user"):
        users.add(name, "x")


def test_an_empty_password_is_refused(users):
    """It would let everybody in."""
    with pytest.raises(BackendError, match="'ada' needs a password"):
        users.add("ada", "")


def test_one_name_has_one_form(users):
    """What looks the same is the same: composed or not, full width or not."""
    users.add("Zo\u00eb", "\ufb01ne")
    assert check_password(users, "Zoe\u0308", "fine")


DAMAGED = {
    "no JSON": "{",
    "something else": "[]",
    "no users": '{"track_users": 1}',
    "no keys": '{"track_users": 1, "users": {"ada": {}}}',
    "short keys": json.dumps(
        {
            "track_users": 1,
            "users": {
                "a": {"scrypt": [16, 8, 1], "salt": "00", "stored_key": "", "server_key": ""}
            },
        }
    ),
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_refused_by_name(users, text):
    """Nobody logs in by accident, and nothing is overwritten."""
    with open(users.path, "w") as file:
        file.write(text)
    os.chmod(users.path, 0o600)
    with pytest.raises(BackendError, match=r"users\.json cannot be used: it is damaged"):
        users.names()
    with pytest.raises(BackendError):
        users.add("ada", "x")
    assert Path(users.path).read_text() == text


def test_a_newer_file_is_refused(users):
    """Its version is named."""
    with open(users.path, "w") as file:
        file.write('{"track_users": 2, "users": {}}')
    os.chmod(users.path, 0o600)
    with pytest.raises(BackendError, match="version 2"):
        users.names()


def test_a_file_that_others_may_write_is_refused(users):
    """Any of them could add a user."""
    users.add("ada", "x")
    os.chmod(users.path, 0o620)
    with pytest.raises(BackendError, match="chmod 600"):
        Users(users.path).names()


def test_a_file_that_others_may_read_is_warned_of(users, caplog):
    """Guesses could be tried out on it."""
    users.add("ada", "x")
    os.chmod(users.path, 0o644)
    assert Users(users.path).names() == ["ada"]
    assert "chmod 600" in caplog.text
