"""Give every test a clean environment and a folder of its own."""

import os
import signal
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from track.configuration import reset_configuration
from track.errors import TrackWarning

settings.register_profile("default", max_examples=50, deadline=None, print_blob=True)
settings.register_profile("thorough", max_examples=5000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# What a shell starts in the background has its interrupts ignored, and so has every process that a
# test starts to interrupt it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape lone surrogates in the reports of failures, since they crash pytest-xdist."""
    report = yield
    if report.failed:
        text = report.longreprtext + "".join(content for _, content in report.sections)
        if not text.isascii():
            report.longrepr = text.encode("ascii", "backslashreplace").decode()
            report.sections = []
    return report


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Isolate a test from the environment of the machine and from other tests."""
    for name in list(os.environ):
        if name.startswith(("TRACK_", "ORION_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ".state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    monkeypatch.chdir(tmp_path)
    reset_configuration()
    yield
    reset_configuration()


@pytest.fixture
def told() -> Iterator[list[str]]:
    """Collect the warnings of the package; without this fixture, a warning is an error."""
    messages: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always", TrackWarning)
        warnings.showwarning = lambda message, *_: messages.append(str(message))
        yield messages
