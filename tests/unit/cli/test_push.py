"""The verb push."""

from tests.tracking_server import TrackingServer
from track.cli.app import FAILURE, USAGE


def test_trials_are_pushed(track, store):
    """Those that match; again, nothing."""
    with TrackingServer() as server:
        done = track("push", f"mlflow:{server.url}", "-w", "name=wider")
        assert (done.code, done.out) == (
            0,
            f"pushed 6 log calls of 1 trials to mlflow:{server.url}\n",
        )
        assert [run["name"] for run in server.runs.values()] == ["wider"]
        assert "pushed 0 log calls" in track("push", f"mlflow:{server.url}", "-w", "name=wider").out
        assert "of 1 trials" in track("push", f"mlflow:{server.url}").out


def test_an_unknown_tool_is_an_error(track, store):
    result = track("push", "aim:x")
    assert (result.code, "mlflow:URL" in result.err) == (FAILURE, True)


def test_a_password_in_an_address_is_not_printed(track, store):
    result = track("push", "mlflow:http://me:s3cret@127.0.0.1:1/", "--every", "x")
    assert (result.code, "s3cret" in result.err) == (USAGE, False)
