"""Who gets an answer, and what a browser may do with it."""

import pytest

from tests.unit.ui.conftest import page_of
from track.ui.security import Rules

TOKEN = "a-long-and-secret-one"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8123", "localhost:1", "LOCALHOST", "[::1]:80", "[::1]"]
)
def test_this_machine_is_called_so(page, host):
    assert page.get("/api/store", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example:80",
        "",
        "localhost@evil.example",
        "127.0.0.1:x",
        "::1",
    ],
)
def test_another_name_is_one_that_leads_here_by_a_trick(page, host):
    """DNS may be made to say that any name is this machine."""
    for address in ("/", "/api/store", "/static/nothing"):
        assert page.get(address, headers={"host": host}).status_code == 421


@pytest.mark.parametrize("address", ["/", "/api/store", "/api/trials?limit=x", "/api/nothing"])
def test_each_answer_says_what_a_browser_may_do(page, address):
    headers = page.get(address, headers={"origin": "http://evil.example"}).headers
    policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-cache"
    assert "access-control-allow-origin" not in headers


def test_the_token_of_the_address_becomes_a_cookie(reader):
    page = page_of(reader, Rules(token=TOKEN))
    for address in ("/", "/api/store", "/api/store?token=wrong", "/static/x", "/?token="):
        assert page.get(address).status_code == 403
    page.cookies.set("track_token", "wrong")
    assert page.get("/api/store").status_code == 403
    page.cookies.clear()
    answer = page.get(f"/?token={TOKEN}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert page.get("/api/store").status_code == 200


@pytest.mark.parametrize("verb", ["archive", "restore"])
def test_nothing_is_changed_unless_that_was_allowed(page, reader, verb):
    uid = reader.trials()[0].uid
    answer = page.post(f"/api/trial/{uid}/{verb}", headers={"X-Track": "1"})
    assert answer.status_code == 403
    assert "--write" in answer.json()["error"]
    assert len(reader.trials()) == 3


def test_the_page_may_archive_and_restore_where_it_may_write(reader):
    page = page_of(reader, write=True)
    uid = reader.trials()[0].uid
    assert page.get("/api/store").json()["writable"] is True
    headers = {"X-Track": "1", "Origin": "http://127.0.0.1"}
    assert page.post(f"/api/trial/{uid}/archive", headers=headers).status_code == 200
    assert page.get("/api/store").json()["counts"]["archived"] == 1
    archived = page.get("/api/trials", params={"archived": "1"}).json()
    assert [row["uid"] for row in archived["rows"]] == [uid]
    assert page.post(f"/api/trial/{uid}/restore", headers=headers).status_code == 200
    assert page.get("/api/store").json()["counts"]["trials"] == 3


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Track": "0"},
        {"Origin": "http://127.0.0.1"},
        {"X-Track": "1", "Origin": "http://evil.example"},
        {"X-Track": "1", "Origin": "null"},
    ],
)
def test_another_site_changes_nothing(reader, headers):
    page = page_of(reader, write=True)
    uid = reader.trials()[0].uid
    assert page.post(f"/api/trial/{uid}/archive", headers=headers).status_code == 403
    assert len(reader.trials()) == 3


def test_a_get_changes_nothing(reader):
    page = page_of(reader, write=True)
    uid = reader.trials()[0].uid
    assert page.get(f"/api/trial/{uid}/archive", headers={"X-Track": "1"}).status_code == 405


def test_files_outside_of_the_page_are_not_served(page):
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd"):
        assert page.get(path).status_code == 404
