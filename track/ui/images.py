"""The endpoint for the images of many trials."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from track.projections.media import LoggedMedium
from track.ui.answers import Parameters, answer, cut
from track.ui.media import described
from track.ui.store import Store

_MOST_TRIALS = 60
_STEPS, _MOST_STEPS = 24, 200
_MOST_PLACES = 16
"""The most images of one name, one trial and one step."""


def get_images(store: Store, request: Request) -> Response:
    """Return descriptions of the images of one name that several trials logged, by step."""
    known = Parameters(request.query_params, "trial", "name", "n", "at")
    trials, at = known.texts("trial", _MOST_TRIALS), known.text("at")
    most = known.integer("n", _STEPS, least=1, most=_MOST_STEPS)
    with store.glance(at) as glance:
        uids, position = [glance.find(which).uid for which in trials], glance.position
        store.handed_out(position)
    found = {uid: _images(store, uid, position if at is None else at) for uid in uids}
    names = [*dict.fromkeys(one.name for images in found.values() for one in images)]
    name = known.text("name") or next(iter(names), None)
    # A step that was logged again replaces what it was.
    latest = {
        (uid, cut(one.step), one.place): one
        for uid, images in found.items()
        for one in images
        if one.name == name and one.place < _MOST_PLACES
    }
    steps = _in_order(step for _, step, _ in latest)
    chosen = thinned(steps, most)
    shown = {repr(step) for step in chosen}
    return answer(
        {
            "position": position,
            "names": [*map(cut, names)],
            "name": name,
            "total": len(steps),
            "steps": chosen,
            "images": [
                {**described(one), "trial": uid}
                for (uid, step, _), one in latest.items()
                if repr(step) in shown
            ],
        }
    )


def _images(store: Store, uid: str, at: Any) -> list[LoggedMedium]:
    media = store.reader.media(uid, at=at)
    return [medium for medium in media if medium.mime.startswith("image/")]


def _in_order(steps: Iterable[Any]) -> list[Any]:
    """Return distinct steps: numbers in their order, then all others in theirs."""
    distinct = {repr(step): step for step in steps}.values()
    numbers = sorted(step for step in distinct if isinstance(step, (int, float)))
    return numbers + [step for step in distinct if not isinstance(step, (int, float))]


def thinned(steps: Sequence[Any], most: int) -> list[Any]:
    """Return evenly spaced steps up to a number: the last one, and the first one if it fits."""
    if len(steps) <= most:
        return list(steps)
    if most == 1:
        return [steps[-1]]
    return [steps[round(place * (len(steps) - 1) / (most - 1))] for place in range(most)]
