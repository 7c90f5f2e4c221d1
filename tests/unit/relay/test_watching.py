"""Who waits for what: commits that are asked for at once, and subscribers of one server."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.relays import served
from track.errors import JournalUnreachable
from track.persistence import get_protocol
from track.structure import Project, Trial

FAR_AHEAD = 2**40


def wait_for_ever(subscription):
    """Wait for an event that does not come before the server is gone."""
    with pytest.raises(JournalUnreachable):
        next(subscription)


def test_nobody_waits_longer_for_events_because_of_another_subscriber(tmp_path):
    """One who waits for a position that is far ahead does not keep the others from theirs."""
    with served(f"file:{tmp_path / 'store.json'}") as server:
        store = get_protocol(server.uri(spool=tmp_path / "spool"))
        store.new_project(Project(name="p"))
        uri = server.uri(spool=tmp_path / "spool", timeout=1)
        ahead, here = get_protocol(uri), get_protocol(uri)
        waiting = threading.Thread(target=wait_for_ever, args=(ahead.subscribe(FAR_AHEAD),))
        waiting.start()
        subscription = here.subscribe()
        assert next(subscription).event.name == "p"
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(next, subscription)
            beside = get_protocol(f"file:{tmp_path / 'store.json'}")
            beside.new_trial(Trial(_hash="a", project_id="p"))
            beside.close()
            # Less than the time after which everybody looks anyhow.
            assert coming.result(timeout=10).event.hash == "a"
        for opened in (store, here, ahead):
            opened.close()
    waiting.join(30)


def test_commits_that_are_asked_for_at_once_are_made_together(tmp_path, monkeypatch):
    """Each of them begins after it was asked for, so nobody's events are left out."""
    with served(f"file:{tmp_path / 'store.json'}") as server:
        relay, backend = server.server._relay, server.server.backend
        asked, began, go_on = threading.Semaphore(0), threading.Event(), threading.Event()
        ask, commit, commits = relay._commit, backend.commit, []

        def notice():
            asked.release()
            return ask()

        def wait_and_commit():
            commits.append(1)
            began.set()
            assert go_on.wait(30)
            commit()

        monkeypatch.setattr(relay, "_commit", notice)
        monkeypatch.setattr(backend, "commit", wait_and_commit)
        clients = [get_protocol(server.uri(spool=tmp_path / "spool")) for _ in range(6)]
        with ThreadPoolExecutor(6) as pool:
            done = [pool.submit(clients[0].commit)]
            assert began.wait(30)
            done += [pool.submit(client.commit) for client in clients[1:]]
            assert all(asked.acquire(timeout=30) for _ in clients)
            go_on.set()
            for one in done:
                one.result()
        assert len(commits) == 2
        for client in clients:
            client.close()
