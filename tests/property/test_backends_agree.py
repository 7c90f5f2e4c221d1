"""Check that all backends answer the same calls equally and end in the same state.

Caches are written after each event here, so that whatever is opened again begins with one.
"""

import json
import os
import shutil
import tempfile
from contextlib import ExitStack
from copy import deepcopy
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.databases import KINDS, uri_of
from tests.property.client_calls import (
    call_method,
    comparable,
    continue_trial,
    log,
    new_trial,
    outcome,
    run,
    set_project,
    set_version,
)
from tests.property.test_folds import ITEMS, SPECS, STEPS, dump
from tests.relays import served
from track import TrackClient
from track.aggregators.aggregator import build
from track.contents.copying import copy_contents
from track.contents.memory import MemoryContents
from track.exchange import copy_journal
from track.journals.memory import MemoryJournal
from track.media import Text
from track.persistence import get_protocol
from track.persistence.local import FileProtocol
from track.persistence.multiplexer import ProtocolMultiplexer
from track.projections.history import as_of
from track.stores.maintenance import backup
from track.structure import CustomStatus, Project, Status, Trial, TrialGroup

ODD = ["", "a.b", "\ud800", "orphan", "日本\x00", "x" * 300, "_update_count", "heartbeat"]
NAMES = st.sampled_from(["loss", "acc", *ODD])
PROJECTS = st.sampled_from(["p", "p", "q", "orphan", "", "日本\x00"])
GROUPS = st.sampled_from(["g", "g", "h", "\ud800"])
HASHES = st.sampled_from(["a", "a", "a", "b", "b", "a_0", ""])
REVISIONS = st.sampled_from([0, 0, 0, 0, 1, "0", "x"])
UNLOGGABLE = st.sampled_from([object(), {1, 2}, 1j])
LARGE = "x" * 2**20
"""Values that are too long to be drawn, since Hypothesis prints what it draws."""

MORE = st.sampled_from(
    [
        *(-0.0, float("-inf"), 2**63 - 1, -(2**63), 2**64 - 1, 2**64, "", [], {}, ()),
        *(np.float32(0.1), np.int64(-5), np.float64("nan"), np.bool_(True)),
        *({"a": [{"b": {}}]}, {"": ""}, [[[1]], ()]),
    ]
)
VALUES = st.one_of(
    *[st.dictionaries(NAMES, ITEMS | MORE, max_size=2)] * 5,
    st.dictionaries(NAMES, UNLOGGABLE, min_size=1, max_size=1),
)
STATUSES = st.sampled_from(
    [Status.Running, Status.Completed, CustomStatus("new", 1), CustomStatus("", -1), None, "text"]
)
TRIALS = st.builds(
    lambda digest, revision: Trial(_hash=digest, revision=revision), HASHES, REVISIONS
)
FACTORIES = st.none() | SPECS.map(lambda spec: None if spec is None else lambda: build(*spec))
NEW_TRIALS = st.builds(
    Trial,
    _hash=st.none() | HASHES,
    revision=REVISIONS,
    name=st.none() | NAMES,
    tags=st.dictionaries(NAMES, ITEMS, max_size=1) | st.just(["a", "b"]),
    project_id=st.none() | PROJECTS,
    group_id=st.none() | GROUPS,
    parameters=VALUES,
    metadata=VALUES,
    metrics=st.dictionaries(NAMES, st.just([1.0]) | st.just({1: 2.0}) | ITEMS, max_size=1),
    status=STATUSES,
    errors=st.just([]) | st.just([ValueError("x")]),
)
LEVELS = st.sampled_from(["info", "ERROR", "loud"])
SUMMARIES = st.sampled_from([None, "last", "min", "best"])
QUERIES = st.sampled_from(
    [
        None,
        {"uid": "a_0"},
        {"_uid": None},
        {"hash": "a", "revision": {"$gt": 0}},
        {"status": {"$in": ["new", "running"]}},
        {"status": {"$ne": CustomStatus("new", 1)}},
        {"group_id": "g"},
        {"group_id": None},
        {"metadata.heartbeat": {"$exists": True}},
        {"metadata._update_count": {"$lte": 2}},
        {"parameters.loss": {"$gt": 0}},
        {"parameters.a.b": {"$ne": None}},
        [("project_id", {"$in": ["p", "orphan"]}), ("name", {"$regex": "a"})],
        {"$or": [{"name": "loss"}, {"hash": "b"}]},
        {"bogus": 1},
        {"metadata": {"$bogus": 1}},
    ]
)
UPDATES = st.sampled_from(
    [
        ("set_trial_status", {"status": CustomStatus("reserved", 2)}),
        ("log_trial_metadata", {"heartbeat": 1.5}),
        ("log_trial_metadata", {"heartbeat": {1}}),
        ("set_group_metadata", {"n": [1]}),
        ("archive_trial", {}),
        ("raise_trial_alert", {"title": "t"}),
        ("bogus", {}),
    ]
)
WRONG = {
    "a trial that is none": ("get_trial", (None,)),
    "a hash that is no text": ("new_trial", (Trial(_hash=7),)),
    "a project that is a list": ("new_trial", (Trial(_hash="a", project_id=["p"]),)),
    "a group without a project": ("new_trial_group", (TrialGroup(name="n"),)),
    "a name that is no text": ("new_project", (Project(name=7),)),
    "a query that is text": ("fetch_trials", ("text",)),
    "a pattern that is none": ("fetch_trials", ({"uid": {"$regex": "("}},)),
    "an update that is none": ("fetch_and_update_trial", ({}, "__init__")),
    "a group in place of a trial": ("log_trial_metrics", (TrialGroup(_uid="g"),)),
    "a method that is none": ("no_such_method", ()),
}
PARAMETERS = st.sampled_from(
    [{}, {"lr": 0.1}, {"lr": 0.1, "odd": {"a.b": [1, None]}}, {"lr": -0.0}]
)
"""A few parameters, so that trials of several clients are the same."""
ERRORS = st.sampled_from([None, None, ValueError, KeyboardInterrupt, SystemExit])
CLIENTS = st.integers(0, 2)


