"""A store saved as one page, which holds all that it shows and nothing that runs by itself."""

import json
import re
from base64 import b64decode
from hashlib import sha256

import pytest

import track as tracker
from track.cli.app import run
from track.errors import QueryError, TrialDoesNotExist
from track.ui import saved
from track.ui.saved import saved_page

ANSWERS = re.compile('<script type="application/json" id="track-recorded">(.*?)</script>')


def answers_in(page):
    """Return what a page holds."""
    (found,) = ANSWERS.findall(page)
    return json.loads(found)


def test_it_holds_what_the_server_answers(reader, get):
    """So both show the same."""
    found = answers_in(saved_page(reader))
    assert found["rows"] == get("/api/trials")["rows"]
    assert found["columns"] == get("/api/columns")
    assert found["store"] == {**get("/api/store"), "writable": False}
    assert found["trials"] == {row["uid"]: get(f"/api/trial/{row['uid']}") for row in found["rows"]}
    heads = {(one["head"]["trial"], one["head"]["metric"]) for one in found["series"]}
    assert heads == {(row["uid"], name) for row in found["rows"] for name in row["metrics"]}
    for one in found["series"]:
        assert len(b64decode(one["data"])) == 8 * sum(one["head"]["columns"].values())


def test_it_holds_the_trials_that_are_named(reader):
    """By name, as on the command line; others stay out of the report."""
    found = answers_in(saved_page(reader, ["wider"]))
    assert [row["name"] for row in found["rows"]] == ["wider"]
    assert [*found["trials"]] == [found["rows"][0]["uid"]]
    assert {one["head"]["trial"] for one in found["series"]} == {*found["trials"]}
    assert found["store"]["counts"]["trials"] == 1
    with pytest.raises(TrialDoesNotExist):
        saved_page(reader, ["nobody"])


def test_it_can_be_of_a_moment(reader):
    """What came later is not in it."""
    first = next(one for one in reader.events() if "TrialFinished" in str(type(one.event)))
    found = answers_in(saved_page(reader, at=first.position))
    assert [row["name"] for row in found["rows"]] == ["baseline"]


def test_markup_in_names_ends_no_script(store):
    """Whatever people log is data in the page."""
    client = tracker.TrackClient(store)
    client.set_project(name="paper")
    client.new_trial(force=True, name="</script><script>alert(1)</script>").finish()
    client.close()
    with tracker.open(store) as reader:
        page = saved_page(reader)
    assert page.count("<script") == 3
    assert [row["name"] for row in answers_in(page)["rows"]][-1].startswith("</script>")


def test_nothing_else_may_run_in_it(reader):
    """Its policy names the two scripts in it by their hash, and nothing is loaded from anywhere."""
    page = saved_page(reader)
    (policy,) = re.findall('Content-Security-Policy" content="([^"]*)"', page)
    scripts = re.findall('<script type="(?:importmap|module)">(.*?)</script>', page)
    for script in scripts:
        assert b64decode(re.findall("'sha256-(.*?)'", policy)[scripts.index(script)]) == (
            sha256(script.encode()).digest()
        )
    assert policy.startswith("default-src 'none'")
    imports = json.loads(scripts[0])["imports"]
    modules = {name: b64decode(url.partition(",")[2]).decode() for name, url in imports.items()}
    assert "track/vendor/uPlot.esm.js" in modules
    for code in modules.values():
        for asked in re.findall(r'^import [^"\n]*"([^"\n]+)"', code, re.MULTILINE):
            assert asked in modules
    assert "http:" not in page.partition("<style>")[0]


def test_too_many_trials_are_refused(reader, tmp_path):
    """With what to do about it."""
    with pytest.raises(QueryError, match="up to 2 trials, but 3 match: name the ones"):
        saved_page(reader, most_trials=2)
    assert saved.MOST_TRIALS == 1000


def test_the_command_line_writes_it(store, tmp_path, capsys):
    """As a whole: a file that was there is replaced by nothing less."""
    path = tmp_path / "out.html"
    assert run(["report", "-s", store, "--html", str(path), "baseline"]) == 0
    assert [row["name"] for row in answers_in(path.read_text("utf-8"))["rows"]] == ["baseline"]
    before = path.read_text("utf-8")
    assert run(["report", "-s", store, "--html", str(path), "nobody"]) == 3
    assert path.read_text("utf-8") == before
    assert [*tmp_path.glob("*")].count(path) == 1
    capsys.readouterr()
    assert run(["report", "-s", store, "baseline"]) == 2
    assert "select trials with --html" in capsys.readouterr().err
