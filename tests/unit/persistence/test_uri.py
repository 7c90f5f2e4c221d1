"""Taking backend URIs apart."""

import pytest

from track.errors import BackendError
from track.persistence import get_protocol
from track.persistence.utils import check_options, parse_uri

NO_HOST = {"query": {}, "fragment": "", "params": ""}


@pytest.mark.parametrize(
    ("uri", "scheme", "path"),
    [
        ("file:report.json", "file", "report.json"),
        ("report.json", "", "report.json"),
        ("file:///tmp/report.json", "file", "/tmp/report.json"),
        ("file:/tmp/report.json", "file", "/tmp/report.json"),
        ("/tmp/report.json", "", "/tmp/report.json"),
        ("file:../a/b", "file", "../a/b"),
        ("file:with space:and@sign", "file", "with space:and@sign"),
        ("file:50%25.json", "file", "50%25.json"),
        ("FILE:Report.json", "file", "Report.json"),
        ("//tmp/report.json", "", "//tmp/report.json"),
        ("runs[1].json", "", "runs[1].json"),
        ("file:///tmp/runs[1].json", "file", "/tmp/runs[1].json"),
        ("file: a\tb\n.json", "file", " a\tb\n.json"),
        ("with space:a.json", "", "with space:a.json"),
        ("memory://", "memory", ""),
        ("memory:", "memory", ""),
        ("none:", "none", ""),
        ("", "", ""),
    ],
)
def test_local_uris_have_a_path(uri, scheme, path):
    """Two slashes or none, the path is what stands behind the scheme."""
    assert parse_uri(uri) == {"scheme": scheme, "path": path, **NO_HOST}


@pytest.mark.parametrize(
    ("uri", "path", "authority"),
    [
        ("file://Test.json", "Test.json", ("Test.json", None, None, None)),
        ("file://folder/Report", "folder/Report", ("folder", None, None, None)),
        ("file://runs[1].json", "runs[1].json", ("runs[1].json", None, None, None)),
        ("file://../a.json", "../a.json", ("..", None, None, None)),
        ("file://me@Host:8/a.json", "me@Host:8/a.json", ("Host", "8", "me", None)),
        ("lmdb://Store.lmdb", "Store.lmdb", ("Store.lmdb", None, None, None)),
    ],
)
def test_an_authority_is_told_also_where_it_is_part_of_the_path(uri, path, authority):
    """Two slashes make an authority of what comes next, whose case is kept; it is no host here."""
    address, port, username, password = authority
    assert parse_uri(uri) == {
        "scheme": uri.partition(":")[0],
        "path": path,
        "address": address,
        "port": port,
        "username": username,
        "password": password,
        **NO_HOST,
    }


@pytest.mark.parametrize("uri", ["file://runs[1].json", "file:runs[1].json", "runs[1].json"])
def test_a_name_that_is_no_host_is_a_file(uri, tmp_path):
    """Brackets, say, which only addresses may have."""
    get_protocol(uri).close()
    assert (tmp_path / "runs[1].json").exists()


def test_a_host_comes_with_port_and_user():
    """The case of the host is kept, and the port stays a text."""
    assert parse_uri("socket://user:pass@Host.example:8123/path") == {
        "scheme": "socket",
        "path": "/path",
        "address": "Host.example",
        "port": "8123",
        "username": "user",
        "password": "pass",
        **NO_HOST,
    }


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        ("host", ("host", None, None, None)),
        ("host:1", ("host", "1", None, None)),
        ("u@host", ("host", None, "u", None)),
        ("u:p:q@host:1", ("host", "1", "u", "p:q")),
        ("u%40x:p%2F%3A@host", ("host", None, "u@x", "p/:")),
        ("[::1]:8", ("[::1]", "8", None, None)),
        ("[::1]", ("[::1]", None, None, None)),
        ("a:1,b:2,c:3", ("a:1,b:2,c", "3", None, None)),
    ],
)
def test_parts_of_an_authority_may_be_missing(authority, expected):
    """What is not there is None."""
    parts = parse_uri(f"cockroach://{authority}/db?log=x")
    assert tuple(parts[key] for key in ("address", "port", "username", "password")) == expected
    assert (parts["path"], parts["query"]) == ("/db", {"log": "x"})


def test_options_may_hold_uris():
    """A backend behind a relay is named by a URI of its own."""
    parts = parse_uri("socket://u:p@h:1?backend=file://test.json&test=2")
    assert parts["query"] == {"backend": "file://test.json", "test": "2"}
    assert (parts["address"], parts["port"], parts["path"]) == ("h", "1", "")


def test_options_fragment_and_parameters():
    """All the parts a URI can have are told apart."""
    parts = parse_uri("socket://host/path;v=1?objective=loss&empty=#end")
    assert (parts["path"], parts["params"], parts["fragment"]) == ("/path", "v=1", "end")
    assert parts["query"] == {"objective": "loss", "empty": ""}


@pytest.mark.parametrize("prefix", ["", "file:", "file://"])
def test_a_semicolon_in_the_name_of_a_file_is_just_that(prefix):
    """Two files are never taken for one."""
    parts = parse_uri(f"{prefix}a;b.json?objective=loss")
    assert (parts["path"], parts["query"]) == ("a;b.json", {"objective": "loss"})


def test_known_options_are_picked():
    """What clients put on a URI for themselves is passed over."""
    options = {"durability": "always", "objective": "loss"}
    assert check_options("file:x", options, ["durability"]) == {"durability": "always"}


@pytest.mark.parametrize(
    ("name", "hint"), [("durabilty", "did you mean 'durability'"), ("xyz", "use one of durability")]
)
def test_an_unknown_option_is_named_with_the_nearest(name, hint):
    """The error names the URI too, but never a password."""
    with pytest.raises(BackendError, match=hint) as caught:
        check_options("socket://me:secret@host", {name: "1"}, ["durability", "lock_timeout"])
    assert name in str(caught.value)
    assert "socket://me" in str(caught.value)
    assert "secret" not in str(caught.value)
