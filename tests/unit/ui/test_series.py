"""Curves as the page gets them: columns of numbers, whatever was logged."""

import math

import pytest

import track
from tests.unit.ui.conftest import columns_of, page_of
from track.reader import Reader


@pytest.fixture
def curves():
    """Log points of a trial, and return the header and the columns of an answer about it."""
    client = track.TrackClient("memory:")

    def log_and_get(points, **parameters):
        trial = client.new_trial(force=True, name="odd")
        with trial:
            for step, value in points:
                if step is None:
                    trial.log_metrics(odd=value)
                else:
                    trial.log_metrics(step=step, odd=value)
        page = page_of(Reader(client.protocol))
        query = {"trial": trial.trial.uid, "metric": "odd", **parameters}
        answer = page.get("/api/series", params=query)
        assert answer.status_code == 200, answer.text
        return columns_of(answer.content)

    yield log_and_get
    client.close()


def test_a_long_curve_is_sampled_with_its_extremes(curves):
    points = [(step, 0.5) for step in range(20_000)]
    points[777], points[15_001] = (777, 1e308), (15_001, -1e308)
    header, [[steps, times, values]] = curves(points, n=100)
    (series,) = header["series"]
    assert series["length"] == 20_000
    assert not series["exact"]
    assert (series["min"], series["max"]) == (-1e308, 1e308)
    assert len(steps) == len(times) == len(values) <= 400
    assert (steps[0], steps[-1]) == (0, 19_999)
    assert 777 in steps


def test_a_part_is_asked_for_by_its_first_and_last_step(curves):
    header, [[steps, _, _]] = curves(
        [(step, 1.0) for step in range(100)], first=10.5, last=20, n=1000
    )
    assert steps == [*range(11, 21)]
    assert header["series"][0]["length"] == 100
    assert header["series"][0]["exact"]


def test_what_is_no_number_stays_valid(curves):
    points = [(0, math.nan), (1, math.inf), (2, -math.inf), (3, 10**400), (4, "text"), (5, True)]
    header, [[steps, _, values]] = curves(points)
    assert steps == [0, 1, 2, 3, 4, 5]
    assert [str(value) for value in values] == ["nan", "inf", "-inf", "inf", "nan", "1.0"]
    assert (header["series"][0]["min"], header["series"][0]["max"]) == ("-Infinity", "Infinity")


def test_steps_that_are_text_are_labels(curves):
    header, [[steps, _, values]] = curves([("train", 1.0), ("<b>", 2.0), (3, 0.5)])
    assert header["series"][0]["labels"] == ["train", "<b>", "3"]
    assert (steps, values) == ([0, 1, 2], [1.0, 2.0, 0.5])


def test_steps_that_go_back_and_repeat_are_in_the_order_of_their_keys(curves):
    _, [[steps, _, values]] = curves([(5, 1.0), (2, 2.0), (5, 3.0), (-1, 4.0)])
    assert dict(zip(steps, values, strict=True)) == {5: 3.0, 2: 2.0, -1: 4.0}


def test_long_curves_without_columns_are_sampled_too(curves):
    points = [(5000 - step, float(step % 7)) for step in range(5000)]
    points[1234] = (5000 - 1234, 99.0)
    header, [[steps, _, values]] = curves(points, n=50)
    assert len(steps) <= 200
    assert max(values) == 99.0
    assert header["series"][0]["length"] == 5000


def test_values_without_a_step_count_up(curves):
    _, [[steps, times, values]] = curves([(None, 3.0), (None, 4.0)])
    assert (steps, values) == ([0, 1], [3.0, 4.0])
    assert all(math.isnan(at) for at in times)


def test_a_metric_that_is_not_there_is_left_out(page, reader):
    uid = reader.trials()[0].uid
    answer = page.get("/api/series", params={"trial": uid, "metric": "nothing"})
    assert columns_of(answer.content) == ({"position": answer_position(answer), "series": []}, [])


def answer_position(answer):
    return columns_of(answer.content)[0]["position"]


def test_a_curve_as_of_a_moment_is_its_beginning(page, reader):
    trial = reader.trials()[2]
    events = [event for event in reader.history(trial) if "loss" in str(event.event)]
    at = events[4].position
    answer = page.get("/api/series", params={"trial": trial.uid, "metric": "loss", "at": at})
    _, [[steps, _, _]] = columns_of(answer.content)
    assert steps == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({}, "at least once"),
        ({"trial": "a", "metric": "m", "n": 1}, "from 2 to"),
        ({"trial": "a", "metric": "m", "n": 20_001}, "from 2 to"),
        ({"trial": "a", "metric": "m", "first": "x"}, "is not a number"),
        ({"trial": "a", "metric": "m", "last": "inf"}, "finite"),
        ({"trial": "a", "metric": "m", "x": "time"}, "must be step"),
        (
            {"trial": [*map(str, range(200))], "metric": [*map(str, range(200))]},
            "too many",
        ),
        ({"trial": "a", "metric": "m", "points": 3}, "unknown parameter 'points'"),
    ],
)
def test_what_makes_no_sense_is_said(page, query, says):
    answer = page.get("/api/series", params=query)
    assert answer.status_code == 400
    assert says in answer.json()["error"]


def test_a_trial_that_is_not_there_is_not_found(page):
    answer = page.get("/api/series", params={"trial": "nothing", "metric": "loss"})
    assert answer.status_code == 404
    assert "nothing" in answer.json()["error"]
