"""The store in the whole terminal, live: driven by keys as a person would."""

import asyncio
import math

import pytest
from textual.widgets import DataTable, Static

from track import TrackClient
from track.cli.live import Live
from track.reader import open_store

WIDE, NARROW = (120, 40), (80, 24)


class Screen:
    """What a person sees and presses."""

    def __init__(self, app, pilot):
        self.app, self.pilot = app, pilot

    def said(self):
        """Return the line at the top."""
        return str(self.app.query_one("#said", Static).content)

    def below(self):
        """Return what is shown of the chosen trial."""
        return str(self.app.query_one("#chosen", Static).content)

    def column(self, title):
        """Return the cells of a column, from the top."""
        table = self.app.query_one(DataTable)
        titles = [str(column.label) for column in table.ordered_columns]
        return [str(table.get_row_at(row)[titles.index(title)]) for row in range(table.row_count)]

    async def press(self, *keys):
        """Press keys one after another."""
        await self.pilot.press(*keys)

    async def until(self, condition):
        """Wait until something is so, or fail."""
        for _ in range(600):
            if condition():
                return
            await self.pilot.pause(0.02)
        raise AssertionError(f"{self.said()}\n{self.column('name')}\n{self.below()}")


def watch(uri, scenario, size=WIDE, *, count=200):
    """Run a scenario in front of a store."""

    async def run():
        with open_store(uri) as reader:
            app = Live(reader, [], "name", count, 0.05)
            async with app.run_test(size=size) as pilot:
                await scenario(Screen(app, pilot))

    asyncio.run(run())


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_trials_are_above_and_curves_below(store, size):
    """The trial below the cursor is the one whose metrics are drawn."""

    async def scenario(screen):
        await screen.until(lambda: screen.column("name") == ["baseline", "wider"])
        assert "2 completed" in screen.said()
        await screen.until(lambda: "loss  0.02" in screen.below())
        await screen.press("down")
        await screen.until(lambda: "loss  0.04" in screen.below())
        assert max(map(len, screen.below().splitlines())) < size[0]

    watch(store, scenario, size)


def test_what_is_logged_meanwhile_appears(store):
    """Nobody has to ask again, and the cursor stays on its trial."""

    async def scenario(screen):
        await screen.until(lambda: len(screen.column("name")) == 2)
        await screen.press("down")
        client = TrackClient(store)
        client.set_project(name="paper")
        trial = client.new_trial(force=True, name="another", parameters={"lr": 3.0})
        trial.start()
        trial.log_metrics(step=1, loss=7.0)
        await screen.until(lambda: screen.column("name") == ["another", "baseline", "wider"])
        assert "1 running" in screen.said()
        assert "loss  0.04" in screen.below()
        await screen.press("up", "up")
        await screen.until(lambda: "loss  7" in screen.below())
        trial.log_metrics(step=2, loss=6.5)
        await screen.until(lambda: "loss  6.5" in screen.below())
        trial.finish()
        client.close()
        await screen.until(lambda: "3 completed" in screen.said())

    watch(store, scenario)


@pytest.mark.parametrize("news", ["a value", "a trial"])
def test_news_move_nothing(store, news):
    """Whoever scrolled on stays there."""
    client = TrackClient(store)
    client.set_project(name="paper")
    for number in range(60):
        parameters = {"n": number}
        trial = client.new_trial(force=True, name=f"z{number}", parameters=parameters)
        trial.log_metrics(step=0, loss=0.5)

    async def scenario(screen):
        await screen.until(lambda: len(screen.column("name")) == 62)
        table = screen.app.query_one(DataTable)

        def stays():
            """Scroll on, as the table scrolls back when it is laid out for the first time."""
            is_there = table.scroll_y == 20
            table.scroll_to(y=20, animate=False, immediate=True)
            return is_there and "loss" in screen.below()

        await screen.until(stays)
        if news == "a value":
            trial.log_metrics(step=1, loss=0.7)
            await screen.until(lambda: "0.7" in screen.column("loss"))
        else:
            client.new_trial(force=True, name="z60", parameters={"n": 60})
            await screen.until(lambda: "z60" in screen.column("name"))
        await screen.until(lambda: table.scroll_y == 20)
        client.close()

    watch(store, scenario)


