"""Tables from any library."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, ClassVar

from track.loggable import plain
from track.media.medium import Medium, home_of

MOST_ROWS = 10_000


class Table(Medium):
    """A table of plain values.

    The content is JSON: ``columns``, a list of names, and ``rows``, a list of lists. Values that
    JSON lacks, such as NaN or a time, become text.

    Parameters
    ----------
    table
        a data frame of pandas or polars, a mapping from column to values, a list of mappings or,
        with `columns`, a list of rows; at most :data:`MOST_ROWS` rows
    columns
        the names of the columns of rows
    caption
        a line to show with it

    Raises
    ------
    EncodingError
        the value is none of these, or has too many rows
    """

    kind: ClassVar[str] = "table"

    __slots__ = ()

    def __init__(
        self, table: Any, columns: Iterable[str] | None = None, caption: str | None = None
    ) -> None:
        names, rows = self._columns_and_rows(table, columns)
        if len(rows) > MOST_ROWS:
            raise self.refuse(
                f"{len(rows)} rows exceed the limit of {MOST_ROWS}: log a part of them, or a file"
            )
        wrong = next((row for row in rows if len(row) != len(names)), None)
        if wrong is not None:
            raise self.refuse(f"a row has {len(wrong)} values for {len(names)} columns")
        content = {"columns": names, "rows": [[*map(_cell, row)] for row in rows]}
        data = json.dumps(content, default=str).encode("utf-8", "replace")
        super().__init__(data, "application/json", caption, rows=len(rows), columns=len(names))

    def _columns_and_rows(
        self, table: Any, columns: Iterable[str] | None
    ) -> tuple[list[str], list[list[Any]]]:
        if home_of(table) in ("pandas", "polars") and hasattr(table, "columns"):
            rows = table.to_numpy().tolist() if home_of(table) == "pandas" else table.rows()
            return [*map(str, table.columns)], [*map(list, rows)]
        if isinstance(table, Mapping):
            by_name = {str(name): [*values] for name, values in table.items()}
            lengths = {len(values) for values in by_name.values()}
            if len(lengths) > 1:
                raise self.refuse(f"the columns have different lengths: {sorted(lengths)}")
            return [*by_name], [*map(list, zip(*by_name.values(), strict=True))]
        try:
            rows = [*table]
        except TypeError as error:
            raise self.refuse(f"{type(table).__name__} is not supported") from error
        if columns is not None:
            return [*map(str, columns)], [[*row] for row in rows]
        if not all(isinstance(row, Mapping) for row in rows):
            raise self.refuse("rows need the names of their columns: Table(rows, columns=[…])")
        names = [*dict.fromkeys(name for row in rows for name in row)]
        return [*map(str, names)], [[row.get(name) for name in names] for row in rows]


def _cell(value: Any) -> Any:
    try:
        value = plain(value)
    except Exception:  # noqa: BLE001 - any conversion may fail; its text will do
        return str(value)
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (bool, float, int, str)) else str(value)
