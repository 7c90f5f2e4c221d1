"""The full-screen view of the verb top."""

from __future__ import annotations

from time import monotonic
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.coordinate import Coordinate
from textual.widgets import DataTable, Footer, Input, Static

from track.cli.glance import Glance, curves, facts, look
from track.display.columns import Column
from track.errors import QueryError, TrackError
from track.persistence.utils import without_password
from track.reader import Reader
from track.utils.printing import printable

_AGES_S = 5.0
"""How often the view is refreshed even without new events, for ages and lost trials."""

_BESIDE = 4
"""The width that the table takes besides its columns: their padding, and the scroll bar."""

_LEAST_URI = 20

_STYLES = {
    "running": "cyan",
    "completed": "green",
    "exception": "red",
    "broken": "red",
    "interrupted": "yellow",
    "lost": "yellow",
}


class Live(App[None]):
    """A table of the trials of a store above the values of the selected one.

    Parameters
    ----------
    reader
        the reader of the store, used by a thread of this application
    where, sort, count
        as for ``track ls``
    interval_s
        how often to look for new events
    """

    CSS = """
    #said { height: 1; padding: 0 1; background: $panel; }
    DataTable { height: 2fr; }
    #below { height: 3fr; border-top: solid $panel; padding: 0 1; }
    Input { display: none; dock: bottom; }
    Input.asked { display: block; }
    """
    TITLE = "track top"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("slash", "ask('where')", "Filter"),
        Binding("s", "ask('sort')", "Sort"),
        Binding("d", "details", "Curves/details"),
        Binding("space", "pause", "Pause"),
        Binding("escape", "dismiss", show=False),
    ]

    def __init__(
        self, reader: Reader, where: list[str], sort: str, count: int, interval_s: float
    ) -> None:
        super().__init__()
        self.reader = reader
        self.where, self.sort_path, self.count, self.interval_s = where, sort, count, interval_s
        self._said = Static(id="said", markup=False)
        self._table: DataTable[Text] = DataTable(cursor_type="row", zebra_stripes=True)
        self._below = Static(id="chosen", markup=False)
        self._input = Input()
        self._glance: Glance | None = None
        self._asked = ""
        self._paused = self._with_details = False
        self._read_at = 0.0

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield self._said
        yield self._table
        with VerticalScroll(id="below"):
            yield self._below
        yield self._input
        yield Footer()

    def on_mount(self) -> None:
        """Start reading."""
        self._table.focus()
        self.read(self.size.width)
        self.set_interval(self.interval_s, self._tick)

    def on_resize(self) -> None:
        """Draw again with the new width."""
        self._again()

    def _tick(self) -> None:
        if not self._paused:
            self.read(self.size.width, only_news=True)

    def _again(self) -> None:
        self._glance = None
        self.read(self.size.width)

    @work(thread=True, exclusive=True, group="table")
    def read(self, width: int, *, only_news: bool = False) -> None:
        """Read the store in a thread, so that long reads do not block the keyboard."""
        try:
            if only_news and not self._has_news():
                return
            room = width - _BESIDE
            glance = look(self.reader, self.where, self.sort_path, self.count, room)
        except (TrackError, OSError) as error:
            self.call_from_thread(self._say_error, error)
        else:
            self._read_at = monotonic()
            self.call_from_thread(self._show, glance)

    def _has_news(self) -> bool:
        if self._glance is None or monotonic() - self._read_at > _AGES_S:
            return True
        return self.reader.protocol.journal.head() != self._glance.position

    def _say_error(self, error: Exception) -> None:
        again = "" if isinstance(error, QueryError) else "; trying again"
        text = " ".join(str(error).split())
        self._said.update(Text(f"{printable(text)}{again}", "bold red"))

    def _show(self, glance: Glance) -> None:
        before, self._glance = self._glance, glance
        if before is not None and _shape(before) == _shape(glance):
            self._renew_cells(before, glance)
        else:
            self._fill(glance)
        self._said.update(self._summary(glance))
        self._show_chosen()

    def _renew_cells(self, before: Glance, glance: Glance) -> None:
        """Change only what is different, so that nothing on the screen moves."""
        for place, (old, new) in enumerate(zip(before.columns, glance.columns, strict=True)):
            for row, cell in enumerate(new.cells):
                if (old.cells[row], before.statuses[row]) != (cell, glance.statuses[row]):
                    here, cell_now = Coordinate(row, place), _cell(glance, new, row)
                    self._table.update_cell_at(here, cell_now, update_width=True)

    def _fill(self, glance: Glance) -> None:
        table, before = self._table, self._chosen_uid()
        x, y = table.scroll_offset
        table.clear(columns=True)
        for column in glance.columns:
            table.add_column(Text(printable(column.title)))
        for row, uid in enumerate(glance.uids):
            table.add_row(*(_cell(glance, column, row) for column in glance.columns), key=uid)
        if before in glance.uids:
            table.move_cursor(row=glance.uids.index(before), scroll=False)
        self.call_after_refresh(table.scroll_to, x, y, animate=False, immediate=True)

    def _summary(self, glance: Glance) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        uri = printable(without_password(self.reader.protocol.uri or ""))
        most = max(_LEAST_URI, self.size.width // 3)
        text.append(uri if len(uri) <= most else f"…{uri[1 - most :]}", "bold")
        for status, count in sorted(glance.counts.items()):
            text.append(f"   {count} {printable(status)}", _STYLES.get(status, ""))
        if self.where:
            text.append(f"   {glance.matching} match {printable(' and '.join(self.where))}")
        if len(glance.uids) < glance.matching:
            text.append(f"   first {len(glance.uids)} by {printable(self.sort_path)}")
        if self._paused:
            text.append("   paused", "reverse")
        return text

    def _chosen_uid(self) -> str | None:
        table = self._table
        if not table.row_count:
            return None
        return table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value

    def on_data_table_row_highlighted(self) -> None:
        """Show the trial at the cursor."""
        self._show_chosen()

    def _show_chosen(self) -> None:
        uid = self._chosen_uid()
        if uid is None:
            empty = "No trials yet." if not self.where else "No trial matches."
            self._below.update(empty)
        else:
            self.read_trial(uid, self.size.width - 4)

    @work(thread=True, exclusive=True, group="trial")
    def read_trial(self, uid: str, width: int) -> None:
        """Read a trial in a thread, and show it below the table."""
        try:
            if self._with_details:
                lines = facts(self.reader.view(uid), width)
            else:
                lines = curves(self.reader.trial(uid), width)
        except (TrackError, OSError) as error:
            self.call_from_thread(self._say_error, error)
        else:
            text = Text("\n".join(map(printable, lines)) or "No metrics yet.")
            self.call_from_thread(self._below.update, text)

    # Keys

    def action_ask(self, what: str) -> None:
        """Ask for conditions or for a path to sort by."""
        self._asked = what
        field = self._input
        field.placeholder = {
            "where": "conditions, e.g. status=running; metrics.loss<0.1",
            "sort": "path, e.g. metrics.loss; -PATH to reverse",
        }[what]
        field.value = "; ".join(self.where) if what == "where" else self.sort_path
        field.add_class("asked")
        field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Apply the entered conditions or path."""
        if self._asked == "where":
            self.where = [part.strip() for part in event.value.split(";") if part.strip()]
        else:
            self.sort_path = event.value.strip() or "-changed"
        self.action_dismiss()
        self._again()

    def action_dismiss(self) -> None:
        """Close the prompt without an answer."""
        self._input.remove_class("asked")
        self._table.focus()

    def action_details(self) -> None:
        """Switch between the curves and the other values of the trial."""
        self._with_details = not self._with_details
        self._show_chosen()

    def action_pause(self) -> None:
        """Pause or resume reading new events."""
        self._paused = not self._paused
        if self._glance is not None:
            self._said.update(self._summary(self._glance))


def _shape(glance: Glance) -> tuple[list[str], list[str]]:
    """Return the rows and columns of a table."""
    return glance.uids, [column.title for column in glance.columns]


def _cell(glance: Glance, column: Column, row: int) -> Text:
    style = _STYLES.get(glance.statuses[row] or "", "") if column.path == "status" else ""
    return Text(printable(column.cells[row]), style)
