"""Integrations over stubs of their frameworks, called as the real ones were seen to call them."""

import sys
from importlib import import_module
from types import ModuleType

import pytest

import track


@pytest.fixture
def integration(monkeypatch):
    """Import an integration where its framework is what a test says: names by module."""

    def load(name, **modules):
        package = next(iter(modules), name).partition("__")[0]
        for known in list(sys.modules):
            if known == package or known.startswith(f"{package}."):
                monkeypatch.delitem(sys.modules, known)
        for dotted, names in modules.items():
            path = ""
            for part in dotted.split("__"):
                path = f"{path}.{part}" if path else part
                if path not in sys.modules:
                    monkeypatch.setitem(sys.modules, path, ModuleType(path))
            vars(sys.modules[path]).update(names)
        full = f"track.integrations.{name}"
        monkeypatch.delitem(sys.modules, full, raising=False)
        module = import_module(full)
        monkeypatch.setitem(sys.modules, full, module)  # taken out again at the end
        return module

    return load


@pytest.fixture
def trials():
    """Return the trials of the store that a test logs to."""

    def read(uri="file:r.json"):
        with track.open(uri) as store:
            found = store.trials()
            for trial in found:
                trial.metrics = {
                    name: dict(values) if hasattr(values, "items") else list(values)
                    for name, values in trial.metrics.items()
                }
            return list(found)

    return read
