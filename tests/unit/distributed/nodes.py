"""Nodes for tests: of a test double, which every machine can run."""

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

DOUBLE = Path(__file__).with_name("cockroach_double.py")


class Double:
    """The test double of the program ``cockroach``, as the only program on the PATH."""

    def __init__(self, folder, monkeypatch):
        self.program = folder / "cockroach"
        self.program.write_text(f"#!{sys.executable} -IS\n{DOUBLE.read_text()}")
        self.program.chmod(0o755)
        self._record = folder / "record"
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("PATH", str(folder))
        monkeypatch.setenv("DOUBLE_RECORD", str(self._record))

    def behave(self, faults=""):
        """Choose how it behaves from now on."""
        self._monkeypatch.setenv("DOUBLE_FAULTS", faults)

    def calls(self, *verbs):
        """Return the calls so far, in order."""
        lines = self._record.read_text().splitlines() if self._record.exists() else []
        calls = [SimpleNamespace(**json.loads(line)) for line in lines]
        return [call for call in calls if call.verb in verbs]


def wait_until(condition):
    """Wait for what happens in another process."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def has_ended(pid):
    """Whether a process is gone, or would be if somebody waited for it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"
