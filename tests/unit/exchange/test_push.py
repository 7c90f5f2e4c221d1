"""What is pushed to another tool arrives there once, whatever happens on the way."""

import base64
import json
import math
import os

import pytest

from tests.tracking_server import TrackingServer
from tests.unit.exchange.conftest import log_steps, push_to_mlflow
from track import TrackClient
from track.errors import PushFailed
from track.exchange import Pusher, copy_store, open_target
from track.exchange.bridges.mlflow import MLflow
from track.persistence import get_protocol


def test_a_run_has_what_the_trial_has(client, server):
    """Its experiment, name, parameters, tags, metrics, status and times."""
    client.set_group("sweep")
    parameters = {"lr": 0.1, "optimizer": {"name": "sgd"}}
    with client.new_trial(name="baseline", parameters=parameters) as trial:
        trial.add_tags(owner="me")
        trial.log_metadata(note="good")
        log_steps(trial, range(3))
        trial.log_metrics(listed=5.0)
        trial.log_metrics(listed=6.0)
        trial.log_metrics(step=0, odd=math.nan)
        trial.log_metrics(step=1, odd=-math.inf)
    done = push_to_mlflow(client.protocol, server)
    assert (done.trials, done.rows, done.problems) == (1, 7, [])
    run = server.only_run()
    assert [*server.experiments.values()] == ["digits"]
    assert (run["name"], run["status"]) == ("baseline", "FINISHED")
    assert run["params"] == {"lr": "0.1", "optimizer.name": "sgd"}
    assert (
        run["tags"].items()
        >= {
            "owner": "me",
            "metadata.note": "good",
            "track.group": "sweep",
            "track.uid": trial.trial.uid,
        }.items()
    )
    assert [(name, step, value) for _, name, step, value in server.points()] == [
        *(("loss", step, 1 / (step + 1)) for step in range(3)),
        *(("listed", 0, 5.0), ("listed", 1, 6.0), ("odd", 0, "NaN"), ("odd", 1, "-Infinity")),
    ]
    (times,) = {len(str(metric["timestamp"])) for metric in run["metrics"]}
    assert times == len(str(run["start_time"])) == len(str(run["end_time"]))  # in milliseconds


def test_again_is_only_what_is_new(client, server):
    """By the same process, by another one that remembers, and by one that remembers nothing."""
    trial = client.new_trial(parameters={})
    log_steps(trial, range(5))
    with Pusher(client.protocol, MLflow(server.url)) as pusher:
        assert pusher.push().rows == 5
        assert pusher.push().rows == 0
        log_steps(trial, range(5, 8))
        assert pusher.push().rows == 3
    before = len(server.requests)
    assert push_to_mlflow(client.protocol, server).rows == 0
    assert len(server.requests) - before <= 3  # it has not ended, so it is looked at
    log_steps(trial, range(8, 9))
    assert push_to_mlflow(client.protocol, server).rows == 1
    assert push_to_mlflow(client.protocol, server, wanted_as="remembers nothing").rows == 0
    assert [step for _, _, step, _ in server.points()] == [*range(9)]


def test_nothing_is_asked_about_trials_without_news(client, server):
    """A push of a store in which nothing happened sends no request."""
    for name in ("a", "b"):
        with client.new_trial(name=name, parameters={}, force=True) as trial:
            log_steps(trial, range(3))
    push_to_mlflow(client.protocol, server)
    before = len(server.requests)
    assert push_to_mlflow(client.protocol, server).trials == 0
    assert len(server.requests) == before


def test_a_copy_of_the_store_goes_on_where_the_store_was(client, server):
    """Positions differ between stores, rows do not."""
    trial = client.new_trial(parameters={})
    log_steps(trial, range(4))
    push_to_mlflow(client.protocol, server)
    log_steps(trial, range(4, 6))
    copied = get_protocol("memory:")
    copy_store(client.protocol, copied)
    assert push_to_mlflow(copied, server).rows == 2
    assert [step for _, _, step, _ in server.points()] == [*range(6)]


