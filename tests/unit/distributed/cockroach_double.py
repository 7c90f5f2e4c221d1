"""A test double of the program ``cockroach``: it behaves like a node and stores nothing.

Tests put it on the PATH under that name. It understands ``start``, ``start-single-node``, ``init``
and ``sql``, really listens, and runs no SQL. These variables drive it:

``DOUBLE_FAULTS``
    words of: ``chatty`` (prints more than a pipe holds), ``dies`` (before it is ready), ``hangs``
    (is never ready), ``stubborn`` (ignores SIGTERM), ``picky`` (accepts no statement)
``DOUBLE_RECORD``
    a file that gets a line of JSON for each call
"""

import json
import os
import signal
import socket
import sys
import threading
import time
from types import SimpleNamespace

FAULTS = os.environ.get("DOUBLE_FAULTS", "").split()

BANNER = """\
CockroachDB node starting at 2023-11-06 08:30:00.123456789 +0000 UTC (took 0.6s)
build:               CCL v23.1.11 @ 2023/10/30 12:00:00 (go1.19.10)
webui:               http://{host}:{port}0
sql:                 postgresql://root@{host}:{port}/defaultdb?sslmode=disable
RPC client flags:    cockroach <client cmd> --host={host}:{port} --insecure
store[0]:            path={store}
storage engine:      pebble
clusterID:           3d0c9d6e-5f64-4a6a-8f8e-0d5a5c1b7f11
status:              {status}
nodeID:              {node}
"""


def main(verb, *arguments):
    flags = dict(argument.removeprefix("--").partition("=")[::2] for argument in arguments)
    record(verb, arguments)
    if verb in ("init", "sql") and "COCKROACH_URL" in os.environ:
        fail("cannot load certificates: problem using security settings", verb)
    if verb == "init":
        init(flags)
    elif verb == "sql":
        sql(flags)
    elif verb == "start" and "join" not in flags:
        fail("no --join flags provided to 'cockroach start'", verb)
    else:
        node(flags)


def record(verb, arguments):
    call = {
        "verb": verb,
        "arguments": arguments,
        "pid": os.getpid(),
        "parent": os.getppid(),
        "session": os.getsid(0),
        "telemetry": "COCKROACH_SKIP_ENABLING_DIAGNOSTIC_REPORTING" not in os.environ,
        "input": sys.stdin.read(),
    }
    with open(os.environ["DOUBLE_RECORD"], "a") as file:
        file.write(json.dumps(call) + "\n")


def fail(why, verb):
    print(f'ERROR: {why}\nFailed running "{verb}"', file=sys.stderr)
    sys.exit(1)


def init(flags):
    try:
        answer = ask(flags["host"], "init")
    except OSError as error:
        fail(f"cannot dial server: {error}", "init")
    if answer == "again":
        fail("cluster has already been initialized", "init")
    print("Cluster successfully initialized")


def sql(flags):
    ask(flags["host"], "sql")
    if "picky" in FAULTS:
        fail("unable to decode license string\nSQLSTATE: 22023", "sql")
    print("SET CLUSTER SETTING")


def ask(address, question):
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(question.encode())
        return connection.recv(100).decode()


def node(flags):
    ignored = "stubborn" in FAULTS
    signal.signal(signal.SIGTERM, signal.SIG_IGN if ignored else lambda *_: sys.exit(0))
    host, _, port = flags["listen-addr"].rpartition(":")
    try:
        server = socket.create_server((host, int(port)))
    except OSError as error:
        fail(f"server exited with error: listen tcp: bind: {error.strerror.lower()}", "start")
    print("*\n* WARNING: ALL SECURITY CONTROLS HAVE BEEN DISABLED!\n*", flush=True)
    if "chatty" in FAULTS:
        print("* Are you sure?\n" * 20000, flush=True)
    port = server.getsockname()[1]
    write(flags["pid-file"], f"{os.getpid()}\n")
    write(flags["listening-url-file"], f"postgresql://root@{host}:{port}?sslmode=disable\n")
    if "dies" in FAULTS:
        fail("server exited with error: the disk has had enough", "start")
    while "hangs" in FAULTS:
        time.sleep(1)
    state = SimpleNamespace(node=0, status="", nodes=0)
    threading.Thread(target=serve, args=(server, state), daemon=True).start()
    store = flags["store"].removeprefix("path=")
    others = set(flags.get("join", "").split(",")) - {"", f"{host}:{port}"}
    become_ready(state, os.path.join(store, "node"), "join" in flags, others)
    banner = BANNER.format(host=host, port=port, store=store, **vars(state))
    print(banner, end="", flush=True)
    while True:
        time.sleep(1)


def become_ready(state, known, in_cluster, others):
    """Find out which node this is: one that was here before, or a new one."""
    if os.path.exists(known):
        with open(known) as file:
            become(state, int(file.read()), "restarted pre-existing node")
    elif not in_cluster:
        become(state, 1, "initialized new cluster")
    while not state.node:  # until somebody calls init, here or on another one
        time.sleep(0.01)
        for address in others:
            try:
                number = int(ask(address, "join"))
            except OSError:
                continue
            if number and not state.node:
                become(state, number, "initialized new node, joined pre-existing cluster")
    write(known, str(state.node))


def become(state, number, status):
    state.nodes, state.status, state.node = number, status, number


def serve(server, state):
    """Answer other nodes, and calls of init."""
    while True:
        connection, _ = server.accept()
        with connection:
            question = connection.recv(100)
            if question == b"join":
                state.nodes += bool(state.node)
                connection.sendall(str(state.nodes).encode())
            elif question == b"init":
                connection.sendall(b"again" if state.node else b"done")
                if not state.node:
                    become(state, 1, "initialized new cluster")


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
