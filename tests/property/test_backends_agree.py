"""Whatever is called, every backend answers the same and ends in the same state.

Snapshots are written after each event here, so that whatever is opened again begins with one.
"""

import json
import shutil
import tempfile
from contextlib import ExitStack
from copy import deepcopy
from pathlib import Path
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.databases import KINDS, uri_of
from tests.property.test_folds import ITEMS, SPECS, STEPS, dump
from tests.relays import served
from track.aggregators.aggregator import Aggregator, build
from track.persistence import get_protocol
from track.persistence.multiplexer import ProtocolMultiplexer
from track.projections.history import as_of
from track.serialization import to_json
from track.structure import CustomStatus, Project, Status, Trial, TrialGroup

ODD = ["", "a.b", "\ud800", "orphan", "日本\x00", "x" * 300, "_update_count", "heartbeat"]
NAMES = st.sampled_from(["loss", "acc", *ODD])
PROJECTS = st.sampled_from(["p", "p", "q", "orphan", "", "日本\x00"])
GROUPS = st.sampled_from(["g", "g", "h", "\ud800"])
HASHES = st.sampled_from(["a", "a", "a", "b", "b", "a_0", ""])
REVISIONS = st.sampled_from([0, 0, 0, 0, 1, "0", "x"])
UNLOGGABLE = st.sampled_from([object(), {1, 2}, 1j])
VALUES = st.one_of(
    *[st.dictionaries(NAMES, ITEMS, max_size=2)] * 5,
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
        ("bogus", {}),
    ]
)


def view(value):
    """Show a value, but for what is measured anew in each backend."""
    if isinstance(value, Trial):
        shown = to_json(value)
        shown["metadata"] = {k: v for k, v in value.metadata.items() if k != "_last_change"}
        shown["chronos"] = {
            name: chrono.count if hasattr(chrono, "count") else type(chrono).__name__
            for name, chrono in value.chronos.items()
        }
        return view(shown)
    if isinstance(value, (Project, TrialGroup)):
        return type(value).__name__, view(vars(value))
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, map(view, value)))
    if isinstance(value, dict):
        return {repr(key): view(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [view(item) for item in value]
    if isinstance(value, Aggregator):
        return view(value.to_json())
    return type(value).__name__ if value.__class__ is object else repr(value)


def outcome(method, args, kwargs):
    """Call a method and show what came back, or was raised, and what became of the arguments."""
    try:
        result = method(*args, **kwargs)
    except Exception as error:
        return type(error).__name__
    return view(result), view(args)


class BackendsMachine(RuleBasedStateMachine):
    """Drives all backends with the same calls."""

    @initialize()
    def open(self):
        self.patches = ExitStack()
        self.patches.enter_context(patch("track.persistence.store.FEWEST_NEW_EVENTS", 1))
        self.patches.enter_context(patch("track.persistence.store.ONE_NEW_IN", 10**9))
        self.patches.enter_context(patch("track.events.journal_sql.SNAPSHOT_INTERVAL_NS", 0))
        self.folder = Path(tempfile.mkdtemp())
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

    def call(self, name, *args, **kwargs):
        outcomes = [
            outcome(getattr(store, name), *deepcopy((args, kwargs))) for store in self.stores
        ]
        assert outcomes == outcomes[:1] * len(self.stores)

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

    @rule()
    def open_again(self):
        for store in self.lasting:
            store.close()
        self.open_files()

    @invariant()
    def objects_are_equal(self):
        self.call("fetch_trials")

    def report(self, store, name):
        path = self.folder / name
        store.commit(file_name_override=str(path))

        def refuse(constant):
            raise AssertionError(f"{constant} is not JSON")

        projects = json.loads(path.read_text(), parse_constant=refuse)
        for trial in [trial for project in projects for trial in project["trials"]]:
            trial["metadata"].pop("_last_change", None)
            trial["chronos"] = list(trial["chronos"])
        return projects

    def teardown(self):
        self.call("fetch_groups")
        self.call("fetch_projects")
        stores = [self.memory, self.beside, *self.lasting]
        reports = [self.report(store, f"{index}.json") for index, store in enumerate(stores)]
        assert reports == reports[:1] * len(stores)
        for store in stores:
            with store.current() as objects:
                assert dump(as_of(store.journal.read_batches())) == dump(objects)
            store.close()
        self.patches.close()  # the servers end here
        shutil.rmtree(self.folder)


TestBackendsAgree = BackendsMachine.TestCase
if settings.default.max_examples <= 50:  # the profile of every day
    TestBackendsAgree.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
