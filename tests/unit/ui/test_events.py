"""Events, moments, origins, differences and files, as the page gets them."""

import threading
import time

import pytest

import track
from tests.unit.ui.conftest import fill, page_of
from track.journals.memory import MemoryJournal
from track.moment import time_text
from track.persistence.journaled import JournaledProtocol
from track.reader import Reader
from track.ui.live import changes
from track.ui.store import Store


def positions(found):
    return [event["position"] for event in found["events"]]


def test_the_last_events_come_first_and_the_others_page_by_page(get, reader):
    every = [event.position for event in reader.events()]
    found = get("/api/events", limit=10)
    assert positions(found) == every[-10:]
    seen = positions(found)
    while found["more"]:
        found = get("/api/events", limit=10, before=found["first"])
        seen = positions(found) + seen
    assert seen == every


def test_events_behind_a_position_go_on_from_there(get, reader):
    every = [event.position for event in reader.events()]
    after, seen = every[3], []
    while True:
        found = get("/api/events", limit=7, after=after)
        seen += positions(found)
        if not found["more"]:
            break
        after = found["last"]
    assert seen == every[4:]


def test_a_position_between_events_is_no_damage(get, page, reader):
    """Positions are offsets in a file, and who makes one up must not break anything."""
    every = [event.position for event in reader.events()]
    found = get("/api/events", limit=3, after=every[3] + 1)
    assert positions(found) == every[4:7]
    assert get("/api/store")["problems"] == []


def test_events_of_a_trial_of_some_kinds_up_to_a_moment(get, reader):
    trial = reader.trials()[1]
    history = [*reader.history(trial)]
    found = get("/api/events", trial="wider", limit=1000)
    assert positions(found) == [event.position for event in history]
    assert {event["subject"]["uid"] for event in found["events"]} == {trial.uid}
    some = get("/api/events", trial=trial.uid, kind=["StatusChanged", "TrialCreated"])
    assert [event["kind"] for event in some["events"]] == [
        "TrialCreated",
        "StatusChanged",
        "StatusChanged",
    ]
    at = history[3].position
    assert positions(get("/api/events", at=at, limit=1)) == [at]
    by_time = get("/api/events", at=history[3].at, limit=1000)
    assert positions(by_time)[-1] >= at


def test_what_is_kept_beside_a_trial_is_about_it(tmp_path):
    """Media, samples of machines and output have streams of their own, and one history."""
    client = track.TrackClient(f"file:{tmp_path}/s.json")
    trials = [client.new_trial(force=True, name=name, parameters={"n": name}) for name in "ab"]
    begin = client.protocol.journal.head()
    protocol = client.protocol
    with track.open(f"file:{tmp_path}/s.json") as reader:
        page, store = page_of(reader), Store(reader)
        assert page.get("/api/trials").json()["total"] == 2
        for trial in trials:
            trial.log_metrics(step=0, loss=1.0)
            trial.log_text("note", "some text")
            protocol.log_trial_system_metrics(trial.trial, {"process.memory_bytes": 2e9})
            trial.log_metrics(step=1, loss=0.5)
        found = page.get("/api/events", params={"after": begin}).json()["events"]
        told = [(event["kind"], event["subject"]) for event in found]
        kinds = ["MetricsLogged", "MediaLogged", "SystemSampled", "MetricsLogged"]
        subjects = [{"kind": "trial", "uid": one.uid, "name": one.name} for one in trials]
        assert told == [(kind, subject) for subject in subjects for kind in kinds]
        for number, trial in enumerate(trials):
            where = {"trial": trial.uid, "after": begin}
            of_trial = page.get("/api/events", params=where).json()["events"]
            assert of_trial == found[4 * number : 4 * number + 4]
            last = page.get("/api/events", params={"trial": trial.uid, "limit": 3}).json()["events"]
            assert last == of_trial[1:]
        media_of_b = found[5]["position"]
        change, _, _ = changes(store, found[4]["position"])
        assert change["trials"] == [trials[1].uid]
        assert change["kinds"] == {"MediaLogged": 1, "MetricsLogged": 1, "SystemSampled": 1}
        assert page.get("/api/events", params={"before": media_of_b + 1, "limit": 1}).json()[
            "events"
        ] == [found[5]]
    client.close()


def test_a_process_is_what_its_description_is_about(get):
    """It ran trials, and is none."""
    [described] = get("/api/events", kind="ProcessDescribed")["events"]
    assert described["subject"]["kind"] == "process"
    assert described["subject"]["name"].endswith(f" {described['payload']['pid']}")


def test_moments_are_what_began_and_ended_trials(get, reader):
    found = get("/api/moments")
    every = [*reader.events()]
    assert found["first"]["position"] == every[0].position
    assert found["last"]["position"] == every[-1].position
    assert [mark["label"] for mark in found["marks"]][:3] == [
        "baseline created",
        "baseline started",
        "baseline finished",
    ]
    history = [*reader.history("wider")]
    of_trial = get("/api/moments", trial="wider")
    assert of_trial["first"]["position"] == history[0].position
    assert of_trial["last"]["position"] == history[-1].position


class SlowJournal(MemoryJournal):
    """A journal that is read a few events at a time, and slowly once it is told to be slow."""

    def __init__(self):
        super().__init__()
        self.is_slow = False
        self.began = threading.Event()

    def read_batches(self, after=0):
        for positions, payloads in super().read_batches(after):
            for start in range(0, len(payloads), 4):
                if self.is_slow:
                    self.began.set()
                    time.sleep(0.06)
                yield positions[start : start + 4], payloads[start : start + 4]


