"""Run a CockroachDB node for as long as the script that started it.

It is meant for tests, for experiments and for machines without a database. Without certificates,
anyone who can reach the address of the node can read and write everything.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import subprocess
import time
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

from track.configuration import options
from track.distributed.cockroach_location import Location
from track.distributed.cockroach_program import find_program, set_license, spawn
from track.errors import BackendError
from track.utils.forking import renew_in_children

logger = logging.getLogger(__name__)

_MEMORY = ("--cache=128MiB", "--max-sql-memory=256MiB")
"""The memory for each; by default, a node takes a share of the machine's memory."""

_PAUSE_S = 0.1
_COMMAND_TIMEOUT_S = 15.0
_TAIL_LINES = 12

_CERTIFICATES = {
    "sslrootcert": "ca.crt",
    "sslcert": "client.root.crt",
    "sslkey": "client.root.key",
}
"""The names that ``cockroach cert`` gives to what a client needs."""


def _said(name: str, doc: str) -> property:
    """Return a property that the node reported; None until the node is ready."""

    def read(node: CockRoachDB) -> str | None:
        return node.properties.get(name)

    return property(read, doc=doc)


class CockRoachDB:
    """A CockroachDB node that stores its data in a folder.

    ::

        with CockRoachDB("/tmp/node", "localhost:0") as node:
            client = TrackClient(node.uri)

    The program ``cockroach`` must be on the PATH, in version 20.1 or later. The node is a separate
    process, and no signal handler is installed: if the script is killed, the node keeps running.
    Its process id is in ``cockroach-node/pid`` of the location.

    A cluster (``join``) without a license is throttled seven days after its first start, by
    CockroachDB 24.3 and later: a sixth transaction at a time fails. Free and trial licenses require
    that the cluster reports to Cockroach Labs. A node without a license turns these reports off in
    a cluster that it starts, one with a license does not. A node that starts a cluster of its own
    needs no license.

    Parameters
    ----------
    location
        the folder for the data of one node, in its subfolder ``cockroach-node``
    addrs
        the address to listen on, ``host:port``; port 0 picks a free port
    join
        the addresses of the nodes of a cluster to join, separated by commas or as a list; None
        starts a new cluster. Give every node the same list: a new cluster is initialized at the
        first address.
    clean_on_exit
        remove the data once the node has exited, including backups to ``nodelocal:``. Data from
        before the node was started, and anything else in the location, is kept.
    certs_dir
        a folder with ``ca.crt``, the certificate and key of the node, and those of the client
        ``root``, as ``cockroach cert`` creates them; None starts an insecure node
    advertise_addr
        the address that other nodes and clients use, if it is not the one to listen on
    locality
        where the node is, from the largest region to the smallest: ``region=eu,zone=b``
    license_key
        the license to set in the cluster; by default, the option ``cockroach.license``
        (``TRACK_COCKROACH_LICENSE``)

    Attributes
    ----------
    properties
        the properties that the node printed when it was ready, by CockroachDB's names

    Raises
    ------
    BackendError
        ``addrs`` is not an address, or the path of the location contains a comma
    """

    START_TIMEOUT_S = 60.0
    """The time that :meth:`wait` allows the node to become ready."""

    STOP_TIMEOUT_S = 20.0
    """The time that :meth:`stop` allows the node to finish before it is killed."""

    def __init__(
        self,
        location: str | os.PathLike[str],
        addrs: str,
        join: str | Iterable[str] | None = None,
        clean_on_exit: bool = True,
        *,
        certs_dir: str | os.PathLike[str] | None = None,
        advertise_addr: str | None = None,
        locality: str | None = None,
        license_key: str | None = None,
    ) -> None:
        if not re.fullmatch(r"\S*:\d+", addrs):
            raise BackendError(
                f"invalid address addrs={addrs!r}: use host:port, with port 0 for any"
            )
        addresses = join.split(",") if isinstance(join, str) else join or ()
        self._place = Location(location)
        self.location = self._place.path
        self.addrs = addrs
        self.join = tuple(filter(None, (address.strip() for address in addresses)))
        self.clean_on_exit = clean_on_exit
        self.certs_dir = None if certs_dir is None else os.path.abspath(certs_dir)
        self.advertise_addr = advertise_addr
        self.locality = locality
        self._license_key = license_key or options("cockroach.license", None)
        self.properties: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        renew_in_children(self)

    build = _said(
        "build", "The version of the node; None until it is ready, as all properties are."
    )
    client_flags = _said(
        "RPC client flags", "The flags for CockroachDB's programs to reach this node."
    )
    node_id = _said("nodeID", "The number of the node in its cluster.")
    sql = _said("sql", "The URL for PostgreSQL clients.")
    status = _said(
        "status", "Whether the node started a cluster, joined one or restarted, in its words."
    )
    webui = _said("webui", "The URL of its web pages.")

    @property
    def address(self) -> str:
        """Return the address of the node as ``host:port``, with the actual port.

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
        """Return the URI of the node for :class:`~track.TrackClient`.

        Raises
        ------
        BackendError
            the node is not ready
        """
        login = "sslmode=disable"
        if self.certs_dir is not None:
            login = "sslmode=verify-full&" + "&".join(
                f"{option}={quote(os.path.join(self.certs_dir, name))}"
                for option, name in _CERTIFICATES.items()
            )
        return f"cockroach://root@{self.address}/defaultdb?{login}"

    @property
    def is_running(self) -> bool:
        """Return whether this process started the node and it still runs."""
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
            return when the node is ready; otherwise return at once, and call :meth:`wait` later

        Raises
        ------
        BackendError
            the program ``cockroach`` is missing, this node or another one already runs in its
            location, or the node did not become ready (see :meth:`wait`)
        OSError
            the location cannot be used
        """
        if self._process is not None:
            raise BackendError(f"{self} was started already: call stop() before starting it again")
        find_program()
        self._place.enter()
        self.properties.clear()
        try:
            self._place.make_folders()
            telemetry = self._license_key is not None
            self._process = spawn(self._arguments(), self._place.output, telemetry=telemetry)
        except BaseException:
            self._place.leave(self.clean_on_exit)
            raise
        atexit.register(self.stop)
        if wait:
            self.wait()

    def wait(self) -> None:
        """Wait until the node is ready; stop it if it fails to become ready.

        The first call for a node of a new cluster also initializes the cluster. A license is set
        in the cluster.

        Raises
        ------
        BackendError
            the node was not started, exited, or was not ready within ``START_TIMEOUT_S``, or the
            cluster did not accept the license
        """
        process = self._process
        if process is None:
            raise BackendError(f"{self} was not started by this process: call start()")
        try:
            self._wait_until_ready(process)
            if self._license_key is not None:
                flags = [self._security(), f"--host={self.address}"]
                set_license(self._license_key, flags, _COMMAND_TIMEOUT_S)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the node if it runs, and remove its data if asked to.

        In a forked child this does nothing: the node belongs to the parent.
        """
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(self.STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            # If the other nodes of a cluster are gone, it would wait for them for ever.
            logger.warning("%s was killed: it did not stop within %g s", self, self.STOP_TIMEOUT_S)
            process.kill()
            process.wait()
        self._process = None
        self.properties.clear()
        atexit.unregister(self.stop)
        self._place.leave(self.clean_on_exit)

    def parse(self, lines: str | Iterable[str]) -> dict[str, str]:
        """Parse what a node prints when it is ready, all at once or line by line.

        Warnings, and other lines that are not fields, are skipped.

        Parameters
        ----------
        lines
            text, or lines of it

        Returns
        -------
        The fields that were found, which are also added to ``properties``.
        """
        found = {}
        for line in lines.splitlines() if isinstance(lines, str) else lines:
            name, colon, value = line.strip().partition(":")
            # The title contains a time, and so a colon.
            if colon and not name.startswith(("*", "CockroachDB node starting")):
                found[name.strip()] = value.strip()
        self.properties.update(found)
        return found

    # The process

    def renew_after_fork(self) -> None:
        """Leave the node to the parent; its properties stay known."""
        if self._process is not None:
            # Popen would warn that its process still runs.
            self._process.returncode = 0
            self._process = None

    def _arguments(self) -> list[str]:
        mode = ["start", f"--join={','.join(self.join)}"] if self.join else ["start-single-node"]
        host = self.addrs.rpartition(":")[0]
        place = {"advertise-addr": self.advertise_addr, "locality": self.locality}
        return [
            *mode,
            self._security(),
            *(f"--{name}={value}" for name, value in place.items() if value is not None),
            f"--listen-addr={self.addrs}",
            # The usual port is taken as soon as there is a second node.
            f"--http-addr={host}:0",
            f"--store=path={self._place.of('store')}",
            f"--temp-dir={self._place.of('temp')}",
            f"--external-io-dir={self._place.of('extern')}",
            f"--log-dir={self._place.of('logs')}",
            f"--pid-file={self._place.of('pid')}",
            f"--listening-url-file={self._place.of('url')}",
            *_MEMORY,
        ]

    def _security(self) -> str:
        """Return the flag for the certificates of the node and of its clients."""
        return "--insecure" if self.certs_dir is None else f"--certs-dir={self.certs_dir}"

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
            if not initialized and os.path.exists(self._place.of("url")):
                initialized = self._initialize()
            if time.monotonic() > deadline:
                raise self._failure(f"was not ready within {self.START_TIMEOUT_S:g} s")
            time.sleep(_PAUSE_S)
        raise self._failure(f"exited with status {process.returncode}")

    def _initialize(self) -> bool:
        """Ask the first node to initialize the cluster, and return whether it is initialized.

        Everyone must ask the same node: two nodes that are asked start two clusters.
        """
        # Its output goes to the file of the node, so that a failure shows it.
        said = len(self._printed())
        asking = spawn(["init", self._security(), f"--host={self.join[0]}"], self._place.output)
        try:
            done = asking.wait(_COMMAND_TIMEOUT_S) == 0
        except subprocess.TimeoutExpired:
            done = False
        finally:
            asking.kill()
            asking.wait()
        return done or "has already been initialized" in self._printed()[said:]

    def _printed(self) -> str:
        with open(self._place.of("output"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def _failure(self, what: str) -> BackendError:
        """Return the error for a node that does not become ready."""
        tail = "\n".join(self._printed().splitlines()[-_TAIL_LINES:])
        if "address already in use" in tail:
            remedy = f"Another process listens on {self.addrs}: choose another port, 0 for any"
        elif self.join:
            remedy = f"Check that the nodes of join={','.join(self.join)} can be reached"
        else:
            remedy = "Use clean_on_exit=False to keep its logs"
        said = f"Its last output:\n{tail}" if tail else "It printed nothing."
        return BackendError(f"{self} {what}. {remedy}. {said}")
