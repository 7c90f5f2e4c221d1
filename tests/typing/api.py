"""Examples of the public interface, for the type checker only: nothing here is run."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import track
from track import CustomStatus, Project, Status, TrackClient, Trial, TrialGroup, __version__
from track.aggregators.aggregator import (
    Aggregator,
    RingAggregator,
    StatAggregator,
    TimeSeriesAggregator,
    ValueAggregator,
)
from track.client import TrialDoesNotExist
from track.configuration import options, reset_configuration
from track.exchange import Copied, copy_store
from track.loggable import Loggable, loggable
from track.logger import TrialLogger
from track.moment import Moment
from track.persistence import get_protocol, make_local, register
from track.persistence.lmdb import LMDBProtocol
from track.persistence.local import FileProtocol, execute_query
from track.persistence.multiplexer import ProtocolMultiplexer
from track.persistence.protocol import Protocol
from track.persistence.storage import LocalStorage, load_database
from track.persistence.utils import parse_uri
from track.reader import Reader
from track.serialization import from_json, to_json
from track.stores.maintenance import (
    Rewritten,
    Verification,
    backup,
    compact,
    repair,
    verify,
)
from track.stores.redaction import Redaction, redact
from track.structure import LOST, AnyStatus
from track.utils import ItemNotFound
from track.utils.stat import StatStream
from track.versioning import default_version_hash


def overview(epochs: int, dataset: list[Any]) -> None:
    client = TrackClient("file://client_test.json")
    project: Project = client.set_project(name="paper_78997")
    group: TrialGroup = client.set_group(name="idea_4573", force=True, get_only=False)
    client.set_project(project)
    client.set_group(group)
    trial: TrialLogger = client.new_trial(name="final_trial_2", description="almost graduating")
    trial.log_arguments(batch_size=256, lr=0.01, momentum=0.99)
    trial.log_metadata(gpu="V100")
    with trial:
        for epoch in range(epochs):
            loss = 0.0
            for batch in dataset:
                with trial.chrono("batch_time") as timer:
                    loss += float(batch)
                trial.show_eta((epoch, 0), timer, msg="training", throttle=10)
            trial.log_metrics(step=epoch, epoch_loss=loss)
        trial.log_metrics(accuracy=0.98)
    client.save(file_name_override="copy.json")
    client.report(short=False)
    trial.report()
    client.close()


def arguments(client: TrackClient) -> None:
    parser = ArgumentParser()
    args: Namespace = client.get_arguments(parser, show=True)
    client.log_arguments(args)
    client.log_arguments({"lr": 0.1}, momentum=0.9)
    client.new_trial(force=True, arguments=args)
    client.set_version("a8c3").set_version(version_fun=default_version_hash)
    client.add_tags(workers=8, hpo="byopt")
    device: Any = TrackClient.get_device()
    print(device, __version__)


def logging(trial: TrialLogger) -> None:
    trial.log_metrics(step="first", aggregator=RingAggregator.lazy(10, "d"), loss=1)
    trial.log_metrics(None, StatAggregator.lazy(skip=5), loss=1)
    trial.log_metrics(aggregator=TimeSeriesAggregator.lazy(), loss=1)
    trial.log({"loss": {"train": 1}, "step": 3}, 7, aggregator=StatAggregator.lazy(5))
    found: Loggable = loggable({"loss": 1}, separator=None, otherwise=str)
    print(found.taken, found.refused)
    trial.log_metadata(aggregator=ValueAggregator.lazy(), seen=1)
    trial.set_status(Status.Suspended)
    trial.set_status(CustomStatus("reserved", 2), error="none")
    trial.set_eta_total([10, 100])
    trial.capture_output(20)
    trial.log_output(limit=10_000)
    trial.log_code()
    trial.log_file(Path("data.csv"))
    trial.log_directory("data")
    with trial.chrono(
        "step", StatAggregator.lazy(0), start_callback=lambda: None, end_callback=lambda: None
    ) as acc:
        stream: StatStream = acc
    print(stream.avg, trial.uid)
    trial.start().finish()
    trial.finish(ValueError, ValueError("x"), None)


def continuing(uid: str) -> Trial | None:
    client = TrackClient(get_protocol("memory:"))
    try:
        client.set_trial(uid=uid)
    except TrialDoesNotExist:
        client.set_trial(Trial(_hash="hash", revision=1), force=True)
    with client as same:
        same.log_metrics(loss=1)
    return client.trial


def storage(store: Protocol) -> None:
    trial: Trial | None = store.new_trial(Trial(parameters={"lr": 0.1}), auto_increment=True)
    found: list[Trial] | None = store.get_trial(Trial(_hash="hash"))
    trials: list[Trial] = store.fetch_trials({"status": {"$in": ["new", Status.Running]}})
    store.fetch_groups([("name", "g"), ("metadata.n", {"$gt": 1})])
    projects: list[Project] = store.fetch_projects()
    try:
        updated: Trial = store.fetch_and_update_trial(
            {"uid": "hash_0"}, "set_trial_status", status=Status.Broken
        )
        print(updated)
    except ItemNotFound:
        pass
    if trial is not None:
        store.log_trial_metrics(trial, step=1, loss=0.5)
        store.set_trial_status(trial, Status.Exception, error=ValueError("x"))
        status: AnyStatus | None = store.status_of(trial)
        print(status == LOST)
    matches: bool = execute_query(trials[0], {"name": "n"})
    print(found, projects, matches, to_json(trials[0], short=True), from_json({"dtype": "trial"}))


class OwnBackend(Protocol):
    """A backend of one's own needs the methods it wants to support."""

    def new_project(self, project: Project) -> Project:
        return project