def test_a_trial_goes_on_and_its_run_with_it(client, server):
    """A run that was finished runs again, and is finished again."""
    with client.new_trial(name="a", parameters={}) as trial:
        log_steps(trial, range(2))
    push_to_mlflow(client.protocol, server)
    again = TrackClient(client.protocol.uri)
    with again.set_trial(uid=trial.trial.uid) as resumed:
        log_steps(resumed, range(2, 4))
        push_to_mlflow(client.protocol, server)
        assert server.only_run()["status"] == "RUNNING"
    again.close()
    push_to_mlflow(client.protocol, server)
    assert server.only_run()["status"] == "FINISHED"
    assert [step for _, _, step, _ in server.points()] == [*range(4)]


def test_one_call_with_more_values_than_a_request_takes(client, server):
    """It is split, and is there once."""
    with client.new_trial(parameters={}) as trial:
        trial.log_metrics(step=1, **{f"m{number}": number for number in range(2500)})
        log_steps(trial, range(2))
    push_to_mlflow(client.protocol, server)
    assert len(server.points()) == len({*server.points()}) == 2502


@pytest.mark.parametrize("how", ["before", "after"])
def test_whichever_request_is_lost_each_value_is_there_once(client, server, how):
    """Before it was carried out, or after; the runs and experiments are there once, too."""
    with client.new_trial(name="a", parameters={"lr": 0.1}) as trial:
        trial.log_metrics(step=0, **{f"m{number}": number for number in range(1500)})
        log_steps(trial, range(700))
        trial.log_text("t", "hello", 1)
    push_to_mlflow(client.protocol, server)
    expected, count = server.points(), len(server.requests)
    assert count > 8
    for lost in range(count):
        with TrackingServer() as other:
            other.spoil = lambda number, path, lost=lost: how if number == lost else None
            done = push_to_mlflow(client.protocol, other)
            assert done.problems == []
            assert other.points() == expected, lost
            assert [*other.artifacts.values()] == [b"hello"]
            assert len(other.experiments) == len(other.runs) == 1


def test_a_push_that_ends_in_the_middle_is_finished_by_the_next(client, server):
    """A server that stays away is one error; what arrived is not sent again."""
    for name in ("a", "b", "c"):
        with client.new_trial(name=name, parameters={}, force=True) as trial:
            log_steps(trial, range(600))
    server.spoil = lambda number, path: "before" if number > 9 else None
    with pytest.raises(PushFailed, match="is not responding"):
        push_to_mlflow(client.protocol, server, patience_s=0.0)
    there = len(server.points())
    assert 0 < there < 1800
    server.spoil = lambda number, path: None
    assert push_to_mlflow(client.protocol, server).rows == 1800 - there
    assert len(server.points()) == len({*server.points()}) == 1800


def test_following_survives_a_server_that_is_away(client, server, caplog):
    """It says so once, goes on, and sends what was logged meanwhile."""
    trial = client.new_trial(parameters={})
    log_steps(trial, range(2))
    with Pusher(client.protocol, MLflow(server.url, patience_s=0.0)) as pusher:
        looks = pusher.follow(0.01)
        assert next(looks).rows == 2
        log_steps(trial, range(2, 4))
        start = len(server.requests)
        server.spoil = lambda number, path: "before" if number < start + 3 else None
        assert next(looks).rows == 2
    assert [step for _, _, step, _ in server.points()] == [*range(4)]
    assert sum("trying again" in record.message for record in caplog.records) == 1


def test_following_ends_where_no_answer_will_be_another_one(client, server):
    """A password that is refused is an error, not a reason to wait."""
    client.new_trial(parameters={}).log_metrics(step=0, loss=1.0)
    server.spoil = lambda number, path: (401, {}, "{}")
    with (
        Pusher(client.protocol, MLflow(server.url)) as pusher,
        pytest.raises(PushFailed, match="401"),
    ):
        next(pusher.follow(0.01))


