"""Parquet files hold what the trials hold, in types that fit."""

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import strategies
from track.errors import MissingPackage
from track.exchange import export_parquet
from track.exchange.tables import cell
from track.structure import Trial, TrialGroup

parquet = pytest.importorskip("pyarrow.parquet")


def exported(trials, folder, **options):
    """Return the rows of both files."""
    count = export_parquet(trials, str(folder), **options)
    metrics = parquet.read_table(folder / "metrics.parquet").to_pylist()
    assert len(metrics) == count
    return metrics, parquet.read_table(folder / "trials.parquet")


def test_values_are_numbers_where_they_can_be(tmp_path):
    """What a float cannot hold exactly is text, in a column of its own."""
    values = [1, 0.5, True, math.inf, None, 2**53 + 1, 10**400, "x", [1, 2], -(2**53)]
    group = TrialGroup(_uid="g1", name="group")
    trial = Trial(_hash="aaa", project_id="p", group_id="g1", metrics={"m": values})
    rows, _ = exported([trial], tmp_path / "out", groups=[group])
    assert rows[0] == {
        "trial": "aaa_0",
        "project": "p",
        "group": "group",
        "metric": "m",
        "step": None,
        "step_text": None,
        "index": 0,
        "value": 1.0,
        "value_text": None,
        "time": None,
    }
    assert [row["value"] for row in rows] == [
        *(1.0, 0.5, 1.0, math.inf, None, None, None, None, None, -(2.0**53))
    ]
    assert [row["value_text"] for row in rows[4:9]] == [
        *(None, str(2**53 + 1), str(10**400), "x", "[1, 2]")
    ]


def test_steps_are_numbers_where_they_can_be(tmp_path):
    """Text, and integers that are too large, are in a column of their own."""
    trial = Trial(_hash="aaa", metrics={"m": {0: 1.0, 0.5: 2.0, 2**60 + 1: 3.0, "end": 4.0}})
    rows, _ = exported([trial], tmp_path)
    assert [row["step"] for row in rows] == [0.0, 0.5, None, None]
    assert [row["step_text"] for row in rows] == [None, None, str(2**60 + 1), "end"]
    assert [row["value"] for row in rows] == [1.0, 2.0, 3.0, 4.0]


def test_columns_of_trials_have_the_type_of_what_is_in_them(tmp_path):
    """A column of several types is text."""
    both = {"int": 1, "float": 1, "flag": True, "mixed": 1, "huge": 2**70 + 1, "none": None}
    trials = [
        Trial(_hash="aaa", parameters=both),
        Trial(_hash="bbb", parameters={"int": 2, "float": 0.5, "mixed": "x"}),
    ]
    _, table = exported(trials, tmp_path)
    names = ["int", "float", "flag", "mixed", "huge", "none"]
    types = [str(table.schema.field(f"parameters.{name}").type) for name in names]
    assert types == ["int64", "double", "bool", "string", "string", "string"]
    columns = [table.column(f"parameters.{name}").to_pylist() for name in names]
    assert columns == [
        *([1, 2], [1.0, 0.5], [True, None], ["1", "x"], [str(2**70 + 1), None], [None, None])
    ]


def test_no_trials_at_all(tmp_path):
    """Are two empty tables with the usual columns."""
    rows, table = exported([], tmp_path)
    assert (rows, table.num_rows) == ([], 0)
    assert "uid" in table.column_names


def test_many_values_are_written_piece_by_piece(tmp_path):
    """The pieces of 65,536 rows make one table, in order."""
    trial = Trial(_hash="aaa", metrics={"loss": {step: step / 3 for step in range(2**16 + 1)}})
    assert export_parquet([trial], str(tmp_path)) == 2**16 + 1
    table = parquet.read_table(tmp_path / "metrics.parquet")
    steps, values = map(int, table["step"].to_pylist()), table["value"].to_pylist()
    assert dict(zip(steps, values, strict=True)) == trial.metrics["loss"]


@given(metric=st.lists(strategies.loggable, max_size=6))
def test_odd_values_are_equal_when_read_back(metric, tmp_path_factory):
    """As a number, or as the text of a cell."""
    trial = Trial(_hash="aaa", metrics={"m": metric})
    rows, _ = exported([trial], tmp_path_factory.mktemp("out"))
    for row, value in zip(rows, metric, strict=True):
        if row["value"] is not None:
            assert row["value"] == value or (math.isnan(value) and math.isnan(row["value"]))
        else:
            assert row["value_text"] == (None if value is None else cell(value))


def test_a_missing_package_is_named_with_its_remedy(tmp_path, monkeypatch):
    """Before anything is written."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackage, match=r"pyarrow: pip install 'track-journal\[parquet\]'"):
        export_parquet([], str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []
