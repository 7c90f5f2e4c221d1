"""A node is started, gets ready and is part of a cluster."""

import os
import shutil
import signal
import socket
from urllib.parse import quote

import pytest

from tests.unit.distributed.nodes import has_ended, wait_until
from track.distributed.cockroachdb import CockRoachDB as Node
from track.errors import BackendError

# Starting


def test_a_node_is_ready_once_it_is_started(double, location):
    """Its real address and what it says of itself are known, until it is stopped."""
    with Node(location, "127.0.0.1:0") as node:
        assert node.is_running
        assert (node.status, node.node_id) == ("initialized new cluster", "1")
        host, _, port = node.address.rpartition(":")
        assert int(port) > 0
        assert node.uri == f"cockroach://root@{host}:{port}/defaultdb?sslmode=disable"
        socket.create_connection((host, int(port))).close()
    assert not node.is_running
    assert node.sql is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


def test_the_process_is_the_node(double, location):
    """No shell is between, an interrupt from the keyboard passes by, nothing is reported."""
    with Node(location, "127.0.0.1:0"):
        (call,) = double.calls("start-single-node")
        assert call.parent == os.getpid()
        assert call.session == call.pid
        assert call.telemetry is False
        assert int((location / "cockroach-node" / "pid").read_text()) == call.pid


@pytest.mark.parametrize(
    ("join", "expected"),
    [
        (None, ["start-single-node"]),
        (["127.0.0.1:1", "h:2"], ["start", "--join=127.0.0.1:1,h:2"]),
    ],
)
def test_a_node_has_a_place_for_everything_that_it_writes(double, location, join, expected):
    """And takes no more memory than it is given."""
    node = Node(location, "127.0.0.1:0", join)
    node.start(wait=False)
    wait_until(lambda: double.calls("start", "start-single-node"))
    node.stop()
    (call,) = double.calls("start", "start-single-node")
    folder = os.path.realpath(location / "cockroach-node")
    assert [call.verb, *call.arguments] == [
        *expected,
        "--insecure",
        "--listen-addr=127.0.0.1:0",
        "--http-addr=127.0.0.1:0",
        f"--store=path={folder}/store",
        f"--temp-dir={folder}/temp",
        f"--external-io-dir={folder}/extern",
        f"--log-dir={folder}/logs",
        f"--pid-file={folder}/pid",
        f"--listening-url-file={folder}/url",
        "--cache=128MiB",
        "--max-sql-memory=256MiB",
    ]


def test_a_node_with_certificates_is_secure(double, tmp_path, location, addresses):
    """It and the commands sent to it use them, and clients check them."""
    certs = tmp_path / "all certs"
    with Node(location, addresses[0], addresses[0], certs_dir=certs) as node:
        login = f"sslrootcert={quote(f'{certs}/ca.crt')}"
        login += f"&sslcert={quote(f'{certs}/client.root.crt')}"
        login += f"&sslkey={quote(f'{certs}/client.root.key')}"
        assert node.uri.endswith(f"/defaultdb?sslmode=verify-full&{login}")
    for call in double.calls("start", "init"):
        assert f"--certs-dir={certs}" in call.arguments
        assert "--insecure" not in call.arguments


def test_a_node_says_where_it_is(double, location):
    """For other nodes, which may reach it by another address."""
    place = {"advertise_addr": "node1.example:26257", "locality": "region=eu,zone=b"}
    with Node(location, "127.0.0.1:0", **place):
        (call,) = double.calls("start-single-node")
    assert {"--advertise-addr=node1.example:26257", "--locality=region=eu,zone=b"} <= {
        *call.arguments
    }


def test_a_comma_in_the_location_is_refused(double, tmp_path):
    """It would end the path of the store, and cockroach has no way to quote it."""
    with pytest.raises(BackendError, match="has a comma"):
        Node(tmp_path / "lr=0.1,wd=0", "127.0.0.1:0")


