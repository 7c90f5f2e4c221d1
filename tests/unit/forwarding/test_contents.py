"""Contents wait beside the spool of their process, and reach the far store once."""

import os
from io import BytesIO

import pytest

from tests.contracts.content_contract import data_of, read, sha256
from track.contents.memory import MemoryContents
from track.errors import EncodingError, ItemNotFound, JournalUnreachable, NotRecordedWarning
from track.forwarding.contents import SpooledContents
from track.forwarding.spool import Spool


class Far(MemoryContents):
    """A store that may be away, and counts what is sent to it."""

    is_away = False
    sent = 0

    def sending(self, digest, source):
        if self.is_away:
            raise OSError("nobody is there")
        self.sent += 1
        yield
        yield from super().sending(digest, source)


@pytest.fixture
def far():
    return Far()


@pytest.fixture
def spool(tmp_path):
    spool = Spool(str(tmp_path / "spool"))
    yield spool
    spool.close()


@pytest.fixture
def store(spool, far):
    return SpooledContents(spool, far)


def waiting(tmp_path):
    return sorted(path.name for path in (tmp_path / "spool").glob("*.contents/*"))


def test_what_was_kept_waits_until_it_is_sent(store, far, tmp_path):
    """Until then it is read from here, and afterwards from there."""
    digest = store.keep_bytes(b"content")
    assert far.missing([digest]) == {digest}
    assert waiting(tmp_path) == [digest]
    assert read(store, digest) == b"content"
    store.send_all()
    assert waiting(tmp_path) == []
    assert read(store, digest) == read(far, digest) == b"content"


def test_a_content_is_sent_once(store, far):
    """Whoever keeps it again sends nothing."""
    far.keep_bytes(b"there")
    for data in (b"there", b"content", b"content"):
        store.keep_bytes(data)
        store.send_all()
    assert far.sent == 1


def test_what_is_kept_while_others_are_sent_is_sent_too(store, far):
    first = store.keep_bytes(b"first")
    assert store.send_some()
    second = store.keep_bytes(b"second")
    store.send_all()
    assert far.missing([first, second]) == set()


def test_what_is_removed_while_it_waits_is_not_sent(store, far, tmp_path):
    """Others are, and nothing is raised."""
    digests = sorted(store.keep_bytes(data) for data in (b"one", b"two", b"three"))
    assert store.send_some()  # asks which of them are there
    assert store.remove(digests[:1]) == {digests[0]}
    store.send_all()
    assert far.missing(digests) == {digests[0]}
    assert waiting(tmp_path) == []


def test_nothing_is_lost_while_the_far_store_is_away(store, far, caplog, tmp_path):
    """The background says so once; whoever waits is told where it is."""
    digest, far.is_away = store.keep_bytes(b"content"), True
    while not caplog.records:
        assert store.send_in_background() in (True, False)
    assert "nobody is there. The contents of logged files are kept in" in caplog.text
    assert not store.send_in_background()  # it pauses
    with pytest.raises(JournalUnreachable, match=r"nobody is there.*are kept in .*\.contents"):
        store.send_all()
    assert waiting(tmp_path) == [digest]
    far.is_away = False
    store.send_all()
    assert read(far, digest) == b"content"
    assert len(caplog.records) == 1


def test_a_content_that_became_another_one_is_set_aside(store, far, tmp_path):
    """It keeps back no other one, and its bytes stay for whoever wants to look."""
    bad, good = store.keep_bytes(b"first"), store.keep_bytes(b"second")
    (path,) = (tmp_path / "spool").glob(f"*.contents/{bad}")
    path.write_bytes(b"FIRST")
    with pytest.warns(
        NotRecordedWarning, match=f"damaged.*set aside as {tmp_path}/spool/{bad}.unsent"
    ):
        store.send_all()
    assert far.missing([bad, good]) == {bad}
    assert (tmp_path / "spool" / f"{bad}.unsent").read_bytes() == b"FIRST"
    assert waiting(tmp_path) == []


def test_what_is_too_large_for_the_far_store_is_refused_at_once(spool, tmp_path):
    store = SpooledContents(spool, MemoryContents(limit=1000))
    with pytest.raises(EncodingError, match="exceeds the limit of 1000"):
        store.put(BytesIO(data_of(1001)))
    assert waiting(tmp_path) == []
    assert store.keep_bytes(data_of(1000)) == sha256(data_of(1000))


def test_a_process_takes_over_what_a_dead_one_left(store, far, tmp_path):
    """Its spool is gone then, with what was unfinished."""
    dead = Spool(str(tmp_path / "spool"))
    digest = SpooledContents(dead, far).keep_bytes(b"left")
    (folder,) = (tmp_path / "spool").glob("*.contents")
    (folder / ".incoming.0123456789abcdef.tmp").write_bytes(b"unfinished")
    dead.close()
    for spool in Spool.left_behind(str(tmp_path / "spool")):
        store.take_over(spool)
        spool.close()
    assert not folder.exists()
    assert waiting(tmp_path) == [digest]
    store.send_all()
    assert read(far, digest) == b"left"


def test_a_forked_child_has_contents_of_its_own(store, far, tmp_path):
    """It leaves those of its parent alone, and leaves its own to the next process."""
    parents = store.keep_bytes(b"of the parent")
    pid = os.fork()
    if not pid:
        code = 1
        try:
            store.keep_bytes(b"of the child")
            code = 0 if len(waiting(tmp_path)) == 2 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    store.send_all()
    assert [*far.digests()] == [parents]
    for spool in Spool.left_behind(str(tmp_path / "spool")):
        store.take_over(spool)
        spool.close()
    store.send_all()
    assert read(far, sha256(b"of the child")) == b"of the child"


def test_a_closed_spool_takes_no_contents(spool, store):
    spool.close()
    with pytest.raises(Exception, match="was closed"):
        store.keep_bytes(b"content")
    with pytest.raises(ItemNotFound):
        store.open(sha256(b"content"))
