"""What ended a trial is kept, and so is how long each attempt took."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import track
from track import TrackClient
from track.events.types import TrialFinished, TrialStarted
from track.persistence import get_protocol
from track.provenance.failures import failure_of
from track.stores.redaction import redact
from track.structure import Status, Trial

ROOT = Path(__file__).resolve().parents[3]


def fail(error):
    """Raise something, and return what is said of it."""
    try:
        raise error
    except BaseException as caught:
        return failure_of(type(caught), caught, caught.__traceback__)


def run(client, error=None, **kwargs):
    """Run a trial that ends with an error, and return it as it is in the store."""
    trial = client.logger if client.logger and not kwargs else client.new_trial(**kwargs)
    if error is None:
        with trial:
            pass
    else:
        with pytest.raises(type(error)), trial:
            raise error
    (found,) = client.protocol.fetch_trials({"uid": trial.uid})
    assert found.failure == client.trial.failure
    return found


@pytest.fixture
def client():
    return TrackClient("file:store.json")


def test_a_failed_trial_keeps_message_and_traceback(client):
    """Beside the type among its errors, which is all that there was."""
    trial = run(client, RuntimeError("CUDA error: out of memory\nTry less."), parameters={})
    assert trial.errors == ["<class 'RuntimeError'>"]
    assert trial.failure["message"] == "RuntimeError: CUDA error: out of memory\nTry less."
    assert trial.failure["traceback"].startswith("Traceback (most recent call last):\n")
    assert f'File "{__file__}"' in trial.failure["traceback"]
    assert trial.failure["traceback"].endswith(trial.failure["message"])


def test_what_led_to_an_exception_is_told_too():
    """As Python would print it."""
    try:
        try:
            raise KeyError("lr")
        except KeyError as error:
            raise ValueError("bad config") from error
    except ValueError as caught:
        failure = failure_of(type(caught), caught, None)
    assert failure["message"] == "ValueError: bad config"
    assert "KeyError: 'lr'" in failure["traceback"]
    assert "direct cause" in failure["traceback"]


def test_a_good_end_is_no_failure(client):
    """Nor is an exit without an error."""
    assert run(client, parameters={}).failure is None
    assert run(client, SystemExit(0), parameters={"a": 1}).failure is None
    failed = run(client, SystemExit(3), parameters={"a": 2})
    assert failed.failure["message"] == "SystemExit: 3"
    assert run(client, KeyboardInterrupt(), parameters={"a": 3}).status is Status.Interrupted
    assert client.trial.failure["message"] == "KeyboardInterrupt"


def test_secrets_are_left_out():
    """Of the message, and of what the traceback shows of it."""
    failure = fail(ConnectionError("cannot reach https://ada:hunter2@host with ghp_" + "a1" * 12))
    assert "hunter2" not in str(failure)
    assert "a1a1" not in str(failure)
    assert failure["message"] == "ConnectionError: cannot reach https://***@host with ***"


def test_a_long_message_loses_its_middle():
    """An event has room for more, but nobody reads it."""
    failure = fail(ValueError("begin " + "x" * 10**6 + " end"))
    assert len(failure["message"]) < 3_000
    assert len(failure["traceback"]) < 20_000
    assert failure["message"].startswith("ValueError: begin")
    assert failure["message"].endswith(" end")
    assert "characters are left out" in failure["message"]


def test_odd_exceptions_are_told_as_far_as_they_can_be():
    """The end of a trial is recorded whatever ended it."""

    class Odd(Exception):
        def __str__(self):
            raise ZeroDivisionError

    def deeper():
        deeper()

    assert "Odd" in fail(Odd())["message"]
    assert failure_of("no exception", "at all", None) is None
    assert failure_of(None, None, None) is None
    with pytest.raises(RecursionError) as caught:
        deeper()
    assert "Previous line repeated" in failure_of(RecursionError, caught.value, None)["traceback"]


@pytest.mark.parametrize("signum", ["SIGINT", "SIGTERM"])
def test_an_interrupt_says_where_the_program_was(signum):
    """Which signal it was, too."""
    program = (
        "import os, signal, sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from track import TrackClient\n"
        "def train():\n"
        f"    os.kill(os.getpid(), signal.{signum})\n"
        "with TrackClient('file:store.json') as client:\n"
        "    client.log_metrics(loss=1)\n"
        "    train()\n"
    )
    Path("script.py").write_text(program, encoding="utf-8")
    done = subprocess.run([sys.executable, "script.py"], check=False, capture_output=True)
    assert done.returncode != 0
    (trial,) = get_protocol("file:store.json").fetch_trials()
    assert (trial.status, trial.errors) == (Status.Interrupted, [])
    assert trial.failure["message"] == f"KeyboardInterrupt: {signum}"
    assert "in train" in trial.failure["traceback"]


def test_runtimes_add_up_and_failures_are_those_of_their_attempt(client):
    """Of a trial that was continued."""
    first = run(client, ValueError("one"), parameters={"lr": 1})
    second = run(client, KeyError("two"))
    third = run(client)
    assert third.failure is None
    with track.open("file:store.json") as store:
        attempts = store.attempts(third.uid)
        at = [attempt.finished_at for attempt in attempts]
        assert store.trial(third.uid, at=at[0]).failure["message"] == "ValueError: one"
        assert [origin.value["message"] for origin in store.provenance(third.uid, "failure")] == [
            "ValueError: one",
            "KeyError: 'two'",
        ]
    told = [attempt.failure and attempt.failure["message"] for attempt in attempts]
    assert told == ["ValueError: one", "KeyError: 'two'", None]
    runtimes = [attempt.runtime for attempt in attempts]
    assert first.chronos["runtime"] == runtimes[0]
    assert second.chronos["runtime"] == runtimes[0] + runtimes[1]
    assert third.chronos["runtime"] == pytest.approx(sum(runtimes))


def test_a_late_start_is_told_as_it_was(client):
    """The trial was recorded later, once its arguments were known."""
    with client:
        entered = client.logger._start
        assert entered is not None
        client.log_arguments(lr=1)
    with track.open("file:store.json") as store:
        (attempt,) = store.attempts(client.uid)
        (started,) = (r for r in store.history(client.uid) if isinstance(r.event, TrialStarted))
    assert attempt.started_at == started.at - int(started.event.waited * 1e9)
    assert attempt.runtime >= started.event.waited > 0


def test_a_failure_is_in_the_report_and_comes_back_from_it(client, capsys):
    """Whoever opens a report without its journal has it, too."""
    run(client, ValueError("message"), parameters={})
    client.report()
    client.close()
    shown = json.loads(capsys.readouterr().out)
    assert shown["failure"]["message"] == "ValueError: message"
    os.rename("store.json.journal", "elsewhere")
    (found,) = get_protocol("file:store.json").fetch_trials()
    assert found.failure == shown["failure"]
    assert found.errors == ["<class 'ValueError'>"]


def test_redaction_erases_what_a_failure_said(client):
    """In the journal, and in what is computed from it."""
    uid = run(client, ValueError("the secret"), parameters={}).uid
    client.close()
    redact("file:store.json", uid)
    for path in Path().glob("store.json*"):
        assert b"the secret" not in path.read_bytes()
    with track.open("file:store.json") as store:
        found = store.trial(uid)
    assert (found.status, found.failure) == (Status.Exception, None)


@pytest.mark.parametrize("failure", ["filler of a redaction", 7, ["a"]])
def test_what_is_no_failure_is_none(failure):
    """A reader of an older version may have put something else there."""
    store = get_protocol("memory:")
    trial = store.new_trial(Trial(_hash="a"))
    store.producer.record(
        next(r.stream for r in store.trial_history(trial)), TrialFinished(1.0, None, failure)
    )
    (found,) = store.fetch_trials()
    assert (found.failure, found.chronos["runtime"]) == (None, 1.0)
