"""The backends that keep the contract, each opened afresh in a folder."""

from functools import partial

from tests.databases import KINDS, uri_of
from tests.relays import Running, server_uri
from track.persistence import get_protocol
from track.persistence.multiplexer import ProtocolMultiplexer
from track.relay.server import SocketServer


def open_file(folder):
    return get_protocol(f"file:{folder / 'store.json'}")


def open_lmdb(folder):
    return get_protocol(f"lmdb:{folder / 'store.lmdb'}")


def open_sql(kind, folder):
    return get_protocol(uri_of(kind, str(folder)[-255:], spool=folder / "spool"))


def open_socket(layer, folder):
    """Serve a backend, and open a client that ends the server when it is closed."""
    uri = server_uri(f"file:{folder / 'store.json'}", security_layer=layer)
    running = Running(SocketServer(uri))
    store = get_protocol(running.uri(spool=folder / "spool"))
    close = store.close

    def close_both():
        close()
        running.stop()

    store.close = close_both
    return store


def open_memory(folder):
    return get_protocol("memory:")


def open_multiplexer(folder):
    return ProtocolMultiplexer(open_memory(folder), open_file(folder))


BACKENDS = {
    "file": open_file,
    "lmdb": open_lmdb,
    "memory": open_memory,
    "multiplexer": open_multiplexer,
    "socket": partial(open_socket, "none"),
    "socket, AES": partial(open_socket, "AES"),
    **{kind: partial(open_sql, kind) for kind in KINDS},
}
"""Functions of a folder that open a fresh backend: a new backend is one more line here."""
