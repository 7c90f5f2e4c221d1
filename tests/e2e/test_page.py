"""The page of a store that others write to, as a browser gets it: over real connections."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager

import pytest

from tests.e2e.stores import events_of, say
from track import TrackClient

PATIENCE_S = 60


@contextmanager
def page_of(uri, *options):
    """Run ``track ui`` in a process of its own; give its address and the process."""
    command = [sys.executable, "-m", "track", "ui", "--no-browser", uri, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline().strip()
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/", line)
        assert found, (line, process.stderr.read() if not line else "")
        yield int(found[1]), process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def asked(port, address, **headers):
    """Give the answer to a request, on a connection that is closed afterwards."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("GET", address, headers=headers)
        yield connection.getresponse()
    finally:
        connection.close()


def status_of(port, address, **headers):
    with asked(port, address, **headers) as answer:
        answer.read()
        return answer.status


def get_json(port, address):
    with asked(port, address) as answer:
        content = answer.read()
        assert answer.status == 200, content
        return json.loads(content)


def messages(answer):
    """Yield the id and the data of each message of a stream of changes."""
    number, kind = None, None
    for line in answer:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "id":
            number = int(value)
        elif name == "event":
            kind = value
        elif name == "data":
            yield number, kind, json.loads(value)


def make(uri):
    client = TrackClient(uri)
    client.set_project(name="live")
    with client.new_trial(force=True, name="first") as trial:
        trial.log_metrics(step=0, loss=0.5)
    client.close()


def log_for_ever(uri):
    """Be a process that logs until it is killed."""
    client = TrackClient(uri)
    client.set_project(name="live")
    with client.new_trial(force=True, name="second") as trial:
        say("logging")
        step = 0
        while True:
            for _ in range(20):
                trial.log_metrics(step=step, loss=1 / (step + 1))
                step += 1
            time.sleep(0.01)


def test_changes_are_resumed_without_gap_or_repeat_while_others_log_and_are_killed(uri, start):
    """What all messages tell of, together, is each event behind the first position, once."""
    make(uri)
    with page_of(uri) as (port, _):
        begin = get_json(port, "/api/store")["position"]
        process = start(log_for_ever, uri)
        process.wait_for("logging")
        counted = Counter()
        after = begin

        def listen(is_enough):
            """Connect as a browser does, and again after it lost a connection."""
            nonlocal after
            headers = {} if after == begin else {"Last-Event-ID": str(after)}
            with asked(port, f"/api/live?after={begin}", **headers) as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                assert answer.headers["x-accel-buffering"] == "no"
                for number, kind, data in messages(answer):
                    assert kind == "changes"
                    if not data["kinds"]:
                        continue  # a trial is lost, of which no event tells
                    assert data["position"] == number > after
                    after = number
                    counted.update(data["kinds"])
                    if is_enough(data):
                        break

        for _ in range(3):
            listen(lambda data: data["kinds"].get("MetricsLogged", 0) > 0)
        process.kill()
        every = [event for event in events_of(uri) if begin < event.position]
        if after < every[-1].position:
            listen(lambda data: data["position"] >= every[-1].position)
        assert counted == Counter(type(event.event).__name__ for event in every)
        assert get_json(port, "/api/trials")["total"] == 2


def test_a_trial_whose_process_died_is_told_of_without_any_event(start):
    make("file:store.json")
    process = start(log_for_ever, "file:store.json")
    process.wait_for("logging")
    with (
        page_of("file:store.json") as (port, _),
        asked(port, "/api/live") as answer,
    ):
        told = messages(answer)
        while next(told)[2]["counts"].get("running") != 1:
            pass
        process.kill()
        while next(told)[2]["counts"].get("lost") != 1:
            pass
        assert get_json(port, "/api/trials?where=status=lost")["total"] == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_page_ends_when_it_is_told_and_so_do_its_streams(number):
    make("file:store.json")
    with page_of("file:store.json") as (port, process):
        with asked(port, "/api/live") as answer:
            assert answer.status == 200
            process.send_signal(number)
            assert b"retry" in answer.read()  # to its end, which is a clean one
        out, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, out, err) == (0, "", "")


def test_a_store_that_is_gone_is_said_and_no_traceback():
    make("file:store.json")
    with page_of("file:store.json") as (port, process):
        assert get_json(port, "/api/store")["counts"]["trials"] == 1
        os.truncate("store.json.journal", 0)
        for address in ("/api/store", "/api/trials?at=100", "/api/events", "/api/moments"):
            assert status_of(port, address) in (200, 503)
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE_S)
        assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["ui", "file:nothing.json"], 3, "nothing.json"),
        (["ui", "file:store.json", "--host", "192.0.2.1"], 1, "192.0.2.1"),
        (["ui", "unheard:of"], 2, "unheard"),
        (["ui", "--port", "70000"], 2, "70000"),
    ],
)
def test_what_cannot_be_shown_is_said(arguments, code, says):
    make("file:store.json")
    command = [sys.executable, "-m", "track", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_of_a_store_shows_it_too():
    command = [sys.executable, "-m", "track", "serve", "-s", "file:served.json"]
    process = subprocess.Popen(
        [*command, "--port", "0", "--ui", "0", "--host", "127.0.0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        port = int(re.search(r":(\d+)/", process.stdout.readline())[1])
        assert get_json(port, "/api/store")["counts"] == {"trials": 0, "archived": 0}
        make("file:served.json")
        assert get_json(port, "/api/store")["counts"]["trials"] == 1
        process.terminate()
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
    finally:
        process.kill()


def test_the_page_beyond_this_machine_wants_its_token():
    make("file:store.json")
    command = [sys.executable, "-m", "track", "ui", "--no-browser", "--host", "0.0.0.0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline().strip()
        found = re.fullmatch(r"http://[^/]+:(\d+)/\?token=(\S{20,})", line)
        port, token = int(found[1]), found[2]
        assert status_of(port, "/api/store") == 403
        assert status_of(port, "/api/store", Cookie=f"track_token={token}") == 200
    finally:
        process.kill()
        process.communicate()