def test_nothing_moves_while_it_is_paused(store):
    """And all that happened meanwhile is there when it goes on."""

    async def scenario(screen):
        await screen.until(lambda: len(screen.column("name")) == 2)
        await screen.press("space")
        assert "paused" in screen.said()
        client = TrackClient(store)
        client.set_project(name="paper")
        client.new_trial(force=True, name="another").finish()
        client.close()
        await screen.pilot.pause(0.5)
        assert screen.column("name") == ["baseline", "wider"]
        await screen.press("space")
        await screen.until(lambda: screen.column("name") == ["another", "baseline", "wider"])

    watch(store, scenario)


def test_trials_are_filtered_and_sorted_by_what_is_typed(store):
    """In the language of `track ls`; what makes no sense is said, and the last table stays."""

    async def scenario(screen):
        await screen.until(lambda: len(screen.column("name")) == 2)
        await screen.press("slash", *"metrics.loss>0.03", "enter")
        await screen.until(lambda: screen.column("name") == ["wider"])
        assert "1 match metrics.loss>0.03" in screen.said()
        await screen.press("slash", *["backspace"] * 20, *"nothing.is=1", "enter")
        await screen.until(lambda: "nothing" in screen.said())
        assert screen.column("name") == ["wider"]
        await screen.press("slash", *["backspace"] * 20, "enter")
        await screen.until(lambda: screen.column("name") == ["baseline", "wider"])
        await screen.press("s", *["backspace"] * 20, *"-metrics.loss", "enter")
        await screen.until(lambda: screen.column("name") == ["wider", "baseline"])
        await screen.press("s", "escape", "d")
        await screen.until(lambda: "parameters.lr = 0.2" in screen.below())
        assert "attempts:" in screen.below()

    watch(store, scenario)


def test_only_so_many_are_listed_and_the_rest_is_told(store):
    """A store of any size has room in a terminal."""

    async def scenario(screen):
        await screen.until(lambda: screen.column("name") == ["baseline"])
        assert "first 1 by name" in screen.said()

    watch(store, scenario, count=1)


def test_an_empty_store_says_so_until_something_is_there():
    """A person may look before anything is logged."""
    client = TrackClient("file:store.json")
    client.set_project(name="paper")

    async def scenario(screen):
        await screen.until(lambda: screen.below() == "No trials yet.")
        client.new_trial(name="first", parameters={"lr": 1}).finish()
        client.close()
        await screen.until(lambda: screen.column("name") == ["first"])

    watch("file:store.json", scenario)


def test_odd_names_and_values_are_shown_as_text():
    """Neither markup nor control characters do anything to the terminal."""
    client = TrackClient("file:store.json")
    client.set_project(name="paper")
    trial = client.new_trial(name="[bold red]x[/]\x1b[31m", parameters={"[/]": "\x07" * 3})
    with trial:
        trial.log_metrics(step=1, **{"[link]": 1e308, "nan": math.nan, "text": "[/b]"})
        trial.log_metrics(step=2, **{"[link]": -1e308, "nan": math.inf})
    client.close()

    async def scenario(screen):
        await screen.until(lambda: screen.column("name") == ["[bold red]x[/]\\x1b[31m"])
        await screen.until(lambda: "[link]  -1e+308" in screen.below())
        assert "(no finite values)" in screen.below()
        await screen.press("d")
        await screen.until(lambda: "\\x07" in screen.below())
        assert "\x1b" not in screen.below()

    watch("file:store.json", scenario)


def test_without_a_terminal_it_says_what_to_use(track, store):
    """A pipe cannot be pressed keys on."""
    result = track("top", "--store", store)
    assert result.code == 2
    assert "`track ls`" in result.err
