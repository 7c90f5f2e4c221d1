"""The names that programs import, where they import them from."""

import re
from importlib import import_module
from pathlib import Path

import pytest

import track
from tests.programs import run_python

NAMES = {
    "track": "TrackClient Project TrialGroup __version__ open",
    "track.client": "TrackClient TrialDoesNotExist",
    "track.structure": "Project TrialGroup Trial Status CustomStatus LOST",
    "track.reader": "Attempt Origin Reader",
    "track.moment": "Moment When to_moment",
    "track.projections.history": "Assignment Attempt as_of assignments_of attempts until",
    "track.projections.series": "Series",
    "track.projections.diff": "Difference differences differences_of_trials",
    "track.projections.query": "execute_query",
    "track.errors": (
        "BackendError JournalError QueryError StoreNotFound TrackError "
        "DamageWarning NotRecordedWarning StorageWarning TrackWarning"
    ),
    "track.events.types": "CATALOGUE Event Recorded",
    "track.persistence": "get_protocol make_local register",
    "track.persistence.local": (
        "ConcurrentWrite execute_query FileProtocol LockFileRemover "
        "lock_guard lock_read lock_write lock_atomic_write"
    ),
    "track.persistence.utils": "parse_uri",
    "track.persistence.protocol": "Protocol",
    "track.persistence.storage": "LocalStorage load_database",
    "track.persistence.cockroach": "Cockroach sync",
    "track.persistence.lmdb": "LMDBProtocol",
    "track.stores.maintenance": "backup compact repair verify",
    "track.stores.redaction": "Redaction redact",
    "track.persistence.multiplexer": "ProtocolMultiplexer",
    "track.persistence.socketed": (
        "RPCCallFailure ServerSignalHandler SocketClient SocketServer start_track_server sync"
    ),
    "track.reading.summary": "TrialSummary last_value matching to_condition",
    "track.serialization": (
        "to_json from_json SerializerAspect SerializerChronoContext SerializerDatetime "
        "SerializerProject SerializerStatStream SerializerStatus SerializerTrial "
        "SerializerTrialGroup SerializerUUID"
    ),
    "track.exchange": (
        "Added Copied ImportedRuns SourceRun copy_journal copy_store export_csv export_events "
        "export_json export_parquet export_tensorboard export_trials_csv import_projects "
        "import_runs read_report read_runs"
    ),
    "track.exchange.copying": "Copied copy_journal copy_store",
    "track.exchange.tables": "MetricRow cell metric_rows trial_rows",
    "track.distributed.cockroachdb": "CockRoachDB",
    "track.utils": "ItemNotFound",
    "track.configuration": "options none reset_configuration",
    "track.versioning": "default_version_hash",
    "track.aggregators.aggregator": (
        "Aggregator ValueAggregator TimeSeriesAggregator RingAggregator StatAggregator"
    ),
    "track.utils.delay": "DelayedCall delay_call is_delayed_call",
    "track.utils.throttle": "throttled Throttler TimeThrottler ThrottleRepeatedCalls",
    "track.utils.eta": "EstimatedTime",
    "track.utils.stat": "StatStream StatStreamStruct",
    "track.utils.signal": "SignalHandler",
    "track.chrono": "ChronoContext",
    "track.loggable": "Loggable loggable",
    "track.logger": "TrialLogger LogSignalHandler LoggerChronoContext",
}
"""module -> the names that the documentation and known programs import from it."""


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module in NAMES for name in NAMES[module].split()]
)
def test_the_name_is_there(module, name):
    """Moving or renaming one would break somebody's program."""
    assert getattr(import_module(module), name) is not None


API_PAGES = (Path(__file__).resolve().parents[2] / "docs" / "api").glob("*.md")
DOCUMENTED = {
    module
    for page in API_PAGES
    for module in re.findall(r"\.\. automodule:: (\S+)", page.read_text(encoding="utf-8"))
}


@pytest.mark.parametrize("module", sorted({*NAMES, *DOCUMENTED}))
def test_the_module_is_on_an_api_page(module):
    """With the modules that its names are from, so that each name can be read about."""
    assert module in DOCUMENTED
    here = import_module(module)
    shown = getattr(here, "__all__", ())
    for name in NAMES.get(module, "").split():
        home = getattr(getattr(here, name), "__module__", None) or module
        assert name in shown or home in {*DOCUMENTED, "builtins", "types", "typing"}, (name, home)


def test_one_thing_has_one_identity():
    """Names that are importable in several places are the same object there."""
    from track.client import TrialDoesNotExist
    from track.errors import ConcurrentWrite, ItemNotFound
    from track.persistence import local
    from track.projections.query import execute_query

    assert track.TrackClient is import_module("track.client").TrackClient
    assert track.Project is import_module("track.structure").Project
    assert import_module("track.utils").ItemNotFound is ItemNotFound
    assert issubclass(TrialDoesNotExist, ItemNotFound)
    assert (local.ConcurrentWrite, local.execute_query) == (ConcurrentWrite, execute_query)


def test_the_root_exports_what_it_says():
    """The list is sorted and pinned: a change of it is a change of the public interface."""
    assert track.__all__ == [
        "CustomStatus",
        "Project",
        "Status",
        "TrackClient",
        "Trial",
        "TrialGroup",
        "__version__",
        "open",
    ]
    assert track.__all__ == sorted(track.__all__)
    for name in track.__all__:
        assert hasattr(track, name)


def test_the_version_is_a_version():
    """Three numbers, which the distribution takes over."""
    assert [part.isdecimal() for part in track.__version__.split(".")] == [True] * 3


def test_the_package_says_that_it_is_typed():
    """Type checkers of its users look for this file."""
    assert (Path(track.__file__).parent / "py.typed").exists()


def test_every_extra_that_an_error_names_exists():
    """Whoever does as the error says has what was missing."""
    package = Path(track.__file__).parent
    sources = [path.read_text(encoding="utf-8") for path in package.rglob("*.py")]
    named = {
        extra
        for source in sources
        for found in re.findall(r"track-journal\[(\w+)\]|\bload\(\"[\w.]+\", \"(\w+)\"\)", source)
        for extra in found
        if extra
    }
    assert "pandas" in named
    project = (package.parent / "pyproject.toml").read_text(encoding="utf-8")
    _, _, section = project.partition("[project.optional-dependencies]")
    assert named <= set(re.findall(r"^(\w+) = \[", section.partition("\n[")[0], re.MULTILINE))


def test_the_light_core_is_enough():
    """Every module can be imported where none of the optional packages is installed."""
    code = (
        "import sys\n"
        "for name in ('torch', 'numpy', 'psycopg2', 'lmdb', 'cryptography', 'sklearn'):\n"
        "    sys.modules[name] = None\n"
        "from importlib import import_module\n"
        f"for name in {list(NAMES)}: import_module(name)\n"
        "from track import TrackClient\n"
        "with TrackClient('file:light.json') as client: client.log_metrics(step=1, loss=0.5)\n"
        "client.save()\n"
        "print(client.get_device())\n"
    )
    done = run_python(code)
    assert (done.stdout, done.stderr) == ("cpu\n", "")