class OwnAggregator(Aggregator):
    """An aggregator keeps values in some way."""

    name = "own"

    def append(self, value: Any) -> None: ...

    @property
    def val(self) -> Any:
        return None

    def to_json(self, short: bool = False) -> Any:
        return None


def backends() -> None:
    register("byob", OwnBackend)
    register("both", lambda uri: ProtocolMultiplexer(OwnBackend(uri), FileProtocol("file:a.json")))
    make_local("file:report.json", strict=False, eager=False).commit()
    parts: dict[str, Any] = parse_uri("file:report.json?durability=always")
    database: LocalStorage = load_database("report.json")
    database.commit(file_name_override="copy.json")
    print(parts["query"], database.objects, options("log.backend.name", "none"))
    reset_configuration()


def maintenance() -> None:
    LMDBProtocol("lmdb:store.lmdb?durability=always").close()
    found: Verification = verify("lmdb:store.lmdb")
    if not found.is_sound:
        print([(finding.start, finding.end, finding.holds) for finding in found.findings])
        done: Rewritten | None = repair("lmdb:store.lmdb")
        print(None if done is None else done.kept)
    before, after = compact("lmdb:store.lmdb")
    print(before - after, backup("lmdb:store.lmdb", "file:copy.json").events)


def looking(uid: str) -> None:
    with track.open("file:report.json") as store:
        reader: Reader = store
        trials: list[Trial] = reader.trials({"metrics.loss.9": {"$lt": 0.5}}, at="2h")
        before: Trial = reader.trial(uid, at=datetime(2026, 1, 31, tzinfo=timezone.utc))
        for attempt in reader.attempts(before, until=Moment(position=100)):
            ended: int | None = attempt.finished_at
            print(attempt.number, attempt.status, attempt.facts["command"])
            print(reader.diff(uid, before, left_at=ended))
        for origin in reader.provenance(uid, "parameters.lr"):
            print(origin.value, origin.replaced, origin.recorded.position, origin.attempt)
        for recorded in reader.history(uid):
            print(recorded.at, recorded.event)
        table: Any = reader.to_pandas(trials, metrics=True)
        print(table, reader.status(before), "".join(reader.report(at=17)))
        copied: Copied = copy_store(reader.protocol, get_protocol("file:copy.json"))
        print(copied.events, copied.left_out)


def taking_out(store: Protocol, trial: Trial) -> None:
    store.archive_trial(trial)
    archived: list[Trial] = store.fetch_archived_trials()
    store.restore_trial(archived[0])
    done: Redaction = redact("file:report.json", trial.uid)
    print(done.events, done.files)
