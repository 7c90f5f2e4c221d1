"""The file of a server's users: what it holds, what it refuses, who may change it at once."""

import fcntl
import json
import logging
import os
import stat
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from threading import Barrier, Thread

import pytest

from track.errors import BackendError, ItemNotFound, LockTimeout
from track.relay import users as accounts
from track.relay.scram import check_password
from track.relay.users import Users
from track.utils.files import replacing

COST = 2**4, 8, 1
"""A cost that tests can afford."""


@pytest.fixture
def users(tmp_path):
    """A file that does not exist yet."""
    return Users(tmp_path / "users.json", cost=COST)


def test_a_new_file_has_no_users(users):
    """Nobody may log in, and asking makes no file."""
    assert users.names() == []
    assert users.names() == []
    assert users.verifier("ada") is None
    assert not os.path.exists(users.path)


def test_users_come_and_go(users):
    """Each has one password, the last one that was given."""
    users.add("ada", "first")
    users.add("bob", "other")
    users.add("ada", "second")
    assert users.names() == ["ada", "bob"]
    assert users.names()
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


def test_an_empty_file_has_no_users(users):
    """Somebody made it first, so that its mode is right before there is anything in it."""
    os.close(os.open(users.path, os.O_CREAT, 0o600))
    assert users.names() == []
    users.add("ada", "x")
    assert users.names() == ["ada"]


def test_a_change_of_who_may_write_is_noticed(users):
    """Also when nothing in the file was changed since it was read."""
    users.add("ada", "x")
    assert users.names() == ["ada"]
    os.chmod(users.path, 0o622)
    with pytest.raises(BackendError, match="other users may write"):
        users.verifier("ada")
    os.chmod(users.path, 0o600)
    assert users.names() == ["ada"]


def test_a_file_is_read_once_while_nobody_changes_it(users, monkeypatch):
    """A login only looks at the stat of the file."""
    users.add("ada", "x")
    reader, reads = Users(users.path), []
    parse = json.loads
    monkeypatch.setattr(json, "loads", lambda text: reads.append(text) or parse(text))
    assert reader.verifier("ada") == reader.verifier("ada")
    assert reader.verifier("bob") is None
    assert len(reads) == 1


def test_a_slow_reader_brings_nobody_back(users, monkeypatch):
    """If a thread parses an older file last, others still know the newer one."""
    users.add("ada", "x")
    reader, old_is_read, new_is_read = Users(users.path), Barrier(2), Barrier(2)
    parse = json.loads

    def slowly(text):
        monkeypatch.setattr(json, "loads", parse)
        old_is_read.wait(30)
        new_is_read.wait(30)
        return parse(text)

    monkeypatch.setattr(json, "loads", slowly)
    slow = Thread(target=reader.names)
    slow.start()
    old_is_read.wait(30)
    Users(users.path).remove("ada")
    assert reader.names() == []
    new_is_read.wait(30)
    slow.join()
    assert reader.names() == []


def add_one(path, number):
    Users(path, cost=COST).add(f"user {number}", "x")


def test_no_user_is_lost_when_many_are_added_at_once(users):
    """Each process sees what the others added."""
    with ProcessPoolExecutor(4, mp_context=get_context("fork")) as pool:
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


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_only_the_owner_reads_a_new_file(users, umask):
    """Whatever else this process lets others do with its files."""
    before = os.umask(umask)
    try:
        users.add("ada", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(users.path).st_mode) == 0o600


def test_nobody_else_reads_what_becomes_the_file(users):
    """Not even whoever made, and opened, every file in the folder that has a name they can know."""
    folder = os.path.dirname(users.path)
    Users(users.path).add("ada", "x")
    spied = os.path.join(folder, ".users.json.tmp")
    with open(spied, "w+", encoding="utf-8") as spy:
        os.chmod(spied, 0o666)
        users.add("bob", "x")
        spy.seek(0)
        assert spy.read() == ""
        assert os.fstat(spy.fileno()).st_ino != os.stat(users.path).st_ino
    assert os.listdir(folder) == ["users.json"]


def test_what_becomes_the_file_is_private_from_the_first_instant(tmp_path):
    """Its mode is that of its creation, and none that is set later."""
    with replacing(str(tmp_path / "secrets"), 1, encoding="utf-8", private=True) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
        made = sorted(os.listdir(tmp_path))
        assert made[0] == ".secrets.tmp" or made[1] == ".secrets.tmp"
        file.write("secret")
    assert os.listdir(tmp_path) == ["secrets"]
    assert stat.S_IMODE(os.stat(tmp_path / "secrets").st_mode) == 0o600


def test_no_link_leads_to_another_file(tmp_path):
    """Whoever may write to the folder cannot have a file emptied elsewhere."""
    precious = tmp_path / "precious"
    precious.write_text("text")
    (tmp_path / ".report.json.tmp").symlink_to(precious)
    with pytest.raises(OSError, match="symbolic"), replacing(str(tmp_path / "report.json"), 1):
        pass
    assert precious.read_text() == "text"


def test_a_file_of_an_older_version_is_completed_once(users):
    """By a server that starts; with a file that is not there it has nothing to do."""
    users.complete()
    assert not os.path.exists(users.path)
    users.add("ada", "x")
    content = json.loads(Path(users.path).read_text())
    del content["secret"]
    Path(users.path).write_text(json.dumps(content))
    assert users.secret() is None
    users.complete()
    secret = users.secret()
    users.complete()
    assert secret == users.secret()
    assert len(secret) == 32
    assert check_password(users, "ada", "x")


