"""Find the value that summarises a metric, as chosen with ``define_metric``."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

DEFINITIONS = "_metrics"
"""The key of the definitions of metrics in a trial's metadata, which the storage maintains."""

SUMMARIES = ("last", "min", "max", "best")
GOALS = ("minimize", "maximize")


def check_definition(name: Any, summary: str | None, goal: str | None) -> tuple[str, str]:
    """Return the name of a metric, and the value that summarises it: ``last``, ``min`` or ``max``.

    Parameters
    ----------
    name
        the name, or a pattern such as ``val/*``
    summary
        one of :data:`SUMMARIES`; by default ``best`` with a goal, and else ``last``
    goal
        one of :data:`GOALS`

    Raises
    ------
    ValueError
        the summary or goal is unknown, or ``best`` is given without a goal
    """
    summary = ("best" if goal else "last") if summary is None else summary
    if summary not in SUMMARIES:
        raise ValueError(f"unknown summary {summary!r}: use one of {', '.join(SUMMARIES)}")
    if goal is not None and goal not in GOALS:
        raise ValueError(f"unknown goal {goal!r}: use one of {', '.join(GOALS)}")
    if summary == "best" and goal is None:
        raise ValueError(
            f"summary='best' of {name!r} needs a goal: pass goal='minimize' or 'maximize'"
        )
    if summary == "best":
        summary = "min" if goal == "minimize" else "max"
    return str(name), summary


def summary_of(metadata: Mapping[str, Any], name: str) -> str | None:
    """Return which value summarises a metric: ``min`` or ``max``, None for the last one.

    The metric's own name takes precedence over patterns, and later patterns over earlier ones.
    """
    defined = metadata.get(DEFINITIONS)
    if not isinstance(defined, dict):
        return None
    said = defined.get(name)
    if said is None:
        fitting = (key for key in reversed(defined) if fnmatchcase(name, str(key)))
        said = defined.get(next(fitting, None))
    return said if said in ("min", "max") else None
