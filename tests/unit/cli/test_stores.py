"""The verbs that look do so on every kind of store."""

import json
from contextlib import ExitStack

import pytest

from tests.databases import KINDS, uri_of
from tests.relays import served
from tests.unit.cli.conftest import fill


@pytest.fixture(params=["file", "lmdb", *KINDS, "socket", "socket, AES"])
def uri(request, tmp_path):
    """The URI of a filled store of each kind."""
    local = {"file": "file:s.json", "lmdb": "lmdb:s.lmdb"}
    with ExitStack() as stack:
        if request.param in local:
            uri = local[request.param]
        elif request.param in KINDS:
            uri = uri_of(request.param, str(tmp_path)[-255:], spool=tmp_path / "spool")
        else:
            layer = "AES" if "AES" in request.param else "none"
            server = stack.enter_context(served("memory:", security_layer=layer))
            uri = server.uri(spool=tmp_path / "spool")
        fill(uri)
        yield uri


def test_a_store_of_any_kind_is_looked_at(track, uri):
    """With the same answers."""
    names = [json.loads(line)["name"] for line in track("ls", "-s", uri, "--json").out.splitlines()]
    assert names == ["baseline", "wider"]
    shown = json.loads(track("show", "wider", "-s", uri, "--json").out)
    assert shown["metrics"]["loss"]["4"] == 0.04
    report = json.loads(track("report", "-s", uri).out)
    assert [trial["name"] for trial in report[0]["trials"]] == names
    events = track("log", "wider", "-s", uri, "--json").out.splitlines()
    middle = json.loads(events[4])["position"]
    assert json.loads(track("show", "wider", "--at", middle, "-s", uri, "--json").out)
    assert json.loads(track("tail", "-n", "1", "-s", uri, "--json").out)
    assert track("diff", "baseline", "wider", "-s", uri).code == 1
    assert json.loads(track("blame", "wider", "metrics.loss.4", "-s", uri, "--json").out)
    assert track("export", "-s", uri).out.count("\n") == 13
    assert track("archive", "wider", "-s", uri).code == 0
    assert "wider" not in track("ls", "-s", uri).out
