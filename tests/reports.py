"""Stores in the working folder, and the files they are made of."""

import json
import os

from track.persistence import get_protocol
from track.structure import Project, Trial


def log_something(uri="file:report.json", name="p"):
    """Open a store, insert a project with one trial, and close it."""
    store = get_protocol(uri)
    store.new_project(Project(name=name))
    store.new_trial(Trial(project_id=name), auto_increment=True)
    store.close()


def projects_in(uri="file:report.json"):
    store = get_protocol(uri)
    names = [project.name for project in store.fetch_projects()]
    store.close()
    return names


def report(path="report.json"):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def files(prefix=""):
    return sorted(name for name in os.listdir() if name.startswith(prefix))
