"""The verbs that maintain a store: they verify, repair, back up, hide and erase."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from track.cli.app import DAMAGE, FAILURE
from track.cli.common import (
    TRIAL,
    example,
    json_option,
    note_damage,
    print_json,
    print_table,
    progress,
    reading,
    store_option,
    tell,
    writing,
)
from track.display.texts import UNCUT
from track.errors import TrackError
from track.reader import open_store
from track.stores.which_store import store_uri

if TYPE_CHECKING:
    from track.stores.maintenance import Rewritten
    from track.stores.named_contents import CheckedContents


@click.command("verify", epilog=example("track verify -s file:report.json"))
@store_option
@json_option
def verify_verb(*, store: str | None, as_json: bool) -> int:
    """Check a store on disk for damage. The exit code is 4 if any is found."""
    from track.stores.maintenance import verify

    with progress("reading") as advance:
        found = verify(store_uri(store), advance)
    if as_json:
        findings = [finding._asdict() for finding in found.findings]
        gaps = [{**gap._asdict(), "producer": f"{gap.producer:016x}"} for gap in found.gaps]
        contents = found.contents and found.contents._asdict()
        print_json({**found._asdict(), "findings": findings, "gaps": gaps, "contents": contents})
        return 0 if found.is_sound else DAMAGE
    click.echo(f"{found.path}: {found.events} events, up to position {found.head}")
    if found.findings:
        print_table(["from", "to", "what", "holds"], found.findings, UNCUT)
    for gap in found.gaps:
        some, verb = f"events {gap.first} to {gap.last}", "are"
        if gap.first == gap.last:
            some, verb = f"event {gap.first}", "is"
        click.echo(
            f"{some} of producer {gap.producer:016x} {verb} missing before position {gap.position}"
        )
    if found.contents is not None:
        _tell_contents(found.contents)
    click.echo("no damage" if found.is_sound else "damaged: `track repair` keeps what is intact")
    return 0 if found.is_sound else DAMAGE


def _tell_contents(contents: CheckedContents) -> None:
    if contents.intact:
        click.echo(f"{contents.intact} contents of files and media are intact")
    for digest in contents.damaged:
        click.echo(f"the content {digest} is damaged")
    if contents.missing:
        click.echo(
            f"{len(contents.missing)} contents are not in this store; `track files` shows what "
            "is known of them"
        )


@click.command("repair", epilog=example("track repair -s file:report.json"))
@store_option
def repair_verb(*, store: str | None) -> None:
    """Replace a damaged journal on disk with a new one that holds its intact events.

    The damaged journal is kept next to the new one. No other process may have the store open.
    """
    from track.stores.maintenance import repair

    with progress("repairing") as advance:
        done = repair(store_uri(store), advance)
    if done is None:
        click.echo("nothing to repair")
    else:
        click.echo(f"{done.path}: {done.events} events kept; the damaged journal is {done.kept}")


@click.command(
    "compact",
    epilog=example("track compact -s lmdb:store.lmdb", "track compact -s postgres://host/database"),
)
@store_option
def compact_verb(*, store: str | None) -> None:
    """Reclaim unused disk space of a store.

    No other process may have the store open. In a database, only contents that no event names are
    removed; the database reclaims the rest by itself.
    """
    from track.persistence.registry import backend_of
    from track.stores.maintenance import compact
    from track.stores.named_contents import clear_database

    uri = store_uri(store)
    if backend_of(uri).is_database:
        click.echo(f"removed contents that no event names: {clear_database(uri)}")
        return
    with progress("compacting") as advance:
        before, after = compact(uri, advance)
    click.echo(f"{before} bytes before, {after} after")


@click.command("backup", epilog=example("track backup file:/backup/report.json"))
@click.argument("target")
@store_option
def backup_verb(*, target: str, store: str | None) -> None:
    """Back up a store on disk, even while it is in use. The exit code is 4 if it is damaged."""
    from track.stores.maintenance import backup

    with progress("copying") as advance:
        done = backup(store_uri(store), target, advance)
    _tell(done)


@click.command("replay", epilog=example("track replay -s file:report.json"))
@store_option
def replay_verb(*, store: str | None) -> None:
    """Rebuild the report and the cache of a store on disk from its journal."""
    from track.stores.maintenance import replay

    with progress("replaying") as advance:
        done = replay(store_uri(store), advance)
    _tell(done)


def _tell(done: Rewritten) -> None:
    click.echo(f"{done.path}: {done.events} events")
    note_damage(sum(finding.reason == "corrupt" for finding in done.findings))


@click.command("archive", epilog=example("track archive baseline"))
@click.argument("trials", type=TRIAL, nargs=-1, required=True)
@store_option
def archive_verb(*, trials: tuple[str, ...], store: str | None) -> None:
    """Hide trials from lists and reports; `track restore` brings them back."""
    _change("archive_trial", trials, store)


@click.command("restore", epilog=example("track restore baseline"))
@click.argument("trials", type=TRIAL, nargs=-1, required=True)
@store_option
def restore_verb(*, trials: tuple[str, ...], store: str | None) -> None:
    """Bring archived and removed trials back into lists and reports."""
    _change("restore_trial", trials, store)


def _change(method: str, trials: tuple[str, ...], store: str | None) -> None:
    with open_store(store) as reader:  # the writer below reports damage
        reader.tell = tell
        found = reader.named(trials)
        with reader.protocol.read_state() as objects:
            erased = [trial.uid for trial in found if objects.is_erased(trial.uid)]
    if erased and method == "restore_trial":
        raise TrackError(f"{', '.join(erased)} cannot be restored: erased trials are gone for good")
    with writing(store) as protocol:
        for trial in found:
            getattr(protocol, method)(trial)
        protocol.commit()


@click.command("rm", epilog=example("track rm baseline wider", "track rm --erase 1f3a9c"))
@click.argument("trials", type=TRIAL, nargs=-1, required=True)
@store_option
@click.option("--erase", is_flag=True, help="Erase everything logged for them, for good.")
@click.option("--force", is_flag=True, help="Erase without confirmation.")
def rm_verb(*, trials: tuple[str, ...], store: str | None, erase: bool, force: bool) -> int:
    """Remove trials from lists and reports; `track restore` brings them back.

    Their events stay in the journal unless --erase is given.
    """
    uids = _uids(trials, store)
    if erase:
        return _erase(uids, store, force=force)
    _change("archive_trial", uids, store)
    return 0


@click.command("redact", epilog=example("track redact baseline"))
@click.argument("trials", type=TRIAL, nargs=-1, required=True)
@store_option
@click.option("--force", is_flag=True, help="Erase without confirmation.")
def redact_verb(*, trials: tuple[str, ...], store: str | None, force: bool) -> int:
    """Erase everything logged for trials, for good, as `track rm --erase` does.

    Only the fact that a trial existed, when it ran and how it ended remain; no list shows it.
    Backups are not changed.
    """
    return _erase(_uids(trials, store), store, force=force)


def _uids(trials: tuple[str, ...], store: str | None) -> tuple[str, ...]:
    """Return the uids of trials; here, a name shared by several revisions is an error."""
    with reading(store) as reader:
        return tuple(dict.fromkeys(reader.find_uid(trial, latest=False) for trial in trials))


def _erase(uids: tuple[str, ...], store: str | None, *, force: bool) -> int:
    from track.stores.redaction import redact

    question = f"Erase everything logged for {', '.join(uids)}, for good?"
    if not force and not click.confirm(question, err=True):
        return FAILURE
    with progress("erasing") as advance:
        done = redact(store_uri(store), uids, advance)
    click.echo(f"{done.events} events erased, {len(done.files)} files removed")
    return 0
