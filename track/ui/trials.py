"""Endpoints for the store, lists of trials and single trials."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from starlette.requests import Request
from starlette.responses import Response

from track.attachments.logged_files import files_of, without_files
from track.projections.artifacts import ARTIFACTS, artifacts_in, artifacts_of
from track.projections.paths import leaves
from track.projections.trials import OWN_METADATA
from track.reading.overview import Glance
from track.reading.summary import MetricSummary, TrialSummary
from track.reading.views import Attempt
from track.ui.answers import Parameters, answer, cut, milliseconds
from track.ui.files import kind_of
from track.ui.store import Store
from track.versioning import __version__

CHOICE = ("where", "sort", "descending", "archived", "at", "project", "group")
"""Parameters that select trials."""

_ROWS, _MOST_ROWS = 200, 1000
_MOST_CONDITIONS = 50
_MOST_METRICS = 200
"""The most metrics per trial in a list."""

_flattened: WeakKeyDictionary[TrialSummary, dict[str, Any]] = WeakKeyDictionary()


def get_store(store: Store, request: Request) -> Response:
    """Return an overview of the store."""
    known = Parameters(request.query_params, "at")
    at = known.text("at")
    with store.glance(at) as glance:
        objects = glance.objects
        if at is None:
            store.handed_out(glance.position)
        changes = [one.changed for one in glance.all if one.changed is not None]
        made = [one.created for one in glance.all if one.created is not None]
        return answer(
            {
                "name": store.name,
                "uri": store.uri,
                "version": __version__,
                "position": glance.position,
                "first_at": milliseconds(min(made, default=None)),
                "last_at": milliseconds(max(changes, default=None)),
                "counts": glance.counts(),
                "projects": [
                    {"uid": one.uid, "name": cut(one.name)} for one in objects.projects.values()
                ],
                "groups": [
                    {"uid": one.uid, "name": cut(one.name), "project": one.project_id}
                    for one in objects.groups.values()
                ],
                "writable": store.is_writable,
                "at": at,
                "problems": problems(store, glance),
            }
        )


def problems(store: Store, glance: Glance) -> list[str]:
    """Return sentences that describe problems of a store."""
    found = []
    ranges = len(store.reader.damage())
    if ranges:
        skipped = "1 range was" if ranges == 1 else f"{ranges} ranges were"
        found.append(f"The journal is damaged: {skipped} skipped. `track verify` lists them.")
    parts = sum(one.partial for one in glance.all)
    if parts:
        trials = "1 trial" if parts == 1 else f"{parts} trials"
        found.append(f"Only part of {trials} is left: the beginning is unreadable.")
    return found


def flattened(trial: TrialSummary) -> dict[str, Any]:
    """Return parameters by path, such as ``optimizer.lr``, without the section prefix."""
    found = _flattened.get(trial)
    if found is None:
        found = {
            path.removeprefix("parameters").removeprefix("."): value
            for path, value in leaves(trial.parameters, "parameters")
            if path != "parameters"
        }
        _flattened[trial] = found
    return found


def tags_of(trial: TrialSummary) -> dict[str, Any]:
    """Return the tags of a trial; tags without a value map to None."""
    tags = trial.tags
    if isinstance(tags, dict):
        return {str(name): value for name, value in tags.items()}
    listed = tags if isinstance(tags, (list, tuple)) else [tags]
    return {str(tag): None for tag in listed if tag is not None}


def get_trials(store: Store, request: Request) -> Response:
    """Return a window of the list of trials."""
    known = Parameters(request.query_params, *CHOICE, "offset", "limit", "metric")
    offset = known.integer("offset", 0)
    limit = known.integer("limit", _ROWS, most=_MOST_ROWS)
    metrics = known.texts("metric", _MOST_METRICS)
    with store.glance(known.text("at")) as glance:
        found = chosen(glance, known)
        window = found[offset : offset + limit]
        rows = [row(one, metrics) for one in window]
        return answer(
            {"position": glance.position, "total": len(found), "offset": offset, "rows": rows}
        )


def chosen(glance: Glance, known: Parameters) -> list[TrialSummary]:
    """Return the trials that a request selects."""
    sort = known.text("sort")
    if sort is not None and known.flag("descending"):
        sort = f"-{sort.lstrip('-')}"
    return glance.trials(
        known.texts("where", _MOST_CONDITIONS),
        sort=sort,
        archived=known.flag("archived"),
        project=known.text("project"),
        group=known.text("group"),
    )


def row(trial: TrialSummary, wanted: list[str]) -> dict[str, Any]:
    """Return a trial in the form that lists show."""
    metrics = trial.curves
    names = [name for name in wanted if name in metrics] if wanted else [*metrics][:_MOST_METRICS]
    parameters = [*flattened(trial).items()][:_MOST_METRICS]
    return {
        "uid": trial.uid,
        "name": cut(trial.name),
        "revision": trial.revision,
        "project": cut(trial.project),
        "group": cut(trial.group),
        "status": trial.status,
        "created": milliseconds(trial.created),
        "changed": milliseconds(trial.changed),
        "start": milliseconds(trial.start),
        "end": milliseconds(trial.end),
        "runtime": trial.runtime,
        "tags": {name: cut(value) for name, value in tags_of(trial).items()},
        "parameters": {name: cut(value) for name, value in parameters},
        "metrics": {name: metric(metrics[name], trial.metrics.get(name)) for name in names},
        "failure": cut(trial.failure),
        "archived": trial.archived,
        "part": trial.partial,
    }


def metric(summary: MetricSummary, value: Any) -> dict[str, Any]:
    """Return what there is to know of a metric, and the value that sums it up."""
    return {
        "value": summary.last if isinstance(value, dict) else cut(value),
        "last": cut(summary.last),
        "min": summary.minimum,
        "max": summary.maximum,
        "count": summary.length,
        "step": cut(summary.step),
    }


def get_trial(store: Store, request: Request) -> Response:
    """Return everything about a trial except the points of its metrics."""
    known = Parameters(request.query_params, "at")
    with store.glance(known.text("at")) as glance:
        uid = glance.find(request.path_params["uid"]).uid
        summary = glance.summary(uid)
        view = glance.view(uid)
        made = [] if ARTIFACTS not in view.trial.metadata else artifacts(glance, uid)
    trial = view.trial
    return answer(
        {
            **row(summary, [*summary.curves]),
            "name": trial.name,
            "description": trial.description,
            "version": trial.version,
            "document": trial.parameters,
            "metadata": {
                name: value
                for name, value in without_files(trial.metadata).items()
                if name not in OWN_METADATA
            },
            "chronos": {
                str(name): chrono.to_json(short=True) if hasattr(chrono, "to_json") else chrono
                for name, chrono in trial.chronos.items()
            },
            "errors": [str(error) for error in trial.errors],
            "failure": trial.failure,
            "attempts": [attempt(one) for one in view.attempts],
            "artifacts": made,
            "alerts": [{**one._asdict(), "at": one.at / 1e6} for one in trial.alerts],
            "files": [{**file._asdict(), "mime": kind_of(file)} for file in files_of(trial)],
        }
    )


def artifacts(glance: Glance, uid: str) -> list[dict[str, Any]]:
    """Return the artifacts that a trial made or used."""
    known = artifacts_in(one.trial for one in glance.objects.known_trials())
    return [
        {
            "name": one.name,
            "version": one.version,
            "files": one.length,
            "size": one.size,
            "sha256": one.sha256,
            "made": uid in one.made_by,
            "used": uid in one.used_by,
        }
        for one in artifacts_of(uid, known)
    ]


def attempt(one: Attempt) -> dict[str, Any]:
    """Return an attempt and the process that made it."""
    process = one.process
    return {
        **one.facts,
        "number": one.number,
        "host": None if process is None else process.host,
        "pid": None if process is None else process.pid,
        "start": one.started_at / 1e6,
        "last": one.last_at / 1e6,
        "end": None if one.finished_at is None else one.finished_at / 1e6,
        "status": None if one.status is None else str(one.status),
        "events": one.events,
        "producer": str(one.producer),
        "runtime": one.runtime,
        "failure": one.failure,
    }
