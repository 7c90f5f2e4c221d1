"""The verbs doctor and version, which describe this installation."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import click

from track.cli.common import example, json_option, print_json, print_table, store_option
from track.display.texts import UNCUT
from track.errors import BackendError, TrackError
from track.persistence.utils import without_password
from track.versioning import __version__

_PACKAGES = {
    "msgpack": "needed",
    "lmdb": "lmdb",
    "psycopg2-binary": "cockroach",
    "cryptography": "secure",
    "psutil": "system",
    "click": "cli",
    "rich": "cli",
    "pyarrow": "parquet",
    "pandas": "pandas",
    "tensorboardX": "tensorboard",
}
"""The extra that installs each package."""


@click.command("version", epilog=example("track version"))
def version_verb() -> None:
    """Print the version of Track and of its journal format."""
    from track.events import record
    from track.provenance.process import git_facts

    commit = git_facts(os.path.dirname(__file__)).get("commit", "")
    click.echo(f"track {__version__}{' ' * bool(commit)}{commit[:10]}")
    click.echo(f"journal format {record.VERSION}")


@click.command("doctor", epilog=example("track doctor -s file:report.json"))
@store_option
@json_option
def doctor_verb(*, store: str | None, as_json: bool) -> None:
    """Check this installation: versions, packages, settings, the store and unsent events."""
    findings = dict(_findings(store))
    if as_json:
        print_json(findings)
    else:
        print_table(["what", "found"], findings.items(), UNCUT)


def _findings(store: str | None) -> Iterator[tuple[str, str]]:
    yield "track", __version__
    yield "python", f"{platform.python_version()} at {sys.executable}"
    yield "platform", platform.platform()
    for package, extra in _PACKAGES.items():
        found = _version_of(package)
        missing = f"missing: pip install 'track-journal[{extra}]'"
        yield f"package {package}", missing if found is None else found
    for name in sorted(name for name in os.environ if name.startswith("TRACK_")):
        yield f"environment {name}", without_password(os.environ[name])
    yield from _store_findings(store)
    yield from _spool_findings()


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _store_findings(store: str | None) -> Iterator[tuple[str, str]]:
    from track.reader import Reader
    from track.stores.readonly import open_for_reading
    from track.stores.which_store import store_uri
    from track.utils.mounts import network_file_system

    try:
        uri = store_uri(store)
    except BackendError as error:
        yield "store", str(error)
        return
    yield "store", without_password(uri)
    try:
        with Reader(open_for_reading(uri)) as reader:
            yield "trials", str(len(reader.trials()))
            yield "position", str(reader.protocol.journal.head())
    except TrackError as error:
        yield "problem", " ".join(str(error).split())
    folder = os.path.dirname(os.path.abspath(uri.partition(":")[2].partition("?")[0]))
    if "://" not in uri and os.path.isdir(folder):
        kind = network_file_system(folder)
        yield (
            "file system",
            "local"
            if kind is None
            else f"{kind}: unsuitable for sharing; serve the store from one machine (track serve)",
        )


def _spool_findings() -> Iterator[tuple[str, str]]:
    from track.persistence.uri_options import remote_settings

    folder = remote_settings("socket://localhost", ()).spool
    waiting = [
        os.path.join(path, name)
        for path, _, names in os.walk(folder)
        for name in names
        if name.endswith(".journal")
    ]
    size = sum(os.path.getsize(path) for path in waiting)
    yield "spool", f"{folder}: {len(waiting)} files, {size} bytes not sent yet"