class BackendsMachine(RuleBasedStateMachine):
    """Drives all backends with the same calls."""

    @initialize()
    def open(self):
        self.patches = ExitStack()
        self.patches.enter_context(patch.dict("os.environ", TRACK_CACHE_AFTER="1"))
        self.folder = Path(tempfile.mkdtemp())
        self.has_much = False
        self.memory, self.beside = get_protocol("memory:"), get_protocol("memory:")
        self.servers = [
            self.patches.enter_context(served(f"file:{self.folder / name}", security_layer=layer))
            for name, layer in {"d.json": "none", "e.json": "AES"}.items()
        ]
        self.open_files()
        self.call("new_project", Project(name="p"))
        self.call("new_trial_group", TrialGroup(_uid="g", name="n", project_id="p"))
        for digest in "ab":
            self.call("new_trial", Trial(_hash=digest, project_id="p", group_id="g"))

    def open_files(self):
        second, *others = self.lasting = [get_protocol(uri) for uri in self.uris()]
        self.stores = [self.memory, ProtocolMultiplexer(self.beside, second), *others]

    def uris(self):
        yield f"file:{self.folder / 'a.json'}?durability=process"
        yield f"file:{self.folder / 'b.json'}?durability=process"
        yield f"lmdb:{self.folder / 'c.lmdb'}?durability=process"
        for kind in KINDS:
            yield uri_of(kind, str(self.folder), spool=self.folder / "spool")
        for server in self.servers:
            yield server.uri(spool=self.folder / "spool")

        self.clients = {}
        """Number of a client -> one of each store."""

    def call(self, name, *args, **kwargs):
        self.compare([partial(call_method, store, name) for store in self.stores], args, kwargs)

    def call_client(self, number, do, *args, **kwargs):
        if number not in self.clients:
            self.clients[number] = [TrackClient(store) for store in self.stores]
        self.compare([partial(do, client) for client in self.clients[number]], args, kwargs)

    def compare(self, calls, args, kwargs):
        outcomes = [outcome(call, *deepcopy((args, kwargs))) for call in calls]
        assert outcomes == outcomes[:1] * len(outcomes)

    @rule(name=PROJECTS, metadata=VALUES)
    def new_project(self, name, metadata):
        self.call("new_project", Project(name=name, metadata=metadata))

    @rule(uid=GROUPS, project=PROJECTS, metadata=VALUES)
    def new_trial_group(self, uid, project, metadata):
        group = TrialGroup(_uid=uid, name="n", project_id=project, metadata=metadata)
        self.call("new_trial_group", group)
        self.call("get_trial_group", TrialGroup(_uid=uid))

    @rule(trial=NEW_TRIALS, auto_increment=st.booleans())
    def new_trial(self, trial, auto_increment):
        self.call("new_trial", trial, auto_increment=auto_increment)

    @rule(trial=TRIALS)
    def get_trial(self, trial):
        self.call("get_trial", trial)

    @rule(project=PROJECTS, group=GROUPS, trial=TRIALS)
    def add_trial(self, project, group, trial):
        self.call("add_project_trial", Project(name=project), trial)
        self.call("add_group_trial", TrialGroup(_uid=group), trial)

    @rule(trial=TRIALS, step=STEPS, aggregator=FACTORIES, values=VALUES)
    def log_metrics(self, trial, step, aggregator, values):
        self.call("log_trial_metrics", trial, step, aggregator, **values)

    @rule(trial=TRIALS, start=st.sampled_from([0, 120, 250]), name=NAMES)
    def train(self, trial, start, name):
        for step in range(start, start + 10):
            self.call("log_trial_metrics", trial, step=step, **{name: step / 2})

    @rule(trial=TRIALS, aggregator=FACTORIES, values=VALUES)
    def log_values(self, trial, aggregator, values):
        self.call("log_trial_metadata", trial, aggregator, **values)
        self.call("log_trial_arguments", trial, **values)
        self.call("add_trial_tags", trial, **values)
        self.call("log_trial_system_metrics", trial, {"host.load_1m": 0.5})
        self.call("log_process_code")
        self.call("log_trial_output", trial, [[1, 1, "a line\n"], [2, 2, 3]])

    @rule(trial=TRIALS, step=STEPS, size=st.sampled_from([0, 7, 2**16, 2**16 + 1, 2**20]))
    def log_contents(self, trial, step, size):
        path = self.folder / "logged"
        path.write_bytes(b"x" * size)
        self.call("keep_content", str(path))
        self.call("log_trial_media", trial, step, {"noise": [Text("m" * size)]})
        self.call("log_trial_artifact", trial, {"part/of": str(path)}, "logged")
        self.call("use_trial_artifact", trial, "logged", step)

    @rule(trial=TRIALS, name=NAMES, level=LEVELS, summary=SUMMARIES)
    def notice(self, trial, name, level, summary):
        self.call("raise_trial_alert", trial, name, "text", level)
        self.call("define_trial_metric", trial, name, summary)

    @precondition(lambda self: not self.has_much)  # everything that is compared gets slow
    @rule(trial=TRIALS, name=NAMES)
    def log_much(self, trial, name):
        self.has_much = True
        self.call("log_trial_metadata", trial, None, **{name: LARGE})

    @rule(trial=TRIALS, status=STATUSES, error=st.sampled_from([None, ValueError, "e"]))
    def set_status(self, trial, status, error):
        self.call("set_trial_status", trial, status, error)

    @rule(trial=TRIALS, name=st.just(None) | NAMES, aggregator=FACTORIES, start=st.booleans())
    def time(self, trial, name, aggregator, start):
        if name is None:
            self.call("log_trial_start" if start else "log_trial_finish", trial)
        elif start:
            more = {} if aggregator is None else {"aggregator": aggregator}
            self.call("log_trial_chrono_start", trial, name, **more)
        else:
            self.call("log_trial_chrono_finish", trial, name)

    @rule(group=GROUPS, values=VALUES)
    def set_group_metadata(self, group, values):
        self.call("set_group_metadata", TrialGroup(_uid=group), **values)

    @rule(query=QUERIES)
    def fetch(self, query):
        for name in ("fetch_trials", "fetch_groups", "fetch_projects"):
            self.call(name, query)

    @rule(query=QUERIES, update=UPDATES)
    def fetch_and_update(self, query, update):
        attr, kwargs = update
        self.call("fetch_and_update_trial", query, attr, **kwargs)
        self.call("fetch_and_update_group", query, attr, **kwargs)

    @rule(trial=TRIALS, restore=st.booleans())
    def archive(self, trial, restore):
        self.call("restore_trial" if restore else "archive_trial", trial)
        self.call("fetch_archived_trials")
        self.call("get_trial", trial)

    @rule(wrong=st.sampled_from(sorted(WRONG)))
    def call_wrongly(self, wrong):
        name, args = WRONG[wrong]
        self.call(name, *args)

    # What training scripts do; several of them, by turns

    @rule(client=CLIENTS, project=PROJECTS, group=GROUPS, force=st.booleans())
    def client_belongs(self, client, project, group, force):
        self.call_client(client, set_project, project, group, force)

    @rule(client=CLIENTS, parameters=PARAMETERS, name=st.none() | NAMES, force=st.booleans())
    def client_begins(self, client, parameters, name, force):
        self.call_client(client, new_trial, force, name=name, parameters=parameters)

    @rule(client=CLIENTS, force=st.booleans(), values=VALUES)
    def client_begins_without_arguments(self, client, force, values):
        self.call_client(client, new_trial, force)
        self.call_client(client, log, "add_tags", **values)
        self.call_client(client, log, "log_arguments", **values)

    @rule(client=CLIENTS, uid=st.sampled_from(["a_0", "a_1", "b_0", "nobody_0", "no_number"]))
    def client_continues(self, client, uid):
        self.call_client(client, continue_trial, uid)

    @rule(client=CLIENTS, step=STEPS, aggregator=FACTORIES, values=VALUES)
    def client_logs(self, client, step, aggregator, values):
        self.call_client(client, log, "log_metrics", step, aggregator, **values)
        self.call_client(client, log, "log_metadata", aggregator, **values)

    @rule(client=CLIENTS, error=ERRORS, values=VALUES, name=NAMES)
    def client_runs(self, client, error, values, name):
        self.call_client(client, run, error, name, values)

    @rule(client=CLIENTS, status=STATUSES, version=st.none() | NAMES)
    def client_says(self, client, status, version):
        self.call_client(client, log, "set_status", status)
        self.call_client(client, set_version, version)

    @rule(client=CLIENTS)
    def client_ends(self, client):
        self.clients.pop(client, None)

    @rule(harm=st.sampled_from([None, None, "cut", "flip", "remove"]), place=st.floats(0, 1))
    def open_again(self, harm, place):
        for store in self.lasting:
            store.close()
        if harm is not None:
            self.harm_caches(harm, place)
        self.open_files()

    def harm_caches(self, harm, place):
        """Damage or remove each cache that is not open, as those of servers are."""
        own = ("a.json.journal.cache", "b.json.journal.cache", "c.lmdb.cache")
        others = Path(os.environ["XDG_CACHE_HOME"]).rglob("*.cache")
        for path in (*(self.folder / name for name in own), *others):
            if not path.exists() or not path.stat().st_size:
                continue
            data = bytearray(path.read_bytes())
            index = int(place * (len(data) - 1))
            if harm == "remove":
                path.unlink()
            elif harm == "cut":
                path.write_bytes(data[:index])
            else:
                data[index] ^= 1
                path.write_bytes(data)

    @invariant()
    def objects_are_equal(self):
        self.call("fetch_trials")

    def report(self, store, name):
        path = self.folder / name
        store.commit(file_name_override=str(path))
        if isinstance(store, FileProtocol):
            store.commit()  # of which most is copied from the last one
            assert Path(store.path).read_text() == path.read_text()

        def refuse(constant):
            raise AssertionError(f"{constant} is not JSON")

        projects = json.loads(path.read_text(), parse_constant=refuse)
        for trial in [trial for project in projects for trial in project["trials"]]:
            trial["metadata"] = comparable(trial["metadata"])
            trial["chronos"] = list(trial["chronos"])
            trial.get("failure", {}).pop("traceback", None)
        return projects

    def teardown(self):
        self.call("fetch_groups")
        self.call("fetch_projects")
        stores = [self.memory, self.beside, *self.lasting]
        self.check_contents(stores)
        reports = [self.report(store, f"{index}.json") for index, store in enumerate(stores)]
        assert reports == reports[:1] * len(stores)
        for store in stores:
            with store.read_state() as objects:
                live = dump(objects)
            assert dump(as_of(store.journal.read_batches())) == live
            self.check_copies(store, without_positions(live))
            store.close()
        self.check_backups()
        self.patches.close()  # the servers end here
        shutil.rmtree(self.folder)

    def check_contents(self, stores):
        """All stores, and a copy of each, hold the same and read it back."""
        for store in stores:
            copy = MemoryContents()
            copy_contents(store.content, copy)
            assert (
                {*copy.digests()} == {*self.memory.content.digests()} == {*store.content.digests()}
            )
            for digest in copy.digests():
                with copy.open(digest) as expected, store.content.open(digest) as found:
                    assert found.read() == expected.read()

    def check_copies(self, store, live):
        """A journal to which all events were forwarded, twice, gives the same result."""
        copy = MemoryJournal()
        for _ in range(2):
            copy_journal(store.journal, copy)
        assert without_positions(dump(as_of(copy.read_batches()))) == live

    def check_backups(self):
        """A backup, opened with or without its cache, gives the same result."""
        for number, uri in enumerate(list(self.uris())[:3]):
            target = f"lmdb:{self.folder / f'backup{number}.lmdb'}"
            backup(uri, target)
            objects = []
            for store in (get_protocol(uri), get_protocol(target)):
                with store.read_state() as current:
                    objects.append(without_positions(dump(current)))
                store.close()
            assert objects[0] == objects[1]


def without_positions(dumped):
    """Return the content of a projection without positions in its journal."""
    known = {name: value for name, value in dumped.items() if name not in ("position", "misfits")}
    return {name: without_artifacts(value) for name, value in known.items()}


def without_artifacts(dumped):
    """Return a part without the entries of artifacts, which hold positions."""
    if not isinstance(dumped, (list, tuple)):
        return dumped
    if dumped[:1] == (("str", "'_artifacts'"),):
        return dumped[:1]
    return type(dumped)(map(without_artifacts, dumped))


TestBackendsAgree = BackendsMachine.TestCase
if settings.default.max_examples <= 50:  # the profile of every day
    TestBackendsAgree.settings = settings(
        max_examples=15,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],  # of a machine that does much else
    )
