"""What a server holds while it follows a store, and which work waits for requests."""

import gc
import threading

import track
from tests.unit.ui.conftest import page_of
from track import TrackClient
from track.ui.live import changes
from track.ui.requests import Requests
from track.ui.store import Store


def test_work_that_nobody_waits_for_makes_way_for_requests():
    """It goes on once the last of them is answered."""
    requests, done = Requests(longest_s=600), []

    def work():
        requests.make_way()
        done.append("work")

    with requests.one_more(), requests.one_more():
        worker = threading.Thread(target=work)
        worker.start()
        worker.join(0.05)
        done.append("answer")
    worker.join()
    assert done == ["answer", "work"]


def test_work_makes_way_for_a_while_only():
    """Else a page that asks all the time would never get its timeline."""
    requests = Requests(longest_s=0.01)
    with requests.one_more():
        requests.make_way()
        with requests.one_less():
            requests.make_way()


def test_a_server_holds_no_more_objects_after_more_events():
    """Only columns of numbers grow with a live trial."""
    client = TrackClient("file:live.json?durability=process")
    with track.open("file:live.json") as reader, client.new_trial(name="live") as trial:
        store, page, step = Store(reader), page_of(reader), 0
        _, position, _ = changes(store, None)

        def follow(rounds):
            nonlocal step, position
            for _ in range(rounds):
                for _ in range(20):
                    trial.log_metrics(step=step, loss=1 / (step + 1))
                    step += 1
                found, position, _ = changes(store, position)
                assert found is not None
                for address in ("store", "trials", "moments", "events?limit=100"):
                    assert page.get(f"/api/{address}").status_code == 200
                asked = {"trial": trial.uid, "metric": "loss", "n": 100}
                assert page.get("/api/series", params=asked).status_code == 200
            gc.collect()
            return len(gc.get_objects())

        before = follow(60)
        assert follow(120) < before + 120
    client.close()
