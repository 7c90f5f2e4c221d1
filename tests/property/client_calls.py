"""What clients do; each function returns what the client shows of itself."""


def call_method(store, name, *args, **kwargs):
    return getattr(store, name)(*args, **kwargs)


def shown(client):
    """Show the trial of a client, if it has one."""
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