def test_a_trial_that_is_refused_does_not_stop_the_others(client, server):
    """It is told, with what the server says, and tried again by the next push."""
    for name in ("a", "b"):
        with client.new_trial(name=name, parameters={}, force=True) as trial:
            log_steps(trial, range(2))
    refusal = 400, {}, json.dumps({"error_code": "INVALID_STATE", "message": "no such luck"})
    refused = []

    def spoil(number, path):
        if path.endswith("runs/create") and not refused:
            refused.append(number)
            return refusal
        return None

    server.spoil = spoil
    done = push_to_mlflow(client.protocol, server)
    assert (done.trials, len(server.runs)) == (1, 1)
    assert ["no such luck" in problem for problem in done.problems] == [True]
    again = push_to_mlflow(client.protocol, server)
    assert (again.trials, len(server.runs), again.problems) == (1, 2, [])
    assert push_to_mlflow(client.protocol, server).trials == 0


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, {}, "{}"), "password or token"),
        ((302, {"Location": "http://127.0.0.1:1/"}, ""), "redirects to another address"),
        ((200, {}, "<html>welcome</html>"), "is this the address"),
        ((200, {}, "[" * 100_000), "is this the address"),
    ],
)
def test_a_server_that_is_none_of_mlflow_is_one_error(client, server, answer, said):
    """It is not tried again, and no password goes elsewhere."""
    client.new_trial(parameters={}).log_metrics(step=0, loss=1.0)
    server.spoil = lambda number, path: answer
    with pytest.raises(PushFailed, match=said):
        push_to_mlflow(client.protocol, server)
    assert len(server.requests) == 1


def test_secrets_are_sent_and_in_no_message(client, server, monkeypatch):
    """Those of the address, of the environment, and a token."""
    client.new_trial(parameters={}).log_metrics(step=0, loss=1.0)
    with_user = server.url.replace("//", "//me:s3cret@")
    target = open_target(f"mlflow:{with_user}")
    assert "s3cret" not in target.name
    with Pusher(client.protocol, target) as pusher:
        pusher.push()
    expected = base64.b64encode(b"me:s3cret").decode()
    assert server.authorization == f"Basic {expected}"
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    server.spoil = lambda number, path: (403, {}, "{}")
    with (
        pytest.raises(PushFailed) as raised,
        Pusher(client.protocol, open_target("mlflow:"), wanted_as="again") as pusher,
    ):
        pusher.push()
    assert server.authorization == "Bearer t0ken"
    assert "t0ken" not in str(raised.value)


def test_names_that_mlflow_refuses_get_another_one(client, server):
    """Each its own, the same every time."""
    with client.new_trial(parameters={"a@b": 1, "../x": 2}) as trial:
        trial.log_metrics(step=0, **{"loss@1": 1.0, "loss 1": 2.0, "loss#1": 3.0})
    push_to_mlflow(client.protocol, server)
    names = [name for _, name, _, _ in server.points()]
    assert len({*names}) == 3
    assert "loss 1" in names
    assert all(name.replace("-", "").replace("_", "").replace(" ", "").isalnum() for name in names)
    assert sorted(server.only_run()["params"].values()) == ["1", "2"]


def test_media_become_artifacts(client, server):
    """Pictures under the names by which the page of MLflow finds them."""
    numpy = pytest.importorskip("numpy")
    with client.new_trial(parameters={}) as trial:
        trial.log_image("a/b", numpy.zeros((4, 4, 3), "uint8"), step=7)
        trial.log_table("t", {"x": [1]}, step=2)
    push_to_mlflow(client.protocol, server)
    paths = sorted(server.artifacts)
    folder = "0/run0/artifacts"
    assert paths[0].startswith(f"{folder}/images/a~b+step+7+timestamp+")
    assert [path.rpartition(".")[2] for path in paths] == ["webp", "png", "json"]
    assert server.artifacts[paths[1]].startswith(b"\x89PNG")
    assert server.only_run()["tags"]["mlflow.loggedImages"] == "True"


