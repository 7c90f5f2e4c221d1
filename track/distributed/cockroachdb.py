"""A CockroachDB node that lives as long as the script that started it.

For tests, for trying things out and for a group of machines without a database of their own. What
it starts is insecure: whoever reaches the address can read and write everything.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlsplit

from track.errors import BackendError
from track.utils.files import flock_within, is_at
from track.utils.forking import renew_in_children

logger = logging.getLogger(__name__)

_FOLDER = "cockroach-node"
"""Where in a location everything of a node is. Not ``cockroach-data``, which is where nodes that
people start by hand have theirs."""

_MEMORY = ("--cache=128MiB", "--max-sql-memory=256MiB")
"""By itself a node would take a part of all memory of the machine for each."""

_PAUSE_S = 0.1
_INIT_TIMEOUT_S = 15.0
_LOCK_TIMEOUT_S = 0.5
"""A node that was killed holds on to its location for a moment."""
_TAIL_LINES = 12


def _said(name: str, doc: str) -> property:
    """Return a property with what the node said; None until it is ready."""

    def read(node: CockRoachDB) -> str | None:
        return node.properties.get(name)

    return property(read, doc=doc)


class CockRoachDB:
    """Spawn a cockroach node that will store its data in location.

    ::

        with CockRoachDB("/tmp/node", "localhost:0") as node:
            client = TrackClient(node.uri)

    The program ``cockroach`` must be on the PATH, in version 20.1 or later. The node is a process
    of its own, and no signal handler is installed: a node whose script is killed goes on running.
    Its process id is then in ``cockroach-node/pid`` of the location.

    Parameters
    ----------
    location
        folder for the data, of one node at a time; what the node has is in ``cockroach-node``
        inside of it
    addrs
        where to listen, ``host:port``; port 0 picks a free one
    join
        addresses of the nodes of a cluster to be part of, separated by commas or as a list; None
        for a cluster of its own. Give every node the same list: its first address is where a new
        cluster is initialized.
    clean_on_exit
        remove the data once the node has exited, with backups that it made to ``nodelocal:``. Data
        that was there before the node was started is kept, and so is anything else in location.

    Attributes
    ----------
    properties
        what the node said about itself when it was ready, by the names it uses

    Raises
    ------
    BackendError
        ``addrs`` is not an address
    """

    START_TIMEOUT_S = 60.0
    """How long :meth:`wait` waits for the node to be ready."""

    STOP_TIMEOUT_S = 20.0
    """How long :meth:`stop` lets the node finish what it does before it is killed."""

    def __init__(
        self,
        location: str | os.PathLike[str],
        addrs: str,
        join: str | Iterable[str] | None = None,
        clean_on_exit: bool = True,
    ) -> None:
        if not re.fullmatch(r"\S*:\d+", addrs):
            raise BackendError(f"addrs={addrs!r} is no address: use host:port, port 0 for any")
        addresses = join.split(",") if isinstance(join, str) else join or ()
        self.location = os.path.realpath(location)
        self.addrs = addrs
        self.join = tuple(filter(None, (address.strip() for address in addresses)))
        self.clean_on_exit = clean_on_exit
        self.properties: dict[str, str] = {}
        self._folder = os.path.join(self.location, _FOLDER)
        self._process: subprocess.Popen[bytes] | None = None
        self._output = -1
        self._is_new = self._made_location = False
        renew_in_children(self)

    build = _said("build", "Version of the node; like the other properties None until it is ready.")
    client_flags = _said("RPC client flags", "How to call CockroachDB's programs for this node.")
    node_id = _said("nodeID", "Number of the node in its cluster.")
    sql = _said("sql", "URL for the clients of PostgreSQL.")
    status = _said("status", "Whether it began a cluster, joined one or came back, in its words.")
    webui = _said("webui", "URL of its web pages.")

    @property
    def address(self) -> str:
        """``host:port`` under which the node can be reached, with the real port.

        Raises
        ------
        BackendError
            the node is not ready
        """
        if not self.sql:
            raise BackendError(
                f"{self} is not ready: call start(), or wait() after start(wait=False)"
            )
        return urlsplit(str(self.sql)).netloc.rpartition("@")[2]

    @property
    def uri(self) -> str:
        """The backend for :class:`~track.TrackClient`.

        Raises
        ------
        BackendError
            the node is not ready
        """
        return f"cockroach://root@{self.address}/defaultdb?sslmode=disable"

    @property
    def is_running(self) -> bool:
        """Whether this process started the node and it has not exited."""
        return self._process is not None and self._process.poll() is None

    def __str__(self) -> str:
        return f"the CockroachDB node in {self.location}"

    def __enter__(self) -> CockRoachDB:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, wait: bool = True) -> None:
        """Start the node.

        Parameters
        ----------
        wait
            return when it is ready; otherwise at once, and :meth:`wait` is to be called later

        Raises
        ------
        BackendError
            there is no program ``cockroach``, this node or another one in its location runs
            already, or it did not get ready (see :meth:`wait`)
        OSError
            the location cannot be used
        """
        if self._process is not None:
            raise BackendError(f"{self} was started already: call stop() before starting it again")
        program = _find_program()
        self._enter_location()
        try:
            self._make_folders()
            self._process = _spawn([program, *self._arguments()], self._output)
        except BaseException:
            self._leave_location()
            raise
        atexit.register(self.stop)
        if wait:
            self.wait()

    def wait(self) -> None:
        """Wait until the node is ready. A node that fails to is stopped.

        The first who waits for a node of a new cluster also initializes that cluster.

        Raises
        ------
        BackendError
            it was not started, it exited, or it was not ready within ``START_TIMEOUT_S``
        """
        process = self._process
        if process is None:
            raise BackendError(f"{self} was not started by this process: call start()")
        try:
            self._wait_until_ready(process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the node, if it runs, and remove its data, if wished.

        In a forked child nothing happens: the node is its parent's.
        """
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(self.STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            # Where the other nodes of a cluster are gone, it would wait for them for ever.
            logger.warning("%s had to be killed, %g s were not enough", self, self.STOP_TIMEOUT_S)
            process.kill()
            process.wait()
        self._process = None
        self.properties.clear()
        atexit.unregister(self.stop)
        self._leave_location()

    def parse(self, lines: str | Iterable[str]) -> dict[str, str]:
        """Read what a node prints when it is ready, all of it or line by line.

        Warnings, and whatever else is no field, are passed over.

        Parameters
        ----------
        lines
            text, or lines of it

        Returns
        -------
        The fields that were found. They are in ``properties``, too.
        """
        found = {}
        for line in lines.splitlines() if isinstance(lines, str) else lines:
            name, colon, value = line.strip().partition(":")
            # The title has a time in it.
            if colon and not name.startswith(("*", "CockroachDB node starting")):
                found[name.strip()] = value.strip()
        self.properties.update(found)
        return found

    # The process

    def renew_after_fork(self) -> None:
        """Leave the node to the parent. What is known of it stays known."""
        if self._process is not None:
            # It would complain of being forgotten.
            self._process.returncode = 0
            self._process = None

    def _arguments(self) -> list[str]:
        mode = ["start", f"--join={','.join(self.join)}"] if self.join else ["start-single-node"]
        host = self.addrs.rpartition(":")[0]
        return [
            *mode,
            "--insecure",
            f"--listen-addr={self.addrs}",
            # The usual port is taken as soon as there is a second node.
            f"--http-addr={host}:0",
            f"--store=path={self._path('store')}",
            f"--temp-dir={self._path('temp')}",
            f"--external-io-dir={self._path('extern')}",
            f"--log-dir={self._path('logs')}",
            f"--pid-file={self._path('pid')}",
            f"--listening-url-file={self._path('url')}",
            *_MEMORY,
        ]

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self.START_TIMEOUT_S
        initialized = not self.join
        while process.poll() is None:
            # A last line that is being written is not read yet. The node prints when it takes
            # statements, not before.
            self.parse(self._printed().rpartition("\n")[0])
            if self.status and self.node_id:
                return
            # The file is there once the node listens.
            if not initialized and os.path.exists(self._path("url")):
                initialized = self._initialize()
            if time.monotonic() > deadline:
                raise self._failure(f"was not ready within {self.START_TIMEOUT_S:g} s")
            time.sleep(_PAUSE_S)
        raise self._failure(f"exited with status {process.returncode}")

    def _initialize(self) -> bool:
        """Ask the first node of the cluster to begin it. Whether it has begun, now or before.

        It must be the same node whoever asks: two that are asked begin two clusters.
        """
        command = [_find_program(), "init", "--insecure", f"--host={self.join[0]}"]
        # What it says goes where the node prints: a failure shows what was printed last.
        said = len(self._printed())
        asking = _spawn(command, self._output)
        try:
            done = asking.wait(_INIT_TIMEOUT_S) == 0
        except subprocess.TimeoutExpired:
            done = False
        finally:
            asking.kill()
            asking.wait()
        return done or "has already been initialized" in self._printed()[said:]

    def _printed(self) -> str:
        with open(self._path("output"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def _failure(self, what: str) -> BackendError:
        """Return the error for a node that does not get ready."""
        tail = "\n".join(self._printed().splitlines()[-_TAIL_LINES:])
        if "address already in use" in tail:
            remedy = f"Something listens on {self.addrs} already: choose another port, 0 for any"
        elif self.join:
            remedy = f"Look whether the nodes of join={','.join(self.join)} can be reached"
        else:
            remedy = "With clean_on_exit=False its logs are kept"
        said = f"The last it printed:\n{tail}" if tail else "It printed nothing."
        return BackendError(f"{self} {what}. {remedy}. {said}")

    # The location

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)

    def _enter_location(self) -> None:
        """Make the folder, and lock the file in it that takes what the node prints.

        The node has it open, too, so the lock lasts as long as either of the two.
        """
        self._made_location = not os.path.exists(self.location)
        os.makedirs(self._folder, exist_ok=True)
        path = self._path("output")
        output = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        if not flock_within(output, _LOCK_TIMEOUT_S) or not is_at(path, os.fstat(output)):
            os.close(output)
            raise BackendError(
                f"another node runs in {self.location}, its process id is in {self._path('pid')}: "
                "stop it, or choose another location"
            )
        self._output = output
        self._is_new = os.listdir(self._folder) == ["output"]

    def _make_folders(self) -> None:
        """Make what the node needs, and remove what an earlier one said about itself."""
        self.properties.clear()
        os.ftruncate(self._output, 0)
        for name in ("pid", "url"):
            with suppress(FileNotFoundError):
                os.unlink(self._path(name))
        for name in ("store", "temp", "extern", "logs"):
            os.makedirs(self._path(name), exist_ok=True)

    def _leave_location(self) -> None:
        """Remove what is to be removed, and let another node have the location."""
        if self.clean_on_exit and self._is_new:
            try:
                shutil.rmtree(self._folder)
            except OSError as error:
                # There may be nobody to raise to, and the node has been stopped.
                logger.warning("the data of %s could not be removed: %s", self, error)
            if self._made_location:
                with suppress(OSError):  # others have something in it
                    os.rmdir(self.location)
        elif self.clean_on_exit:
            logger.info("%s is kept: it was there before the node was started", self._folder)
        # A child that was forked meanwhile has the file open, so closing it would not do.
        fcntl.flock(self._output, fcntl.LOCK_UN)
        os.close(self._output)
        self._output = -1


def _find_program() -> str:
    program = shutil.which("cockroach")
    if program is None:
        raise BackendError(
            "there is no program 'cockroach' on the PATH: install CockroachDB, see "
            "https://www.cockroachlabs.com/docs/releases"
        )
    return program


def _spawn(command: list[str], output: int) -> subprocess.Popen[bytes]:
    """Start a program whose output goes to a file, so that it never has to wait for a reader."""
    try:
        return subprocess.Popen(  # noqa: S603 - an argument list, nothing interprets it
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"COCKROACH_SKIP_ENABLING_DIAGNOSTIC_REPORTING": "true"},
            # An interrupt from the keyboard is for the script, which still needs its database.
            start_new_session=True,
        )
    except OSError as error:
        raise BackendError(f"{command[0]} cannot be run: {error}; install it again") from error