def test_no_password_is_logged_or_raised(users, caplog):
    """Whether all is well, or the file is damaged, or nobody can write to it."""
    caplog.set_level(logging.DEBUG)
    users.add("ada", "correct horse")
    verifier = users.verifier("ada")
    content = Path(users.path).read_text()
    said = f"{users!r} {users} {verifier} {verifier!r} {verifier:}"
    os.chmod(users.path, 0o644)
    users.names()
    for text in (content[:-9], content.replace(verifier.server_key.hex(), "none"), "\0" + content):
        Path(users.path).write_text(text)
        with pytest.raises(BackendError) as raised:
            users.add("bob", "correct horse")
        said += f"{raised.value!r} {raised.value.__cause__}"
    said += caplog.text
    assert "chmod 600" in said
    for secret in ("correct horse", verifier.stored_key.hex(), verifier.server_key.hex()):
        assert secret not in said
    assert repr(verifier.stored_key) not in said


def test_equal_passwords_look_different(users):
    """Each has a salt of its own."""
    users.add("ada", "x")
    users.add("bob", "x")
    assert users.verifier("ada").stored_key != users.verifier("bob").stored_key


@pytest.mark.parametrize("name", ["", "a\nb", "\0", "\x7f", "x" * 256, "\ufdfa" * 99])
def test_odd_names_are_refused(users, name):
    """They could not be shown, or not be typed."""
    with pytest.raises(BackendError, match="name of a user"):
        users.add(name, "x")
    assert users.names() == []


def test_an_empty_password_is_refused(users):
    """It would let everybody in."""
    with pytest.raises(BackendError, match="'ada' needs a password"):
        users.add("ada", "")


def test_one_name_has_one_form(users):
    """What looks the same is the same: composed or not, full width or not."""
    users.add("Zo\u00eb", "\ufb01ne")
    assert check_password(users, "Zoe\u0308", "fine")


def with_user(**changed):
    """Return a file with a user who is well but for what was changed."""
    well = {
        "scrypt": [16, 8, 1],
        "salt": "00" * 16,
        "stored_key": "00" * 32,
        "server_key": "00" * 32,
    }
    return json.dumps({"track_users": 1, "users": {"ada": well | changed}})


DAMAGED = {
    "no JSON": "{",
    "too deep": "[" * 100_000,
    "something else": "[]",
    "no version": '{"users": {}}',
    "an odd version": '{"track_users": "1", "users": {}}',
    "no users": '{"track_users": 1}',
    "no keys": '{"track_users": 1, "users": {"ada": {}}}',
    "short keys": with_user(stored_key="", server_key=""),
    "keys that are none": with_user(server_key="xy" * 32),
    "no power of two": with_user(scrypt=[15, 8, 1]),
    "no cost": with_user(scrypt=[0, 8, 1]),
    "too expensive": with_user(scrypt=[2**40, 8, 1]),
    "too large blocks": with_user(scrypt=[16, 2**20, 1]),
    "too little of a cost": with_user(scrypt=[16, 8]),
    "too little salt": with_user(salt="00"),
}


def test_what_is_well_is_read(users):
    """What is damaged below is so because of what was changed of this."""
    Path(users.path).write_text(with_user())
    os.chmod(users.path, 0o600)
    assert users.names() == ["ada"]


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


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe", "it is damaged"),
        (b'{"track_users": 2, "users": {}}', "version 2; update Track"),
        (bytes(2**24), r"users\.json cannot be used: it is 16777216 bytes"),
    ],
    ids=["no text", "a newer version", "too large"],
)
def test_a_file_of_another_kind_is_refused_with_the_reason(users, content, reason):
    """Nobody is told to throw away what a newer version wrote, or what must be another file."""
    Path(users.path).write_bytes(content)
    os.chmod(users.path, 0o600)
    with pytest.raises(BackendError, match=reason):
        users.names()


def test_a_user_who_makes_the_file_too_large_is_refused(users):
    """The others can still log in."""
    users.add("ada", "x")
    users = Users(users.path, cost=COST, most_bytes=os.path.getsize(users.path) + 100)
    with pytest.raises(BackendError, match="remove users"):
        users.add("bob", "x")
    assert check_password(users, "ada", "x")


def test_a_file_in_no_folder_is_refused_by_name(tmp_path):
    """When a user is added; until then there just are no users."""
    users = Users(tmp_path / "missing" / "users.json")
    assert users.names() == []
    with pytest.raises(BackendError, match=r"missing/users\.json cannot be used: No such file"):
        users.add("ada", "x")


def test_a_folder_is_no_users_file(tmp_path):
    """As a file that cannot be read is none."""
    with pytest.raises(BackendError, match="cannot be used: Is a directory"):
        Users(tmp_path).names()


def test_a_change_that_never_ends_is_said(users):
    """The message names the file that another process holds."""
    users = Users(users.path, cost=COST, lock_timeout_s=0.01)
    other = os.path.join(os.path.dirname(users.path), ".users.json.tmp")
    with open(other, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(LockTimeout, match=r"\.users\.json\.tmp"):
            users.add("ada", "x")
    assert users.names() == []


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_may_write_is_refused(users, mode):
    """Any of them could add a user."""
    users.add("ada", "x")
    os.chmod(users.path, mode)
    with pytest.raises(BackendError, match="chmod 600"):
        Users(users.path).names()


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_file_that_others_may_read_is_warned_of(users, caplog, mode):
    """Guesses could be tried out on it."""
    users.add("ada", "x")
    os.chmod(users.path, mode)
    assert Users(users.path).names() == ["ada"]
    assert "chmod 600" in caplog.text