def test_a_server_without_artifacts_gets_the_rest(client, server):
    """The media are told, once."""
    server.artifact_root = "s3://bucket/"
    with client.new_trial(parameters={}) as trial:
        log_steps(trial, range(2))
        trial.log_text("t", "x", 1)
        trial.log_text("t", "y", 2)
    done = push_to_mlflow(client.protocol, server)
    assert len(server.points()) == 2
    assert ["--serve-artifacts" in problem for problem in done.problems] == [True]


def test_what_is_left_out_is_told(client, server):
    """Texts among metrics, and a parameter that changed."""
    trial = client.new_trial(parameters={"lr": 0.1})
    trial.log_metrics(step=0, loss=1.0, note="x")
    push_to_mlflow(client.protocol, server)
    server.only_run()["params"]["lr"] = "0.2"
    trial.log_metrics(step=1, loss=1.0)
    done = push_to_mlflow(client.protocol, server)
    assert any("changed" in problem for problem in done.problems)
    assert any("not numbers" in problem for problem in done.problems)
    assert len(server.points()) == 2


def test_archived_trials_are_not_pushed(client, server):
    with client.new_trial(parameters={}) as trial:
        log_steps(trial, range(2))
    client.protocol.archive_trial(trial.trial)
    assert push_to_mlflow(client.protocol, server).trials == 0
    client.protocol.restore_trial(trial.trial)
    assert push_to_mlflow(client.protocol, server).trials == 1


def test_two_pushes_at_once_are_one_error(client, server):
    """Of the same store to the same place."""
    with (
        Pusher(client.protocol, MLflow(server.url)),
        pytest.raises(PushFailed, match="another process"),
    ):
        push_to_mlflow(client.protocol, server)
    push_to_mlflow(client.protocol, server)


def test_stores_of_one_name_in_two_folders_are_two(server, tmp_path, monkeypatch):
    """What is remembered of one does not concern the other."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        client = TrackClient("file:runs.json")
        with client.new_trial(parameters={"in": folder}) as trial:
            log_steps(trial, range(2))
        assert push_to_mlflow(client.protocol, server).rows == 2
        client.close()
    assert len([*(tmp_path / ".cache" / "track").glob("*.cache")]) == 2


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"position":"x","mark":1}', b"\xff"])
def test_what_is_remembered_may_be_damaged(client, server, tmp_path, content):
    """Every trial is looked at then, and nothing is sent twice."""
    with client.new_trial(parameters={}) as trial:
        log_steps(trial, range(2))
    push_to_mlflow(client.protocol, server)
    (remembered,) = (tmp_path / ".cache" / "track").glob("*.cache")
    remembered.write_bytes(content)
    assert push_to_mlflow(client.protocol, server).rows == 0
    assert len(server.points()) == 2


@pytest.mark.parametrize("to", ["mlflow", "mlflow:", "mlflow:ftp://x", "mlflow:http://", "aim:x"])
def test_a_place_that_is_none_is_named(to):
    with pytest.raises(PushFailed, match=r"use mlflow:URL|give"):
        open_target(to)


def test_a_store_that_grows_without_a_cache_is_pushed_whole(server, tmp_path, monkeypatch):
    """In memory, or where the cache cannot be written."""
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    client = TrackClient("memory:")
    trial = client.new_trial(parameters={})
    log_steps(trial, range(2))
    assert push_to_mlflow(client.protocol, server).rows == 2
    log_steps(trial, range(2, 4))
    assert push_to_mlflow(client.protocol, server).rows == 2
    client.close()
    assert server.experiments == {"0": "orphan"}
