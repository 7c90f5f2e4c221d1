"""The verbs serve, user and sync, which work between machines."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import click

from track.cli.common import example, store_at_once, store_option
from track.errors import BackendError, ItemNotFound
from track.persistence.journaled import JournaledProtocol
from track.persistence.registry import backend_of, load
from track.persistence.uri_options import RELAY_PORT
from track.stores.which_store import store_uri


@click.command(
    "serve",
    epilog=example(
        "track user add ada --users users.json",
        "track serve -s file:a.json --host 0.0.0.0 --layer AES --users users.json",
    ),
)
@store_option
@click.option("--host", default="localhost", show_default=True, help="Listen on this address.")
@click.option("--port", type=click.IntRange(0, 65535), default=RELAY_PORT, show_default=True)
@click.option("--layer", type=click.Choice(["AES", "TLS"]), help="Encrypt connections.")
@click.option("--users", metavar="FILE", help="The users file, see `track user`.")
@click.option("--certificate", metavar="FILE", help="The certificate for TLS.")
@click.option("--key", metavar="FILE", help="The private key for TLS.")
@click.option(
    "--allow-anyone", is_flag=True, help="Accept other machines without users and passwords."
)
@click.option(
    "--ui", type=click.IntRange(0, 65535), metavar="PORT", help="Also serve the web page."
)
def serve_verb(
    *,
    store: str | None,
    host: str,
    port: int,
    layer: str | None,
    users: str | None,
    certificate: str | None,
    key: str | None,
    allow_anyone: bool,
    ui: int | None,
) -> None:
    """Serve a store to other machines, until Ctrl-C or SIGTERM."""
    import logging

    from track.persistence.socketed import start_track_server

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    start_track_server(
        store_uri(store, made=True),
        host,
        port,
        layer,
        users=users,
        certificate=certificate,
        key=key,
        allow_anyone=allow_anyone,
        beside=nullcontext if ui is None else partial(_page_beside, host, ui),
    )


@contextmanager
def _page_beside(host: str, port: int, backend: JournaledProtocol) -> Iterator[None]:
    """Serve the web page of a store alongside its server."""
    from track.reader import Reader, open_store
    from track.ui import open_page

    # A separate reader does not block clients; a store in memory has no other reader.
    is_elsewhere = backend.uri is not None and not backend.uri.startswith(("memory:", "none:"))
    reader = open_store(backend.uri) if is_elsewhere else Reader(backend)
    try:
        page = open_page(reader, host, port)
        click.echo(page.url)
        try:
            yield
        finally:
            page.close()
    finally:
        if is_elsewhere:
            reader.close()


@click.command("sync", epilog=example("track sync -s socket://host:8123"))
@store_option
def sync_verb(*, store: str | None) -> None:
    """Upload events left behind by dead processes to a server or database."""
    uri = store_at_once(store)
    sends = backend_of(uri).sends
    if sends is None:
        raise BackendError(
            f"nothing to upload to {uri}: only servers and databases can have unsent events"
        )
    click.echo(f"sent {load(sends)(uri)} events")


@click.group("user", epilog=example("track user add ada --users users.json"))
def user_verb() -> None:
    """Manage who may log in to a server."""


_users = click.option("--users", "path", metavar="FILE", required=True, help="The users file.")


@user_verb.command("add")
@click.argument("name")
@_users
def add(name: str, path: str) -> None:
    """Add a user, or change a password.

    The password is prompted for, or read from stdin.
    """
    from track.relay.users import Users

    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    Users(path).add(name, password)


@user_verb.command("remove")
@click.argument("name")
@_users
def remove(name: str, path: str) -> None:
    """Revoke a user's access."""
    from track.relay.users import Users

    Users(path).remove(name)


@user_verb.command("list")
@_users
def list_users(path: str) -> None:
    """Print the names of the users."""
    from track.relay.users import Users

    if not os.path.exists(path):
        raise ItemNotFound(f"the file {path} does not exist: check the path")
    for name in Users(path).names():
        click.echo(name)
