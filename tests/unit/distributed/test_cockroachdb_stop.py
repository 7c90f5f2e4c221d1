"""A node is stopped, by whom it may be, and what is not its own is left alone."""

import logging
import os
import shutil
import signal

import pytest

from tests.programs import run_python
from tests.unit.distributed.nodes import has_ended, wait_until
from track.distributed.cockroachdb import CockRoachDB as Node
from track.errors import BackendError


@pytest.fixture
def run(tmp_path, double):
    """Run a program that starts a node in ./location; return what it printed."""

    def run_program(program):
        start = "from track.distributed.cockroachdb import CockRoachDB as Node\n"
        start += "node = Node('location', '127.0.0.1:0')\nnode.start()\n"
        done = run_python(start + program, warn="error")
        assert done.stderr == ""
        return done.stdout.splitlines()

    return run_program


# Stopping


def test_stopping_twice_is_stopping_once(double, location):
    """Nothing is left of the location that the node made, and none is needed to stop."""
    node = Node(location, "127.0.0.1:0")
    node.stop()
    node.start()
    node.stop()
    node.stop()
    assert not location.exists()


def test_a_node_that_ignores_the_request_is_killed(double, location, caplog):
    """A warning says so, and its data goes once it has ended."""
    double.behave("stubborn")
    with Node(location, "127.0.0.1:0") as node:
        node.STOP_TIMEOUT_S = 0.1
    assert has_ended(double.calls("start-single-node")[0].pid)
    assert "was killed" in caplog.text
    assert not location.exists()


def test_data_is_kept_on_request(double, location):
    """The node comes back to it, and then it was there before: cleaning would take it away."""
    for clean_on_exit, status in [
        (False, "initialized new cluster"),
        (False, "restarted pre-existing node"),
        (True, "restarted pre-existing node"),
        (True, "restarted pre-existing node"),
    ]:
        with Node(location, "127.0.0.1:0", clean_on_exit=clean_on_exit) as node:
            assert node.status == status


def test_only_what_the_node_made_is_removed(double, tmp_path):
    """The folder one works in is a location like any other."""
    (tmp_path / "thesis.tex").write_text("chapter 1")
    before = {path.name for path in tmp_path.iterdir()}
    with Node(".", "127.0.0.1:0"):
        (tmp_path / "results").mkdir()
    after = {path.name for path in tmp_path.iterdir()}
    assert after == before | {"results", "bin"}


@pytest.mark.parametrize("name", ["notes", "cockroach-node/notes"])
def test_a_location_that_holds_something_is_kept(double, location, name):
    """Wherever in it that is."""
    note = location / name
    note.parent.mkdir(parents=True)
    note.write_text("mine")
    with Node(location, "127.0.0.1:0"):
        pass
    assert note.read_text() == "mine"


def test_a_location_that_was_there_stays(double, location):
    """An empty folder may be a mount point, or shared with others."""
    location.mkdir()
    with Node(location, "127.0.0.1:0"):
        pass
    assert list(location.iterdir()) == []


def test_data_that_cannot_be_removed_is_named(double, location, monkeypatch, caplog):
    """The node has been stopped all the same, and there may be nobody to raise to."""

    def rmtree(path):
        raise PermissionError(13, "not yours", path)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    with caplog.at_level(logging.WARNING), Node(location, "127.0.0.1:0"):
        pass
    assert "could not remove" in caplog.text
    with Node(location, "127.0.0.1:0") as node:
        assert node.is_running


# Several nodes, several processes


def test_a_location_has_one_node(double, location):
    """The second one is refused and does the first one no harm."""
    with Node(location, "127.0.0.1:0") as node:
        with pytest.raises(BackendError, match="another node runs in"):
            Node(location / ".." / "location", "127.0.0.1:0").start()
        node.wait()
        assert node.is_running
    with Node(location, "127.0.0.1:0") as node:
        assert node.is_running


def test_a_node_ends_with_the_script(double, location, run):
    """Who forgets to stop it leaves nothing behind."""
    (pid,) = run("print(node._process.pid)")
    assert has_ended(int(pid))
    assert not location.exists()


def test_a_node_that_outlived_its_script_keeps_its_location(double, location, run):
    """Until it is ended; its data was there before, so it is kept."""
    (pid,) = run("import os; print(node._process.pid, flush=True); os._exit(0)")
    with pytest.raises(BackendError, match=f"process id is in {location}/cockroach-node/pid"):
        Node(location, "127.0.0.1:0").start()
    assert not has_ended(int(pid))
    os.kill(int(pid), signal.SIGKILL)
    wait_until(lambda: has_ended(int(pid)))
    with Node(location, "127.0.0.1:0") as node:
        assert node.status == "restarted pre-existing node"
    assert location.exists()


def test_a_forked_child_leaves_the_node_alone(double, location, run):
    """Neither its stop nor its end stops the node of its parent; its address is known there."""
    found = run("""
import os, sys
from track.errors import BackendError

child = os.fork()
if not child:
    node.stop()
    assert not node.is_running
    assert node.address
    try:
        node.wait()
    except BackendError:
        sys.exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(node.is_running)
""")
    assert found == ["3", "True"]
    assert not location.exists()


def test_a_forked_child_does_not_hold_the_location(double, location, run):
    """After the node was stopped another one can use it, whatever the child does."""
    found = run("""
import os

reader, writer = os.pipe()
child = os.fork()
if not child:
    os.close(writer)
    os.read(reader, 1)
    os._exit(0)
node.clean_on_exit = False
node.stop()
node.start()
print(node.status)
os.close(writer)
os.waitpid(child, 0)
""")
    assert found == ["restarted pre-existing node"]
