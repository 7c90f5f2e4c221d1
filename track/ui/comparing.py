"""Endpoints that compare trials: differing columns, differences, origins of values."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from track.projections.diff import differences, differences_of_trials
from track.reading.summary import TrialSummary
from track.reading.views import View, code_of
from track.ui.answers import Parameters, answer, cut, to_json
from track.ui.store import Store
from track.ui.trials import CHOICE, attempt, chosen, flattened, tags_of

_MOST_DISTINCT = 1000
_MOST_ORIGINS = 1000


def get_columns(store: Store, request: Request) -> Response:
    """Return the names of the values of matching trials, and which of them differ."""
    known = Parameters(request.query_params, *CHOICE)
    with store.glance(known.text("at")) as glance:
        trials = chosen(glance, known)
        asked = "columns", tuple(sorted(request.query_params.multi_items()))
        return answer(store.remembered(asked, trials, lambda: columns_of(trials)))


def columns_of(trials: list[TrialSummary]) -> dict[str, Any]:
    """Return the names of the parameters, metrics and tags of trials, the most frequent first."""
    values: dict[str, set[str]] = {}
    counts: dict[str, int] = {}
    metrics: dict[str, int] = {}
    tags: dict[str, None] = {}
    for one in trials:
        for name, value in flattened(one).items():
            counts[name] = counts.get(name, 0) + 1
            distinct = values.setdefault(name, set())
            if len(distinct) < _MOST_DISTINCT:
                distinct.add(repr(value))
        for name in one.metrics:
            metrics[name] = metrics.get(name, 0) + 1
        tags.update(dict.fromkeys(tags_of(one)))
    parameters = [
        {
            "name": name,
            "distinct": len(distinct),
            "constant": len(distinct) == 1 and counts[name] == len(trials),
        }
        for name, distinct in values.items()
    ]
    ordered = sorted(metrics, key=lambda name: -metrics[name])
    return {"total": len(trials), "parameters": parameters, "metrics": ordered, "tags": [*tags]}


def get_diff(store: Store, request: Request) -> Response:
    """Return the differences between two trials, or between two moments of one trial."""
    known = Parameters(request.query_params, "left", "right", "left_at", "right_at")
    left = known.needed("left")
    sides = (left, known.text("left_at")), (known.text("right") or left, known.text("right_at"))
    views: list[View] = []
    for which, at in sides:
        with store.glance(at) as glance:
            views.append(glance.view(which))
    ours, theirs = views
    found = [*differences(code_of(ours.attempts), code_of(theirs.attempts))]
    found += differences_of_trials(ours.trial, theirs.trial)
    return answer(
        [
            {"path": one.path, "left": cut(one.left), "right": cut(one.right), "first": one.first}
            for one in found
        ]
    )


def get_origins(store: Store, request: Request) -> Response:
    """Return by whom a value of a trial was set, and to what, oldest first."""
    known = Parameters(request.query_params, "trial", "path")
    which, path = known.needed("trial"), known.needed("path")
    with store.glance() as glance:
        uid = glance.find(which).uid
    found: list[dict[str, Any]] = []
    for origin in store.reader.provenance(uid, path)[-_MOST_ORIGINS:]:
        recorded = origin.recorded
        found.append(
            {
                "value": cut(origin.value),
                "replaced": cut(origin.replaced),
                "position": recorded.position,
                "time": recorded.at / 1e6,
                "kind": type(recorded.event).__name__,
                "attempt": None if origin.attempt is None else attempt(origin.attempt),
            }
        )
    return Response(to_json(found), media_type="application/json")
