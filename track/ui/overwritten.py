"""The endpoint for points that a later attempt of a trial logged again."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from itertools import islice
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from track.events.types import MetricsLogged, Recorded, TrialStarted
from track.moment import to_moment
from track.projections.trials import stream_of
from track.reading.history import decoded
from track.ui.answers import Parameters, answer, cut
from track.ui.store import Store

_MOST_READ = 500_000
"""The most events read per trial; later ones are ignored."""


def get_overwritten(store: Store, request: Request) -> Response:
    """Return the points of each attempt that a later attempt overwrote."""
    known = Parameters(request.query_params, "trial", "at")
    moment = to_moment(known.text("at"))
    with store.glance() as glance:
        uid = glance.find(known.needed("trial")).uid
    batches = store.reader.protocol.journal.read_stream(stream_of(uid))
    events = decoded(batches, moment)
    found = overwritten(islice(events, _MOST_READ))
    return answer({"attempts": found, "complete": next(events, None) is None})


def overwritten(events: Iterable[Recorded]) -> list[dict[str, Any]]:
    """Return how many points were overwritten, at which steps, and when they were first logged.

    Parameters
    ----------
    events
        the events of one trial
    """
    attempts = 0
    by_producer: dict[int, int] = {}
    logged: dict[tuple[str, Hashable], tuple[int, int]] = {}
    found: dict[int, dict[str, Any]] = {}
    for recorded in events:
        event = recorded.event
        if isinstance(event, TrialStarted):
            attempts += 1
            by_producer[recorded.producer] = attempts
        if not isinstance(event, MetricsLogged) or event.step is None or event.aggregator:
            continue
        step = event.step if isinstance(event.step, Hashable) else str(event.step)
        mine = by_producer.get(recorded.producer, attempts)
        for name in event.values:
            attempt, at = logged.get((name, step), (mine, 0))
            logged[name, step] = mine, recorded.at
            if attempt == mine:
                continue
            one = found.setdefault(
                attempt,
                {"number": attempt, "by": mine, "points": 0, "first": cut(step), "from": at / 1e6},
            )
            one |= {"by": mine, "points": one["points"] + 1, "last": cut(step), "to": at / 1e6}
    return [found[number] for number in sorted(found)]