def test_settings_of_the_shell_for_another_server_do_no_harm(
    double, location, addresses, monkeypatch
):
    """The commands for this node go to this node."""
    monkeypatch.setenv("COCKROACH_URL", "postgresql://me@db.example:26257/?sslmode=verify-full")
    with Node(location, addresses[0], addresses[0], license_key="crl-0-abc") as node:
        assert node.status == "initialized new cluster"


# Licenses


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_a_license_is_set_in_the_cluster(double, location, addresses, monkeypatch, by):
    """No list of processes shows it, and the reports that it may require are not turned off."""
    if by == "environment":
        monkeypatch.setenv("TRACK_COCKROACH_LICENSE", "crl-0-it's")
    key = "crl-0-it's" if by == "argument" else None
    with Node(location, addresses[0], addresses[0], license_key=key) as node:
        (call,) = double.calls("sql")
        assert call.arguments == ["--insecure", f"--host={node.address}"]
    assert call.input == "SET CLUSTER SETTING enterprise.license = 'crl-0-it''s';\n"
    assert double.calls("start")[0].telemetry is True


def test_a_license_that_is_refused_is_an_error_without_it(double, location):
    """It says what the cluster said, and no node is left."""
    double.behave("picky")
    with pytest.raises(BackendError, match="unable to decode license") as raised:
        Node(location, "127.0.0.1:0", license_key="crl-0-abc").start()
    assert "crl-0-abc" not in str(raised.value)
    assert has_ended(double.calls("start-single-node")[0].pid)
    assert not location.exists()


def test_one_may_wait_later(double, location):
    """Who does not wait at the start waits when the node is needed, as often as they like."""
    node = Node(location, "127.0.0.1:0")
    node.start(wait=False)
    assert node.is_running
    node.wait()
    node.wait()
    assert node.node_id == "1"
    node.stop()


def test_a_node_never_waits_for_its_reader(double, location):
    """More than a pipe would hold is printed before it is ready."""
    double.behave("chatty")
    with Node(location, "127.0.0.1:0") as node:
        assert node.is_running


def test_without_a_program_there_is_no_node(location, monkeypatch, tmp_path):
    """The error says what to install, and nothing is made."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendError, match="install CockroachDB"):
        Node(location, "127.0.0.1:0").start()
    assert not location.exists()


def test_a_program_that_cannot_be_run_is_named(double, location):
    """Nothing is left of the attempt."""
    double.program.write_text("#!/nowhere\n")
    with pytest.raises(BackendError, match=f"{double.program} cannot be run"):
        Node(location, "127.0.0.1:0").start()
    assert not location.exists()


def test_a_node_that_dies_early_has_the_last_word(double, location):
    """Its last lines are in the error, its data is removed, and another attempt is possible."""
    double.behave("dies")
    node = Node(location, "127.0.0.1:0")
    with pytest.raises(BackendError, match=r"exited with status 1\.[\s\S]*had enough"):
        node.start()
    assert not location.exists()
    double.behave()
    with node:
        assert node.is_running


def test_a_port_that_is_taken_is_named(double, location):
    """With what to do about it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(BackendError, match=f"listens on {address}: choose another"):
            Node(location, address).start()


def test_a_node_that_is_never_ready_is_ended(double, location):
    """After a while the error says so, with what was printed meanwhile."""
    double.behave("hangs stubborn")
    node = Node(location, "127.0.0.1:0")
    node.START_TIMEOUT_S, node.STOP_TIMEOUT_S = 0.5, 0.1
    with pytest.raises(BackendError, match=r"not ready within 0\.5 s[\s\S]*clean_on_exit=False"):
        node.start()
    assert not node.is_running
    assert has_ended(double.calls("start-single-node")[0].pid)
    assert not location.exists()


