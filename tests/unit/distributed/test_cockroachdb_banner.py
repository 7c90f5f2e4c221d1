"""What a node prints when it is ready."""

import pytest

from track.distributed.cockroachdb import CockRoachDB
from track.errors import BackendError

V20_2 = """\
* WARNING: ALL SECURITY CONTROLS HAVE BEEN DISABLED!
CockroachDB node starting at 2021-02-19 06:48:17.3620647 +0000 UTC (took 0.7s)
build:               CCL v20.2.5 @ 2021/02/16 12:52:58 (go1.13.14)
webui:               http://node2:34567
sql:                 postgresql://root@node2:26257?sslmode=disable
RPC client flags:    cockroach <client cmd> --host=node2:26257 --insecure
logs:                /data/logs
temp dir:            /data/temp/cockroach-temp062367352
external I/O path:   /data/extern
store[0]:            path=/data/store
storage engine:      pebble
status:              initialized new node, joined pre-existing cluster
clusterID:           e7e2aece-307d-4fc0-b04d-d7f6ccf399cb
nodeID:              2
"""

V21_2 = """\
Flag --log-dir has been deprecated, use --log instead to specify 'file-defaults: {dir: ...}'
CockroachDB node starting at 2021-12-24 18:00:00.000000001 +0000 UTC (took 1.2s)
build:               CCL v21.2.3 @ 2021/12/14 15:22:08 (go1.16.6)
webui:               http://[::1]:34567
sql:                 postgresql://root@[::1]:26257/defaultdb?sslmode=disable
sql (JDBC):          jdbc:postgresql://[::1]:26257/defaultdb?sslmode=disable&user=root
RPC client flags:    cockroach <client cmd> --host=[::1]:26257 --insecure
logs:                /data/logs
temp dir:            /data/temp/cockroach-temp1308587809
external I/O path:   /data/extern
store[0]:            path=/data/store
storage engine:      pebble
status:              initialized new cluster
clusterID:           e7e2aece-307d-4fc0-b04d-d7f6ccf399cb
nodeID:              1
"""

V24_2 = """\
*
* WARNING: Running a server without --sql-addr, with a combined RPC/SQL listener, is deprecated.
* This feature will be removed in a later version of CockroachDB.
*
CockroachDB node starting at 2024-10-26 07:03:06.254234134 +0000 UTC m=+1.254234134 (took 0.8s)
build:               CCL v24.2.4 @ 2024/10/14 17:20:56 (go1.22.5 X:nocoverageredesign)
malloc_conf:         prof:false,prof_active:true
webui:               http://127.0.0.1:34567
sql:                 postgresql://root@127.0.0.1:26257/defaultdb?sslmode=disable
sql (JDBC):          jdbc:postgresql://127.0.0.1:26257/defaultdb?sslmode=disable&user=root
RPC client flags:    cockroach <client cmd> --host=127.0.0.1:26257 --insecure
logs:                /data/logs
temp dir:            /data/temp/cockroach-temp1680688590
external I/O path:   /data/extern
store[0]:            path=/data/store
storage engine:      pebble
clusterID:           e7e2aece-307d-4fc0-b04d-d7f6ccf399cb
status:              restarted pre-existing node
nodeID:              12
"""


@pytest.fixture
def node(tmp_path):
    """Return a node that is never started."""
    return CockRoachDB(tmp_path, "localhost:26257")


@pytest.mark.parametrize(
    ("banner", "build", "host", "status", "node_id"),
    [
        (V20_2, "v20.2.5", "node2", "initialized new node, joined pre-existing cluster", "2"),
        (V21_2, "v21.2.3", "[::1]", "initialized new cluster", "1"),
        (V24_2, "v24.2.4", "127.0.0.1", "restarted pre-existing node", "12"),
    ],
)
def test_banners_of_every_version_are_understood(banner, build, host, status, node_id):
    """What the versions call differently, or leave out, makes no difference to the properties."""
    node = CockRoachDB("nowhere", "localhost:26257")
    node.parse(banner)
    assert node.build.split()[1] == build
    assert node.webui == f"http://{host}:34567"
    assert node.sql.startswith(f"postgresql://root@{host}:26257")
    assert node.client_flags == f"cockroach <client cmd> --host={host}:26257 --insecure"
    assert (node.status, node.node_id) == (status, node_id)
    assert node.address == f"{host}:26257"
    assert node.uri == f"cockroach://root@{host}:26257/defaultdb?sslmode=disable"


def test_only_fields_are_found(node):
    """Neither the title, which has a time, nor the warnings in front of it are fields."""
    found = node.parse(V24_2)
    assert len(found) == 14
    assert next(iter(found)) == "build"
    assert found["store[0]"] == "path=/data/store"
    assert found["build"].endswith("17:20:56 (go1.22.5 X:nocoverageredesign)")


def test_lines_come_in_any_order_and_in_pieces(node):
    """Fields add up, and a field that comes again is the newer one."""
    for line in reversed(V24_2.splitlines()):
        node.parse([line])
    whole = CockRoachDB("elsewhere", "localhost:0").parse(V24_2)
    assert node.properties == whole
    assert node.parse(["nodeID: 13\n"]) == {"nodeID": "13"}
    assert node.node_id == "13"


@pytest.mark.parametrize("text", ["", "\n\n", "*", "no colon here", "* status: nonsense"])
def test_what_is_no_field_is_passed_over(node, text):
    """Whatever a node prints, reading it fails on nothing."""
    assert node.parse(text) == {}
    assert node.properties == {}


def test_nothing_is_known_of_a_node_that_is_not_ready(node):
    """Its properties are None, and nobody gets an address that leads nowhere."""
    assert [node.build, node.client_flags, node.node_id] == [None] * 3
    assert [node.sql, node.status, node.webui] == [None] * 3
    with pytest.raises(BackendError, match="not ready"):
        _ = node.address
    with pytest.raises(BackendError, match="not ready"):
        _ = node.uri


@pytest.mark.parametrize("addrs", ["", "localhost", "26257", "localhost:", "a b:1", "localhost:x"])
def test_an_address_has_a_host_and_a_port(addrs):
    """Anything else is refused before a node is started on it."""
    with pytest.raises(BackendError, match="host:port"):
        CockRoachDB("somewhere", addrs)


@pytest.mark.parametrize(
    ("join", "expected"),
    [
        (None, ()),
        ("", ()),
        ([], ()),
        ("a:1", ("a:1",)),
        ("a:1, b:2,", ("a:1", "b:2")),
        (["a:1", "b:2"], ("a:1", "b:2")),
        (iter(("a:1",)), ("a:1",)),
    ],
)
def test_a_cluster_is_named_by_text_or_by_a_list(join, expected):
    """Both are the same afterwards."""
    assert CockRoachDB("somewhere", "localhost:0", join).join == expected
