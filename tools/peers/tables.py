"""Tables of what ``tools/bench_peers.py`` measured, in Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from statistics import median
from typing import Any

from bench_runs import number

Results = Mapping[str, Any]
Column = tuple[str, Callable[[Results], str]]


def table(columns: list[Column], peers: list[Results]) -> Iterator[str]:
    """Write a table with a row for each tracker."""
    yield row(title for title, _ in columns)
    yield row("---" for _ in columns)
    for peer in peers:
        yield row(cell(write, peer) for _, write in columns)
    yield ""


def row(cells: Any) -> str:
    """Write a row."""
    return f"| {' | '.join(cells)} |"


def cell(write: Callable[[Results], str], peer: Results) -> str:
    """Write a cell, empty if there is nothing for it: why is said below the tables."""
    try:
        return write(peer)
    except KeyError:
        return "-"


def scaled(group: str, key: str) -> Callable[[Results], str]:
    """Return what writes a number as it was measured."""
    return lambda peer: number(peer[group][key])


def steps(peer: Results) -> str:
    """Write how many steps were logged."""
    return number(peer["log"]["count"])


def bytes_per_value(peer: Results) -> str:
    """Write what one value takes on disk, without what a run of one step takes anyway."""
    log = peer["log"]
    values = 2 * (log["count"] - 1)
    return number((log["bytes"] - peer["start"]["bytes"]) / values)


def read_per_step(peer: Results) -> str:
    """Write how long it took to read one step of a metric."""
    log = peer["log"]
    return number(log["read_s"] / log["count"] * 1e6)


def speed(which: str) -> Callable[[Results], str]:
    """Return what writes how many steps a second there were."""
    return lambda peer: number(peer["sharing"][which]["per_s"])


def gain(peer: Results) -> str:
    """Write how much faster four processes are than one."""
    sharing = peer["sharing"]
    if sharing["many"]["failed"]:
        return "-"
    return number(sharing["many"]["per_s"] / sharing["one"]["per_s"])


def all_there(peer: Results) -> str:
    """Write what became of what four processes logged."""
    many = peer["sharing"]["many"]
    wanted, found = many["wanted"], many["found"]
    if many["failed"]:
        return f"{many['failed']} of {len(wanted)} processes failed"
    missing = sum(max(0, count - found.get(name, 0)) for name, count in wanted.items())
    return f"{missing:,} of {sum(wanted.values()):,} missing" if missing else "yes"


def lost(group: str) -> Callable[[Results], str]:
    """Return what writes how many acknowledged calls are lost, of how many."""

    def write(peer: Results) -> str:
        kills = peer[group]
        if isinstance(kills, dict):
            raise KeyError(group)
        middle = median(kill["lost"] for kill in kills)
        worst = max(kills, key=lambda kill: kill["lost"])
        several = f"{middle:,.0f} / " if len(kills) > 1 else ""
        return f"{several}{worst['lost']:,} of {worst['acknowledged']:,}"

    return write


def without_folder(reason: str) -> str:
    """Take out where the store of a measurement was: it is no more."""
    return re.sub(r"/\S*/store/", "", reason)


def reasons(titles: Mapping[str, str], peers: list[Results]) -> Iterator[str]:
    """Say why something is missing."""
    for peer in peers:
        title = titles[peer["name"]]
        if reason := peer.get("not_installed"):
            yield f"* {title} could not be installed: {without_folder(reason)}"
        for group, result in peer.items():
            if isinstance(result, dict) and "impossible" in result:
                yield f"* {title}, {group}: {without_folder(result['impossible'])}"
        if reason := peer.get("sharing", {}).get("many", {}).get("reason"):
            failed = peer["sharing"]["many"]["failed"]
            yield f"* {title}, {failed} of four processes at once: {without_folder(reason)}"


def all_tables(results: Results, trackers: Any) -> Iterator[str]:
    """Write everything, with a line about where and when it was measured."""
    peers = results["peers"]
    titles = {tracker.name: tracker.title for tracker in trackers}
    used = {tracker.name: tracker for tracker in trackers}
    title: Column = ("tracker", lambda peer: titles[peer["name"]])
    limits = [peer["log"]["limit_us"] for peer in peers if "limit_us" in peer.get("log", {})]
    limit = f"{number(min(limits))} to {number(max(limits))} us" if limits else "not measured"
    yield (
        f"Measured on {results['date']}: {results['machine']}, Python {results['python']}; "
        f"the limit took {limit}.{' A quick run.' if results['quick'] else ''}"
    )
    yield ""
    versions: list[Column] = [
        title,
        ("packages", lambda peer: ", ".join(used[peer["name"]].requirements) or "this checkout"),
        ("how it is used", lambda peer: used[peer["name"]].use),
    ]
    yield from ["### What is compared", "", *table(versions, peers)]
    calls: list[Column] = [
        title,
        ("steps", steps),
        ("mean us", scaled("log", "mean_us")),
        ("median us", scaled("log", "p50_us")),
        ("p99 us", scaled("log", "p99_us")),
        ("median to limit", scaled("log", "ratio")),
        ("last tenth to first", scaled("log", "growth")),
        ("steps/s, until finished", scaled("log", "finished_per_s")),
    ]
    yield from ["### A call that logs one step with two metrics", "", *table(calls, peers)]
    stores: list[Column] = [
        title,
        ("bytes per value", bytes_per_value),
        ("until the first step is logged, s", scaled("start", "first_s")),
        ("script of one step, s", scaled("start", "script_s")),
        ("steps read", lambda peer: number(peer["log"]["read_steps"])),
        ("read, s", scaled("log", "read_s")),
        ("read, us per step", read_per_step),
    ]
    yield from ["### Disk, start and reading back", "", *table(stores, peers)]
    sharing: list[Column] = [
        title,
        ("one process, steps/s", speed("one")),
        ("four, steps/s", speed("many")),
        ("four to one", gain),
        ("all there", all_there),
        ("lost at full speed: median / worst", lost("killed")),
        ("lost at 200 steps/s", lost("killed_slow")),
    ]
    yield from ["### Four processes at once; killed processes", "", *table(sharing, peers)]
    if missing := list(reasons(titles, peers)):
        yield from ["### What failed", "", *missing, ""]