def test_an_interrupted_start_leaves_no_node(double, location):
    """Who presses Ctrl-C has no node yet that they could stop."""

    class Interrupted(Node):
        def parse(self, lines):
            wait_until(lambda: double.calls("start-single-node"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Interrupted(location, "127.0.0.1:0").start()
    assert has_ended(double.calls("start-single-node")[0].pid)
    assert not location.exists()


def test_a_node_is_started_once_at_a_time(double, location):
    """The second start is refused, and after a stop it can be started again."""
    node = Node(location, "127.0.0.1:0")
    with node:
        with pytest.raises(BackendError, match="started already"):
            node.start()
        assert node.is_running
    with node:
        assert node.is_running


def test_nobody_waits_for_a_node_that_was_not_started(double, location):
    """Nor for one that was stopped."""
    node = Node(location, "127.0.0.1:0")
    with pytest.raises(BackendError, match=r"call start\(\)"):
        node.wait()
    with node:
        pass
    with pytest.raises(BackendError, match=r"call start\(\)"):
        node.wait()


def test_a_node_that_died_later_is_noticed(double, location):
    """It does not run, and waiting for it fails."""
    node = Node(location, "127.0.0.1:0")
    node.start()
    os.kill(double.calls("start-single-node")[0].pid, signal.SIGKILL)
    wait_until(lambda: not node.is_running)
    with pytest.raises(BackendError, match="exited with status -9"):
        node.wait()


# Clusters


def test_nodes_begin_a_cluster_together(double, tmp_path, addresses):
    """Each asks the same one to begin it, which happens once."""
    nodes = [Node(tmp_path / address, address, addresses) for address in addresses]
    for node in nodes:
        node.start(wait=False)
    for node in reversed(nodes):
        node.wait()
    found = {(node.status, node.node_id) for node in nodes}
    assert found == {
        ("initialized new cluster", "1"),
        ("initialized new node, joined pre-existing cluster", "2"),
    }
    calls = double.calls("init")
    assert calls
    for call in calls:
        assert call.arguments == ["--insecure", f"--host={addresses[0]}"]
    for node in nodes:
        node.stop()


def test_a_node_joins_a_cluster_that_is_there(double, tmp_path):
    """That it was initialized before is fine."""
    with (
        Node(tmp_path / "1", "127.0.0.1:0") as first,
        Node(tmp_path / "2", "127.0.0.1:0", first.address) as second,
    ):
        assert second.status == "initialized new node, joined pre-existing cluster"
        assert second.node_id == "2"
        assert second.address != first.address


def test_a_cluster_that_cannot_be_reached_is_named(double, location, addresses):
    """The error holds what was tried in vain."""
    node = Node(location, "127.0.0.1:0", addresses[1])
    node.START_TIMEOUT_S = 0.5
    with pytest.raises(BackendError, match=rf"join={addresses[1]} can[\s\S]*cannot dial server"):
        node.start()


# The real program

real = pytest.mark.skipif(shutil.which("cockroach") is None, reason="cockroach is not installed")


@real
def test_a_real_node_lives_and_goes(location):
    """From the start to the end, with what it says in between."""
    with Node(location, "127.0.0.1:0") as node:
        assert (node.status, node.node_id) == ("initialized new cluster", "1")
        assert node.build
        assert node.client_flags
        assert node.webui.startswith("http://")
        assert node.address.startswith("127.0.0.1:")
    assert not location.exists()


@real
def test_real_nodes_form_a_cluster(tmp_path, addresses):
    """The same list for each is all they need."""
    nodes = [Node(tmp_path / address, address, addresses) for address in addresses]
    try:
        for node in nodes:
            node.start(wait=False)
        for node in nodes:
            node.wait()
        assert {node.node_id for node in nodes} == {"1", "2"}
    finally:
        for node in nodes:
            node.stop()


@real
def test_a_real_node_complains_of_a_taken_port(location):
    """Its words are recognised."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(BackendError, match="choose another port"):
            Node(location, address).start()
