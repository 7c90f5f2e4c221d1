"""Run servers of the socket backend for tests: in a thread, or in a process of their own."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from track.persistence import get_protocol
from track.relay.server import SocketServer
from track.structure import Project, Trial, TrialGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from track.relay.limits import Limits

PATIENCE_S = 30

PASSWORD = "hunter2"


class Running:
    """Runs a server in a thread.

    Parameters
    ----------
    server
        the server
    """

    def __init__(self, server: SocketServer) -> None:
        self.server = server
        self._thread = threading.Thread(target=server.run_server, daemon=True)
        self._thread.start()
        assert server.ready.wait(PATIENCE_S)

    @property
    def port(self) -> int:
        """Return the port of the server."""
        return self.server.port

    def uri(self, login: str = "", **options: object) -> str:
        """Return the URI of the server for a client."""
        return uri_of(self.port, login, security_layer=self.server.layer or "none", **options)

    def stop(self) -> None:
        """Stop the server, and check that it has ended."""
        self.server.close()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


def uri_of(port: int, login: str = "", **options: object) -> str:
    """Return the URI of a server on this machine for a client."""
    return f"socket://{login}127.0.0.1:{port}?{urlencode(options)}"


def server_uri(backend: str, port: int = 0, **options: object) -> str:
    """Return the URI of a server on this machine, for itself."""
    return f"socket://127.0.0.1:{port}?{urlencode({'backend': backend, **options})}"


@contextmanager
def served(backend: str, limits: Limits | None = None, **options: object) -> Iterator[Running]:
    """Serve a backend from a thread for the length of a block."""
    running = Running(SocketServer(server_uri(backend, **options), limits))
    try:
        yield running
    finally:
        running.stop()


class ServerProcess:
    """Runs a server in a separate process, which a test may kill and restart on the same port.

    Parameters
    ----------
    backend
        the URI of the store to serve
    port
        the port, 0 for any free one
    options
        the options of the URI of the server
    """

    def __init__(self, backend: str, port: int = 0, **options: object) -> None:
        self._backend = backend
        self._options = options
        self.port = port
        self.start()

    def start(self) -> None:
        """Start the server, and return when it listens."""
        uri = server_uri(self._backend, self.port, **self._options)
        self.process = subprocess.Popen(
            [sys.executable, __file__, uri],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said, "the server did not start"
        self.port = int(said)

    def uri(self, login: str = "", **options: object) -> str:
        """Return the URI of the server for a client."""
        layer = self._options.get("security_layer", "none")
        return uri_of(self.port, login, security_layer=layer, **options)

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        self.process.kill()
        self._wait()

    def stop(self) -> int:
        """Stop the server, and return its exit code."""
        self.process.terminate()
        return self._wait()

    def _wait(self) -> int:
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(PATIENCE_S)


def _main(uri: str) -> None:
    server = SocketServer(uri)
    threading.Thread(target=_announce, args=(server,), daemon=True).start()
    server.run_server()


def _announce(server: SocketServer) -> None:
    server.ready.wait()
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main(sys.argv[1])


def fill(store):
    """Create a project, a group and a trial, and return the trial."""
    store.new_project(Project(name="project"))
    store.new_trial_group(TrialGroup(_uid="group", name="g", project_id="project"))
    trial = Trial(_hash="hash", project_id="project", group_id="group")
    return store.new_trial(trial)


def log_in(port, **options):
    """Log in as Ada, and create a project."""
    store = get_protocol(uri_of(port, f"ada:{PASSWORD}@", timeout=3, **options))
    try:
        store.new_project(Project(name="project"))
    finally:
        store.close()
