"""The endpoint for Prometheus: the last values of running trials, in its text format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from track.reading.summary import TrialSummary
from track.ui.store import Store

_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_HELP = {
    "track_trials": "The number of trials that are not archived.",
    "track_value": "The last value of each metric of a running trial.",
    "track_step": "The step of that value.",
    "track_changed_seconds": "When something was last logged, in seconds since 1970-01-01.",
}
"""The names of what Prometheus gets, and what they mean; all may go up and down."""

_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def get_prometheus(store: Store, _: Request) -> Response:
    """Return the number of trials by status, and the last values of those that run."""
    with store.glance() as glance:
        trials = glance.trials()
        lines = [*_lines(trials)]
    return Response("".join(lines), media_type=_TYPE)


def _lines(trials: list[TrialSummary]) -> Iterator[str]:
    counts = Counter(trial.status for trial in trials)
    running = [trial for trial in trials if trial.status == "running"]
    samples: dict[str, Iterable[tuple[dict[str, Any], Any]]] = {
        "track_trials": (({"status": status}, count) for status, count in counts.items()),
        "track_value": _of_metrics(running, "last"),
        "track_step": _of_metrics(running, "step"),
        "track_changed_seconds": ((_labels(trial), trial.changed) for trial in running),
    }
    for name, found in samples.items():
        yield f"# HELP {name} {_HELP[name]}\n# TYPE {name} gauge\n"
        for labels, value in found:
            if isinstance(value, (int, float)):
                shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
                yield f"{name}{{{shown}}} {_number(value)}\n"


def _of_metrics(running: list[TrialSummary], fact: str) -> Iterator[tuple[dict[str, Any], Any]]:
    for trial in running:
        for metric, summary in trial.curves.items():
            yield {**_labels(trial), "metric": metric}, getattr(summary, fact)


def _labels(trial: TrialSummary) -> dict[str, Any]:
    return {"project": trial.project or "", "trial": trial.name or "", "uid": trial.uid}


def _escaped(text: Any) -> str:
    return str(text).translate(_ESCAPED).encode("utf-8", "replace").decode()


def _number(value: float) -> str:
    """Return a number as Go reads it, since Python's ``inf`` and ``True`` are not such texts."""
    try:
        number = float(value)
    except OverflowError:
        return "+Inf" if value > 0 else "-Inf"
    return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(repr(number), repr(number))