def test_other_answers_come_while_the_timeline_is_made():
    """The first look at a long history does not keep the list of trials waiting."""
    journal = SlowJournal()
    protocol = JournaledProtocol(journal)
    client = track.TrackClient(protocol)
    fill(client)
    page, order = page_of(Reader(protocol)), []
    assert page.get("/api/trials").json()["total"] == 3
    journal.is_slow = True

    def ask_for_moments():
        assert page.get("/api/moments").json()["marks"]
        order.append("moments")

    asking = threading.Thread(target=ask_for_moments)
    asking.start()
    assert journal.began.wait(20)
    assert page.get("/api/trials").json()["total"] == 3
    order.append("trials")
    asking.join()
    assert order == ["trials", "moments"]
    journal.is_slow = False
    client.close()


def test_an_empty_store_is_shown():
    client = track.TrackClient("memory:")
    page = page_of(Reader(client.protocol))
    assert page.get("/api/store").json()["counts"] == {"trials": 0, "archived": 0}
    assert page.get("/api/trials?sort=metrics.loss").json()["rows"] == []
    assert page.get("/api/moments").json()["marks"] == []
    empty = {"events": [], "first": None, "last": None, "more": False}
    assert page.get("/api/events").json() == empty
    client.close()


def test_origins_are_those_of_the_reader(get, reader):
    found = get("/api/origins", trial="baseline", path="status")
    origins = reader.provenance("baseline", "status")
    assert [one["position"] for one in found] == [one.recorded.position for one in origins]
    assert [one["value"] for one in found][-1] == "completed"
    assert found[-1]["attempt"]["number"] == 1
    assert found[-1]["attempt"]["host"]


def test_differences_are_those_of_the_reader(get, reader):
    found = get("/api/diff", left="baseline", right="wider")
    expected = reader.diff("baseline", "wider")
    assert [one["path"] for one in found] == [one.path for one in expected]
    assert {"path": "parameters.lr", "left": 0.1, "right": 0.2, "first": None} in found
    history = [*reader.history("baseline")]
    moments = get("/api/diff", left="baseline", left_at=history[4].position)
    assert "status" in [one["path"] for one in moments]


def test_columns_are_what_tells_trials_apart(get):
    found = get("/api/columns")
    assert found["parameters"] == [
        {"name": "lr", "distinct": 3, "constant": False},
        {"name": "optimizer.name", "distinct": 1, "constant": True},
    ]
    assert found["metrics"] == ["loss", "gap"]
    assert get("/api/columns", where="name=wider")["parameters"][0]["constant"] is True


@pytest.fixture
def files(tmp_path):
    """A store with logged files, and the page of it."""
    client = track.TrackClient("file:files.json")
    trial = client.new_trial(force=True, name="files")
    contents = {
        "picture.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
        "page.html": b"<script>alert(1)</script>",
        "weights.bin": bytes(range(256)) * 4000,
        'odd"name\n.txt': b"text",
    }
    with trial:
        for name, content in contents.items():
            (tmp_path / name).write_bytes(content)
            trial.log_file(name)
    client.close()
    with track.open("file:files.json") as reader:
        yield page_of(reader), contents


def test_files_are_bytes_that_no_browser_trusts(files):
    page, contents = files
    for name, content in contents.items():
        answer = page.get("/api/file", params={"trial": "files", "name": name})
        assert answer.status_code == 200
        assert answer.content == content
        assert answer.headers["content-security-policy"].startswith("sandbox;")
        assert answer.headers["x-content-type-options"] == "nosniff"
        shown = "inline" if name == "picture.svg" else "attachment"
        assert answer.headers["content-disposition"].startswith(f"{shown}; filename*=UTF-8''")
    frame = page.get("/api/file", params={"trial": "files", "name": "page.html", "inline": "1"})
    assert frame.headers["content-disposition"].startswith("inline")
    assert frame.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    listed = page.get("/api/trial/files").json()["files"]
    assert {file["name"]: file["mime"] for file in listed}["picture.svg"] == "image/svg+xml"


def test_points_that_a_later_attempt_wrote_over_are_told_up_to_a_moment():
    client = track.TrackClient("file:resumed.json")
    client.set_project(name="paper")
    trial = client.new_trial(name="resumed", parameters={"lr": 1})
    for first in (0, 6):
        with trial:
            for step in range(first, 10):
                trial.log_metrics(step=step, loss=1.0, accuracy=0.5)
        trial = client.set_trial(uid=trial.uid)
    client.close()
    with track.open("file:resumed.json") as reader:
        page = page_of(reader)
        events = [*reader.events()]
        uid = trial.uid
        [lost] = page.get("/api/overwritten", params={"trial": uid}).json()["attempts"]
        assert (lost["number"], lost["by"], lost["points"]) == (1, 2, 8)
        assert (lost["first"], lost["last"]) == (6, 9)
        again = [one for one in events if type(one.event).__name__ == "MetricsLogged"][10]
        for at in (again.position, time_text(again.at)):
            found = page.get("/api/overwritten", params={"trial": uid, "at": at}).json()
            assert [one["points"] for one in found["attempts"]] == [2], at
        before = page.get("/api/overwritten", params={"trial": uid, "at": again.position - 1})
        assert before.json() == {"attempts": [], "complete": True}
