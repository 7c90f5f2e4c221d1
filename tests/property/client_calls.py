"""Call clients in many ways; each function returns a comparable description of the result."""

from track.aggregators.aggregator import Aggregator
from track.serialization import to_json
from track.structure import Project, Trial, TrialGroup


def comparable(metadata):
    """Return metadata without the times at which something was recorded."""
    shown = {name: value for name, value in metadata.items() if name != "_last_change"}
    if isinstance(shown.get("_alerts"), list):
        shown["_alerts"] = [words for _, *words in shown["_alerts"]]
    if isinstance(shown.get("_artifacts"), list):
        shown["_artifacts"] = [what for *what, _, _ in shown["_artifacts"]]
    return shown


def call_method(store, name, *args, **kwargs):
    return getattr(store, name)(*args, **kwargs)


def shown(client):
    """Describe the trial of a client, if it has one."""
    return None if client.logger is None else (client.logger.is_delayed, client.logger.trial)


def set_project(client, project, group, force):
    client.set_project(name=project, force=force)
    client.set_group(name=group, force=force)
    # What belongs to them is as of when it is looked at, or, from a server, as of now.
    homes = (client.project, client.group)
    return [home and (home.uid, home.name, home.description, home.metadata) for home in homes]


def new_trial(client, force, **kwargs):
    client.new_trial(force, **kwargs)
    return shown(client)


def continue_trial(client, uid):
    client.set_trial(uid=uid, force=True)
    return shown(client)


def log(client, name, *args, **kwargs):
    getattr(client, name)(*args, **kwargs)
    return shown(client)


def set_version(client, version):
    client.set_version(version or "", None)
    return shown(client)


def run(client, error, name, values):
    """Train a little, until an error or the end."""
    with client:
        with client.chrono(name):
            client.log_metrics(**values)
        if error is not None:
            raise error
    return shown(client)


def view(value):
    """Describe a value without measurements, which differ in each backend."""
    if isinstance(value, Trial):
        shown = to_json(value)
        shown["metadata"] = comparable(value.metadata)
        shown["chronos"] = {
            name: chrono.count if hasattr(chrono, "count") else type(chrono).__name__
            for name, chrono in value.chronos.items()
        }
        # Where an exception came from is told, too, and is another line of each backend.
        shown.get("failure", {}).pop("traceback", None)
        return view(shown)
    if isinstance(value, (Project, TrialGroup)):
        assert value.trials is not None  # what belongs to it is read
        return type(value).__name__, view(vars(value))
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, map(view, value)))
    if isinstance(value, dict):
        return {repr(key): view(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [view(item) for item in value]
    if isinstance(value, Aggregator):
        return view(value.to_json())
    return type(value).__name__ if value.__class__ is object else repr(value)


def outcome(call, args, kwargs):
    """Call a function and describe its result or error, and its arguments afterwards."""
    try:
        result = call(*args, **kwargs)
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        return type(error).__name__
    return view(result), view(args)
